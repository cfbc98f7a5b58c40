"""The live table: a row for each machine, drawn once a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.cli import output
from fleet.cli.progress import Lane, PlainTalk
from fleet.model.event import Event, Failed, Finished, Started
from fleet.plan.expand import Redo
from fleet.terminal import one_line
from fleet.units import show_span

DRAWN_PER_S = 1.0
LANE_TITLES = ("machine", "block", "now", "last", "done", "left")
WRAPPED = ("now", "last")
"""Columns that may be wrapped between words."""


def lane_table(rows: Iterable[Sequence[str]]) -> Table:
    """Return a row for each machine; on a narrow terminal sentences are wrapped."""
    table = Table(box=None, pad_edge=True, header_style="dim")
    for title in LANE_TITLES:
        table.add_column(title, no_wrap=title not in WRAPPED)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table


class LiveTalk(PlainTalk):
    """Messages scroll above, the table of machines stays below."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=DRAWN_PER_S,
            transient=True,
        )
        self._began: dict[str, float] = {}

    def __enter__(self) -> LiveTalk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a message above the table."""
        for line in output.shown([text], self._console.width):
            self._console.print(line, markup=False, soft_wrap=True)

    def confirm(self, redo: Sequence[Redo]) -> bool:
        """Ask on the terminal whether to measure again."""
        if not sys.stdin.isatty():
            return False
        self._live.stop()
        return self._console.input("measure these again? [y/N] ").strip().lower() in ("y", "yes")

    def event(self, event: Event) -> None:
        """Update the table; print only failures."""
        if not self._live.is_started and self.lanes:
            self._live.start()
        lane = self.lanes.get(event.machine_id)
        if isinstance(event, Started):
            self._began[event.machine_id] = time.monotonic()
        failed = isinstance(event, Finished) and event.result.outcome != "ok"
        if lane is None or failed or isinstance(event, Failed):
            super().event(event)
        else:
            lane.take(event)

    def answer(self, lines: Sequence[str]) -> None:
        """Print data in place of the table."""
        self._live.stop()
        super().answer(lines)

    def _table(self) -> Table:
        return lane_table([self._row(key, lane) for key, lane in self.lanes.items()])

    def _row(self, key: str, lane: Lane) -> tuple[str, ...]:
        if lane.lost:
            return lane.name, "", f"lost: {lane.lost}", "", str(lane.count("ok")), ""
        running_s = time.monotonic() - self._began.get(key, time.monotonic())
        left_s = max(lane.left_s - min(running_s, lane.estimate_s), 0.0)
        failed = f", {lane.count('failed')} failed" if lane.count("failed") else ""
        return (
            lane.name,
            f"{lane.block + 1}/{lane.blocks}",
            lane.now if lane.waiting else "done",
            lane.speed,
            f"{lane.count('ok')}{failed}",
            show_span(left_s) if lane.waiting else "",
        )
