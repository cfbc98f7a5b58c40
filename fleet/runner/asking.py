"""One request: put whole to the engine, recorded whatever comes of it."""

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
from fleet.runner.trial_log import Course
from fleet.runner.trial_ports import Place
from fleet.units import NS_PER_S

WHOLE_SHARE = 0.9
"""A prompt that takes this share of the time for all of it was not reused."""

LATE_COST = 4.0
"""Tokens late in a context cost more than early ones, but hardly so many times as much: what took
longer was evaluated in part, and a rate of the new tokens alone would be too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one request asks, and as what it is recorded."""

    point: str
    prompt: str
    nonce: str
    output_tokens: int
    prompt_tokens: int | None = None
    """As asked; None where the text decides."""
    depth_tokens: int = 0
    warmup: bool = False
    history: tuple[tuple[str, str], ...] = ()
    reuse: bool = False
    """It begins with what was sent before, and the engine is to make use of that."""
    reused_tokens: int | None = 0
    """0: it begins with words of its own."""
    before: Reply | None = None
    """To the request that sent those tokens, where this one is to prove that they were reused."""
    keep_text: bool = False
    """The text is needed for what is asked next."""
    turn: int | None = None
    stream: int = 0
    concurrency: int = 1
    due_ns: int | None = None
    """On the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What all requests of a trial share."""

    trial: Trial
    place: Place
    course: Course
    look: str = ""
    """Of a quick look: what tells it from earlier ones, whose words the model may still hold."""

    def nonce(self, point: str, *parts: str | int) -> str:
        """Words that no cache has seen: a model that is loaded anew has seen none, and one that
        a quick look takes as it is has not seen those of this look."""
        trial = self.trial
        look = (self.look,) if self.look else ()
        return prompts.nonce(
            trial.seed, trial.model, trial.job.name, point, trial.block, *look, *parts
        )

    def put(self, question: Question, stop: Stop | None = None) -> Reply:
        """The reply, its stamps on the monotonic clock; raises RequestFailed where it failed."""
        index = self.course.next_index()
        ask = build_ask(self.trial, question, self.course.think)
        question = self._as_known(question)
        reply = self.place.engine.ask(ask, stop or self.place.stop)
        record = _record(index, question, self.trial, reply, self.course.zero_ns)
        self.course.add(replace(record, think=ask.think))
        if reply.error_reason is not None:
            raise RequestFailed(reply.error or reply.error_reason, "", reply.error_reason)
        return reply

    def _as_known(self, question: Question) -> Question:
        """A chat begins with what its template says before the nonce, which is as long as the
        template likes, and known to an engine that has answered a chat since it was loaded."""
        first = self.course.next_is_first()
        if first or self.trial.job.api == "generate" or question.reused_tokens != 0:
            return question
        return replace(question, reused_tokens=None)


def build_ask(trial: Trial, question: Question, think: Think | None) -> Ask:
    """The nonce stands first: in a raw prompt, or in the system message of a chat."""
    chat = trial.job.api == "chat"
    return Ask(
        model=trial.model,
        api=trial.job.api,
        prompt=question.prompt,
        system=question.nonce.strip() or None if chat else None,
        history=question.history,
        options={
            **load_options(trial.settings),
            **options_of(trial.settings, "request option"),
            "seed": trial.seed,
            "num_predict": question.output_tokens,
        },
        think=think if chat else None,
        keep_text=trial.job.keep_text or question.keep_text,
        reuse=question.reuse,
    )


def load_options(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return the options with which the engine loads the model; every request sends them too."""
    return options_of(settings, "load option")


def _record(
    index: int, question: Question, trial: Trial, reply: Reply, zero_ns: int
) -> RequestRecord:
    if not trial.job.keep_text:
        reply = replace(reply, text=None, thinking=None)
    return RequestRecord(
        index=index,
        point=question.point,
        warmup=question.warmup,
        prompt_tokens_asked=question.prompt_tokens,
        depth_tokens=question.depth_tokens,
        output_tokens_asked=None if trial.job.fixed_prompt else question.output_tokens,
        most_output_ns=_most_output_ns(trial),
        seed=trial.seed,
        nonce=question.nonce,
        reply=_from_zero(reply, zero_ns),
        concurrency=question.concurrency,
        stream=question.stream,
        turn=question.turn,
        due_ns=None if question.due_ns is None else question.due_ns - zero_ns,
        reused_tokens=_reused_tokens(question, reply),
    )


def _most_output_ns(trial: Trial) -> int | None:
    most_s = trial.job.answer_s
    return None if most_s is None else round(most_s * NS_PER_S)


def _reused_tokens(question: Question, reply: Reply) -> int | None:
    """Unknown where the prompt took about as long as if all of it had been evaluated anew.

    An engine that says what came from its cache is believed; the results then hold that too.
    """
    before, reused = question.before, question.reused_tokens
    if reused is None and question.reuse:
        return reply.cached_tokens
    if before is None or reused is None or reply.cached_tokens is not None:
        return reused
    if not (before.prompt_ns and before.prompt_tokens and reply.prompt_ns and reply.prompt_tokens):
        return None
    token_ns = before.prompt_ns / before.prompt_tokens
    most_ns = WHOLE_SHARE * token_ns * reply.prompt_tokens
    new = reply.prompt_tokens - reused
    if new >= SHORTEST_PROMPT_TOKENS:
        most_ns = min(most_ns, LATE_COST * token_ns * new)
    return reused if reply.prompt_ns < most_ns else None


def _from_zero(reply: Reply, zero_ns: int) -> Reply:
    """The same reply with its stamps counted from the trial's zero."""

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
