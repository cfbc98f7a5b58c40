"""Streams of requests: requests follow one another within a stream; streams run side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fleet.errors import Interrupted
from fleet.model.job import Point
from fleet.model.measure import Reply
from fleet.model.session import Exchange
from fleet.ports import Stop
from fleet.runner.exact import ExactPrompt
from fleet.runner.sending import RequestPlan, RequestSender
from fleet.units import NS_PER_S

SHORT_RETRIES = 2
"""How often an answer that ended too early is requested again, with another nonce."""
QUICK_WARMUP_TOKENS = 16
"""Output tokens of a quick look's warm-up: the fewest that give a rate."""


@dataclass(slots=True)
class Stream:
    """Sends the requests of one point; each request has a number and a nonce of its own."""

    sender: RequestSender
    point: Point
    exact: ExactPrompt | None
    number: int
    stop: Stop
    free_ns: int | None = None
    """When the next request is due. None: when the stream comes to it."""
    token_ns: float | None = None
    """How long a quick look's warm-up took for each token after its first."""
    _sent: Iterator[int] = field(default_factory=itertools.count)

    def warm(self) -> None:
        """Send one request of the point, or the first turn of a conversation, as a warm-up.

        The fit has already evaluated the context, so the warm-up reuses it.
        """
        if self.sender.trial.job.is_conversation:
            reply = self._converse(1, warmup=True)
        elif self.exact is not None and self.point.depth_tokens:
            nonce = self.exact.fitting_nonce
            request = replace(self._question(nonce, warmup=True), reuse=True, reused_tokens=None)
            reply = self._send(self._deep(request, self.exact, nonce))
        else:
            reply = self._send(self._question(self._nonce(), warmup=True))
        steps = (reply.output_tokens or 0) - 1 if reply else 0
        if reply is not None and reply.output_ns and steps > 0:
            self.token_ns = reply.output_ns / steps

    def run(self) -> None:
        """Send the measured requests: the job's number of them, or for the point's time."""
        for number in self._rounds():
            if number and self.point.burst and number % self.point.burst == 0:
                self._pause(self.point.pause_s)
            if self.sender.trial.job.is_conversation:
                self._converse()
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
        """Repeat a request whose answer was too short; each try is a row, short ones get flags."""
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
        return self._send(request)

    def _deep(self, request: RequestPlan, exact: ExactPrompt, nonce: str) -> RequestPlan:
        """Fill the context first; the engine then evaluates only the rest of the request."""
        depth = self.point.depth_tokens
        before = replace(
            request,
            prompt=exact.before(nonce),
            prompt_tokens=depth,
            output_tokens=1,
            warmup=True,
        )
        return replace(request, reuse=True, reused_tokens=depth, before=self._send(before))

    def _converse(self, turns: int | None = None, *, warmup: bool = False) -> Reply | None:
        """Send so many turns, all by default; return the reply to the last one."""
        job, nonce = self.sender.trial.job, self._nonce()
        history: tuple[tuple[str, str], ...] = ()
        before: Reply | None = None
        for turn, exchange in enumerate(job.exchanges()[:turns]):
            if not warmup:
                self._pause(exchange.pause_s)
            request = replace(
                self._question(nonce, warmup=warmup),
                point=f"{self.point.name(job.name)}@t{turn}",
                prompt=exchange.message,
                system=job.session.system_text() if job.session else "",
                history=history,
                turn=turn,
                keep_text=exchange.answer is None,
                reuse=job.reuse and turn > 0,
                reused_tokens=_reusable(before, exchange) if job.reuse else 0,
            )
            before = self._send(request)
            answer = exchange.answer if exchange.answer is not None else before.text or ""
            history = (*history, (exchange.message, answer))
            nonce = nonce if job.reuse else self._nonce()
        return before

    def _pause(self, seconds: float) -> None:
        """Wait between two requests; raise Interrupted where the trial is stopped meanwhile."""
        if seconds:
            self.sender.ports.clock.sleep(seconds, self.stop)
            self.free_ns = None
            if self.stop.is_set():
                raise Interrupted("stopped during a pause between two requests")

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
        """Return the output length; for a quick look, what fits in its time at the warm-up's speed.

        A slow model still writes enough tokens for a rate.
        """
        limit_s, whole = self.sender.trial.job.answer_s, self.point.output_tokens
        if limit_s is None:
            return whole
        if warmup:
            return min(whole, QUICK_WARMUP_TOKENS)
        if self.token_ns is None:
            return whole
        fitting = 1 + int(limit_s * NS_PER_S / self.token_ns)
        return min(whole, max(fitting, QUICK_WARMUP_TOKENS))

    def _send(self, request: RequestPlan) -> Reply:
        now_ns = self.sender.ports.clock.monotonic_ns()
        due_ns = now_ns if self.free_ns is None else self.free_ns
        reply = self.sender.send(replace(request, due_ns=due_ns), self.stop)
        self.free_ns = reply.ended_ns if self.point.concurrency > 1 else None
        return reply

    @property
    def _fixed(self) -> bool:
        """True if every request has the same prompt: its answer may end early each time."""
        return self.sender.trial.job.fixed_prompt

    def _nonce(self) -> str:
        if self._fixed:
            return ""
        name = self.point.name(self.sender.trial.job.name)
        return self.sender.nonce(name, self.number, next(self._sent))

    def _unloaded(self) -> str:
        """Unload the model; return the suffix of the point's name that says how cold it is."""
        trial, ports, model = self.sender.trial, self.sender.ports, self.sender.log.model
        ports.engine.unload(trial.model)
        self.sender.log.forget_cache()
        if trial.job.page_cache == "keep":
            return ""
        gone = model is not None and ports.forget_model(model)
        return "@cold" if gone else "@warm"


def _reusable(before: Reply | None, exchange: Exchange) -> int | None:
    """Return the tokens of one turn that the next turn begins with; None: unknown.

    These are its prompt and its answer, except the last token, which was never evaluated. The
    history leaves out what a model thought, so after thinking the reuse depends on the engine; so
    it does where the history holds a recorded answer, which the template may set otherwise.
    """
    if before is None:
        return 0
    if exchange.answer is not None:
        return None
    has_thinking = before.first_thinking_ns is not None
    if has_thinking or before.prompt_tokens is None or before.output_tokens is None:
        return None
    return before.prompt_tokens + max(before.output_tokens - 1, 0)
