"""What comes back from a trial: raw stamps and the engine's own counters, never a speed.

All `*_ns` offsets of one trial count from its one monotonic zero (`TrialResult.zero_ns`),
which is anchored once to wall time.
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
    """One call to an engine, whole: nothing is left to a default of the engine."""

    model: str
    api: Literal["chat", "generate"]
    prompt: str
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    """Of a chat: what was asked and answered before, in this order."""
    options: Mapping[str, Value]
    """Load and request options; `num_predict`, `seed` and `num_ctx` are always among them."""
    think: Think | None = None
    keep_text: bool = False
    reuse: bool = False
    """What the engine has evaluated before may be reused; an engine that always does so, or
    never, does not ask."""

    @property
    def output_tokens(self) -> int:
        return int(self.options["num_predict"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an engine answered. Stamps are this process's monotonic clock, in ns.

    A counter the engine did not report, or cannot prove, is None.
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
    """Whole prompt as the engine counts it, cached part included."""
    cached_tokens: int | None = None
    prompt_ns: int | None = None
    """Time over the uncached part of the prompt, up to and with the first output token."""
    output_tokens: int | None = None
    output_ns: int | None = None
    """Time over the output tokens after the first."""
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
    """`reason` of the TrialError this reply stands for; None where it went well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of a trial: what was asked, and the reply with offsets from the zero."""

    index: int
    """Counts all requests of the trial, warm-ups too."""
    point: str
    warmup: bool
    prompt_tokens_asked: int | None
    depth_tokens: int
    output_tokens_asked: int | None
    """None: as many as the answer takes, up to a bound."""
    most_output_ns: int | None = None
    """Of a quick look: the time that the number of tokens was chosen to fit in."""
    seed: int
    nonce: str
    reply: Reply
    """Its stamps are offsets from the trial's zero here."""
    concurrency: int = 1
    """Streams of the point that ask at once."""
    stream: int = 0
    """Which of them, from 0."""
    turn: int | None = None
    """Of a conversation, from 0."""
    due_ns: int | None = None
    """When it was meant to be sent; `sent_ns` minus this is how late the client was."""
    reused_tokens: int | None = None
    """Tokens at the prompt's beginning that this trial sent before, on purpose, and that the
    engine can reuse: the history of a conversation, the depth of a point. None: not known."""
    think: Think | None = None
    """As sent; None: nothing was said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a loaded model lies, as the engine reports it."""

    size_bytes: int | None = None
    gpu_bytes: int | None = None
    context_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One telemetry value in time; the metric's name ends in its unit."""

    offset_ns: int
    metric: str
    source: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """One attempt at a trial, failed ones too."""

    attempt_id: str
    submission_id: str | None = None
    """The submit that asked for it. An attempt's id follows from what was asked, so two stores may
    hold two measurements of one attempt: this tells them apart."""
    fence: int
    trial: Trial
    outcome: Outcome
    reason: str = ""
    """Word for a failure; empty where it went well."""
    detail: str = ""
    transient: bool = False
    zero_ns: int
    """The trial's zero on the node's monotonic clock."""
    zero_unix_ns: int
    """Wall time at the zero."""
    utc_offset_s: int | None = None
    """How far the machine's local time was ahead of UTC at the zero; None: not known."""
    duration_ns: int
    """Offset of the end: everything restored."""
    suspended_ns: int = 0
    """How long the machine slept during the trial."""
    clock_step_ns: int | None = None
    """How far the wall clock moved against the steady ones, at its worst; forward is positive."""
    fleet_version: str
    engine_version: str | None = None
    engine_environment: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None
    """The model's digest as found."""
    model_size_bytes: int | None = None
    placement: Placement | None = None
    load_ns: int | None = None
    """Client's time over the trial's own load of the model."""
    active_bytes: int | None = None
    """Weight bytes read for each token; less than all where experts take turns."""
    model_format: str | None = None
    """`gguf` or `safetensors`; this and the next three as in ModelFacts."""
    quantization: str | None = None
    bits_per_weight: float | None = None
    drafts: Drafts | None = None
    think: Think | None = None
    """Thinking as it was sent with each chat; None: not sent."""
    cooled_ns: int | None = None
    """Waited before the load until the machine was cool; None: not asked to wait, or the machine
    tells nothing of its heat."""
    gates_held_ns: int | None = None
    """Held before the trial until its gates were open."""
    gates_closed: tuple[str, ...] | None = None
    """Why which gates were closed when the trial began; None: not looked at."""
    gates_closed_after: tuple[str, ...] | None = None
    gates_unverified: tuple[str, ...] | None = None
    """Gates of which this machine says nothing."""
    models_unloaded: tuple[str, ...] = ()
    """Models of others, long unused, that were taken out of memory for this trial."""
    engine_restarted: bool = False
    wired_limit_applied_mb: int | None = None
    """The setting as read back when it was applied; 0 is the system's default."""
    gpu_limit_effective_mb: int | None = None
    """What the engine of this trial said that its GPU may use, under the applied settings. A limit
    that was set is exact; of a default Ollama tells one decimal of a GiB."""
    engine_environment_applied: Mapping[str, str] = field(default_factory=dict)
    """Variables that the trial asked for, as the engine said it runs with them."""
    fingerprint: Fingerprint | None = None
    """The machine before the trial's settings were applied."""
    fingerprint_after: Fingerprint | None = None
    """The machine when all was restored."""
    requests: tuple[RequestRecord, ...] = ()
    readings: tuple[Reading, ...] = ()
