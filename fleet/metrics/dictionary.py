"""The table of metrics: what each number of the results means, and how it is compared.

`views.sql` computes them and nothing else does; the tests hold this page against its columns.
"""

from __future__ import annotations

from fleet.metrics.metric import Metric
from fleet.metrics.thresholds import (
    GOOD_FIRST_TOKEN_S,
    GOOD_TOKENS_PER_S,
    LEAST_OUTPUT_TOKENS,
    LEAST_PROMPT_TOKENS,
    QUICK_OUTPUT_TOKENS,
    SHARED_TOKENS,
)

VERSION = 6
"""As `flags_version` in the views; its history stands at the top of `views.sql`."""

METRICS = (
    Metric(
        column="prefill_tokens_per_s",
        unit="tokens/s",
        meaning="prefill rate: how fast a prompt is read",
        formula="prompt tokens that no cache held / engine's prompt time; on MLX one token less, "
        "for it times the last one with the output (Ollama's mlxrunner/pipeline.go)",
        needs=f"{LEAST_PROMPT_TOKENS} such tokens, of which a cache may have held {SHARED_TOKENS}; "
        "an engine that says what its cache held, a raw prompt that begins with words of its own, "
        "or the first request after a load",
        name="prefill",
        higher="faster",
        prompt_bound=True,
        naive="naive_prefill_tokens_per_s",
        note="prefill_note",
    ),
    Metric(
        column="decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate: how fast an answer is written",
        formula="steps / engine's output time, of N output tokens: N - 1 on llama.cpp, which times "
        "the first one with the prompt; N on MLX, and N + 1 where the answer ended by itself "
        "(Ollama's mlxrunner/pipeline.go, and measured); with drafts N, whatever their steps",
        needs=f"{LEAST_OUTPUT_TOKENS} output tokens, of a quick look {QUICK_OUTPUT_TOKENS}",
        name="decode",
        higher="faster",
        naive="naive_decode_tokens_per_s",
        note="decode_note",
        burst="burst_decode_tokens_per_s",
        sustained="sustained_decode_tokens_per_s",
    ),
    Metric(
        column="naive_prefill_tokens_per_s",
        unit="tokens/s",
        meaning="prompt eval rate as `ollama run --verbose` prints it",
        formula="all prompt tokens / engine's prompt time, cached ones too",
        needs="2 prompt tokens that were evaluated",
    ),
    Metric(
        column="naive_decode_tokens_per_s",
        unit="tokens/s",
        meaning="eval rate as `ollama run --verbose` prints it",
        formula="output tokens / engine's output time: on llama.cpp too high by N / (N - 1), on "
        "MLX right but for an answer that ended by itself",
        needs="2 output tokens",
    ),
    Metric(
        column="client_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate by the client's clock alone, a second opinion: a cell says where its "
        "median is more than 1 %, and a millisecond of the clock, from that of the engine",
        formula="(chunks - 1) / (last chunk - first chunk), the same on every engine",
        needs="a chunk for each output token, as decode; one stream, and no drafts",
    ),
    Metric(
        column="tokens_per_round",
        unit="tokens",
        meaning="what one step of a model with drafts gives",
        formula="output tokens / rounds: chunks within a millisecond of the one before are of its "
        "round",
        needs="drafts",
    ),
    Metric(
        column="round_p50_ns",
        unit="ns",
        meaning="time from one round of a model with drafts to the next, median",
        formula="quantile of the gaps between rounds, median over requests",
        needs="drafts, more than 20 rounds",
    ),
    Metric(
        column="burst_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate of a cool machine",
        formula="over the first third of the gaps of the trial's first answer",
        needs=f"{LEAST_OUTPUT_TOKENS} output tokens, no drafts",
    ),
    Metric(
        column="sustained_decode_tokens_per_s",
        unit="tokens/s",
        meaning="decode rate after the machine has worked",
        formula="over the last third of the gaps of the trial's last answer",
        needs=f"{LEAST_OUTPUT_TOKENS} output tokens, no drafts",
    ),
    Metric(
        column="first_token_ns",
        unit="ns",
        meaning="time to first token, on the client's clock",
        formula="arrival of the first chunk with text - request sent",
        name="ttft",
        higher="slower",
        shown="ms",
        prompt_bound=True,
    ),
    Metric(
        column="first_thinking_token_ns",
        unit="ns",
        meaning="time to first thinking token",
        formula="arrival of the first chunk with thinking - request sent",
        name="first_thinking",
        higher="slower",
        shown="ms",
        prompt_bound=True,
    ),
    Metric(
        column="first_answer_token_ns",
        unit="ns",
        meaning="time to first answer token",
        formula="arrival of the first chunk with an answer - request sent",
        name="first_answer",
        higher="slower",
        shown="ms",
        prompt_bound=True,
    ),
    Metric(
        column="server_first_token_ns",
        unit="ns",
        meaning="time to first token, by the engine's counters",
        formula="engine's load time + prompt time, on MLX also the first of the output's steps, "
        "with drafts of its rounds",
    ),
    Metric(
        column="first_token_disagreement_ns",
        unit="ns",
        meaning="how far the client's time to first token is from the one by the server's clock",
        formula="first_token_ns - (first chunk's created_at - (last record's created_at - total "
        "time)): the network, and the client's own delay",
    ),
    Metric(
        column="inter_token_p50_ns",
        unit="ns",
        meaning="inter-token latency, median",
        formula="quantile of the gaps between chunks, median over requests",
        needs="a chunk for each output token, more than 20 of them; no drafts, whose tokens come "
        "together",
        name="inter_token_p50",
        higher="slower",
        shown="ms",
    ),
    Metric(
        column="inter_token_p90_ns",
        unit="ns",
        meaning="inter-token latency, 90th percentile",
        formula="as above",
        needs="more than 100 chunks: ten gaps beyond the quantile",
        name="inter_token_p90",
        higher="slower",
        shown="ms",
    ),
    Metric(
        column="inter_token_p99_ns",
        unit="ns",
        meaning="inter-token latency, 99th percentile",
        formula="as above",
        needs="more than 1000 chunks",
        name="inter_token_p99",
        higher="slower",
        shown="ms",
    ),
    Metric(
        column="end_to_end_ns",
        unit="ns",
        meaning="a whole answer",
        formula="arrival of the final record - request sent",
        name="end_to_end",
        higher="slower",
        shown="s",
        prompt_bound=True,
        output_bound=True,
    ),
    Metric(
        column="load_ns",
        unit="ns",
        meaning="time to load the model",
        formula="the client's time over the one load of a trial; where a job loads before each "
        "request, the engine's own load time (Ollama looks each 250 ms whether llama-server is "
        "ready, and each 100 ms whether MLX is: less than that is no difference)",
        name="load",
        higher="slower",
        shown="s",
    ),
    Metric(
        column="throughput_tokens_per_s",
        unit="tokens/s",
        meaning="several streams together",
        formula="output tokens of all streams / (last request ended - first request sent)",
        needs="a point with more than one stream, and no request left out",
        name="throughput",
        higher="faster",
        prompt_bound=True,
        output_bound=True,
    ),
    Metric(
        column="goodput_tokens_per_s",
        unit="tokens/s",
        meaning="what of the throughput a reader would call fluent",
        formula=f"as throughput, of requests with their first token within "
        f"{GOOD_FIRST_TOKEN_S:g} s and at least {GOOD_TOKENS_PER_S:g} tokens per second after it",
        needs="no request left out",
        name="goodput",
        higher="faster",
        prompt_bound=True,
        output_bound=True,
    ),
    Metric(
        column="most_lateness_ns",
        unit="ns",
        meaning="how late the client was with its latest request",
        formula="request sent - when it was meant to be sent",
    ),
)
