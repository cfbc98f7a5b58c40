"""The loop over events: store, acknowledge, count, and stop when enough is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace

from fleet.app.home import Home
from fleet.app.interrupts import uninterrupted
from fleet.app.progress import Talk
from fleet.app.submit_report import Widths, with_speeds
from fleet.dispatch_ports import Dispatcher
from fleet.errors import Unstorable
from fleet.folders import results_folder
from fleet.ledger.journal import Ledger
from fleet.ledger.rows import MachineRow
from fleet.model.event import Event, Failed, Finished, Held, Lost, Started
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial
from fleet.plan import canaries
from fleet.plan.expand import Cell, Plan
from fleet.plan.stopping import Progress, stopped
from fleet.query.trial_speeds import TrialSpeeds
from fleet.spool import node_spool
from fleet.units import show_count

MOST_ATTEMPTS = 3
"""Attempts at one trial in one submission; only transient failures are tried again."""

KNOWN = "known closely enough"


class Measuring:
    """One submission while it runs. `done`, `failed` and `waiting` count trials, not canaries."""

    # parameters: everything that one submission works with
    def __init__(
        self,
        plan: Plan,
        queues: Mapping[str, tuple[Attempt, ...]],
        dispatcher: Dispatcher,
        home: Home,
        ledger: Ledger,
        submission: int,
        talk: Talk,
    ) -> None:
        self._plan = plan
        self._dispatcher = dispatcher
        self._home = home
        self._store = home.store
        self._ledger = ledger
        self._submission = submission
        self._talk = talk
        self._waiting = {a.trial.trial_id: a for queue in queues.values() for a in queue}
        self._widths = Widths(home.folder, plan)
        self._speeds = TrialSpeeds(results_folder(home.folder))
        self._blocks: Counter[Cell] = self._blocks_before()
        self._lost: set[Cell] = set()
        self._begun: dict[str, int] = {}
        self._retry: list[Attempt] = []
        self._tries: Counter[str] = Counter()
        self._dropped: dict[str, Attempt] = {}
        self._asked = len(self._work())
        self.done = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        """How many trials wait to be measured."""
        return len(self._work())

    @property
    def not_needed(self) -> int:
        """How many trials were dropped since enough is known."""
        return sum(attempt.trial.role != "canary" for attempt in self._dropped.values())

    @property
    def summary(self) -> str:
        """What became of the requested trials; the numbers add up."""
        counts = (
            (self.done, "measured"),
            (self.failed, "failed"),
            (self.not_needed, f"not needed ({KNOWN})"),
            (self.waiting, "not measured"),
        )
        parts = ", ".join(f"{count} {what}" for count, what in counts if count)
        return f"{show_count(self._asked, 'trial')} asked for: {parts}"

    def run(self) -> None:
        """Measure until nothing waits or is worth another attempt, or every machine is lost."""
        with closing(self._widths), closing(self._speeds):
            self._drop_not_needed(list(self._waiting.values()))
            queues = self._by_machine(self._waiting.values())
            if not queues:
                self._talk.say(f"nothing to do: all is {KNOWN} (--again measures all of it again)")
            self._talk.began(self._plan, {key: len(queue) for key, queue in queues.items()})
            while queues:
                self._ledger.enqueue(self._submission, [a for q in queues.values() for a in q])
                self._measure(queues)
                again = [a for a in self._retry if a.trial.trial_id in self._waiting]
                queues, self._retry = self._by_machine(again), []
            if self.done or self.failed:
                self._talk.say(self.summary)

    def _measure(self, queues: Mapping[str, list[Attempt]]) -> None:
        try:
            for event in self._dispatcher.run(queues):
                self._take(event)
        except KeyboardInterrupt:
            self._talk.say("stopping: running trials end now, finished trials are kept")
            self._dispatcher.cancel()
            raise

    def _take(self, event: Event) -> None:
        if isinstance(event, Started):
            self._ledger.running(event.attempt)
            self._begin(event.attempt.trial)
        elif isinstance(event, Held):
            self._ledger.held(event.attempt, event.why)
        elif isinstance(event, Finished):
            with uninterrupted():  # else a stored trial might not be counted
                event = replace(event, result=self._stored(event.result))
                self._keep(event.result)
            event = with_speeds(event, self._speeds)
        elif isinstance(event, (Lost, Failed)):
            self._lose(event)
        self._talk.event(event)
        if isinstance(event, Finished) and self._ends_block(event.result.trial):
            self._stop_what_is_known()

    def _begin(self, trial: Trial) -> None:
        if trial.trial_id in self._dropped and trial.role != "canary":
            self._talk.say(
                f"{trial.machine}: block {trial.block + 1} had begun, so it is measured too"
            )
        if trial.role != "canary":
            begun = self._begun.get(trial.machine_id, -1)
            self._begun[trial.machine_id] = max(begun, trial.block)

    def _stored(self, result: TrialResult) -> TrialResult:
        """Store the result, then let the node forget it.

        A result that cannot be stored is set aside and counts as a failure.
        """
        if result.outcome == "cancelled":
            return result
        try:
            self._store.write(result)
        except Unstorable as problem:
            result = self._set_aside(result, problem)
        self._dispatcher.acknowledge(result.trial.machine_id, result.attempt_id)
        return result

    def _set_aside(self, result: TrialResult, problem: Unstorable) -> TrialResult:
        spool = node_spool(self._home.folder, result.trial.machine_id)
        path = spool.set_aside(result, problem.what)
        self._talk.say(f"{result.trial.machine}: a result cannot be stored; it is kept in {path}")
        return replace(
            result,
            outcome="failed",
            reason=problem.reason,
            detail=f"{problem.what}; the result is kept in {path}",
            transient=problem.transient,
        )

    def _keep(self, result: TrialResult) -> None:
        self._ledger.finished(result)
        if result.outcome == "cancelled":
            return
        trial_id = result.trial.trial_id
        # one that had begun when it was dropped is measured all the same
        attempt = self._waiting.pop(trial_id, None) or self._dropped.pop(trial_id, None)
        if attempt is None or attempt.trial.role == "canary":
            return  # from an earlier run, out of a spool; or a canary, which is tried only once
        self._tries[result.trial.trial_id] += 1
        if result.outcome == "ok":
            self.done += 1
            self._blocks[result.trial.cell()] += result.trial.role == "measure"
        elif result.transient and self._tries[result.trial.trial_id] < MOST_ATTEMPTS:
            again = replace(attempt, fence=attempt.fence + 1)
            self._waiting[result.trial.trial_id] = again
            self._retry.append(again)
        else:
            self.failed += 1
            if result.trial.role == "measure":
                self._lost.add(result.trial.cell())

    def _lose(self, event: Lost | Failed) -> None:
        """Give up what waits for a lost machine; a new submit measures it."""
        self._ledger.cancel_waiting(self._submission, event.what, event.machine_id)
        self._ledger.put_machines(self._submission, [self._lost_row(event)])
        waiting = self._waiting.values()
        trials = [a.trial for a in waiting if a.trial.machine_id == event.machine_id]
        for trial in trials:
            del self._waiting[trial.trial_id]
        lost = [trial.cell() for trial in trials if trial.role != "canary"]
        self._lost.update(lost)
        self.failed += len(lost)

    def _lost_row(self, event: Lost | Failed) -> MachineRow:
        names = {each.machine.machine_id: each.machine.name for each in self._plan.machines}
        return MachineRow(
            machine=names.get(event.machine_id, event.machine_id),
            machine_id=event.machine_id,
            state="lost",
            reason=event.what,
        )

    def _ends_block(self, trial: Trial) -> bool:
        """Return whether no trial of this machine's block waits any more; a canary ends none."""
        return trial.role != "canary" and not any(
            other.block == trial.block and other.machine_id == trial.machine_id
            for other in self._work()
        )

    def _stop_what_is_known(self) -> None:
        waiting = list(self._waiting.values())
        unwanted = self._drop_not_needed(waiting)
        for machine_id, queue in self._by_machine(unwanted).items():
            self._dispatcher.drop(machine_id, [a.trial.trial_id for a in queue])
            self._talk.not_needed(machine_id, len(queue), KNOWN)

    def _drop_not_needed(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Take out of the queue what the stop rule no longer needs.

        Canaries go with the blocks that they stand between.
        """
        least = self._plan.repeats.least
        candidates = [a for a in attempts if self._blocks[a.trial.cell()] >= least]
        if not candidates:
            return []
        ids = stopped(
            [a.trial for a in candidates],
            self._plan.contrasts,
            self._plan.repeats,
            Progress(
                widths=self._widths.read(self._plan.contrasts),
                done_blocks=self._blocks,
                lost=self._lost,
                begun=self._begun,
            ),
        )
        unwanted = [self._waiting.pop(trial_id) for trial_id in ids]
        canary_trials = [a.trial for a in self._waiting.values() if a.trial.role == "canary"]
        idle = canaries.past_the_end(canary_trials, self._work(), self._begun)
        unwanted += [self._waiting.pop(trial_id) for trial_id in idle]
        self._dropped.update({attempt.trial.trial_id: attempt for attempt in unwanted})
        self._ledger.not_needed(ids | idle, KNOWN)
        return unwanted

    def _work(self) -> list[Trial]:
        """Return the trials that wait to be measured."""
        return [a.trial for a in self._waiting.values() if a.trial.role != "canary"]

    def _blocks_before(self) -> Counter[Cell]:
        """Count the blocks that earlier runs of this session have measured."""
        trials = {t.trial_id: t for t in self._plan.trials() if t.role == "measure"}
        past = self._store.attempts(self._plan.request.experiment.name)
        done = {a.trial_id for a in past if a.outcome == "ok" and a.trial_id not in self._waiting}
        return Counter(trials[trial_id].cell() for trial_id in done if trial_id in trials)

    def _by_machine(self, attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
        queues: dict[str, list[Attempt]] = {}
        for attempt in sorted(attempts, key=lambda a: a.trial.position):
            queues.setdefault(attempt.trial.machine_id, []).append(attempt)
        return queues
