"""fleet selftest on the main road: flags exact, figures near; nothing is left, however it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.app.selftest import SelftestReport, selftest
from fleet.app.selftest_stages import MLX_SPEEDS, SPEEDS, Size
from fleet.errors import StoreUnusable
from fleet.report.selftest_text import report_lines
from tests.builders_flow import Fleet, until

SMALL = Size(slow_tokens=128, tokens=200, requests=1, clean_requests=20, clean_trials=1)
LATE = {"clock", "throttled"}
"""What client and server rightly get that other programs have kept from the CPU for long."""
NEAR = 0.5
"""Relative. How near a figure is to the truth is for the self-test itself to say, on a machine
that does nothing else; here it must not be another figure."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SelftestReport]:
    folder = tmp_path_factory.mktemp("selftest")
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr("tempfile.tempdir", None)
        found = selftest(lambda _: None, SMALL)
    signal.signal(signal.SIGTERM, handler)
    yield found
    assert [path.name for path in folder.glob("fleet-selftest-*")] == []


def test_every_fault_raises_its_flag_and_no_other(report: SelftestReport) -> None:
    assert {each.fault: each.raised for each in report.flags} == {
        each.fault: each.injected for each in report.flags
    }
    assert min(each.injected for each in report.flags) > 0
    others = {each.fault: set(each.others) - LATE for each in report.flags}
    assert not any(others.values()), others


def test_no_request_without_a_fault_is_flagged(report: SelftestReport) -> None:
    assert report.clean_requests >= SMALL.clean_requests
    elsewhere = {each.flag for each in report.flags if each.elsewhere}
    assert elsewhere <= LATE


def test_every_figure_is_that_of_what_happened(report: SelftestReport) -> None:
    speeds = {*SPEEDS, *(speed for speed, _ in MLX_SPEEDS.values())}
    assert {each.tokens_per_s for each in report.accuracy} == speeds
    for each in report.accuracy:
        assert each.requests == SMALL.requests
        assert each.reported == pytest.approx(each.true, rel=NEAR, abs=5 * (each.unit == "ms"))


def test_the_tables_tell_all(report: SelftestReport) -> None:
    text = "\n".join(report_lines(report))
    for words in ("decode, client's clock", "2,000/s", "wrong_prompt_count", " of "):
        assert words in text
    assert f"{report.clean_requests} requests without a fault: " in text


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    try:
        running = fleet.start("selftest")
        running.wait_for("1/")
        until(lambda: fleet.processes("fleet.engines.simulated"))
        running.interrupt()
        done = running.end()
        assert done.code == 130, done.err
        assert "it leaves nothing behind" in done.err
        assert "Traceback" not in done.err
        until(lambda: not fleet.processes())
        assert list((tmp_path / "tmp").glob("fleet-selftest-*")) == []
        assert not fleet.store.exists()
    finally:
        fleet.clear()


def test_no_room_for_its_files_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/nowhere")
    with pytest.raises(StoreUnusable, match=r"cannot write its files.*\n.*TMPDIR=FOLDER"):
        selftest(lambda _: None, SMALL)
