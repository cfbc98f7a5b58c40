"""Settings: what an experiment sets and varies. A list in YAML is an axis.

Each field of `Settings` is the one home of a setting: its values, its default, its meaning, where
fleet sends it, and what people call it. Every other list of settings is derived from `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from pydantic import AfterValidator, Field, field_validator

from fleet.model.noun import Noun

Value = int | float | str | bool

Kind = Literal["load option", "request option", "system", "environment", "program"]
"""How a setting reaches the engine.

load option: in each request; the engine loads the model anew when it changes.
request option: in each request.
system: a number of the operating system, put back after each trial.
environment: a variable of the engine that fleet starts for the trial.
program: which of the programs that a machine's owner registered is started for the trial.
"""

Column = Literal["integer", "real", "boolean", "text"]
"""Type of the column of `trials` that bears the name of the setting."""

Runner = Literal["llama-server", "mlx", "embedded"]
"""What computes: llama-server or the MLX runner inside Ollama, or llama.cpp in fleet's process."""

CONTEXT_STEP = 256
"""llama.cpp rounds the context up to a multiple of this, so fleet only asks for multiples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDefinition:
    """Everything that fleet knows of one setting beside the range of its values."""

    kind: Kind
    variable: str = ""
    """The environment variable, or the key of the operating system; an option needs none."""
    words: str = ""
    """What people call it where two sides differ in it."""
    runners: frozenset[Runner]
    """The runners on which it has an effect."""
    owners_set_it: bool = False
    """Owners of machines set this variable too: a trial that does not set it is compared by the
    value that its engine ran with."""
    name: str = ""
    """In experiments; also the name of the option, and of the column in the store."""
    default: Value | None = None
    """The value that is used where an experiment gives none; None: nothing is sent."""
    column: Column = "text"
    meaning: str = ""


def load_option(
    words: str = "", *, runners: tuple[Runner, ...] = ("llama-server", "embedded")
) -> SettingDefinition:
    """Describe an option with which the engine loads a model."""
    return SettingDefinition(kind="load option", words=words, runners=frozenset(runners))


def request_option(words: str = "") -> SettingDefinition:
    """Describe an option of a single request."""
    return SettingDefinition(
        kind="request option", words=words, runners=frozenset(get_args(Runner))
    )


def system_number(key: str, words: str = "") -> SettingDefinition:
    """Describe a number of the operating system."""
    runners = frozenset[Runner]({"llama-server", "mlx"})
    return SettingDefinition(kind="system", variable=key, words=words, runners=runners)


def environment(
    variable: str, words: str = "", *, owners_set_it: bool = False
) -> SettingDefinition:
    """Describe a variable that Ollama reads once, when it starts."""
    return SettingDefinition(
        kind="environment",
        variable=variable,
        words=words,
        runners=frozenset({"llama-server"}),
        owners_set_it=owners_set_it,
    )


def program(words: str) -> SettingDefinition:
    """Describe the choice of a program that the owner of a machine registered under a label."""
    return SettingDefinition(
        kind="program", words=words, runners=frozenset({"llama-server", "mlx"})
    )


def _multiple_of_context_step(tokens: int) -> int:
    if tokens % CONTEXT_STEP:
        raise ValueError(f"must be a multiple of {CONTEXT_STEP}: engines round it up silently")
    return tokens


LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
"""What names a program: it stands in file names and in lines of tables."""

Context = Annotated[int, Field(ge=CONTEXT_STEP), AfterValidator(_multiple_of_context_step)]
Count = Annotated[int, Field(ge=1)]
Layers = Annotated[int, Field(ge=-1)]
Amount = Annotated[float, Field(ge=0)]
Limit = int | Literal["default"]
Size = Annotated[int, Field(ge=0)]
ProgramLabel = Annotated[str, Field(pattern=LABEL)]
Drafted = Annotated[int, Field(ge=0, le=64)]
CacheType = Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

_V = TypeVar("_V")
Axis: TypeAlias = _V | list[_V]
"""One value, or several that are measured each."""


class Settings(Noun):
    """Scalars are sent as they are; each list is measured value by value."""

    num_ctx: Annotated[Axis[Context], load_option()] = 8192
    """Context length in tokens, always sent, since engines choose different defaults."""
    num_batch: Annotated[Axis[Count], load_option()] = 512
    """Prompt tokens evaluated at once."""
    temperature: Annotated[Axis[Amount], request_option()] = 0.0
    """0 is greedy decoding."""
    repeat_penalty: Annotated[Axis[Amount], request_option()] = 1.0
    """1 is none; always sent, since its default changed between engine versions."""
    num_thread: Annotated[Axis[Count] | None, load_option()] = None
    """CPU threads; sent only if given."""
    num_gpu: Annotated[Axis[Layers] | None, load_option()] = None
    """Layers on the GPU; sent only if given."""
    draft_num_predict: Annotated[
        Axis[Drafted] | None, load_option("drafted tokens", runners=("llama-server",))
    ] = None
    """Tokens that a draft model proposes per step in llama-server; left out: 0, no drafts. MLX
    always uses a model's own draft head."""
    wired_limit_mb: Annotated[
        Axis[Limit] | None, system_number("iogpu.wired_limit_mb", "wired limit")
    ] = None
    """GPU wired limit of a Mac in MiB (`iogpu.wired_limit_mb`); put back after each trial."""
    engine_binary: Annotated[Axis[ProgramLabel] | None, program("Ollama programs")] = None
    """The Ollama that is started for the trial, by the label under which the owner of the machine
    registered it (`fleet join --allow engine-binary LABEL=PATH`); left out: the one that runs."""
    flash_attention: Annotated[
        Axis[bool] | None,
        environment("OLLAMA_FLASH_ATTENTION", "flash attention", owners_set_it=True),
    ] = None
    """OLLAMA_FLASH_ATTENTION; left out: as Ollama chooses."""
    kv_cache_type: Annotated[
        Axis[CacheType] | None,
        environment("OLLAMA_KV_CACHE_TYPE", "KV cache types", owners_set_it=True),
    ] = None
    """OLLAMA_KV_CACHE_TYPE."""
    num_parallel: Annotated[Axis[Count] | None, environment("OLLAMA_NUM_PARALLEL")] = None
    """OLLAMA_NUM_PARALLEL; each slot has a context of its own."""
    cache_ram_mb: Annotated[Axis[Size] | None, environment("LLAMA_ARG_CACHE_RAM")] = None
    """LLAMA_ARG_CACHE_RAM: MiB of memory for states of earlier prompts; 0: none."""
    n_cpu_moe: Annotated[Axis[Size] | None, environment("LLAMA_ARG_N_CPU_MOE")] = None
    """LLAMA_ARG_N_CPU_MOE: layers whose experts stay in the CPU's memory."""
    swa_full: Annotated[Axis[bool] | None, environment("LLAMA_ARG_SWA_FULL")] = None
    """LLAMA_ARG_SWA_FULL: a cache of full size for sliding-window layers."""
    fit_target_mb: Annotated[Axis[Size] | None, environment("LLAMA_ARG_FIT_TARGET")] = None
    """LLAMA_ARG_FIT_TARGET: MiB to leave free on each GPU."""

    @field_validator("*")
    @classmethod
    def _no_empty_or_doubled_axis(cls, value: object) -> object:
        if isinstance(value, list) and len(set(value)) < max(len(value), 1):
            raise ValueError("a list needs at least one value, each only once")
        return value

    def combinations(self) -> list[dict[str, Value]]:
        """Return every combination of the axes, in the order written, without what is not set."""
        given = {name: value for name, value in self if value is not None}
        axes = [value if isinstance(value, list) else [value] for value in given.values()]
        return [dict(zip(given, values, strict=True)) for values in product(*axes)]

    def axes(self) -> tuple[str, ...]:
        """Return the names of the settings that take more than one value."""
        return tuple(name for name, value in self if isinstance(value, list) and len(value) > 1)


_COLUMNS: Mapping[type, Column] = {int: "integer", float: "real", bool: "boolean"}


def _definitions() -> Iterator[SettingDefinition]:
    """Complete the definition beside each field with what the field itself says."""
    for name, field in Settings.model_fields.items():
        (written,) = (each for each in field.metadata if isinstance(each, SettingDefinition))
        types = set(_types_of(field.annotation)) - {type(None)}
        yield replace(
            written,
            words=written.words or name,
            name=name,
            default=field.default,
            column=_COLUMNS.get(types.pop(), "text") if len(types) == 1 else "text",
            meaning=field.description or "",
        )


def _types_of(annotation: Any) -> Iterator[type]:
    """Yield the plain types of the values that an annotation allows."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        yield annotation
    elif get_origin(annotation) is Literal:
        yield from map(type, get_args(annotation))
    else:
        for part in get_args(annotation):
            yield from _types_of(part)


SETTINGS: Mapping[str, SettingDefinition] = MappingProxyType(
    {definition.name: definition for definition in _definitions()}
)
"""The table of all settings by name, in the order in which an experiment combines them."""


def settings_of(*kinds: Kind) -> tuple[SettingDefinition, ...]:
    """Return the settings of these kinds, in the order of the table."""
    return tuple(definition for definition in SETTINGS.values() if definition.kind in kinds)


def options_of(settings: Mapping[str, Value], *kinds: Kind) -> dict[str, Value]:
    """Return those of the given settings that a request carries as options of these kinds."""
    names = (definition.name for definition in settings_of(*kinds))
    return {name: settings[name] for name in names if name in settings}


def variables_of(settings: Mapping[str, Value]) -> dict[str, str]:
    """Return the environment variables that these settings ask for, as the engine reads them."""
    return {
        definition.variable: _as_variable(settings[definition.name])
        for definition in settings_of("environment")
        if definition.name in settings
    }


def needs_own_engine(settings: Mapping[str, Value]) -> bool:
    """Tell whether these settings need an engine that fleet starts, on any kind of machine."""
    own = settings_of("environment", "program")
    return any(definition.name in settings for definition in own)


def _as_variable(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
