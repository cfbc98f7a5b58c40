"""Send one request to the engine, and record it whatever its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fleet import prompts
from fleet.errors import RequestFailed
from fleet.model.job import SHORTEST_PROMPT_TOKENS, Think
from fleet.model.measure import Ask, Reply, RequestRecord
from fleet.model.settings import Value, options_of
from fleet.model.trial import Trial
from fleet.ports import Stop
from fleet.runner.trial_log import TrialLog
from fleet.runner.trial_ports import TrialPorts
from fleet.units import NS_PER_S

WHOLE_SHARE = 0.9
"""A prompt that takes this share of the time of a full evaluation was not reused."""

LATE_COST = 4.0
"""Tokens late in a context cost more than early ones, but hardly so many times as much. If the new
tokens took longer, the engine evaluated old ones too, and their rate would come out too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """The content of one request, and the columns of its record."""

    point: str
    prompt: str
    nonce: str
    system: str = ""
    """The system message after the nonce; of a chat alone."""
    output_tokens: int
    prompt_tokens: int | None = None
    """The length that the job asks for. None: the text decides."""
    depth_tokens: int = 0
    warmup: bool = False
    history: tuple[tuple[str, str], ...] = ()
    reuse: bool = False
    """The prompt begins with one that was sent before, and the engine shall reuse its cache."""
    reused_tokens: int | None = 0
    """0: the prompt begins with a nonce of its own. None: unknown."""
    before: Reply | None = None
    """Reply to the request that first sent those tokens, to prove from its time that they were
    reused."""
    keep_text: bool = False
    """The next request needs the text of the answer."""
    turn: int | None = None
    stream: int = 0
    concurrency: int = 1
    due_ns: int | None = None
    """When the request should have been sent, on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class RequestSender:
    """Sends and records the requests of one trial."""

    trial: Trial
    ports: TrialPorts
    log: TrialLog
    look: str = ""
    """Tells a quick look from earlier ones, whose prompts may still be in the engine's cache."""

    def nonce(self, point: str, *parts: str | int) -> str:
        """Return words that are in no cache.

        The cache of a freshly loaded model is empty; a quick look, which takes a model as it is
        loaded, adds words of its own.
        """
        trial = self.trial
        look = (self.look,) if self.look else ()
        return prompts.nonce(
            trial.seed, trial.model, trial.job.name, point, trial.block, *look, *parts
        )

    def send(self, request: RequestPlan, stop: Stop | None = None) -> Reply:
        """Return the reply, with stamps of the monotonic clock; raise RequestFailed."""
        index = self.log.next_index()
        ask = build_ask(self.trial, request, self.log.think)
        request = self._with_known_reuse(request)
        reply = self.ports.engine.ask(ask, stop or self.ports.stop)
        record = _record(index, request, self.trial, reply, self.log.zero_ns)
        self.log.add(replace(record, think=ask.think))
        if reply.error_reason is not None:
            raise RequestFailed(reply.error or reply.error_reason, "", reply.error_reason)
        return reply

    def _with_known_reuse(self, request: RequestPlan) -> RequestPlan:
        """Mark the reuse as unknown for each chat but the first after a load.

        A chat template may put text of any length before the nonce, and an engine that has
        answered a chat since the load holds that text in its cache.
        """
        first = self.log.take_first()
        if first or self.trial.job.api == "generate" or request.reused_tokens != 0:
            return request
        return replace(request, reused_tokens=None)


def build_ask(trial: Trial, request: RequestPlan, think: Think | None) -> Ask:
    """Build the engine's request: a raw prompt, or a chat with the nonce as its system message."""
    chat = trial.job.api == "chat"
    return Ask(
        model=trial.model,
        api=trial.job.api,
        prompt=request.prompt,
        system="\n".join(filter(None, (request.nonce.strip(), request.system))) or None
        if chat
        else None,
        history=request.history,
        options={
            **load_options(trial.settings),
            **options_of(trial.settings, "request option"),
            "seed": trial.seed,
            "num_predict": request.output_tokens,
        },
        think=think if chat else None,
        keep_text=trial.job.keep_text or request.keep_text,
        reuse=request.reuse,
    )


def load_options(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return the options with which the engine loads the model; every request sends them too."""
    return options_of(settings, "load option")


def _record(
    index: int, request: RequestPlan, trial: Trial, reply: Reply, zero_ns: int
) -> RequestRecord:
    if not trial.job.keep_text:
        reply = replace(reply, text=None, thinking=None)
    return RequestRecord(
        index=index,
        point=request.point,
        warmup=request.warmup,
        prompt_tokens_asked=request.prompt_tokens,
        depth_tokens=request.depth_tokens,
        output_tokens_asked=None if trial.job.fixed_prompt else request.output_tokens,
        most_output_ns=_most_output_ns(trial),
        seed=trial.seed,
        nonce=request.nonce,
        reply=_from_zero(reply, zero_ns),
        concurrency=request.concurrency,
        stream=request.stream,
        turn=request.turn,
        due_ns=None if request.due_ns is None else request.due_ns - zero_ns,
        reused_tokens=_reused_tokens(request, reply),
    )


def _most_output_ns(trial: Trial) -> int | None:
    most_s = trial.job.answer_s
    return None if most_s is None else round(most_s * NS_PER_S)


def _reused_tokens(request: RequestPlan, reply: Reply) -> int | None:
    """Return the tokens reused, or None if the prompt took as long as a full evaluation.

    An engine that reports its cache hits is believed, and the result holds its report as well.
    """
    before, reused = request.before, request.reused_tokens
    if reused is None and request.reuse:
        return reply.cached_tokens
    if before is None or reused is None or reply.cached_tokens is not None:
        return reused
    if not (before.prompt_ns and before.prompt_tokens and reply.prompt_tokens):
        return None
    if reply.prompt_ns is None:
        return None
    token_ns = before.prompt_ns / before.prompt_tokens
    most_ns = WHOLE_SHARE * token_ns * reply.prompt_tokens
    new = reply.prompt_tokens - reused
    if new >= SHORTEST_PROMPT_TOKENS:
        most_ns = min(most_ns, LATE_COST * token_ns * new)
    return reused if reply.prompt_ns < most_ns else None


def _from_zero(reply: Reply, zero_ns: int) -> Reply:
    """Return the reply with stamps that count from the trial's zero."""

    def offset(stamp_ns: int | None) -> int | None:
        return None if stamp_ns is None else stamp_ns - zero_ns

    return replace(
        reply,
        sent_ns=reply.sent_ns - zero_ns,
        first_chunk_ns=offset(reply.first_chunk_ns),
        first_thinking_ns=offset(reply.first_thinking_ns),
        first_answer_ns=offset(reply.first_answer_ns),
        last_chunk_ns=offset(reply.last_chunk_ns),
        ended_ns=reply.ended_ns - zero_ns,
    )
