"""What may differ between two sides of a comparison: one published table.

Each fact has one class on each axis. *Implied*: it differs because the axis does. *Listed*: the
comparison stands, and says that it differs. *Refused*: the two are not compared, unless the fact
is named with `--allow-diff`. `fleet compare` applies the table to what was measured, `fleet plan`
to the machines as found; `fleet compare --classes` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from fleet.model.settings import Kind, settings_of
from fleet.names import known

Standing = Literal["implied", "listed", "refused"]

SETTINGS: dict[str, str] = {
    **{setting.name: setting.words for kind in get_args(Kind) for setting in settings_of(kind)},
    "think": "thinking",
}
"""By column, what the setting is called where it differs; settings of a kind stand together."""

ENVIRONMENT_FACTS = {
    setting.name: setting.variable
    for setting in settings_of("environment")
    if setting.owners_set_it
}
"""Facts that lie in the engine's environment, by their variable: as asked, else as found."""

PROMPT_TOKENS, OUTPUT_TOKENS = "prompt_tokens", "output_tokens"
COUNTS = (PROMPT_TOKENS, OUTPUT_TOKENS)
"""Judged by their lengths, and only for metrics that depend on them."""

ENERGY_SCOPE, ENERGY_ESTIMATE = "energy_scope", "energy_estimate"
ENERGY_FACTS = (ENERGY_SCOPE, ENERGY_ESTIMATE, "energy_source")
"""Only trials whose energy is asked for have them; a value that no chip estimates has no estimate.

Joules of a board, a chip and a machine are unlike. What a chip says of itself is a model of its
maker, made for one kind of chip. Two meters of one part measure the same thing.
"""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of the table `trials` of which no two values are ever pooled."""

    name: str
    words: str
    of: Literal["engine", "model", "limit", "hardware", "system"]
    short: str = ""
    """Before the value in the column `state` of `fleet results`; empty: the value says enough."""
    measured_again: bool = False
    """Where it has changed, a finished trial is measured again and both measurements count."""


POOLING_KEY: tuple[KeyColumn, ...] = (
    KeyColumn("engine", "engine", "engine"),
    KeyColumn("engine_version", "engine version", "engine", short="engine", measured_again=True),
    KeyColumn("engine_sha256", "engine program", "engine", short="program", measured_again=True),
    KeyColumn(
        "engine_environment",
        "engine environment",
        "engine",
        short="environment",
        measured_again=True,
    ),
    KeyColumn("digest", "digest", "model", short="digest", measured_again=True),
    KeyColumn("drafts", "drafts", "model", short="drafts"),
    KeyColumn("gpu_limit_mb", "GPU limit (MiB)", "limit", short="GPU limit", measured_again=True),
    KeyColumn("hardware_id", "hardware", "hardware", measured_again=True),
    KeyColumn("os_version", "OS version", "system", short="OS"),
    KeyColumn("os_build", "OS build", "system", short="build"),
    KeyColumn("kernel", "kernel", "system", short="kernel"),
    KeyColumn("gpu_driver", "GPU driver", "system", short="driver"),
    KeyColumn("measured_over", "measured over", "system", short="over the"),
)
"""What keeps the trials of one cell apart, beside their flags: a reader takes it from here.

SQL takes it by `{pooling_key}`, `{measured_again}` and `{facts}` (`fleet.query.views`).
"""


def measured_again() -> list[KeyColumn]:
    """Return the columns of the pooling key whose change makes a finished trial unfinished."""
    return [column for column in POOLING_KEY if column.measured_again]


def state_facts() -> list[str]:
    """Return the facts of which two values are two states of a machine; one state is compared."""
    return [*(column.name for column in POOLING_KEY), *ENVIRONMENT_FACTS, "job_content"]


@dataclass(frozen=True, slots=True)
class Field:
    """How a fact is called, and its class where the axis does not say otherwise."""

    words: str
    standing: Standing


FACTS: dict[str, Field] = {
    "digest": Field("model digests", "refused"),
    "model_format": Field("model formats", "refused"),
    "quantization": Field("quantization", "refused"),
    "drafts": Field("drafts", "refused"),
    "runner": Field("runners", "listed"),
    "job_content": Field("the jobs' contents", "refused"),
    PROMPT_TOKENS: Field("prompt tokens", "refused"),
    OUTPUT_TOKENS: Field("output tokens", "refused"),
    "engine": Field("engines", "refused"),
    "engine_version": Field("engine versions", "refused"),
    **{name: Field(words, "refused") for name, words in SETTINGS.items()},
    "chip": Field("chip", "listed"),
    "gpu": Field("GPU", "listed"),
    "gpu_cores": Field("GPU cores", "listed"),
    "gpu_memory_mb": Field("GPU memory (MiB)", "listed"),
    "memory_gb": Field("memory (GB)", "listed"),
    "memory_bandwidth_gb_s": Field("memory bandwidth (GB/s)", "listed"),
    "gpu_driver": Field("GPU driver", "listed"),
    "gpu_limit_mb": Field("GPU limit (MiB)", "listed"),
    "os": Field("OS", "listed"),
    "os_version": Field("OS version", "listed"),
    "os_build": Field("OS build", "listed"),
    "engine_environment": Field("engine environment", "listed"),
    "measured_over": Field("measured over", "listed"),
    "power_source": Field("power source", "listed"),
    "power_mode": Field("power mode", "listed"),
    "thermal_class": Field("thermal class", "listed"),
    ENERGY_SCOPE: Field("measured parts of the machine", "refused"),
    ENERGY_ESTIMATE: Field("chips that estimate their own energy", "refused"),
    "energy_source": Field("energy sources", "listed"),
}
"""In the order in which a comparison names them."""


def fact_columns() -> list[str]:
    """Return every fact that is a column of the trials, and the pooling key, each once."""
    elsewhere = {*SETTINGS, *COUNTS, *ENERGY_FACTS}
    own = [fact for fact in FACTS if fact not in elsewhere]
    return list(dict.fromkeys([*own, *(column.name for column in POOLING_KEY)]))


HARDWARE_AXES = frozenset(
    {
        *("machine", "hardware_id", "chip", "gpu", "gpu_cores", "memory_gb", "gpu_memory_mb"),
        *("memory_bandwidth_gb_s", "os"),
    }
)
"""Always compared from machine to machine."""

CONDITION_AXES = frozenset(
    {
        *("os_version", "os_build", "gpu_driver", "gpu_limit_mb"),
        *("power_source", "power_mode", "thermal_class"),
        *("engine", "engine_version", "engine_environment", *ENVIRONMENT_FACTS),
        *("experiment", "session", "date", "fleet_version", "imported", "source"),
    }
)
"""Compared within each machine where one has shown more than one of them, else across."""

_WEIGHTS = frozenset({"model_format", "quantization", "drafts"})

WORK_AXES = (
    frozenset({"model", "digest", "job", "point", "settings", *SETTINGS, *_WEIGHTS})
    - CONDITION_AXES
)
"""Always compared within each machine."""

AXES = HARDWARE_AXES | CONDITION_AXES | WORK_AXES


def check_axis(name: str, columns: Iterable[str] = ()) -> str:
    """Return the name of an axis. Raises UnknownName.

    `columns`: what else can be compared by, beside the axes that the table knows.
    """
    axes = AXES.union(columns)
    return known(name, axes, "axis to compare by", "fleet compare --by machine --classes")


def check_fact(name: str) -> str:
    """Return the name of a fact that may be allowed to differ. Raises UnknownName."""
    return known(name, FACTS, "fact to allow a difference of", "fleet compare --classes")


_MACHINE = frozenset(
    {
        *("chip", "gpu", "gpu_cores", "gpu_memory_mb", "memory_gb", "memory_bandwidth_gb_s"),
        *("gpu_driver", "os"),
    }
)
_ENVIRONMENT = frozenset({"engine_environment", *ENVIRONMENT_FACTS})

IMPLIED: dict[str, frozenset[str]] = {
    **dict.fromkeys(HARDWARE_AXES, _MACHINE),
    "os": _MACHINE | {"os_version", "os_build"},
    "memory_gb": frozenset({"gpu_memory_mb"}),
    "gpu_limit_mb": frozenset({"wired_limit_mb"}),
    "os_version": frozenset({"os_build"}),
    "model": frozenset({"digest"}),
    **dict.fromkeys(_WEIGHTS, frozenset({"digest"})),
    "job": frozenset({"job_content", *COUNTS}),
    "point": frozenset(COUNTS),
    "engine": frozenset({"engine_version", "engine_sha256", "digest"}) | _ENVIRONMENT,
    "engine_version": frozenset({"engine_binary", "engine_sha256"}),
    "engine_binary": frozenset({"engine_version", "engine_sha256"}),
    "engine_environment": _ENVIRONMENT,
    "wired_limit_mb": frozenset({"gpu_limit_mb"}),
    "settings": frozenset({*SETTINGS, "gpu_limit_mb"}),
}
"""By axis: what differs because the axis does."""

SHOWN_AXES = ("machine", "model", "job", "num_batch", "engine_version", "os_version", "date")
"""Of the many, those that a page has room for; the others are alike."""

LISTED: dict[str, frozenset[str]] = {
    **dict.fromkeys(("date", "session"), frozenset({"engine_version", "engine_environment"})),
    "model": frozenset({"think"}) | _WEIGHTS,
    **dict.fromkeys(("digest", *_WEIGHTS), _WEIGHTS),
}
"""By axis: what the comparison is about.

Between two dates an engine was updated, and that is the news; thinking, and how its weights are
stored, are properties of a model.
"""


def standing(fact: str, axis: str) -> Standing:
    """Return the class of a fact of FACTS on an axis; an axis that is a fact implies itself."""
    if fact == axis or fact in IMPLIED.get(axis, ()):
        return "implied"
    if fact in LISTED.get(axis, ()):
        return "listed"
    return FACTS[fact].standing


def is_across(axis: str) -> bool | None:
    """Return whether machines are compared; None: only if no machine has shown two values."""
    if axis in HARDWARE_AXES:
        return True
    return False if axis in WORK_AXES else None


@dataclass(frozen=True, slots=True)
class AxisRules:
    """What one comparison lets differ: what its axis implies, and what the user allows."""

    axis: str
    allow_diff: frozenset[str] = frozenset()

    def refuses(self, fact: str) -> bool:
        """Return whether two sides that differ in this fact are not compared."""
        return fact not in self.allow_diff and standing(fact, self.axis) == "refused"


Values = Callable[[str], Set[str | None]]
"""The values that a side shows of a fact; None among them: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not the same on both sides."""

    fact: str
    words: str
    standing: Standing
    baseline: frozenset[str | None]
    side: frozenset[str | None]

    @property
    def unknown(self) -> bool:
        """One side shows no value at all: that the two differ is not known."""
        return {None} in (self.baseline, self.side)


def differing(baseline: Values, side: Values, axis: str) -> Iterator[Difference]:
    """Yield what differs and is not implied; token counts are judged elsewhere."""
    for fact, of_axis in _not_implied(axis):
        of_baseline, of_side = baseline(fact), side(fact)
        if of_baseline != of_side:
            yield Difference(
                fact=fact,
                words=FACTS[fact].words,
                standing=of_axis,
                baseline=frozenset(of_baseline),
                side=frozenset(of_side),
            )


@lru_cache(maxsize=64)
def _not_implied(axis: str) -> tuple[tuple[str, Standing], ...]:
    """Return the facts that are not implied with their class, in the order of FACTS."""
    classes = ((fact, standing(fact, axis)) for fact in FACTS if fact not in COUNTS)
    return tuple((fact, of_axis) for fact, of_axis in classes if of_axis != "implied")
