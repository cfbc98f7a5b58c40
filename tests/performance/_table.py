"""One Markdown table per program: what | goal | measured | met, with the machine named above."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Table:
    """Goals against what was measured. A missed goal is a `no`, never a failure."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def at_most(self, what: str, limit: float, measured: float, unit: str = "") -> None:
        self._add(what, f"<= {limit:g}{_unit(unit)}", measured, unit, met=measured <= limit)

    def at_least(self, what: str, limit: float, measured: float, unit: str = "") -> None:
        self._add(what, f">= {limit:g}{_unit(unit)}", measured, unit, met=measured >= limit)

    def beside(self, what: str, measured: float, unit: str = "") -> None:
        """Without a goal: what a ratio was made of."""
        self.rows.append((what, "", f"{_number(measured)}{_unit(unit)}", ""))

    def holds(self, what: str, goal: str, measured: str, met: bool) -> None:
        self.rows.append((what, goal, measured, _yes(met)))

    def show(self) -> str:
        head = [("what", "goal", "measured", "met"), ("---", "---", "---:", "---")]
        lines = [f"| {' | '.join(row)} |" for row in [*head, *self.rows]]
        return "\n".join([f"### {self.title}", "", machine(), "", *lines, ""])

    def _add(self, what: str, goal: str, measured: float, unit: str, *, met: bool) -> None:
        self.rows.append((what, goal, f"{_number(measured)}{_unit(unit)}", _yes(met)))


def run(title: str, fill: Callable[[Table, bool], None], about: str | None) -> None:
    """The whole program: reads --quick, fills the table, prints it."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    table = Table(title)
    fill(table, parser.parse_args().quick)
    print(table.show())


def machine() -> str:
    """`2 cores, AMD EPYC, Linux, Python 3.11.7; load 0.5`: numbers mean nothing without it."""
    load = os.getloadavg()[0]
    python = f"Python {platform.python_version()}"
    where = f"{os.cpu_count()} cores, {_chip()}, {platform.system()}, {python}"
    return f"{where}; load at the end {load:.1f}"


def note(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, of at least one value."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _chip() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _yes(met: bool) -> str:
    return "yes" if met else "no"
