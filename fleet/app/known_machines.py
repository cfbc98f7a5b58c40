"""Machines that belong to an experiment although they are absent: each is reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.app.machine_changes import last_seen
from fleet.app.options import Options
from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.experiment import Request, Selector, SimulatedEngine
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine, KnownMachine, not_there


def known_machines(
    request: Request, options: Options, session: int, queued: Iterable[tuple[str, str, bool]]
) -> list[KnownMachine]:
    """Return machines of earlier work, of the experiment's own script, and of configs/fleet.yaml.

    Machines of this session are expected: their trials count as requested. Machines of earlier
    sessions are only named, since they may have been sold. `queued`: as Ledger.machines_of. Without
    a fleet, only machines of this experiment count: results of another machine in this home do not
    ask for a measurement there.
    """
    selector, engine = request.experiment.machines, request.experiment.engine
    by_name_list = isinstance(selector, tuple)
    everywhere = by_name_list or options.ray_address is not None
    of_store = _machines_of_store(request, options.home, session, everywhere=everywhere)
    of_queue = [
        KnownMachine(name=name, machine_id=machine_id, expected=now)
        for name, machine_id, now in queued
    ]
    before = _each_once([*of_store, *of_queue])
    if isinstance(engine, SimulatedEngine):
        by_name = {machine.name: machine for machine in before}
        scripted = [by_name.get(name, KnownMachine(name=name)) for name in engine.machines]
        return [replace(machine, expected=True) for machine in scripted]
    declared = [KnownMachine(name=name, facts=facts) for name, facts in options.declared.items()]
    machines = _each_once([*before, *(declared if everywhere else ())])
    return [replace(machine, expected=by_name_list or machine.expected) for machine in machines]


def _machines_of_store(
    request: Request, home: Path, session: int, *, everywhere: bool
) -> list[KnownMachine]:
    """Return machines of the results, `everywhere`: of all experiments; none if unreadable."""
    from fleet.query.machines import machines_before
    from fleet.query.open_store import open_store

    folder = results_folder(home)
    if not (folder / "current").exists():
        return []
    experiment = request.experiment
    kind = experiment.engine.kind
    try:
        with closing(open_store([folder], ["trials"], ["trials"])) as con:
            machines = machines_before(con, experiment.name, kind, session)
        ids = [before.machine_id for before in machines]
        seen = last_seen(home, ids) if isinstance(experiment.machines, Selector) else {}
    except StoreUnusable:
        return []
    return [
        KnownMachine(
            name=before.machine,
            machine_id=before.machine_id,
            facts=seen[before.machine_id].facts if before.machine_id in seen else {},
            last_seen=before.last_seen[:16],
            expected=before.of_session,
        )
        for before in machines
        if everywhere or before.of_experiment
    ]


def _each_once(machines: Iterable[KnownMachine]) -> list[KnownMachine]:
    """Keep one machine of each name: measured before queued, queued before declared."""
    first: dict[str, KnownMachine] = {}
    for machine in machines:
        earlier = first.setdefault(machine.name, machine)
        if machine.expected and not earlier.expected:
            first[machine.name] = replace(earlier, expected=True)
    return list(first.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLook:
    """One look at the machines of an experiment."""

    machines: Sequence[Machine]
    silent: Mapping[str, str]
    """The machines that did not answer, by name, and why."""
    busy: Mapping[str, str]
    """The machines that another experiment holds, by name, and which."""


def absent_machines(
    request: Request, options: Options, known: Sequence[KnownMachine], look: MachineLook
) -> list[AbsentMachine]:
    """Return every machine of the experiment that this look did not see, with the reason."""
    selector = request.experiment.machines
    names = {machine.name for machine in known}
    reasons = {**look.silent, **look.busy}
    strangers = [KnownMachine(name=name) for name in reasons if name not in names]
    machines = not_there(selector, [*known, *strangers], look.machines)
    judged = {machine.name for machine in machines}
    unjudged = [
        replace(machine, expected=False) for machine in strangers if machine.name not in judged
    ]
    where = _where_to_join(request, options)
    return [_absent(machine, look, where) for machine in (*machines, *unjudged)]


def _absent(machine: KnownMachine, look: MachineLook, where: str) -> AbsentMachine:
    if machine.name in look.busy:
        return AbsentMachine(known=machine, state="busy", reason=look.busy[machine.name])
    hint = where.format(name=machine.name)
    if machine.name in look.silent:
        return AbsentMachine(
            known=machine, state="absent", reason=look.silent[machine.name], hint=hint
        )
    seen = f", last measured {machine.last_seen}" if machine.last_seen else ""
    reason = f"it is not joined now{seen}"
    return AbsentMachine(known=machine, state="absent", reason=reason, hint=hint)


def _where_to_join(request: Request, options: Options) -> str:
    """Return the command to type, with the machine's {name} left open."""
    if options.ray_address is None:
        return "fleet head    and on {name}: fleet join"
    if isinstance(request.experiment.engine, SimulatedEngine):
        return "restart the practice machines: fleet leave; fleet practice"
    from fleet.dispatch.cluster import address_to_type

    return f"on {{name}}: fleet join {address_to_type(options.ray_address)}"
