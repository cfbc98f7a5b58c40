"""The result of a trial: raw stamps and the engine's own counters, never a speed.

All `*_ns` offsets of one trial count from its one monotonic zero (`TrialResult.zero_ns`), whose
wall time is recorded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.model.job import Think
from fleet.model.machine import Drafts, Fingerprint
from fleet.model.settings import Value
from fleet.model.trial import Trial

Outcome = Literal["ok", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One complete call to an engine: nothing is left to a default of the engine."""

    model: str
    api: Literal["chat", "generate"]
    prompt: str
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    """The earlier questions and answers of a chat, in order."""
    options: Mapping[str, Value]
    """Load and request options; `num_predict`, `seed` and `num_ctx` are always among them."""
    think: Think | None = None
    keep_text: bool = False
    reuse: bool = False
    """The engine may reuse what it evaluated before; an engine that always or never does so ignores
    this."""

    @property
    def output_tokens(self) -> int:
        """The number of tokens to generate."""
        return int(self.options["num_predict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer of an engine. Stamps are ns of the monotonic clock of this process.

    A counter that the engine does not report, or cannot prove, is None.
    """

    sent_ns: int
    first_chunk_ns: int | None = None
    first_thinking_ns: int | None = None
    first_answer_ns: int | None = None
    last_chunk_ns: int | None = None
    """Arrival of the last chunk that carried text."""
    ended_ns: int
    """Arrival of the final record, or of the failure."""
    chunks: int = 0
    """Chunks that carried text. Chunks are not tokens."""
    chunk_gaps_us: tuple[int, ...] = ()
    """Differences of the rounded arrival offsets, from the first chunk on: `chunks - 1` values."""
    total_ns: int | None = None
    load_ns: int | None = None
    prompt_tokens: int | None = None
    """The whole prompt as the engine counts it, with its cached part."""
    cached_tokens: int | None = None
    prompt_ns: int | None = None
    """The time for the uncached part of the prompt and the first output token."""
    output_tokens: int | None = None
    output_ns: int | None = None
    """The time for the output tokens after the first."""
    done_reason: str | None = None
    server_first_unix_ns: int | None = None
    """The server's own wall clock on the first chunk."""
    server_final_unix_ns: int | None = None
    """The server's own wall clock on the final record."""
    output_sha256: str | None = None
    text: str | None = None
    thinking: str | None = None
    error: str | None = None
    error_reason: str | None = None
    """The `reason` of the TrialError that this reply stands for; None: no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of a trial and its reply, with offsets from the zero."""

    index: int
    """Counts all requests of the trial, with warm-ups."""
    point: str
    warmup: bool
    prompt_tokens_asked: int | None
    depth_tokens: int
    output_tokens_asked: int | None
    """None: as many as the answer needs, up to a bound."""
    most_output_ns: int | None = None
    """In a quick look, the time into which the chosen number of tokens fits."""
    seed: int
    nonce: str
    reply: Reply
    """Its stamps are offsets from the trial's zero here."""
    concurrency: int = 1
    """The number of streams of the point."""
    stream: int = 0
    """The stream of this request, from 0."""
    turn: int | None = None
    """The turn of a conversation, from 0."""
    due_ns: int | None = None
    """When the request was due; `sent_ns` minus this is the delay of the client."""
    reused_tokens: int | None = None
    """Tokens at the beginning of the prompt that this trial sent before on purpose and that the
    engine can reuse: the history of a conversation, the depth of a point. None: not known."""
    think: Think | None = None
    """Thinking as it was sent; None: it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The memory in which a loaded model lies, as the engine reports it."""

    size_bytes: int | None = None
    gpu_bytes: int | None = None
    context_length: int | None = None
    digest: str = ""
    """Of the model that was loaded; empty: the engine does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One telemetry value in time; the metric's name ends in its unit."""

    offset_ns: int
    metric: str
    source: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The result of one attempt at a trial, failed or not."""

    attempt_id: str
    submission_id: str | None = None
    """The submit that requested it. The id of an attempt follows from what it asks, so two stores
    can hold two measurements of one attempt: this tells them apart."""
    fence: int
    trial: Trial
    outcome: Outcome
    reason: str = ""
    """The word for a failure; empty: no failure."""
    detail: str = ""
    transient: bool = False
    zero_ns: int
    """The trial's zero on the node's monotonic clock."""
    zero_unix_ns: int
    """Wall time at the zero."""
    utc_offset_s: int | None = None
    """Seconds by which the machine's local time was ahead of UTC at the zero; None: not known."""
    duration_ns: int
    """Offset of the end, when everything was restored."""
    suspended_ns: int = 0
    """The time that the machine slept during the trial."""
    clock_step_ns: int | None = None
    """The largest move of the wall clock against the steady clocks; forward is positive."""
    fleet_version: str
    engine_version: str | None = None
    engine_sha256: str | None = None
    """Of the registered program that was started for the trial; None: the owner's own ran."""
    engine_environment: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    """The digest of the model that was measured."""
    model_size_bytes: int | None = None
    placement: Placement | None = None
    memory_after_bytes: int | None = None
    """What a model on MLX held after the last request: its weights, and what grew with them."""
    load_ns: int | None = None
    """The time that the trial's own load of the model took, on the client's clock."""
    active_bytes: int | None = None
    """Bytes of the weights that are read for each token; in a mixture of experts not all."""
    model_format: str | None = None
    """`gguf` or `safetensors`; this and the next three as in ModelFacts."""
    quantization: str | None = None
    bits_per_weight: float | None = None
    drafts: Drafts | None = None
    think: Think | None = None
    """Thinking as it was sent with each chat; None: not sent."""
    cooled_ns: int | None = None
    """The wait before the load until the machine was cool; None: no wait was requested, or the
    heat of the machine is unknown."""
    gates_held_ns: int | None = None
    """The time that closed gates held the trial."""
    gates_closed: tuple[str, ...] | None = None
    """The reasons of the gates that were closed when the trial began; None: not checked."""
    gates_closed_after: tuple[str, ...] | None = None
    gates_unverified: tuple[str, ...] | None = None
    """Gates whose facts are unknown on this machine."""
    models_unloaded: tuple[str, ...] = ()
    """Models of others, long unused, that were unloaded for this trial."""
    engine_restarted: bool = False
    wired_limit_applied_mb: int | None = None
    """The setting as the system reported it after the change; 0 is its default."""
    gpu_limit_effective_mb: int | None = None
    """The memory that the engine of this trial reports for its GPU, under the applied settings. A
    limit that was set is exact; a default is known to one decimal of a GiB."""
    engine_environment_applied: Mapping[str, str] = field(default_factory=dict)
    """The variables that the trial set, with the values that the engine reports."""
    fingerprint: Fingerprint | None = None
    """The machine before the trial's settings were applied."""
    fingerprint_after: Fingerprint | None = None
    """The machine when all was restored."""
    requests: tuple[RequestRecord, ...] = ()
    readings: tuple[Reading, ...] = ()
