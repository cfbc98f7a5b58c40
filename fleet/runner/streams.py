"""Streams of requests: one after the other within a stream, several streams side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fleet.model.job import Point
from fleet.model.measure import Reply
from fleet.ports import Stop
from fleet.runner.exact import ExactPrompt
from fleet.runner.sending import RequestPlan, RequestSender
from fleet.units import NS_PER_S

SHORT_RETRIES = 2
"""An answer that ended too early is asked for again with other words in front, so often."""
QUICK_WARMUP_TOKENS = 16
"""Of a quick look: enough to see how fast the model writes, and the least that gives a rate."""


@dataclass(slots=True)
class Stream:
    """Asks what one point asks; its requests are numbered, and each has a nonce of its own."""

    sender: RequestSender
    point: Point
    exact: ExactPrompt | None
    number: int
    stop: Stop
    free_ns: int | None = None
    """When it could ask next; None: whenever it comes to it."""
    token_ns: float | None = None
    """Of a quick look: how long the warm-up took for each token after its first."""
    _asked: Iterator[int] = field(default_factory=itertools.count)

    def warm(self) -> None:
        """One request as the point has them; of a conversation its first turn. A depth was
        evaluated when it was fitted, and what begins with it need not wait for it once more."""
        if self.sender.trial.job.turns:
            reply = self._converse(1, warmup=True)
        elif self.exact is not None and self.point.depth_tokens:
            nonce = self.exact.fitted_with
            request = replace(self._question(nonce, warmup=True), reuse=True, reused_tokens=None)
            reply = self._put(self._deep(request, self.exact, nonce))
        else:
            reply = self._put(self._question(self._nonce(), warmup=True))
        steps = (reply.output_tokens or 0) - 1 if reply else 0
        if reply is not None and reply.output_ns and steps > 0:
            self.token_ns = reply.output_ns / steps

    def run(self) -> None:
        """Measured requests: the job's number of them, or for the point's time."""
        for _ in self._rounds():
            if self.sender.trial.job.turns:
                self._converse(len(self.sender.trial.job.turns))
            elif self.point.concurrency > 1 or self.point.seconds or self._fixed:
                self._single()
            else:
                self._until_long_enough()

    def _rounds(self) -> Iterator[int]:
        job, clock = self.sender.trial.job, self.sender.ports.clock
        if self.sender.trial.cut:
            return iter(range(1))
        if self.point.seconds is None:
            return iter(range(job.requests))
        end_ns = clock.monotonic_ns() + int(self.point.seconds * NS_PER_S)
        return itertools.takewhile(lambda _: clock.monotonic_ns() < end_ns, itertools.count())

    def _until_long_enough(self) -> None:
        """Each try is a row; the short ones are flagged there."""
        for _ in range(1 + SHORT_RETRIES):
            reply = self._single()
            if (reply.output_tokens, reply.done_reason) == (self._output_tokens(), "length"):
                return

    def _single(self) -> Reply:
        nonce = self._nonce()
        request = self._question(nonce)
        if self.sender.trial.job.load == "request":
            request = replace(request, point=request.point + self._unloaded())
        if self.exact is not None and self.point.depth_tokens:
            request = self._deep(request, self.exact, nonce)
        return self._put(request)

    def _deep(self, request: RequestPlan, exact: ExactPrompt, nonce: str) -> RequestPlan:
        """Sends what is to be in the context before; what follows is then evaluated alone."""
        depth = self.point.depth_tokens
        before = replace(
            request,
            prompt=exact.before(nonce),
            prompt_tokens=depth,
            output_tokens=1,
            warmup=True,
        )
        return replace(request, reuse=True, reused_tokens=depth, before=self._put(before))

    def _converse(self, turns: int, *, warmup: bool = False) -> Reply | None:
        """The reply to the last turn."""
        job, nonce = self.sender.trial.job, self._nonce()
        history: tuple[tuple[str, str], ...] = ()
        before: Reply | None = None
        for turn, said in enumerate(job.turns[:turns]):
            request = replace(
                self._question(nonce, warmup=warmup),
                point=f"{self.point.name(job.name)}@t{turn}",
                prompt=said,
                history=history,
                turn=turn,
                keep_text=True,
                reuse=job.reuse and turn > 0,
                reused_tokens=_reusable(before) if job.reuse else 0,
            )
            before = self._put(request)
            history = (*history, (said, before.text or ""))
            nonce = nonce if job.reuse else self._nonce()
        return before

    def _question(self, nonce: str, *, warmup: bool = False) -> RequestPlan:
        job, point = self.sender.trial.job, self.point
        text = point.prompt or job.prompt or ""
        raw = f"{nonce}\n{text}" if job.api == "generate" and nonce else text
        return RequestPlan(
            point=point.name(job.name),
            prompt=self.exact.whole(nonce) if self.exact else raw,
            nonce=nonce,
            output_tokens=self._output_tokens(warmup=warmup),
            prompt_tokens=point.prompt_length(),
            depth_tokens=point.depth_tokens,
            warmup=warmup,
            stream=self.number,
            concurrency=point.concurrency,
        )

    def _output_tokens(self, *, warmup: bool = False) -> int:
        """Of a quick look what fits in its time, at the speed of the warm-up: a slow one must not
        leave too few tokens for a rate."""
        most_s, whole = self.sender.trial.job.answer_s, self.point.output_tokens
        if most_s is None:
            return whole
        if warmup:
            return min(whole, QUICK_WARMUP_TOKENS)
        if self.token_ns is None:
            return whole
        fitting = 1 + int(most_s * NS_PER_S / self.token_ns)
        return min(whole, max(fitting, QUICK_WARMUP_TOKENS))

    def _put(self, request: RequestPlan) -> Reply:
        now_ns = self.sender.ports.clock.monotonic_ns()
        due_ns = now_ns if self.free_ns is None else self.free_ns
        reply = self.sender.put(replace(request, due_ns=due_ns), self.stop)
        self.free_ns = reply.ended_ns if self.point.concurrency > 1 else None
        return reply

    @property
    def _fixed(self) -> bool:
        """Word for word the same each time: the answer would be, too, and may end where it ends."""
        return self.sender.trial.job.fixed_prompt

    def _nonce(self) -> str:
        if self._fixed:
            return ""
        name = self.point.name(self.sender.trial.job.name)
        return self.sender.nonce(name, self.number, next(self._asked))

    def _unloaded(self) -> str:
        """Out of memory again; what the point's name then ends in."""
        trial, ports, model = self.sender.trial, self.sender.ports, self.sender.log.model
        ports.engine.unload(trial.model)
        self.sender.log.loaded()
        if trial.job.page_cache == "keep":
            return ""
        gone = model is not None and model.file is not None and ports.forget_file(model.file)
        return "@cold" if gone else "@warm"


def _reusable(before: Reply | None) -> int | None:
    """Tokens of the turn before that stand at the beginning of the next: its prompt and its
    answer, but for the last token, which was never evaluated. Thinking does not come back with
    the history, so where there was some, what is reused depends on the engine."""
    if before is None:
        return 0
    thought = before.first_thinking_ns is not None
    if thought or before.prompt_tokens is None or before.output_tokens is None:
        return None
    return before.prompt_tokens + max(before.output_tokens - 1, 0)
