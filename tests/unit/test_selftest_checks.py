"""What the self-test makes of a report and of the truth: it must find fault where there is one."""

from collections.abc import Mapping
from typing import Any

import pytest

from fleet.app.selftest import SelftestReport
from fleet.app.selftest_checks import METRICS, FlagCount, Pair, accuracies, clean, paired, raised
from fleet.app.selftest_stages import FLAGS
from fleet.engines.simulated.ground_truth import TrueRequest
from fleet.errors import FleetError
from fleet.report.selftest_text import report_lines

MS = 1_000_000
SPEEDS = {("box", "tiny"): 1_000}
TOKENS = 1_201


def _written(*faults: str, **changes: Any) -> TrueRequest:
    """1,000 tokens/s after a prompt of 100 tokens that took 20 ms."""
    plain: dict[str, Any] = {
        "request": 0,
        "model": "tiny",
        "opening": "the nonce",
        "prompt_tokens": 100,
        "faults": faults,
        "arrived_ns": 7 * MS,
        "evaluated_from_ns": 10 * MS,
        "tokens_ns": [30 * MS + number * MS for number in range(TOKENS)],
    }
    return TrueRequest(**{**plain, **changes})


def _row(flags: str = "", **changes: Any) -> Mapping[str, object]:
    """Everything as it was."""
    right = {
        "nonce": " the nonce",
        "warmup": False,
        "flags": flags,
        "decode_tokens_per_s": 1000.0,
        "client_decode_tokens_per_s": 1000.0,
        "prefill_tokens_per_s": 5000.0,
        "client_prefill_tokens_per_s": 5000.0,
        "first_token_ns": 23 * MS,
        "load_duration_ns": 3 * MS,
        "inter_token_p50_ns": MS,
        "inter_token_p90_ns": MS,
        "inter_token_p99_ns": MS,
    }
    return {**right, **changes}


def _off(**changes: Any) -> list[str]:
    """Metrics that the check finds wrong."""
    pairs = [Pair(_row(**changes), _written()) for _ in range(3)]
    return [each.metric for each in accuracies(SPEEDS, {"box": pairs}) if not each.ok]


def test_a_true_report_is_found_true() -> None:
    assert _off() == []
    assert len(accuracies(SPEEDS, {"box": [Pair(_row(), _written())]})) == len(METRICS)


@pytest.mark.parametrize(
    ("column", "within", "beyond"),
    [
        ("decode_tokens_per_s", 1000.9, 1001.1),
        ("client_decode_tokens_per_s", 999.1, 998.9),
        ("prefill_tokens_per_s", 5024, 5026),
        ("client_prefill_tokens_per_s", 4976, 4974),
        ("first_token_ns", 23.4 * MS, 23.6 * MS),
        ("inter_token_p50_ns", 1.09 * MS, 1.11 * MS),
        ("inter_token_p90_ns", 1.49 * MS, 1.51 * MS),
        ("inter_token_p99_ns", 1.49 * MS, 1.51 * MS),
    ],
)
def test_an_error_beyond_its_bound_is_found(column: str, within: float, beyond: float) -> None:
    assert _off(**{column: within}) == []
    (metric,) = _off(**{column: beyond})
    assert next(each.column for each in METRICS if each.name == metric) == column


def test_the_truth_of_mlx_is_by_its_own_clocks() -> None:
    """99 of 100 tokens before the evaluated prompt ends, then the first of the output's steps."""
    mlx = _written(first_step_ns=MS, cached_tokens=1)
    row = _row(prefill_tokens_per_s=98 * 1000 / 19)
    assert [
        each.metric for each in accuracies(SPEEDS, {"box": [Pair(row, mlx)]}) if not each.ok
    ] == []
    assert accuracies(SPEEDS, {"box": [Pair(row, mlx)]})[0].runner == "MLX"


def test_drafts_are_held_against_the_time_from_the_evaluated_prompt() -> None:
    """Rounds of four tokens every 4 ms: the client sees the first one whole."""
    bursts = [30 * MS + number // 4 * 4 * MS for number in range(400)]
    drafts = _written(first_step_ns=4 * MS, tokens_per_round=4, tokens_ns=bursts)
    row = _row(prefill_tokens_per_s=99 * 1000 / 16, inter_token_p50_ns=None)
    found = accuracies(SPEEDS, {"box": [Pair(row, drafts)]})
    assert {each.runner for each in found} == {"MLX with drafts"}
    assert [each.metric for each in found] == [
        *("decode", "prefill", "prefill, client's clock", "first token"),
    ]
    assert [each.ok for each in found if each.metric in ("decode", "prefill")] == [True, True]


def test_a_metric_that_is_not_reported_is_no_success() -> None:
    assert _off(decode_tokens_per_s=None) == ["decode"]
    pairs = [Pair(_row(), _written()), Pair(_row(decode_tokens_per_s=None), _written())]
    (first, *_) = accuracies(SPEEDS, {"box": pairs})
    assert (first.reported, first.error, first.ok) == (None, None, False)


def test_one_late_request_of_three_does_not_count() -> None:
    late = Pair(_row(first_token_ns=99 * MS), _written())
    pairs = [Pair(_row(), _written()), late, Pair(_row(), _written())]
    assert all(each.ok for each in accuracies(SPEEDS, {"box": pairs}))


def test_a_quantile_needs_gaps_enough() -> None:
    few = _written(tokens_ns=_written().tokens_ns[:500])
    found = [each.metric for each in accuracies(SPEEDS, {"box": [Pair(_row(), few)]})]
    assert "gap, p90" in found
    assert "gap, p99" not in found


def test_requests_are_joined_only_where_they_are_the_same() -> None:
    assert len(paired("box", [_row()], [_written()])) == 1
    with pytest.raises(FleetError, match="asked 2 times, 1 requests are stored"):
        paired("box", [_row()], [_written(), _written()])
    with pytest.raises(FleetError, match="stored as another one"):
        paired("box", [_row()], [_written(opening="another nonce")])


def _line(fault: str, *pairs: Pair, injected: Mapping[str, str] | None = None) -> Any:
    found = raised(injected or {}, {"box": list(pairs)})
    assert [each.fault for each in found] == list(FLAGS)
    return next(each for each in found if each.fault == fault)


def test_each_fault_has_its_own_flag_and_no_other() -> None:
    hit, free = Pair(_row("short"), _written("short_answer")), Pair(_row(), _written())
    line = _line("short_answer", hit, free, hit)
    assert (line.injected, line.raised, line.others, line.elsewhere, line.ok) == (2, 2, (), 0, True)
    missed = _line("short_answer", hit, Pair(_row(), _written("short_answer")))
    assert (missed.injected, missed.raised, missed.ok) == (2, 1, False)
    besides = _line("short_answer", Pair(_row("short clock"), _written("short_answer")))
    assert (besides.raised, besides.others, besides.ok) == (1, ("clock",), False)


def test_a_flag_without_its_fault_is_found() -> None:
    hit, stray = Pair(_row("short"), _written("short_answer")), Pair(_row("short"), _written())
    line = _line("short_answer", hit, stray)
    assert (line.raised, line.elsewhere, line.ok) == (1, 1, False)
    assert clean({}, {"box": [hit, stray, Pair(_row(), _written())]}) == (2, 1)


def test_warm_ups_count_nowhere() -> None:
    warm = Pair(_row("short clock", warmup=True, first_token_ns=None), _written("short_answer"))
    hit = Pair(_row("short"), _written("short_answer"))
    line = _line("short_answer", warm, hit)
    assert (line.injected, line.others, line.ok) == (1, (), True)
    assert clean({}, {"box": [warm]}) == (0, 0)
    assert all(each.ok for each in accuracies(SPEEDS, {"box": [warm, Pair(_row(), _written())]}))


def test_a_fault_that_never_happened_proves_nothing() -> None:
    assert not _line("short_answer", Pair(_row(), _written())).ok


def test_two_faults_may_have_one_flag() -> None:
    dead, cut = (
        Pair(_row("aborted"), _written(fault)) for fault in ("die_mid_stream", "no_final_record")
    )
    assert _line("die_mid_stream", dead, cut).ok
    assert _line("no_final_record", dead, cut).ok


def test_a_fault_of_the_machine_concerns_all_its_requests() -> None:
    pairs = [Pair(_row("on_battery"), _written()) for _ in range(3)]
    line = _line("on_battery", *pairs, injected={"box": "on_battery"})
    assert (line.injected, line.raised, line.ok) == (3, 3, True)
    assert clean({"box": "on_battery"}, {"box": pairs}) == (0, 0)


def _report(load: float, *flags: FlagCount) -> SelftestReport:
    found = accuracies(SPEEDS, {"box": [Pair(_row(), _written())]})
    return SelftestReport(
        accuracy=tuple(found),
        flags=flags,
        clean_requests=10_000,
        clean_flagged=0,
        requests=10_100,
        seconds=70,
        load=load,
        cores=2,
    )


def test_the_tables_say_what_is_off_and_whether_the_machine_was_busy() -> None:
    right = _line("short_answer", Pair(_row("short"), _written("short_answer")))
    wrong = _line("short_answer", Pair(_row("clock"), _written("short_answer")))
    good, bad, busy = _report(9, right), _report(1, wrong), _report(9, wrong)
    assert (good.ok, bad.ok, busy.ok) == (True, False, False)
    assert report_lines(good)[-1] == (
        "10,100 requests in 70 s, load 9.0 on 2 cores: everything is reported as it happened"
    )
    assert "10,000 requests without a fault: 0 flagged" in report_lines(good)
    (line,) = [line for line in report_lines(bad) if line.startswith("short_answer")]
    assert line.split() == ["short_answer", "short", "0", "of", "1", "clock", "0", "NO"]
    assert report_lines(bad)[-1].endswith("not everything is reported as it happened")
    assert "keep this machine busy" in report_lines(busy)[-1]
