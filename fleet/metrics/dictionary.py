"""The metric dictionary: what each number and each flag of the results means.

`views.sql` computes them and nothing else does; the tests hold this page against its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = 6
"""As `flags_version` in the views; its history stands at the top of `views.sql`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    name: str
    """Column of the view `speeds`, one row per trial and point; of `energy`, for each scope."""
    unit: str
    meaning: str
    formula: str
    needs: str = ""
    """Where it is not met the number is null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    name: str
    kind: Literal["invalid", "qualified"]
    """invalid: left out and counted. qualified: kept under its label, apart from the rest."""
    rule: str


METRICS = (
    Entry(
        name="prefill_tokens_per_s",
        unit="tokens/s",
        meaning="prefill rate: how fast a prompt is read",
        formula="prompt tokens that no cache held / engine's prompt time; on MLX one token less, "
        "for it times the last one with the output (Ollama's mlxrunner/pipeline.go)",
        needs="512 such tokens, of which a cache may have held 16; an engine that says what its "
        "cache held, a raw prompt that begins with words of its own, or the first request after a "
        "load",
    ),
    Entry(
        name="decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate: how fast an answer is written",
        formula="steps / engine's output time, of N output tokens: N - 1 on llama.cpp, which times "
        "the first one with the prompt; N on MLX, and N + 1 where the answer ended by itself "
        "(Ollama's mlxrunner/pipeline.go, and measured); with drafts N, whatever their steps",
        needs="128 output tokens, of a quick look 16",
    ),
    Entry(
        name="naive_prefill_tokens_per_s",
        unit="tokens/s",
        meaning="prompt eval rate as `ollama run --verbose` prints it",
        formula="all prompt tokens / engine's prompt time, cached ones too",
        needs="2 prompt tokens that were evaluated",
    ),
    Entry(
        name="naive_decode_tokens_per_s",
        unit="tokens/s",
        meaning="eval rate as `ollama run --verbose` prints it",
        formula="output tokens / engine's output time: on llama.cpp too high by N / (N - 1), on "
        "MLX right but for an answer that ended by itself",
        needs="2 output tokens",
    ),
    Entry(
        name="client_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate by the client's clock alone, a second opinion: a cell says where its "
        "median is more than 1 %, and a millisecond of the clock, from that of the engine",
        formula="(chunks - 1) / (last chunk - first chunk), the same on every engine",
        needs="a chunk for each output token, as decode; one stream, and no drafts",
    ),
    Entry(
        name="tokens_per_round",
        unit="tokens",
        meaning="what one step of a model with drafts gives",
        formula="output tokens / rounds: chunks within a millisecond of the one before are of its "
        "round",
        needs="drafts",
    ),
    Entry(
        name="round_p50_ns",
        unit="ns",
        meaning="time from one round of a model with drafts to the next, median",
        formula="quantile of the gaps between rounds, median over requests",
        needs="drafts, more than 20 rounds",
    ),
    Entry(
        name="burst_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate of a cool machine",
        formula="over the first third of the gaps of the trial's first answer",
        needs="128 output tokens, no drafts",
    ),
    Entry(
        name="sustained_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate after the machine has worked",
        formula="over the last third of the gaps of the trial's last answer",
        needs="128 output tokens, no drafts",
    ),
    Entry(
        name="first_token_ns",
        unit="ns",
        meaning="time to first token, on the client's clock",
        formula="arrival of the first chunk with text - request sent",
    ),
    Entry(
        name="first_thinking_token_ns",
        unit="ns",
        meaning="time to first thinking token",
        formula="arrival of the first chunk with thinking - request sent",
    ),
    Entry(
        name="first_answer_token_ns",
        unit="ns",
        meaning="time to first answer token",
        formula="arrival of the first chunk with an answer - request sent",
    ),
    Entry(
        name="server_first_token_ns",
        unit="ns",
        meaning="time to first token, by the engine's counters",
        formula="engine's load time + prompt time, on MLX also the first of the output's steps, "
        "with drafts of its rounds",
    ),
    Entry(
        name="first_token_disagreement_ns",
        unit="ns",
        meaning="how far the client's time to first token is from the one by the server's clock",
        formula="first_token_ns - (first chunk's created_at - (last record's created_at - total "
        "time)): the network, and the client's own delay",
    ),
    Entry(
        name="inter_token_p50_ns",
        unit="ns",
        meaning="inter-token latency, median",
        formula="quantile of the gaps between chunks, median over requests",
        needs="a chunk for each output token, more than 20 of them; no drafts, whose tokens come "
        "together",
    ),
    Entry(
        name="inter_token_p90_ns",
        unit="ns",
        meaning="inter-token latency, 90th percentile",
        formula="as above",
        needs="more than 100 chunks: ten gaps beyond the quantile",
    ),
    Entry(
        name="inter_token_p99_ns",
        unit="ns",
        meaning="inter-token latency, 99th percentile",
        formula="as above",
        needs="more than 1000 chunks",
    ),
    Entry(
        name="end_to_end_ns",
        unit="ns",
        meaning="a whole answer",
        formula="arrival of the final record - request sent",
    ),
    Entry(
        name="load_ns",
        unit="ns",
        meaning="time to load the model",
        formula="the client's time over the one load of a trial; where a job loads before each "
        "request, the engine's own load time (Ollama looks each 250 ms whether llama-server is "
        "ready, and each 100 ms whether MLX is: less than that is no difference)",
    ),
    Entry(
        name="throughput_tokens_per_s",
        unit="tokens/s",
        meaning="several streams together",
        formula="output tokens of all streams / (last request ended - first request sent)",
        needs="a point with more than one stream, and no request left out",
    ),
    Entry(
        name="goodput_tokens_per_s",
        unit="tokens/s",
        meaning="what of the throughput a reader would call fluent",
        formula="as throughput, of requests with their first token within 2 s and at least 10 "
        "tokens per second after it",
        needs="no request left out",
    ),
    Entry(
        name="most_lateness_ns",
        unit="ns",
        meaning="how late the client was with its latest request",
        formula="request sent - when it was meant to be sent",
    ),
)

FLAGS = (
    Flag(name="aborted", kind="invalid", rule="it failed, or its stream had no final record"),
    Flag(
        name="short",
        kind="invalid",
        rule="not the number of output tokens asked for, or not ended by that number",
    ),
    Flag(
        name="wrong_count",
        kind="invalid",
        rule="the engine counts other prompt tokens than were sent: cut, or another tokenizer",
    ),
    Flag(
        name="cached_prefix",
        kind="invalid",
        rule="the engine says that a cache held more of the prompt than was sent before on "
        "purpose, but for 16 tokens that prompts may share (in a chat 272, with its template); or "
        "the same prompt was sent before since the load; or it was read four times faster than "
        "others of its length",
    ),
    Flag(
        name="not_reused",
        kind="invalid",
        rule="new tokens behind a context that was to be reused took too long for them alone, or "
        "the engine says that a tenth of that context or more was not",
    ),
    Flag(name="suspended", kind="invalid", rule="the machine slept during the trial"),
    Flag(
        name="context",
        kind="invalid",
        rule="another context length was in force than asked; MLX holds to none",
    ),
    Flag(
        name="clock",
        kind="invalid",
        rule="client and engine disagree on the time of the output by more than 10 % and 50 ms; "
        "of output that began without chunks, or with drafts, it does not fit into the time of the "
        "request",
    ),
    Flag(
        name="above_ceiling",
        kind="invalid",
        rule="faster than the machine's memory can read the weights; or than any machine: 100,000 "
        "output tokens or 10 million prompt tokens per second",
    ),
    Flag(name="unasked_thinking", kind="invalid", rule="thinking came though it was switched off"),
    Flag(
        name="spilled",
        kind="qualified",
        rule="part of the model lay outside the GPU's memory; a file that is mapped, and counted a "
        "second time for it, does not count; not known of MLX, which refuses what does not fit",
    ),
    Flag(
        name="queued",
        kind="qualified",
        rule="several streams of a point on MLX, which answers one request at a time: the others "
        "wait, and their first token waits with them",
    ),
    Flag(
        name="throttled",
        kind="qualified",
        rule="the last third of an answer of 5 s or more, or of a minute of answers, was more "
        "than 10 % slower than the first; drafts, which come as the text lets them, are not judged",
    ),
    Flag(
        name="drifting",
        kind="qualified",
        rule="the session's canaries (four or more) follow their order as one in a hundred "
        "sessions without a drift does, and move by 3 % or more",
    ),
    Flag(name="on_battery", kind="qualified", rule="the machine ran on its battery"),
    Flag(name="low_power", kind="qualified", rule="the machine was in its low-power mode"),
    Flag(
        name="hot",
        kind="qualified",
        rule="its thermal level was not nominal, or its GPU slowed down, when the trial began",
    ),
    Flag(
        name="memory_pressure",
        kind="qualified",
        rule="its memory was under pressure when the trial began",
    ),
    Flag(
        name="foreign_load",
        kind="qualified",
        rule="other programs kept more than 20 % of all cores busy before or after the trial, or "
        "of the GPU before it",
    ),
    Flag(
        name="model_resident",
        kind="qualified",
        rule="a model that somebody else had loaded was in memory before or after the trial",
    ),
    Flag(
        name="gpu_users",
        kind="qualified",
        rule="programs that are neither fleet's nor the engine's held more than 1 GiB of the GPU's "
        "memory before or after the trial, or so much that the model did not fit beside them",
    ),
    Flag(
        name="clock_stepped",
        kind="qualified",
        rule="the wall clock moved by more than a second against the steady ones meanwhile",
    ),
    Flag(
        name="condition_changed",
        kind="qualified",
        rule="power, heat, memory pressure or the GPU limit were others after the trial",
    ),
    Flag(
        name="gpu_slowed",
        kind="qualified",
        rule="the GPU's driver said that it slowed itself down while requests ran: by heat, a "
        "power brake or a fault, not by its usual power cap",
    ),
    Flag(
        name="cut",
        kind="qualified",
        rule="one request per point, since the cell ran far over its estimate",
    ),
    Flag(
        name="quick",
        kind="qualified",
        rule="a quick look (`fleet submit --quick`): one block, answers cut to what fits in 3 s; "
        "no comparison judges it",
    ),
)
