"""What `fleet noise` says of a machine: a floor, a doubt with its reason, or what is missing."""

from __future__ import annotations

from fleet.compare.noise_report import NoiseLine, NoiseReport
from fleet.report.noise_text import note, report_data, report_lines
from fleet.stats.noise_floor import NoiseFloor


def line(low: float, high: float, why: str = "", *, trusted: bool = True) -> NoiseLine:
    floor = NoiseFloor(
        sd_log=0.015,
        low=0.013,
        high=0.017,
        n=40,
        ratio=1.02,
        ratio_low=low,
        ratio_high=high,
        p=0.01,
        why=why,
    )
    return NoiseLine(
        machine="m", machine_id="id-m", metric="decode", trials=40, floor=floor, trusted=trusted
    )


def report(*lines: NoiseLine) -> NoiseReport:
    return NoiseReport(experiment="noise-x", model="tiny", job="noise", lines=lines)


def test_a_machine_that_cannot_be_trusted_is_told_with_the_reason() -> None:
    drifts = line(1.01, 1.03, why="it drifts: x", trusted=False)
    assert note(drifts).startswith(
        "its two sides differ although nothing does: this machine cannot"
    )
    assert note(drifts).endswith("; it drifts: x")
    assert "measure again with more --repeats" in note(line(1.01, 1.03, trusted=False))
    assert not report(drifts).trusted
    assert any(text.startswith("m, decode: its two sides") for text in report_lines(report(drifts)))


def test_one_interval_off_by_chance_is_no_distrust_and_is_not_hidden() -> None:
    assert "as one in 20 does by chance" in note(line(1.0001, 1.01))
    assert note(line(0.99, 1.01)) == ""


def test_a_report_with_a_machine_that_lacks_trials_is_not_trusted() -> None:
    short = NoiseLine(machine="m", machine_id="id-m", metric="decode", trials=4, floor=None)
    good = line(0.99, 1.01)
    assert not report(good, short).trusted
    assert report(good).trusted
    assert note(short) == "4 trials, 10 are needed: submit the same again"
    data = report_data(report(good, short))
    assert [entry.get("sd_log") for entry in data["lines"]] == [0.015, None]  # type: ignore[attr-defined]
    assert [entry["note"] for entry in data["lines"]] == ["", note(short)]  # type: ignore[attr-defined]
