"""What all trials on one machine share: its engine, gates, sampler and spool, and what is known."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from fleet import wiring
from fleet.model.machine import Fingerprint
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial
from fleet.owner.hours import turn
from fleet.plan.stopping import cut
from fleet.ports import Clock, Engine
from fleet.runner.answering import EngineWatch
from fleet.runner.gates import Gatekeeper
from fleet.runner.trial_ports import TrialPorts
from fleet.runner.visit import Visit
from fleet.spool import Spool
from fleet.units import NS_PER_S


class Bench:
    """The shared parts of one machine, over all its trials."""

    def __init__(self, node: wiring.Node, spool: Spool, clock: Clock) -> None:
        self.node, self.spool, self.clock = node, spool, clock
        self.stop = threading.Event()
        self.gates = Gatekeeper(
            node.look, clock, self.stop, may_evict="restart-ollama" in node.allowed
        )
        self.engine_watch = EngineWatch(clock, self.stop)
        self._sampler = wiring.sampler(node, clock, self.stop)
        self._engine: Engine | None = None
        self._dropped: set[str] = set()
        self._block = -1
        self._seconds_by_cell: dict[tuple[str, str, str, str], float] = {}

    def engine(self) -> Engine:
        """Return the engine of this machine, started at the first call."""
        if self._engine is None:
            self._engine = self.node.make_engine()
        return self._engine

    def replace_engine(self, engine: Engine) -> None:
        """Go on with an engine that was restarted."""
        self._engine = engine

    def close(self) -> None:
        """End the engine, if fleet started one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def look(self, visit: Visit) -> Fingerprint:
        """Look at the machine and at the models of its owner's engine."""
        return self.gates.look(visit.owners)

    def trial_ports(self, visit: Visit) -> TrialPorts:
        """Return the effects of the trial of this visit."""
        return TrialPorts(
            visit.engine,
            lambda: self.look(visit),
            self.clock,
            self.stop,
            self.node.forget_model,
            applied=self.node.settings.applied,
            sampling=self._sampler.sampling,
            fingerprint=visit.fingerprint,
        )

    def begin(self, trial: Trial) -> None:
        """Note the block of a trial that begins; a canary belongs to none."""
        if trial.role != "canary":
            self._block = trial.block

    def drop(self, trial_ids: Iterable[str]) -> None:
        """Leave out these trials unless their block has begun."""
        self._dropped.update(trial_ids)

    def is_wanted(self, attempt: Attempt) -> bool:
        """Return False once the work was stopped, or the trial dropped before its block began.

        The head may drop a block that begins at the same moment: it is measured to its end, with
        the canary that follows it.
        """
        trial = attempt.trial
        begun = trial.block == self._block + (trial.role == "canary")
        return not self.stop.is_set() and (begun or trial.trial_id not in self._dropped)

    def shortened(self, attempt: Attempt) -> Attempt:
        """Return the attempt, with fewer requests if its cell ran far over its estimate before.

        The rows of such a trial say so.
        """
        seconds = self._seconds_by_cell.get(attempt.trial.cell(), 0.0)
        return replace(attempt, trial=cut(attempt.trial, seconds))

    def seconds(self, attempt: Attempt) -> float:
        """Return how long the cell's last trial took here, or else its estimate."""
        return self._seconds_by_cell.get(attempt.trial.cell(), attempt.trial.estimate_s)

    def may_begin(self, attempt: Attempt) -> bool:
        """Return whether the machine's hours let the trial begin now."""
        hours, now_s = self.node.hours(), self.clock.unix_ns() / NS_PER_S
        return hours is None or turn(hours, now_s, self.seconds(attempt)).begins

    def note_duration(self, result: TrialResult) -> None:
        """Remember how long the cell took."""
        self._seconds_by_cell[result.trial.cell()] = result.duration_ns / NS_PER_S
