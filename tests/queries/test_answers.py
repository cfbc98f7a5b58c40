"""Which answers stand side by side, with which figures, and which outputs are held equal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.answers.nouns import Agreement, Reference, Sheet
from fleet.answers.sheets import NOT_KEPT, TABLES, AnswersRequest, jobs_with_answers, sheets
from fleet.errors import ConfigError, UnknownName
from fleet.model.checks import Check
from fleet.query.open_store import open_store
from fleet.report.answers_text import answers_lines
from fleet.report.answers_words import HASHES_ONLY, agreement_words, differing_prompts
from tests.builders_answers import FIXED, AnsweredStore, reference
from tests.builders_compare import S

OTHER = {"machine": "box", "machine_id": "machine-box"}


def read(store: AnsweredStore, folder: Path, checks: Sequence[Check] = (), **asked: Any) -> Any:
    con = open_store([store.write(folder / "results")], TABLES)
    wanted = AnswersRequest(**asked)
    return sheets(con, wanted, dict.fromkeys(jobs_with_answers(con, wanted), checks))


def only(found: list[Sheet]) -> Sheet:
    assert len(found) == 1
    return found[0]


def agreement(sheet: Sheet) -> Agreement:
    assert len(sheet.agreements) == 1
    return sheet.agreements[0]


def test_a_column_for_each_model_with_the_figures_of_its_request(tmp_path: Path) -> None:
    store = AnsweredStore()
    stamps = {"sent_ns": S, "first_chunk_ns": 2 * S, "first_answer_ns": 3 * S, "ended_ns": 4 * S}
    own_end = {"done_reason": "stop", "output_tokens_asked": 2048, **stamps}
    store.said("a", "It is gold.", "why? well", ask=own_end)
    store.said("b", "Relativity.", model="gpt-oss:120b", digest="digest-120b")
    sheet = only(read(store, tmp_path))
    assert (sheet.job, sheet.point, sheet.prompt) == ("chat", "chat", "why?")
    small, big = sheet.answers  # 20b before 120b
    assert (big.name, big.text, big.thinking, big.ended) == (
        *("gpt-oss:120b", "Relativity.", ""),
        "cut at 201 tokens",
    )
    assert (small.words, small.characters, small.thinking_words, small.ended) == (3, 11, 2, "")
    [timed] = small.timed
    assert (timed.total_ns, timed.first_token_ns, timed.first_answer_ns) == (3 * S, 1 * S, 2 * S)
    assert timed.decode_tokens_per_s == pytest.approx(100)
    assert timed.flags == ""  # it ended of its own will: short of the budget, which is no fault
    assert big.details == "output_tokens=201"


def test_faults_of_a_request_are_told_beside_its_answer(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x", suspended_ns=S, ask={"done_reason": "stop", "cached_tokens": 50})
    assert only(read(store, tmp_path)).answers[0].timed[0].flags == "cached_prefix suspended"


def test_the_first_measured_request_of_the_newest_session_speaks(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("new2", "second block", session=1, block=2)
    store.said("new1", "first block", session=1, block=1)
    store.said("warm", "warm-up", session=1, block=0, ask={"warmup": True})
    store.said("canary", "canary", session=1, block=0, role="canary", position=-1)
    old = store.trials[0]["started_at"] - timedelta(days=1)
    store.said("old", "old session", session=0, started_at=old)
    store.said("failed", "failed", session=1, outcome="failed")
    assert [each.text for each in only(read(store, tmp_path)).answers] == ["first block"]


def test_machines_that_gave_the_same_answer_share_a_column(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "same")
    store.said("b", "same", **OTHER)
    store.said("c", "another", machine="third", machine_id="machine-third")
    sheet = only(read(store, tmp_path))
    assert [(each.text, [t.machine for t in each.timed]) for each in sheet.answers] == [
        ("same", ["box", "studio"]),
        ("another", ["third"]),
    ]
    text = "\n".join(answers_lines([sheet], 120))
    assert "total on box" in text
    assert "total on third" in text


def test_columns_of_one_model_are_told_apart(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "one", settings="num_ctx=512 num_batch=8")
    store.said("b", "two", settings="num_ctx=512 num_batch=16")
    store.said("c", "three", settings="num_ctx=512 num_batch=16", **OTHER)
    store.said("d", "four", model="tiny")
    assert [each.title for each in only(read(store, tmp_path)).answers] == [
        "gpt-oss:20b num_ctx=512 num_batch=8",
        "gpt-oss:20b num_ctx=512 num_batch=16 on box",
        "gpt-oss:20b num_ctx=512 num_batch=16 on studio",
        "tiny",
    ]


def test_what_has_no_text_is_left_out_where_others_have_some(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x")
    for job, outputs in (("equal", ("y", "y")), ("unlike", ("y", "z"))):
        content = FIXED.replace("chat", job)
        for block, output in enumerate(outputs):
            columns = {"job": job, "job_content": content, "block": block, "kept": False}
            store.said(f"{job}{block}", output, **columns)
    given = (reference(job="chat"),)
    found = read(store, tmp_path / "all", references=given)
    assert [(sheet.job, len(sheet.answers)) for sheet in found] == [("chat", 2), ("unlike", 0)]
    assert [sheet.job for sheet in read(store, tmp_path / "one", job="equal")] == ["equal"]


def test_unlike_prompts_are_unlike_questions(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x")
    store.said("b", "y", job_content=FIXED.replace("why?", "how?"))
    assert [sheet.prompt for sheet in read(store, tmp_path)] == ["how?", "why?"]


def test_the_prompt_is_that_of_the_turn_or_the_point(tmp_path: Path) -> None:
    store = AnsweredStore()
    talk = '{"name":"talk","turns":["hello","and then?"]}'
    for turn in (0, 1):
        asked = {"turn": turn, "point": f"talk@t{turn}"}
        store.said(f"turn{turn}", "x", job="talk", job_content=talk, ask=asked)
    points = '[{"output_tokens":5},{"label":"q-2","prompt":"own text"}]'
    content = f'{{"name":"file","points":{points},"prompt":"of all"}}'
    for point in ("file", "q-2"):
        store.said(f"point {point}", "x", job="file", job_content=content, ask={"point": point})
    assert [(sheet.point, sheet.prompt) for sheet in read(store, tmp_path)] == [
        *(("file", "of all"), ("q-2", "own text")),
        *(("talk@t0", "hello"), ("talk@t1", "and then?")),
    ]


def test_only_what_was_named_in_its_order(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x", model="a")
    store.said("b", "y", model="b")
    store.said("c", "z", model="c")
    sheet = only(read(store, tmp_path, models=("c", "a"), references=(reference(),)))
    assert [each.name for each in sheet.answers] == ["c", "a", "elsewhere"]
    assert {each.model for each in sheet.agreements} == {"a", "c"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"experiment": "goldn"}, "goldn: unknown experiment .* did you mean golden"),
        ({"job": "chatt"}, "chatt: unknown job .* did you mean chat"),
        ({"models": ("gpt-oss:21b",)}, "unknown model .* did you mean gpt-oss:20b"),
        ({"machines": ("nobody",)}, "unknown machine .*there is studio"),
    ],
)
def test_a_name_that_nobody_has(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    store = AnsweredStore()
    store.said("a", "x")
    with pytest.raises(UnknownName, match=words.replace(" .* ", ".*")):
        read(store, tmp_path, **asked)


def test_equal_outputs_are_one_line(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "same")
    store.said("b", "same", block=1)
    store.said("c", "same", kept=False, **OTHER)
    found = agreement(only(read(store, tmp_path)))
    assert (found.requests, found.questions, found.repeated) == (3, 1, 1)
    assert (found.machines, found.disagreements) == (("box", "studio"), ())
    assert "the same prompt always gave the same output" in agreement_words(found)


def test_where_two_machines_part_is_shown(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "gold is a yellow metal", "hm", engine_version="1")
    store.said("b", "gold is a noble metal", "hm", engine_version="2", **OTHER)
    sheet = only(read(store, tmp_path))
    [pair] = agreement(sheet).disagreements
    assert (pair.left, pair.right, pair.compared, pair.differing) == ("box", "studio", 1, 1)
    assert pair.also == "engine version 2 against 1"
    assert pair.contrast is not None
    parting = pair.contrast.first_difference
    assert (parting.where, parting.common, parting.common_words) == ("answer", "gold is a ", 3)
    assert (parting.left, parting.right) == ("noble metal", "yellow metal")
    lines = answers_lines([sheet], 100)
    assert any(
        line.endswith("1 of 1 prompt (also differs: engine version 2 against 1); they part after 3")
        for line in lines
    ), lines
    assert "    studio:  yellow metal" in lines


def test_outputs_with_drafts_may_differ_and_those_without_should_not(tmp_path: Path) -> None:
    store = AnsweredStore()
    for drafts in ("yes", "no"):
        own = {"model": f"drafts-{drafts}", "digest": drafts, "drafts": drafts}
        for block, library in enumerate(("mlx_metal_v3", "mlx_metal_v4")):
            name = f"{drafts}{block}"
            store.said(name, library, block=block, mlx_library=library, **own)
    agreements = {each.model: each for each in only(read(store, tmp_path)).agreements}
    words = {name: agreement_words(each).partition(": ")[2] for name, each in agreements.items()}
    assert words == {
        "drafts-yes": "outputs differ, as those with drafts may",
        "drafts-no": "outputs differ where they should be the same",
    }
    [pair] = agreements["drafts-no"].disagreements
    assert pair.also == "MLX library mlx_metal_v3 against mlx_metal_v4"


def test_thinking_that_differs_parts_first(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x", "well now")
    store.said("b", "y", "well then", **OTHER)
    [pair] = agreement(only(read(store, tmp_path))).disagreements
    assert pair.contrast is not None
    assert (pair.contrast.first_difference.where, pair.contrast.first_difference.left) == (
        "thinking",
        "then",
    )


def test_a_machine_can_part_from_itself(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "one")
    store.said("b", "other", block=1)
    [pair] = agreement(only(read(store, tmp_path))).disagreements
    assert (pair.left, pair.right, differing_prompts(pair)) == (
        *("studio once", "studio again"),
        "1 of 1 prompt",
    )


def test_equal_prompts_of_one_machine_are_counted_too(tmp_path: Path) -> None:
    store = AnsweredStore()
    for session, outputs in enumerate((("same", "one"), ("same", "other"))):
        for block, output in enumerate(outputs):
            asked = {"nonce": f"nonce {block}"}
            store.said(f"{session}{block}", output, session=session, block=block, ask=asked)
    found = agreement(only(read(store, tmp_path)))
    assert (found.questions, found.repeated) == (2, 2)
    assert [differing_prompts(pair) for pair in found.disagreements] == ["1 of 2 prompts"]


def test_hashes_alone_tell_that_and_not_where(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "one", kept=False)
    store.said("b", "other", kept=False, **OTHER)
    sheet = only(read(store, tmp_path))
    assert (sheet.answers, sheet.notes) == ((), (NOT_KEPT,))
    assert agreement(sheet).disagreements[0].contrast is None
    assert HASHES_ONLY in " ".join(" ".join(answers_lines([sheet], 100)).split())


def test_a_pair_of_which_texts_were_kept_is_the_example(tmp_path: Path) -> None:
    store = AnsweredStore()
    for block, kept in ((0, False), (1, True)):
        asked = {"nonce": f"nonce {block}"}
        store.said(f"a{block}", f"left {block}", kept=kept, block=block, ask=asked)
        store.said(f"b{block}", f"right {block}", kept=kept, block=block, ask=asked, **OTHER)
    [pair] = agreement(only(read(store, tmp_path))).disagreements
    assert (pair.compared, pair.differing) == (2, 2)
    assert pair.contrast is not None
    assert pair.contrast.first_difference.right == "left 1"


@pytest.mark.parametrize(
    "unlike",
    [
        {"ask": {"nonce": "another"}},
        {"ask": {"seed": 2}},
        {"ask": {"output_tokens_asked": 7}},
        {"digest": "another"},
        {"settings": "num_ctx=512"},
        {"job_content": FIXED.replace("why?", "how?")},
        {"engine": "embedded"},
    ],
)
def test_what_was_not_the_same_question_is_not_compared(
    tmp_path: Path, unlike: dict[str, Any]
) -> None:
    store = AnsweredStore()
    store.said("a", "one")
    store.said("b", "other", **OTHER, **unlike)
    found = [each for sheet in read(store, tmp_path) for each in sheet.agreements]
    assert [each.repeated for each in found] in ([0], [0, 0])
    assert not any(each.disagreements for each in found)


@pytest.mark.parametrize(
    "left_out",
    [{"temperature": 0.7}, {"temperature": None}, {"ask": {"concurrency": 4}}],
)
def test_answers_drawn_by_chance_or_in_a_batch_are_not_held_equal(
    tmp_path: Path, left_out: dict[str, Any]
) -> None:
    store = AnsweredStore()
    store.said("a", "one", **left_out)
    store.said("b", "other", **{**OTHER, **left_out})
    assert only(read(store, tmp_path)).agreements == ()


def test_only_pairs_of_the_machines_named(tmp_path: Path) -> None:
    store = AnsweredStore()
    for name in ("one", "two", "three"):
        store.said(name, name, machine=name, machine_id=name)
    sheet = only(read(store, tmp_path, machines=("one", "two")))
    [pair] = agreement(sheet).disagreements
    assert {pair.left, pair.right} == {"one", "two"}
    assert [each.timed[0].machine for each in sheet.answers] == ["one", "two"]


def test_references_stand_last_and_are_scored_too(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "Gold IS yellow")
    checks = [Check(contains="gold"), Check(similar_to_reference=0.9)]
    given = reference(time_ns=138 * S, tokens=9, source="a page")
    sheet = only(read(store, tmp_path, checks, references=(given,), contrasts=True))
    ours, theirs = sheet.answers
    assert theirs.is_reference
    assert [(each.check, each.passed) for each in ours.scores] == [
        ('contains "gold"', True),
        ("similar to reference >= 0.9", True),
    ]
    assert [each.check for each in theirs.scores] == ['contains "gold"']
    assert (theirs.output_tokens, theirs.timed[0].total_ns) == (9, 138 * S)
    [against] = sheet.contrasts
    assert (against.left, against.right) == ("elsewhere (reference)", "gpt-oss:20b")
    text = "\n".join(answers_lines([sheet], 100))
    assert "2m18s" in text
    assert "a page" in text


def test_similarity_is_told_without_being_asked(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "gold is yellow")
    sheet = only(read(store, tmp_path, references=(reference(), reference("no", name="other"))))
    assert [(each.check, each.value) for each in sheet.answers[0].scores] == [
        ("similarity to elsewhere", pytest.approx(1)),
        ("similarity to other", 0),
    ]


def test_a_reference_goes_to_its_job(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "x")
    store.said("b", "y", job="gold", job_content=FIXED.replace("chat", "gold"))
    found = read(store, tmp_path, references=(reference(job="gold"),))
    assert [len(sheet.answers) for sheet in found] == [1, 2]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("glod", r"elsewhere.txt:3:1: job: no answers of glod .*did you mean gold"),
        (None, r"elsewhere.txt:3:1: job: say which it answers.* chat, gold"),
    ],
)
def test_a_reference_to_no_job_here(tmp_path: Path, job: str | None, words: str) -> None:
    store = AnsweredStore()
    store.said("a", "x")
    store.said("b", "y", job="gold")
    with pytest.raises(ConfigError, match=words):
        read(store, tmp_path, references=(reference(job=job, line=3),))


def test_an_empty_store_of_answers(tmp_path: Path) -> None:
    assert read(AnsweredStore(), tmp_path, references=(reference(),)) == []


def test_a_hostile_answer_moves_nothing_in_the_terminal(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "\x1b[2Jgone\x07 \u202eevil\u2066 \x9b31m tab\there", model="m\x1b[31m")
    text = "\n".join(answers_lines(read(store, tmp_path), 100))
    assert not set(text) & set("\x1b\x07\u202e\u2066\x9b\t")
    assert r"\x1b[2Jgone\x07 \u202eevil\u2066 \x9b31m tab    here" in text


def test_columns_where_they_fit_and_paragraphs_where_not(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "left " * 30, model="a")
    store.said("b", "right 漢字 " * 30, model="b")
    found = read(store, tmp_path)
    wide, narrow = answers_lines(found, 100), answers_lines(found, 60)
    abreast = [line for line in wide if "left" in line]
    assert abreast
    assert all(" | right" in line for line in abreast[1:-1])
    assert not any("left" in line and "right" in line for line in narrow)
    assert max(map(len, narrow)) <= 72


def test_an_imported_answer_stands_beside_those_to_the_same_question(tmp_path: Path) -> None:
    """Whatever its job is called there; one to another question has a sheet of its own."""
    store = AnsweredStore()
    store.said("a", "Relativity.")
    other = {"imported": True, "source": "my notes", "machine": "theirs", "model": "gemma3:4b"}
    stamps = dict.fromkeys(("sent_ns", "first_chunk_ns", "ended_ns", "output_sha256"))
    ask = {**stamps, "total_duration_ns": 5 * S}
    content = '{"name":"why-1a2b","prompt":"why?"}'
    store.said("b", "Blue.", job="why-1a2b", job_content=content, ask=ask, **other)
    content = '{"name":"how-3c4d","prompt":"how?"}'
    store.said("c", "So.", job="how-3c4d", job_content=content, ask=ask, **other)
    found = read(store, tmp_path)
    assert [(sheet.job, sheet.prompt) for sheet in found] == [
        ("chat", "why?"),
        ("how-3c4d", "how?"),
    ]
    texts = {each.name: each.text for each in found[0].answers}
    assert texts == {"gpt-oss:20b": "Relativity.", "gemma3:4b": "Blue."}
    [timed] = next(each for each in found[0].answers if each.name == "gemma3:4b").timed
    assert (timed.machine, timed.total_ns, timed.source) == ("theirs", 5 * S, "imported: my notes")
    lines = "\n".join(answers_lines(found, 120))
    assert "source" in lines
    assert "imported: my notes" in lines


def test_one_job_asked_for_shows_the_imported_answers_to_its_question_only(tmp_path: Path) -> None:
    store = AnsweredStore()
    store.said("a", "Relativity.")
    for name, prompt in (("b", "why?"), ("c", "how?")):
        content = f'{{"name":"job-{name}","prompt":"{prompt}"}}'
        store.said(name, "x", job=f"job-{name}", job_content=content, model=name, imported=True)
    sheet = only(read(store, tmp_path, job="chat"))
    assert sorted(each.name for each in sheet.answers) == ["b", "gpt-oss:20b"]


GOLD, RIDGE = "why is gold yellow?", "what  is a\nridge?"
BOTH = json.dumps(
    {
        "name": "both",
        "load": "request",
        "fixed_prompt": True,
        "points": [{"label": "gold", "prompt": GOLD}, {"label": "ridge", "prompt": RIDGE}],
    }
)


def two_questions(folder: Path, *references: Reference, **asked: Any) -> list[Sheet]:
    """Two prompts of one job, each answered once."""
    store = AnsweredStore()
    for point, answer in (("gold", "relativity"), ("ridge", "a penalty")):
        ask = {"point": point}
        store.said(point, answer, job="both", job_content=BOTH, ask=ask)
    return read(store, folder, references=references, **asked)


@pytest.mark.parametrize("prompt", ["Why is  gold yellow?", "gold", "GOLD"])
def test_a_reference_stands_beside_the_answers_to_its_prompt(tmp_path: Path, prompt: str) -> None:
    gold, ridge = two_questions(tmp_path, reference(prompt=prompt))
    assert (gold.point, [each.is_reference for each in gold.answers]) == ("gold", [False, True])
    assert (ridge.point, [each.is_reference for each in ridge.answers]) == ("ridge", [False])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"prompt": "why is silver white?", "prompt_line": 4},
            "elsewhere.txt:4:1: prompt: is none that was asked here: "
            "gold asks 'why is gold yellow?'; ridge asks 'what is a ridge?'",
        ),
        (
            {},
            "elsewhere.txt:1:1: prompt: say in the head which it answers: "
            "prompt: gold    (or ridge)",
        ),
    ],
)
def test_a_reference_that_answers_another_prompt_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        two_questions(tmp_path, reference(**changes))
    assert str(caught.value) == said


def test_a_check_of_one_point_is_asked_of_no_other(tmp_path: Path) -> None:
    checks = {"both": (Check(contains="relativity", point="gold"), Check(contains="penalty"))}
    store = AnsweredStore()
    for point in ("gold", "ridge"):
        store.said(point, "relativity", job="both", job_content=BOTH, ask={"point": point})
    with closing(open_store([store.write(tmp_path)], TABLES)) as con:
        gold, ridge = sheets(con, AnswersRequest(), checks)
    assert [score.check for score in gold.answers[0].scores] == [
        *('contains "relativity"', 'contains "penalty"'),
    ]
    assert [score.check for score in ridge.answers[0].scores] == ['contains "penalty"']
