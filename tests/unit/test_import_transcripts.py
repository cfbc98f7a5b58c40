"""Reading `ollama run --verbose` out of whatever surrounds it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UserError
from fleet.query.open_store import open_store, rows
from fleet.store.imported import Imported, Origin, answer_rows, job_name, read_file
from fleet.store.imported_models import model_names
from fleet.store.parquet import ParquetStore
from fleet.store.transcripts import Transcript, read_transcripts
from fleet.store.written_dates import read_date

GOLD = "describe the relativistic effects that result in gold appearing yellowish"
L1_L2 = (
    "describe the difference between L1 and L2 regularization - what are the geometric implications"
)
NOTES = f"""\
Notes of an afternoon with the studio. The small model first, in a session that was open already.

jo@studio ~ % ollama run gpt-oss:20b --verbose
>>> {GOLD}
Thinking...
The user asks for gold. Heavy nucleus, fast electrons.
...done thinking.

The 6s shell contracts, so blue light is taken up and **yellow** is left.

\x1b[?25l\x1b[2K\x1b[1Gtotal duration:       1m2.202324708s
load duration:        59.609167ms
prompt eval count:    4937 token(s)
prompt eval duration: 7.340259833s
prompt eval rate:     672.59 tokens/s
eval count:           2183 token(s)
eval duration:        54.776578542s
eval rate:            39.85 tokens/s
>>> {L1_L2}
A diamond has corners, a ball has none:

```python
>>> print(abs(1) + abs(0))
1
```

total duration:       59.681609208s
load duration:        61.355917ms
prompt eval count:    6412 token(s)
prompt eval duration: 4.66646625s
prompt eval rate:     1374.06 tokens/s
eval count:           2061 token(s)
eval duration:        54.906231042s
eval rate:            37.54 tokens/s
>>> /bye

Then the large one, new:

jo@studio ~ % ollama run --verbose gpt-oss:120b "{L1_L2}" 2>&1 | tee big.txt
Corners again.

total duration:       13m32.350176542s
load duration:        64.004417ms
prompt eval count:    84 token(s)
prompt eval duration: 1m9.51778625s
prompt eval rate:     1.21 tokens/s
eval count:           3323 token(s)
eval duration:        12m22.767252458s
eval rate:            4.47 tokens/s
"""
KNOWN = {GOLD: "gold", L1_L2: "regularization"}
BLOCK = "total duration: 2s\nload duration: 1ms\neval count: 5 token(s)\neval duration: 1s\n"


def only(text: str) -> Transcript:
    (found,) = read_transcripts(text)
    return found


def origin(*models: str, date: str = "2025-08-01", **changes: object) -> Origin:
    given_: dict[str, object] = {
        "machine": "studio",
        "date": datetime.fromisoformat(date).replace(tzinfo=UTC),
        "now": datetime(2026, 11, 30, tzinfo=UTC),
        "source": "notes",
        "models": model_names(models),
        "experiment": "first",
    }
    return Origin(**{**given_, **changes})  # type: ignore[arg-type]


def imported(path: Path, text: str = NOTES, *models: str, **changes: str) -> list[Imported]:
    path.write_text(text, encoding="utf-8")
    return list(read_file(path, origin(*models, **changes), KNOWN).trials)


def test_three_turns_of_two_models_to_the_nanosecond():
    assert [
        (t.model, t.prompt, t.turn, t.total_ns, t.load_ns, t.prompt_tokens, t.prompt_ns)
        for t in read_transcripts(NOTES)
    ] == [
        ("gpt-oss:20b", GOLD, 1, 62_202_324_708, 59_609_167, 4937, 7_340_259_833),
        ("gpt-oss:20b", L1_L2, 2, 59_681_609_208, 61_355_917, 6412, 4_666_466_250),
        ("gpt-oss:120b", L1_L2, 1, 812_350_176_542, 64_004_417, 84, 69_517_786_250),
    ]
    assert [(t.output_tokens, t.output_ns) for t in read_transcripts(NOTES)] == [
        (2183, 54_776_578_542),
        (2061, 54_906_231_042),
        (3323, 742_767_252_458),
    ]
    assert [t.line for t in read_transcripts(NOTES)] == [11, 27, 42]


def test_the_stored_integers_are_those_of_the_file(tmp_path):
    store = ParquetStore(tmp_path / "store")
    for trial in imported(tmp_path / "notes.txt"):
        assert store.write_rows(trial.attempt_id, trial.rows)
    rows = duckdb.sql(
        f"""
        select t.model, t.job, r.point, r.total_duration_ns, r.load_duration_ns,
               r.prompt_tokens, r.prompt_duration_ns, r.output_tokens, r.output_duration_ns
        from '{tmp_path}/store/current/trials/*.parquet' t
        join '{tmp_path}/store/current/requests/*.parquet' r using (attempt_id)
        where t.imported and t.outcome = 'ok' order by t.position
        """
    ).fetchall()
    gold, reg = ("gold", "gold"), ("regularization", "regularization")
    # fmt: off
    assert rows == [
        ("gpt-oss:20b", *gold, 62202324708, 59609167, 4937, 7340259833, 2183, 54776578542),
        ("gpt-oss:20b", *reg, 59681609208, 61355917, 6412, 4666466250, 2061, 54906231042),
        ("gpt-oss:120b", *reg, 812350176542, 64004417, 84, 69517786250, 3323, 742767252458),
    ]
    # fmt: on


def test_a_prompt_far_longer_than_its_question_carries_a_history(tmp_path):
    turns = [trial.rows["requests"][0]["turn"] for trial in imported(tmp_path / "notes.txt")]
    assert turns == [1, 1, 0]
    alone = NOTES.replace("4937 token", "300 token").replace("672.59", "40.87")
    first = imported(tmp_path / "alone.txt", alone)[0]
    assert first.rows["requests"][0]["turn"] == 0


@pytest.mark.parametrize(("tokens", "turn"), [(356, 0), (357, 1)])
def test_a_question_has_ten_tokens_a_word_and_those_of_its_template(tmp_path, tokens, turn):
    """Ten words, and 256 for the template."""
    rate = f"{tokens / 7.340259833:.2f}"
    text = NOTES.replace("4937 token", f"{tokens} token").replace("672.59", rate)
    first = imported(tmp_path / "notes.txt", text)[0]
    assert first.rows["requests"][0]["turn"] == turn


def test_the_text_of_an_imported_answer_is_kept_with_its_request(tmp_path):
    first, *_ = imported(tmp_path / "notes.txt")
    [row] = answer_rows(first)
    assert (row["attempt_id"], row["request"]) == (first.attempt_id, 0)
    assert row["answer"].startswith("The 6s shell contracts, so blue light")
    assert row["thinking"] == "The user asks for gold. Heavy nucleus, fast electrons."


def test_prefill_of_a_history_or_of_few_tokens_is_no_rate(tmp_path):
    store = ParquetStore(tmp_path / "store")
    for trial in imported(tmp_path / "notes.txt"):
        store.write_rows(trial.attempt_id, trial.rows)
    with closing(open_store([tmp_path / "store"])) as con:
        found = rows(con, "select model, prefill_note, prefill_tokens_per_s from speeds")
    assert sorted((row["model"], row["prefill_note"]) for row in found) == [
        ("gpt-oss:120b", "too short for a rate"),
        ("gpt-oss:20b", "history in the prompt"),
        ("gpt-oss:20b", "history in the prompt"),
    ]
    assert {row["prefill_tokens_per_s"] for row in found} == {None}


def test_the_client_clock_of_an_imported_trial_is_absent(tmp_path):
    first, second, _ = imported(tmp_path / "notes.txt")
    (request,) = first.rows["requests"]
    (trial,) = first.rows["trials"]
    for column in ("sent_ns", "first_chunk_ns", "ended_ns", "chunks", "chunk_gaps_us", "seed"):
        assert request[column] is None
    assert trial["zero_ns"] is None
    assert trial["duration_ns"] is None
    assert trial["source"] == "notes"
    assert second.rows["trials"][0]["source"] == "notes (turn 2 of a conversation)"
    assert str(trial["started_at"]) == "2025-08-01 00:00:00+00:00"


def test_the_same_file_again_changes_nothing(tmp_path):
    store = ParquetStore(tmp_path / "store")
    for trial in imported(tmp_path / "notes.txt"):
        store.write_rows(trial.attempt_id, trial.rows)
    again = imported(tmp_path / "copy.txt", date="2025-09-01", source="again")
    assert [store.write_rows(trial.attempt_id, trial.rows) for trial in again] == [False] * 3
    assert len(list((tmp_path / "store/current/trials").glob("trial*"))) == 3


def test_another_machine_has_trials_of_its_own(tmp_path):
    here = {trial.attempt_id for trial in imported(tmp_path / "a")}
    there = {trial.attempt_id for trial in imported(tmp_path / "b", machine="other")}
    assert not here & there


def test_the_same_block_pasted_twice_is_one_trial(tmp_path):
    assert len(imported(tmp_path / "notes.txt", NOTES + NOTES)) == 3


def test_repeats_of_one_question_count_as_blocks(tmp_path):
    asked = "ollama run m --verbose hi\n"
    text = f"{asked}{BLOCK}\n{asked}{BLOCK.replace('2s', '3s')}"
    blocks = [trial.rows["trials"][0]["block"] for trial in imported(tmp_path / "n", text)]
    assert blocks == [0, 1]


@pytest.mark.parametrize(
    ("line", "model", "prompt"),
    [
        ("ollama run gpt-oss:20b --verbose", "gpt-oss:20b", None),
        ("$ ollama run --verbose gpt-oss:20b 'why is gold'", "gpt-oss:20b", "why is gold"),
        ('jo@mac ~ % ollama run a/b:7b-q4_K_M "it\'s" --verbose', "a/b:7b-q4_K_M", "it's"),
        ("(base) ➜  notes ollama run m --verbose why now", "m", "why now"),
        ("PS C:\\Users\\jo> ollama.exe run m --verbose why", "m", "why"),
        ("/usr/local/bin/ollama run m --verbose why", "m", "why"),
        ("~/bin/ollama run m why", "m", "why"),
        ("OLLAMA_HOST=big:11434 ollama run m --verbose why", "m", "why"),
        ("ollama run m --verbose --format json --keepalive 5m --think=high why", "m", "why"),
        ("ollama run m --verbose < prompt.txt > out.txt", "m", None),
        ("echo why | ollama run m --verbose 2> log", "m", None),
        ("I ran `ollama run m --verbose` and got", "m", None),
        ("ollama run m --verbose \\\n  --nowordwrap 'two\nlines'", "m", "two\nlines"),
        ("# ollama run hf.co/unsloth/x-GGUF:Q4 --verbose “why gold”", "hf.co/unsloth/x-GGUF:Q4",
         "why gold"),
    ],
)  # fmt: skip
def test_model_and_prompt_come_from_the_command(line, model, prompt):
    found = only(f"{line}\nan answer\n{BLOCK}")
    assert (found.model, found.prompt) == (model, prompt)


@pytest.mark.parametrize(
    "line",
    [
        "nothing at all",
        "You can use ollama run to ask.",
        "ollama run <model> --verbose",
        "She said ollama run is good",
    ],
)
def test_a_sentence_is_no_command(line):
    assert only(f"{line}\n{BLOCK}").model is None


def test_an_answer_that_shows_commands_does_not_change_the_model():
    text = (
        "ollama run m --verbose\n>>> how do I run llama?\n"
        f"Like this:\n```\nollama run wrong --verbose\n>>> hello\n```\nor so:\n$ ollama run wrong\n"
        f"{BLOCK}>>> thanks\nollama run wrong\n{BLOCK}"
    )
    assert [(t.model, t.prompt, t.turn) for t in read_transcripts(text)] == [
        ("m", "how do I run llama?", 1),
        ("m", "thanks", 2),
    ]


def test_clear_load_and_bye_start_anew():
    text = (
        f"$ ollama run m\n>>> /set verbose\nSet 'verbose' mode.\n>>> a\n{BLOCK}"
        f">>> b\n{BLOCK}>>> /clear\nCleared session context\n>>> c\n{BLOCK}"
        f">>> /load n\n>>> d\n{BLOCK}>>> /bye\n$ ollama run k\n>>> /set verbose\n>>> e\n{BLOCK}"
    )
    assert [(t.model, t.prompt, t.turn) for t in read_transcripts(text)] == [
        ("m", "a", 1),
        ("m", "b", 2),
        ("m", "c", 1),
        ("n", "d", 1),
        ("k", "e", 1),
    ]


def test_a_prompt_of_many_lines_and_the_placeholder_of_the_terminal():
    text = f'ollama run m --verbose\n>>> """one\n... two"""\nyes\n{BLOCK}'
    assert only(text).prompt == "one\ntwo"
    text = f"ollama run m --verbose\n>>> Send a message (/? for help)why\nyes\n{BLOCK}"
    assert only(text).prompt == "why"


def test_lines_left_out_are_unknown_and_not_zero():
    found = only("ollama run m --verbose x\ntotal duration: 2s\nload duration: 1ms\n")
    assert (found.load_ns, found.prompt_tokens, found.output_ns) == (1_000_000, None, None)


def test_escape_codes_quoting_and_one_line_pastes():
    block = BLOCK.replace("\n", "\r\n")
    coloured = f"\x1b]0;title\x07\x1b[1;32mollama\x1b[0m run mm\b --verbose\r\n\x1b[K{block}"
    assert only(coloured).model == "m"
    assert only("> " + BLOCK.replace("\n", "\n> ")).output_ns == 10**9
    assert only(BLOCK.replace("\n", " ")).output_ns == 10**9
    assert only(BLOCK.replace("1ms", "712µs")).load_ns == 712_000


@pytest.mark.parametrize(
    "text", ["", "total duration: 5s", "total duration: long\nload duration: 1ms", "eval count: 5"]
)
def test_words_that_only_look_alike_are_no_transcript(text):
    assert read_transcripts(text) == ()


@given(st.text(alphabet="ollama run>`'\"\\|<\n\b\x1b[ -v/:", max_size=200))
def test_whatever_stands_before_it_the_block_is_found(text):
    assert read_transcripts(f"{text}\n{BLOCK}")[-1].total_ns == 2 * 10**9


def test_long_lines_and_open_quotations_take_no_time():
    noise = "ollama run it's " * 3000 + "\n" + "don't " * 30_000 + "x" * 200_000 + "\n"
    assert only(noise + BLOCK).output_tokens == 5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nothing here", "no transcript of `ollama run --verbose`"),
        (b"", "total duration: 1m2.2s"),
        (b"\x7fELF\0\0", "is a binary file"),
        (BLOCK.encode(), "--model NAME"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path, content, says):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(UserError) as problem:
        read_file(path, origin())
    assert says in str(problem.value)
    assert str(path) in str(problem.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_file(tmp_path / "none", origin())


def test_the_model_named_by_hand_fills_only_the_gap(tmp_path):
    models = [trial.model for trial in imported(tmp_path / "n", BLOCK + NOTES, "given")]
    assert models == ["given", "gpt-oss:20b", "gpt-oss:20b", "gpt-oss:120b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_files_of_other_systems(tmp_path, encoding):
    path = tmp_path / "f"
    path.write_bytes(BLOCK.replace("1ms", "712µs").encode(encoding))
    (trial,) = read_file(path, origin("x")).trials
    assert trial.transcript.load_ns == 712_000


@pytest.mark.parametrize("date", ["2025", "August 2025", "2025-13", "2025-02-30", ""])
def test_a_wrong_date_is_refused(date):
    with pytest.raises(UserError, match="--date 2025-08-14"):
        read_date(date)


def test_one_prompt_has_one_job_name_however_it_is_spaced():
    assert job_name("Why is\n gold?", {}) == job_name("Why is gold?", {})
    assert job_name("Why is gold?", {}).startswith("why-is-gold-")
    assert job_name("why is it so", {}) != job_name("why is it so late now dear", {})
    assert job_name(None, {}) == "imported"
    assert job_name("金", {}).startswith("imported-")
