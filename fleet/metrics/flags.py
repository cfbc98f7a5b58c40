"""The table of flags: which requests are left out, and which trials stand apart.

`views.sql` raises them and nothing else does; the tests hold this page against its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.metrics.thresholds import (
    LEAST_CANARIES,
    SHARED_TOKENS,
    TEMPLATE_TOKENS,
)
from fleet.model.gates import BUSY_PERCENT
from fleet.model.ollama_versions import NEWEST_CHECKED, OLDEST_CHECKED, show_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    name: str
    kind: Literal["invalid", "qualified"]
    """invalid: left out and counted. qualified: kept under its label, apart from the rest."""
    rule: str


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
        f"purpose, but for {SHARED_TOKENS} tokens that prompts may share (in a chat "
        f"{SHARED_TOKENS + TEMPLATE_TOKENS}, with its template); or "
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
        name="over_limit",
        kind="qualified",
        rule="after its last request a model on MLX, with its context and the prompts that it "
        "keeps, held more memory than the GPU may use",
    ),
    Flag(
        name="queued",
        kind="qualified",
        rule="several streams of a point on MLX, which answers one request at a time: the others "
        "wait, and their first token waits with them",
    ),
    Flag(
        name="reread",
        kind="qualified",
        rule="a later turn whose conversation the engine read again: it says that it had a tenth "
        "or more of the prompt of the turn before no longer in its cache",
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
        rule=f"the session's canaries ({LEAST_CANARIES} or more) follow their order as "
        "one in a hundred sessions without a drift does, and move by 3 % or more",
    ),
    Flag(
        name="unchecked_version",
        kind="qualified",
        rule=f"an Ollama before {show_version(OLDEST_CHECKED)} or after "
        f"{show_version(NEWEST_CHECKED)}: what it counts and times was not checked by this version "
        "of fleet",
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
        rule=f"other programs kept more than {BUSY_PERCENT:g} % of all cores busy before "
        "or after the trial, or of the GPU before it",
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
