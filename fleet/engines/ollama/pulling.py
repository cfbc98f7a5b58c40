"""A pull: progress in words, an end when it is told to stop or falls silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.engines.incoming import SIZE_BYTES, text, whole
from fleet.engines.ollama.calls import Call, Calls
from fleet.engines.ollama.connection import Watch, Wire
from fleet.errors import Interrupted, ModelMissing, TransientError
from fleet.ports import Say, Stop
from fleet.units import NS_PER_S, show_bytes

NOT_PULLED = "is the name right, and this machine online? the models here: ollama list"


@dataclass(slots=True)
class Pull:
    """One pull of one model."""

    calls: Calls
    model: str
    say: Say
    _last_ns: int = field(default=0, init=False)
    """When the last line came."""

    def run(self, stop: Stop) -> None:
        """Return when Ollama has told of success; raises Interrupted once `stop` is set."""
        wire = Wire(self.calls.clock)
        self._last_ns = self.calls.clock.monotonic_ns()
        with Watch(wire, stop, self._overdue) as watch:
            try:
                self._report(self.calls.lines(self._call(), wire))
            except ModelMissing as problem:
                raise ModelMissing(
                    problem.what, "see the names of those here: ollama list"
                ) from None
            except TransientError as problem:
                if stop.is_set():
                    raise Interrupted(f"stopped while {self._doing}") from problem
                if watch.why:
                    raise TransientError(f"{self._doing}: {watch.why}", "try again") from problem
                if problem.hint:
                    raise
                raise type(problem)(problem.what, NOT_PULLED) from problem

    @property
    def _doing(self) -> str:
        return f"pulling {self.model}"

    def _call(self) -> Call:
        return Call(
            method="POST",
            path="/api/pull",
            body={"model": self.model, "stream": True},
            doing=self._doing,
            read_s=self.calls.patience.first_byte_s,
        )

    def _report(self, progress: Iterable[Mapping[str, object]]) -> None:
        """Says how far it is at most once a second, and needs to hear of success."""
        said_ns: int | None = None
        status = ""
        for step in progress:
            status = text(step.get("status")) or status
            self._last_ns = self.calls.clock.monotonic_ns()
            total = whole(step.get("total"), SIZE_BYTES)
            if total and (said_ns is None or self._last_ns - said_ns >= NS_PER_S):
                said_ns = self._last_ns
                done = whole(step.get("completed"), SIZE_BYTES) or 0
                self.say(f"{self._doing}: {100 * done / total:.0f} % of {show_bytes(total)}")
        if status != "success":
            raise TransientError(
                f"{self._doing}: it ended after {status!r}, not success", "try again"
            )

    def _overdue(self) -> str:
        silence_s = self.calls.patience.silence_s
        waited_s = (self.calls.clock.monotonic_ns() - self._last_ns) / NS_PER_S
        return f"nothing came for {silence_s:.0f} s" if waited_s > silence_s else ""
