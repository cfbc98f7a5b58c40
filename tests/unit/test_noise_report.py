"""What `fleet noise` says of a machine: a floor, a doubt with its reason, or what is missing."""

from __future__ import annotations

from fleet.app.noise import NoiseLine, NoiseReport, _judged, report_lines
from fleet.stats.noise_floor import NoiseFloor


def line(low: float, high: float, why: str = "") -> NoiseLine:
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
        machine="m", machine_id="id-m", metric="decode", trials=40, floor=floor, trusted=None
    )


def report(*lines: NoiseLine) -> NoiseReport:
    return NoiseReport(experiment="noise-x", model="tiny", job="noise", lines=lines)


def test_a_machine_that_cannot_be_trusted_is_told_with_the_reason() -> None:
    drifts = _judged(line(1.01, 1.03, why="it drifts: x"), doubted=True)
    assert drifts.trusted is False
    assert drifts.note.startswith("its two sides differ although nothing does: this machine cannot")
    assert drifts.note.endswith("; it drifts: x")
    assert "measure again with more --repeats" in _judged(line(1.01, 1.03), doubted=True).note
    assert not report(drifts).trusted
    assert any(text.startswith("m, decode: its two sides") for text in report_lines(report(drifts)))


def test_one_interval_off_by_chance_is_no_distrust_and_is_not_hidden() -> None:
    judged = _judged(line(1.0001, 1.01), doubted=False)
    assert judged.trusted is True
    assert "as one in 20 does by chance" in judged.note
    assert _judged(line(0.99, 1.01), doubted=False).note == ""


def test_a_report_with_a_machine_that_lacks_trials_is_not_trusted() -> None:
    short = NoiseLine(
        machine="m",
        machine_id="id-m",
        metric="decode",
        trials=4,
        floor=None,
        trusted=None,
        note="4 trials, 10 are needed: submit the same again",
    )
    good = _judged(line(0.99, 1.01), doubted=False)
    assert not report(good, short).trusted
    assert report(good).trusted
    told = report(good, short).data()
    assert [entry.get("sd_log") for entry in told["lines"]] == [0.015, None]  # type: ignore[attr-defined]
