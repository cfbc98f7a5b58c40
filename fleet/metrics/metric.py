"""One metric: its column, unit, direction, meaning and formula, and how it is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.stats.verdict import Higher

SCALES = {"ms": 1e-6, "s": 1e-9}
"""From ns, as durations are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of the results, as a column of the view `speeds` or, by scope, of `energy`."""

    column: str
    unit: str
    """As stored."""
    meaning: str
    formula: str
    needs: str = ""
    """Where it is not met the number is null."""
    name: str = ""
    """As `fleet compare --metric` takes it; empty: no comparison is made of it."""
    shown: str = ""
    """The unit in a comparison, where that is another one."""
    higher: Higher = "faster"
    """What the side with the higher value is called."""
    prompt_bound: bool = False
    """It depends on the length of the prompt, so unlike prompts are not comparable."""
    output_bound: bool = False
    """It depends on the length of the answer."""
    naive: str | None = None
    """The column of the rate as `ollama run --verbose` prints it."""
    note: str | None = None
    """The column that says why there is no value."""
    burst: str | None = None
    """The column of the same speed before heat has set in, and of that after it.

    Where one trial throttles, all of them are compared by the sustained one.
    """
    sustained: str | None = None
    of_energy: bool = False
    heated: bool = False
    """Each trial that knows its sustained speed speaks by that."""

    @property
    def shown_unit(self) -> str:
        return self.shown or self.unit

    @property
    def scale(self) -> float:
        """The shown value is the stored one times this."""
        return SCALES.get(self.shown, 1.0)

    def columns(self) -> set[str]:
        """Return every column that a comparison reads of it."""
        every = (self.column, self.naive, self.note, self.burst, self.sustained)
        return {column for column in every if column is not None}

    def after_heat(self) -> Metric:
        """Return the same metric after heat has set in; itself where it knows no such speed."""
        return self if self.sustained is None else replace(self, heated=True)
