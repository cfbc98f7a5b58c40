"""Trials that may be pooled, decoded from one row of `variants.sql`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from fleet.comparability import ENERGY_FACTS, ENERGY_SCOPE, ENVIRONMENT_FACTS, SETTINGS
from fleet.query.open_store import Row

NOT_SET = "not set"
"""An environment that was read and has not this variable; unknown is None."""

THROTTLED = "throttled"
"""The one flag that keeps no trial apart: without its throttled trials a machine looks faster."""

AS_A_VARIABLE = {"True": "1", "False": "0"}

TOO_SHORT = {"too short for a rate", "not reported"}
"""Why a trial has no rate, where its work is such that none of its kind has one."""

Block = tuple[str, str]
"""A block by experiment, session and number, and the submission that measured it.

Two stores may hold the same block of two submissions, and two submissions may measure one block
where the second one resumed it.
"""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Trials of one point that may be pooled, as one row of `variants.sql`."""

    facts: Mapping[str, str | None]
    """What is the same for all of these trials, by column and as text; None: not known."""
    lists: Mapping[str, Sequence[Any]]
    """One item per trial, in the same order for every column."""
    trials: int = 0
    requests_left_out: int = 0
    first_at: str = ""
    last_at: str = ""
    cpu_share: float | None = None
    """Of the model, outside the GPU's memory."""
    second_opinion: str | None = None
    """Where the client's clock and the engine's counters disagree on decode, both rates."""
    imported: bool = False
    silent: bool = False
    """No request of these trials is valid."""

    def text(self, field: str) -> str | None:
        """Return a fact of these trials; of a variable of the engine the value in force."""
        if field in ENVIRONMENT_FACTS:
            return self.asked_for(field) or self._environment.get(field)
        if field == "engine_environment":
            return self._environment.get(field)
        if field in SETTINGS and field not in self.facts:
            return self.asked_for(field)
        if field in ENERGY_FACTS:
            return self.facts.get(field)
        return self.facts[field]

    def asked_for(self, setting: str) -> str | None:
        """Return a setting as the experiment asks for it, out of the text of all settings."""
        if setting in self.facts:
            return self.facts[setting]
        value = self._settings.get(setting)
        if value is None or setting not in ENVIRONMENT_FACTS:
            return value
        return AS_A_VARIABLE.get(value, value)

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        pairs = (part.partition("=") for part in (self.facts["settings"] or "").split())
        return {name: value for name, _, value in pairs}

    @cached_property
    def _environment(self) -> Mapping[str, str | None]:
        return _environment(self.facts["engine_environment"])

    @property
    def tells_energy(self) -> bool:
        """Energy was read beside these trials, or was looked for."""
        return ENERGY_SCOPE in self.facts

    @cached_property
    def session(self) -> tuple[str | None, str | None]:
        """The experiment and the number of its session."""
        return self.facts["experiment"], self.facts["session"]

    @property
    def identity(self) -> tuple[object, ...]:
        """The cell and what keeps it apart, without the part of the machine whose energy it is."""
        own = (value for fact, value in self.facts.items() if fact not in ENERGY_FACTS)
        return (*own, self.imported, self.silent)

    @cached_property
    def blocks(self) -> list[Block]:
        """The block of each trial."""
        numbers = self.lists["blocks"]
        submissions = self.lists.get("submissions") or [""] * len(numbers)
        origin = "/".join(map(str, self.session))  # blocks of two sessions are two blocks
        return [(f"{origin}/{n}", s) for n, s in zip(numbers, submissions, strict=True)]

    @cached_property
    def machine_id(self) -> str:
        return self.facts["machine_id"] or ""

    @cached_property
    def scope(self) -> str | None:
        """The part of the machine whose energy was read; None: none was, or none is wanted."""
        return self.facts.get(ENERGY_SCOPE)

    @cached_property
    def flags(self) -> tuple[str, ...]:
        return tuple((self.facts["flags"] or "").split())

    @property
    def throttled(self) -> bool:
        return THROTTLED in self.flags

    @cached_property
    def label(self) -> str:
        """The flags that keep trials apart."""
        return " ".join(flag for flag in self.flags if flag != THROTTLED)

    def notes(self, column: str) -> set[str]:
        """Return why trials have no value, each reason once."""
        return {str(note) for note in self.lists[column] if note}

    def is_too_short(self, note: str) -> bool:
        return self.notes(note) <= TOO_SHORT

    def has(self, column: str) -> bool:
        """Return whether any trial has a value there."""
        return any(value is not None for value in self.lists[column])

    def numbers(self, column: str) -> list[float | None]:
        return [None if value is None else float(value) for value in self.lists[column]]


def variant_of(row: Row) -> Variant:
    """Decode one row of `variants.sql`: the columns that are no field are facts or lists."""
    columns: dict[str, Any] = dict(row)
    for name in ("first_at", "last_at"):
        columns[name] = str(columns.pop(name, None) or "")
    own = {name: columns.pop(name) for name in OWN_FIELDS if name in columns}
    lists = {name: value for name, value in columns.items() if isinstance(value, list)}
    facts = {
        name: None if value is None else str(value)
        for name, value in columns.items()
        if name not in lists
    }
    return Variant(facts=facts, lists=lists, **own)


OWN_FIELDS = [name for name in Variant.__dataclass_fields__ if name not in ("facts", "lists")]


@lru_cache(maxsize=256)
def _environment(text: str | None) -> Mapping[str, str | None]:
    """Return the facts that lie in an environment, and what is left of it; empty: not known."""
    if text is None:
        return {}
    try:
        variables = json.loads(text)
    except ValueError:
        return {"engine_environment": text}
    left = dict(variables) if isinstance(variables, dict) else {}
    facts = {fact: str(left.pop(name, NOT_SET)) for fact, name in ENVIRONMENT_FACTS.items()}
    return {**facts, "engine_environment": " ".join(f"{k}={v}" for k, v in sorted(left.items()))}
