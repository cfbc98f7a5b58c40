"""Rates, times and flags of the two runners, each from the counts and clocks it really has."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet.comparability import standing
from fleet.engines.simulated.question import question_of
from fleet.engines.simulated.schedule import Speeds, schedule
from fleet.metrics.thresholds import TEMPLATE_TOKENS
from fleet.model.script import ScriptedModel
from fleet.query.one_trial import show
from fleet.query.open_store import open_store, rows
from fleet.query.results import results
from fleet.report.trial_text import shown_lines
from tests.builders_compare import GoldenStore, Row, S, compare, request, with_thirds

MS = S // 1000
STEP_MS, PROMPT_MS_PER_TOKEN, LOAD_MS = 20, 2, 3
MLX = {"model_format": "safetensors", "runner": "mlx", "drafts": "no", "digest": "digest-mlx"}
DRAFTS = {**MLX, "drafts": "yes", "digest": "digest-drafts"}
THIRDS = ("first_third_us", "last_third_us")
GGUF = {"model_format": "gguf", "runner": "llama-server", "drafts": "no"}


def true_request(
    runner: str,
    done_reason: str,
    *,
    per_round: int = 1,
    tokens: int = 128,
    step_ms: int = STEP_MS,
) -> Row:
    """A request of 20 ms per token and 2 ms per prompt token, as this runner counts and times it.

    The prompt has 513 tokens, of which a cache holds one. On llama.cpp the end token is counted.
    """
    mlx, ends = runner == "mlx", done_reason == "stop"
    evaluated = 512 - mlx
    prompt_ms = evaluated * PROMPT_MS_PER_TOKEN
    first_ms = LOAD_MS + prompt_ms + (step_ms * per_round if mlx else 0)
    gaps_us = [
        0 if number % per_round else step_ms * per_round * 1000 for number in range(1, tokens)
    ]
    seen_ms = sum(gaps_us) // 1000 + (step_ms if ends and per_round == 1 else 0)
    output_ms = seen_ms + (step_ms * per_round if mlx else 0)
    return with_thirds(
        {
            **{k: v for k, v in request().items() if k not in ("chunks", *THIRDS)},
            "output_tokens_asked": None if ends else tokens,
            "prompt_tokens": 513,
            "cached_tokens": 1,
            "load_duration_ns": LOAD_MS * MS,
            "prompt_duration_ns": prompt_ms * MS,
            "output_tokens": tokens + (ends and not mlx),
            "output_duration_ns": output_ms * MS,
            "done_reason": done_reason,
            "first_chunk_ns": first_ms * MS,
            "last_chunk_ns": first_ms * MS + sum(gaps_us) * 1000,
            "ended_ns": (first_ms + seen_ms) * MS,
            "chunk_gaps_us": gaps_us,
            "rounds": -(-tokens // per_round),
            "round_p50_us": step_ms * per_round * 1000,
        }
    )


def judged(folder: Path, asked: Row, view: str = "requests_flagged", **columns: Any) -> Row:
    store = GoldenStore()
    store.trial("one", requests=[asked], **columns)
    with closing(open_store([store.write(folder)])) as con:
        [row] = rows(con, f"from {view}")
    return row


@pytest.mark.parametrize("done_reason", ["length", "stop"])
@pytest.mark.parametrize(
    ("columns", "per_round"), [(GGUF, 1), (MLX, 1), (DRAFTS, 4)], ids=["gguf", "mlx", "drafts"]
)
def test_rates_and_first_token_are_the_true_ones(
    tmp_path: Path, columns: Row, per_round: int, done_reason: str
) -> None:
    asked = true_request(str(columns["runner"]), done_reason, per_round=per_round)
    row = judged(tmp_path, asked, **columns)
    assert (row["invalid"], row["valid"]) == ("", True)
    true_decode, true_prefill = 1000 / STEP_MS, 1000 / PROMPT_MS_PER_TOKEN
    assert row["decode_tokens_per_s"] == pytest.approx(true_decode, rel=0.001)
    assert row["prefill_tokens_per_s"] == pytest.approx(true_prefill, rel=0.005)
    assert row["server_first_token_ns"] == pytest.approx(row["first_token_ns"], abs=0.5 * MS)
    client = row["client_decode_tokens_per_s"]
    if per_round == 1:
        assert client == pytest.approx(true_decode, rel=0.001)
        assert row["tokens_per_round"] is row["round_p50_ns"] is None
    else:
        assert client is None
        assert (row["tokens_per_round"], row["round_p50_ns"]) == (4, 80 * MS)


def scripted_request(
    model: ScriptedModel, fault: str = "", *, words: int = 1023, tokens: int = 256
) -> Row:
    """What a simulated engine counts and times of this script, of which one token is cached."""
    body = {"model": "m", "prompt": " a" * words, "options": {"num_predict": tokens}}
    speeds = Speeds.of(model, factor=1.0, time_scale=1.0)
    faults = (fault,) if fault else ()
    plan = schedule(question_of(body, "generate"), model, speeds, LOAD_MS * MS, faults)
    plan = plan if fault == "cached_prefix" else plan.knowing(1)
    told, due = plan.counters(total_ns=0), plan.due_ns
    gaps_us = [(after - before) // 1000 for before, after in pairwise(due)]
    return with_thirds(
        {
            **{k: v for k, v in request().items() if k not in ("chunks", *THIRDS)},
            "output_tokens_asked": None,
            "prompt_tokens": told["prompt_eval_count"],
            "cached_tokens": plan.cached_tokens,
            "load_duration_ns": told["load_duration"],
            "prompt_duration_ns": told["prompt_eval_duration"],
            "output_tokens": told["eval_count"],
            "output_duration_ns": told["eval_duration"],
            "done_reason": plan.done_reason,
            "first_chunk_ns": due[0],
            "last_chunk_ns": due[-1],
            "ended_ns": due[-1] + plan.last_step_ns,
            "chunk_gaps_us": gaps_us,
            "rounds": sum(gap > 1000 for gap in gaps_us) + 1,
        }
    )


@pytest.mark.parametrize("answer_tokens", [None, 200], ids=["length", "stop"])
@pytest.mark.parametrize(
    ("columns", "of_round"), [(GGUF, 1), (MLX, 1), (DRAFTS, 4)], ids=["gguf", "mlx", "drafts"]
)
def test_the_views_find_the_speeds_of_the_script(
    tmp_path: Path, columns: Row, of_round: int, answer_tokens: int | None
) -> None:
    """The goal: decode within 0.1 %, prefill within 0.5 %, the first token within 0.5 ms."""
    model = ScriptedModel(
        prefill_tokens_per_s=3000,
        decode_tokens_per_s=45,
        format=columns["model_format"],
        tokens_per_round=of_round,
        answer_tokens=answer_tokens,
    )
    row = judged(tmp_path, scripted_request(model), **columns)
    assert row["invalid"] == ""
    decode = row["decode_tokens_per_s"] / 45 - 1
    prefill = row["prefill_tokens_per_s"] / 3000 - 1
    first_ms = (row["server_first_token_ns"] - row["first_token_ns"]) / MS
    print(f"decode {decode:+.4%}, prefill {prefill:+.4%}, first token {first_ms:+.4f} ms")
    assert abs(decode) <= 0.001
    assert abs(prefill) <= 0.005
    assert abs(first_ms) <= 0.5


LENGTHS = ((15, 128), (511, 1), (511, 64), (1023, 256), (2047, 2))
"""Words of a prompt and tokens of its answer, as jobs ask for them."""


def mlx_model(number: int) -> ScriptedModel:
    """One of many models and machines: 8 to 200 tokens/s, without drafts and with."""
    return ScriptedModel(
        format="safetensors",
        prefill_tokens_per_s=(200, 900, 3_000, 12_000)[number % 4],
        decode_tokens_per_s=(8, 15, 40, 90, 200)[number % 5],
        tokens_per_round=(1, 2, 4)[number % 3],
        answer_tokens=(None, 60)[number % 2],
    )


def test_of_ten_thousand_requests_on_mlx_none_without_a_fault_is_flagged(tmp_path: Path) -> None:
    store = GoldenStore()
    for number in range(60):
        model = mlx_model(number)
        columns = MLX if model.tokens_per_round == 1 else DRAFTS
        kinds = [scripted_request(model, words=words, tokens=n) for words, n in LENGTHS]
        requests = [{**kind, "nonce": f" {again}"} for again in range(34) for kind in kinds]
        store.trial(str(number), requests=requests, **columns, block=number)
    with closing(open_store([store.write(tmp_path)])) as con:
        [told] = rows(con, "select count(*) as n, max(invalid) as flags from requests_flagged")
    assert told == {"n": 60 * 34 * len(LENGTHS), "flags": ""}
    assert told["n"] > 10_000


@pytest.mark.parametrize(
    ("fault", "flag"),
    [
        ("short_answer", "short"),
        ("wrong_prompt_count", "wrong_count"),
        ("clock_wrong", "clock"),
        ("cached_prefix", "cached_prefix"),
    ],
)
@pytest.mark.parametrize("number", range(30))
def test_each_fault_on_mlx_is_flagged(tmp_path: Path, fault: str, flag: str, number: int) -> None:
    model = mlx_model(number).model_copy(update={"answer_tokens": None})
    columns = MLX if model.tokens_per_round == 1 else DRAFTS
    asked = {"output_tokens_asked": 256, "prompt_tokens_asked": 1024}
    store = GoldenStore()
    sibling = scripted_request(model)["prompt_duration_ns"]
    known = {"sibling_prompt_ns": sibling, "cached_tokens": None}
    faulty = {**scripted_request(model, fault), **asked, **known}
    store.trial("one", requests=[faulty, {**scripted_request(model), **asked, **known}], **columns)
    with closing(open_store([store.write(tmp_path)])) as con:
        flags = rows(con, "select invalid from requests_flagged order by request")
    assert [row["invalid"] for row in flags] == [flag, ""]


def test_gaps_within_a_round_are_no_token_latencies(tmp_path: Path) -> None:
    asked = {**true_request("mlx", "length", per_round=4), "gap_p50_us": 12, "gap_p90_us": 80_000}
    row = judged(tmp_path, asked, "speeds", **DRAFTS)
    assert [row[f"inter_token_{q}_ns"] for q in ("p50", "p90", "p99")] == [None] * 3
    assert row["burst_decode_tokens_per_s"] is row["sustained_decode_tokens_per_s"] is None


def test_drafts_that_fail_more_and_more_are_no_heat(tmp_path: Path) -> None:
    slower = {"first_third_us": 2_000_000, "last_third_us": 9_000_000, "ended_ns": 20 * S}
    asked = {**true_request("mlx", "length", per_round=4), **slower}
    assert not judged(tmp_path / "drafts", asked, **DRAFTS)["throttled"]
    assert judged(tmp_path / "plain", asked, **MLX)["throttled"], "nothing to see here"


@pytest.mark.parametrize("tokens", [1, 2])
def test_a_step_of_mlx_that_the_client_cannot_see_is_no_fault_of_a_clock(
    tmp_path: Path, tokens: int
) -> None:
    """A prefill point of a model below 20 tokens/s: its one step lies before the first chunk."""
    slow = true_request("mlx", "length", tokens=tokens, step_ms=300)
    assert judged(tmp_path / "mlx", slow, **MLX)["invalid"] == ""
    assert judged(tmp_path / "gguf", slow, **GGUF)["invalid"] == "clock"


def test_drafts_are_judged_by_the_whole_time(tmp_path: Path) -> None:
    """The first round of a long one may be more than a tenth of an answer."""
    asked = true_request("mlx", "length", per_round=16, tokens=128)
    assert asked["output_duration_ns"] > 1.11 * (asked["ended_ns"] - asked["first_chunk_ns"])
    assert judged(tmp_path / "right", asked, **DRAFTS)["invalid"] == ""
    wrong = {**asked, "output_duration_ns": 2 * asked["output_duration_ns"]}
    assert judged(tmp_path / "wrong", wrong, **DRAFTS)["invalid"] == "clock"


def test_no_output_at_all_is_a_count_and_no_fault(tmp_path: Path) -> None:
    """An end token at once: MLX leaves the count out, and times the one step."""
    asked = true_request("mlx", "stop", tokens=1)
    nothing = {
        "output_tokens": 0,
        "output_duration_ns": STEP_MS * MS,
        **dict.fromkeys(("first_chunk_ns", "last_chunk_ns")),
        "chunk_gaps_us": [],
        "chunks": 0,
    }
    row = judged(tmp_path, {**asked, **nothing}, **MLX)
    assert (row["invalid"], row["decode_tokens_per_s"]) == ("", None)
    assert row["prefill_tokens_per_s"] == pytest.approx(1000 / PROMPT_MS_PER_TOKEN, rel=0.005)


def test_rows_of_before_take_what_newer_rows_tell_of_the_same_model(tmp_path: Path) -> None:
    store, asked = GoldenStore(), true_request("mlx", "length")
    known = {**MLX, "quantization": "nvfp4", "bits_per_weight": 4.5}
    store.trial("before", requests=[asked], digest="digest-mlx", block=0)
    store.trial("since", requests=[asked], block=1, **known)
    store.trial("unknown", requests=[asked], block=0, model="other", digest="digest-other")
    with closing(open_store([store.write(tmp_path)])) as con:
        [other, cell] = rows(con, "from cells order by model desc")
        facts = rows(con, "select model_format, quantization, drafts, runner from trials")
        shown = results(con)
    assert (cell["trials"], cell["quantization"], cell["drafts"]) == (2, "nvfp4", "no")
    assert cell["decode_tokens_per_s"] == pytest.approx(1000 / STEP_MS)
    assert [other[name] for name in ("model_format", "quantization", "drafts")] == [None] * 3
    known_facts = {"model_format": "safetensors", "drafts": "no", "runner": "mlx"}
    assert facts.count({**known_facts, "quantization": "nvfp4"}) == 2
    assert len(shown) == 2


def test_drafts_that_llama_server_was_asked_for_are_steps_behind_the_first_token(
    tmp_path: Path,
) -> None:
    store, plain = GoldenStore(), true_request("llama-server", "length")
    drafted = true_request("llama-server", "length", per_round=4)
    store.trial("before", requests=[plain], digest="same", block=0)
    store.trial(
        "drafted", requests=[drafted], block=1, **{**GGUF, "digest": "same", "drafts": "yes"}
    )
    with closing(open_store([store.write(tmp_path)])) as con:
        told = rows(con, "select attempt_id, drafts from trials order by all")
        [cell, other] = rows(con, "from cells order by drafts")
    assert [row["drafts"] for row in told] == ["no", "yes"]
    assert (cell["drafts"], other["drafts"]) == ("no", "yes")
    assert other["flags"] == ""
    steps, seconds = drafted["output_tokens"] - 1, drafted["output_duration_ns"] / 1e9
    assert other["decode_tokens_per_s"] == pytest.approx(steps / seconds)
    assert cell["decode_tokens_per_s"] == pytest.approx(1000 / STEP_MS)


def test_what_mlx_says_of_context_and_memory_is_not_judged(tmp_path: Path) -> None:
    odd = {"context_length": 4096, "placement_gpu_bytes": 500}
    asked = true_request("mlx", "length")
    row = judged(tmp_path / "mlx", asked, "speeds", **{**MLX, **odd})
    assert (row["requests"], row["flags"], row["spilled"]) == (1, "", None)
    asked = true_request("llama-server", "length")
    row = judged(tmp_path / "gguf", asked, **{**GGUF, **odd})
    assert (row["invalid"], row["spilled"]) == ("context", True)


@pytest.mark.parametrize(
    ("held_mb", "columns", "flags"),
    [(101, MLX, "over_limit"), (100, MLX, ""), (None, MLX, ""), (101, GGUF, "")],
)
def test_what_grows_beyond_what_the_gpu_may_use_is_labelled(
    tmp_path: Path, held_mb: int | None, columns: Row, flags: str
) -> None:
    held = None if held_mb is None else held_mb * 2**20
    own = {**columns, "memory_after_bytes": held, "gpu_limit_mb": 100, "model_size_bytes": 1}
    asked = true_request(str(columns["runner"]), "length")
    assert judged(tmp_path, asked, "speeds", **own)["flags"] == flags


@pytest.mark.parametrize(
    ("history", "cached", "flags"),
    [
        (1000, 900 - TEMPLATE_TOKENS, ""),
        (1000, 899 - TEMPLATE_TOKENS, "reread"),
        (1000, None, ""),
        (None, 0, ""),
    ],
)
def test_a_turn_whose_history_was_read_again_is_labelled(
    tmp_path: Path, history: int | None, cached: int | None, flags: str
) -> None:
    turn = {"prompt_tokens": 1100, "cached_tokens": cached, "reused_tokens": cached, "turn": 1}
    asked = {**true_request("llama-server", "length"), **turn, "history_tokens": history}
    row = judged(tmp_path, asked, "speeds", **GGUF)
    assert (row["requests"], row["flags"]) == (1, flags)


def test_streams_of_one_slot_are_labelled(tmp_path: Path) -> None:
    store = GoldenStore()
    for name, columns in (("mlx", MLX), ("gguf", GGUF)):
        both = [{**true_request(name, "length"), "concurrency": 2, "stream": n} for n in (0, 1)]
        store.trial(name, requests=both, model=name, **columns)
    with closing(open_store([store.write(tmp_path)])) as con:
        labels = {row["model"]: row["flags"] for row in rows(con, "from cells")}
    assert labels == {"mlx": "queued", "gguf": ""}


def test_a_cell_says_where_client_and_engine_disagree_and_loses_no_request(tmp_path: Path) -> None:
    store = GoldenStore()
    asked = true_request("llama-server", "length")
    store.trial("right", requests=[asked], model="right")
    # As an engine would count that begins its clock a step earlier: 1/127 and no more is 0.8 %.
    for name, steps in (("a-step", 1), ("three-steps", 3)):
        longer = asked["output_duration_ns"] + steps * STEP_MS * MS
        store.trial(name, requests=[{**asked, "output_duration_ns": longer}], model=name)
    with closing(open_store([store.write(tmp_path)])) as con:
        told = {row["model"]: row["decode_second_opinion"] for row in rows(con, "from cells")}
        assert {row.valid for row in results(con)} == {1}
    assert (told["right"], told["a-step"]) == ("", "")
    assert told["three-steps"] == "client 50, engine 48.85 tokens/s"


@pytest.mark.parametrize("runner", ["llama-server", "mlx"])
@pytest.mark.parametrize(("lie", "told"), [(1.03, True), (1.003, False)])
def test_an_engine_whose_counters_lie_is_told_on_its_cells(
    tmp_path: Path, runner: str, lie: float, told: bool
) -> None:
    """Of a scripted engine that counts its time too long, by 3 % and by 0.3 %; nothing is lost."""
    columns = MLX if runner == "mlx" else GGUF
    model = ScriptedModel(
        prefill_tokens_per_s=3000, decode_tokens_per_s=45, format=columns["model_format"]
    )
    store = GoldenStore()
    for block in range(5):
        for name, factor in (("honest", 1.0), ("liar", lie)):
            asked = scripted_request(model)
            longer = {**asked, "output_duration_ns": round(factor * asked["output_duration_ns"])}
            store.trial(f"{name}{block}", requests=[longer] * 2, block=block, model=name, **columns)
    with closing(open_store([store.write(tmp_path)])) as con:
        cells = {row.model: row for row in results(con)}
        trials = {name: show(con, f"trial-{name}0") for name in cells}
        [group] = compare(con, axis="model", metrics=("decode",)).groups
    rates = f"client 45, engine {45 / lie:.4g} tokens/s"
    assert {row.valid for row in cells.values()} == {10}
    opinions = {name: row.decode_second_opinion for name, row in cells.items()}
    assert opinions == {"honest": "", "liar": rates if told else ""}
    lines = {name: "\n".join(shown_lines(trial)) for name, trial in trials.items()}
    assert (f"by two clocks: {rates}\n" in f"{lines['liar']}\n") == told
    assert "two clocks" not in lines["honest"]
    reasons = {line.side: "; ".join(line.reasons) for line in group.lines}
    assert (f"two clocks: {rates}" in reasons["liar"]) == told
    assert "two clocks" not in reasons["honest"]


def two_models(folder: Path, baseline: Row, side: Row) -> Any:
    """Five blocks of each of two models, and how the second compares by model and by digest."""
    store = GoldenStore()
    for block in range(5):
        for name, columns in (("a", baseline), ("b", side)):
            asked = true_request(str(columns.get("runner", "llama-server")), "length")
            own = {"block": block, "model": name, **columns}
            store.trial(f"{name}{block}", requests=[asked], **own)
    with closing(open_store([store.write(folder)])) as con:
        [line] = compare(con, axis="model", metrics=("decode",)).sides()
    return line


def test_a_mix_for_mlx_is_compared_with_a_gguf_and_said_to_be_another_thing(tmp_path: Path) -> None:
    """`mxfp4` is a mix with tensors of 8 bits; MXFP4 is a GGUF type. One word, two things."""
    mix, gguf = {**MLX, "quantization": "mxfp4"}, {**GGUF, "quantization": "MXFP4"}
    line = two_models(tmp_path, gguf, mix)
    assert line.verdict in ("same", "not resolved")
    [told] = [reason for reason in line.reasons if reason.startswith("also differs")]
    assert "model formats safetensors / gguf" in told
    assert "quantization mxfp4 / MXFP4" in told
    assert "runners mlx / llama-server" in told


def test_what_is_not_known_of_the_weights_is_said_and_refuses_nothing(tmp_path: Path) -> None:
    line = two_models(tmp_path, {"digest": "digest-of-before"}, {**GGUF, "quantization": "F16"})
    assert line.verdict in ("same", "not resolved")
    assert any("model formats not known on one side" in reason for reason in line.reasons)


def test_drafts_and_formats_stand_in_the_table_and_refuse_what_is_not_asked_about() -> None:
    for fact in ("model_format", "quantization", "drafts"):
        assert standing(fact, "machine") == standing(fact, "num_batch") == "refused"
        assert standing(fact, "model") == standing(fact, "digest") == "listed"
        assert standing(fact, fact) == standing("digest", fact) == "implied"


def test_a_rate_with_drafts_is_not_explained_by_bandwidth(tmp_path: Path) -> None:
    def explained(folder: Path, columns: Row) -> bool:
        store = GoldenStore()
        other = {"machine_id": "m2", "machine": "max", "chip": "Apple M4 Max", "hardware_id": "h2"}
        for block in range(5):
            for own, speed in (({}, 1), (other, 2)):
                asked = true_request("mlx", "length")
                asked["output_duration_ns"] *= speed
                asked["ended_ns"] += asked["output_duration_ns"] // 2 * (speed - 1)
                facts = {"memory_bandwidth_gb_s": 800.0 / speed, "block": block}
                name = f"{speed}-{block}"
                store.trial(name, requests=[asked], **{**columns, **facts, **own})
        with closing(open_store([store.write(folder)])) as con:
            [line] = compare(con, axis="machine", metrics=("decode",)).sides()
        return line.explanation is not None

    assert explained(tmp_path / "plain", MLX)
    assert not explained(tmp_path / "drafts", DRAFTS)
