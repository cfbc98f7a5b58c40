"""The result of `fleet compare`, as it is printed and as `--json` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.compare.controls import Control
from fleet.compare.designs import Design
from fleet.compare.explanations import Explanation
from fleet.compare.left_out import CellCount, CellLeftOut
from fleet.compare.resolution import Resolution
from fleet.stats.ratios import SAME_WITHIN, Estimate
from fleet.stats.verdict import Word

SpeaksOf = Literal["one machine", "each machine by itself", "these machines", "kinds of machines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One side. The baseline's own line has no ratio and no verdict."""

    side: str
    value: float | None
    """Median over the trials, in the group's unit; None: not known, and `reasons` say why."""
    naive: bool = False
    """The value is the rate as `ollama run --verbose` prints it, for want of a better one."""
    trials: int
    machines: int
    flags: str = ""
    throttled: int = 0
    """The number of trials that throttled; `burst` and `sustained` are their speeds then."""
    burst: float | None = None
    sustained: float | None = None
    ratio: float | None = None
    """To the baseline: the estimate's, or of the medians where there is no estimate."""
    estimate: Estimate | None = None
    design: Design | None = None
    unpaired: int = 0
    noise_floor: float | None = None
    """Standard deviation between equal trials of this machine, as a share; None: not known."""
    p_adjusted: float | None = None
    scope: str = ""
    """The part of the machine whose energy this is; empty for other metrics."""
    source: str = ""
    """Whose readings of energy; empty for other metrics."""
    verdict: Word | None = None
    cause: str = ""
    """The probable one, where the data shows it."""
    resolution: Resolution | None = None
    """Why it is not resolved, and how many repeats would do."""
    explanation: Explanation | None = None
    """Of two machines: whether memory, bandwidth or cores agree with the ratio."""
    too_few: bool = False
    """No estimate for want of trials."""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All sides on one piece of work and one metric; the baseline stands first."""

    metric: str
    unit: str
    model: str | None
    job: str
    point: str
    machine: str | None
    settings: str
    scope: str = ""
    """The part of the machine whose energy is compared; empty: unlike parts, or no energy."""
    sustained: bool = False
    """Some trial throttled, so every trial speaks by its speed after heat has set in."""
    controls: tuple[Control, ...] = ()
    """The baseline's cell against itself, where the experiment asked for it."""
    lines: tuple[Line, ...]

    @property
    def baseline(self) -> Line:
        return self.lines[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every verdict that is printed together, and what they rest on."""

    axis: str = field(metadata={"json": "by"})
    groups: tuple[Group, ...]
    speaks_of: SpeaksOf
    family: int
    """The number of tests shown together; Holm's procedure keeps 5 % over all of them."""
    same_within: float = SAME_WITHIN
    footer: tuple[str, ...]
    """What the whole of it speaks of."""
    refused: tuple[str, ...] = ()
    """Facts for which a comparison was refused: `--allow-diff` compares all the same."""
    kept_apart: Mapping[str, int]
    """Trials beside those that are compared, by side and reason: true, but not pooled."""
    requests_left_out: int
    cells: tuple[CellCount, ...] = ()
    """How many cells were read, and how many of them are compared."""
    left_out: tuple[CellLeftOut, ...] = ()
    """Every cell that was read and is not compared, with its reason; those kept apart too."""

    def sides(self) -> list[Line]:
        """Return every line that stands against a baseline."""
        return [line for group in self.groups for line in group.lines[1:]]

    def words(self) -> set[Word]:
        return {line.verdict for line in self.sides() if line.verdict is not None}
