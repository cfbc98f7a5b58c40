"""Which machines an experiment may mean although they are not there: none of them goes unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.app.histories import last_seen
from fleet.app.options import Options
from fleet.errors import StoreUnusable
from fleet.model.experiment import Request, Selector, SimulatedEngine
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine, KnownMachine, not_there
from fleet.wiring import results_folder


def known_machines(
    request: Request, options: Options, queued_before: Iterable[tuple[str, str]]
) -> list[KnownMachine]:
    """Machines of earlier work, of the experiment's own script, and of configs/fleet.yaml.

    `queued_before`: name and id of those that this experiment has given trials to. Where no fleet
    is asked, only those of this experiment: another machine's results in the store are no wish to
    measure there.
    """
    selector, engine = request.experiment.machines, request.experiment.engine
    before = _measured(request, options.home)
    if isinstance(engine, SimulatedEngine):
        by_name = {machine.name: machine for machine in before}
        scripted = [by_name.get(name, KnownMachine(name=name)) for name in engine.machines]
        return [replace(machine, expected=True) for machine in scripted]
    queued = [KnownMachine(name=name, machine_id=machine_id) for name, machine_id in queued_before]
    declared = [KnownMachine(name=name, facts=facts) for name, facts in options.declared.items()]
    if isinstance(selector, tuple):
        before = [replace(machine, expected=True) for machine in before]
    elif options.ray_address is None:
        before, declared = [machine for machine in before if machine.expected], []
    return _each_once([*before, *queued, *declared])


def _measured(request: Request, home: Path) -> list[KnownMachine]:
    """Of the store; one that cannot be read says so elsewhere."""
    from fleet.compare.reader import open_store, rows
    from fleet.compare.views import question

    folder = results_folder(home)
    if not (folder / "current").exists():
        return []
    experiment = request.experiment
    try:
        with closing(open_store([folder], ["trials"], ["trials"])) as con:
            question_text = question("machines_before")
            found = rows(con, question_text, [experiment.name, experiment.engine.kind])
        ids = [str(row["machine_id"]) for row in found]
        seen = last_seen(home, ids) if isinstance(experiment.machines, Selector) else {}
    except StoreUnusable:
        return []
    return [
        KnownMachine(
            name=str(row["machine"]),
            machine_id=str(row["machine_id"]),
            facts=seen[machine_id].facts if (machine_id := row["machine_id"]) in seen else {},
            last_seen=str(row["last_seen"])[:16],
            expected=bool(row["took_part"]),
        )
        for row in found
    ]


def _each_once(machines: Iterable[KnownMachine]) -> list[KnownMachine]:
    """By name: what was measured tells more than what was queued, and that more than a wish."""
    first: dict[str, KnownMachine] = {}
    for machine in machines:
        earlier = first.setdefault(machine.name, machine)
        if machine.expected and not earlier.expected:
            first[machine.name] = replace(earlier, expected=True)
    return list(first.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One look at the machines that an experiment means."""

    machines: Sequence[Machine]
    silent: Mapping[str, str]
    """Name of each that was asked and did not answer, and why."""
    busy: Mapping[str, str]
    """Name of each that another experiment has, and which."""


def absent_machines(
    request: Request, options: Options, known: Sequence[KnownMachine], looked: Looked
) -> list[AbsentMachine]:
    """Every machine that is meant and was not seen in this look, with the reason."""
    selector = request.experiment.machines
    names = {machine.name for machine in known}
    reasons = {**looked.silent, **looked.busy}
    strangers = [
        KnownMachine(name=name, expected=not isinstance(selector, Selector))
        for name in reasons
        if name not in names
    ]
    meant = not_there(selector, [*known, *strangers], looked.machines)
    named = {machine.name for machine in meant}
    unjudged = [machine for machine in strangers if machine.name not in named]
    where = _where_to_join(request, options)
    return [_absent(machine, looked, where) for machine in (*meant, *unjudged)]


def _absent(machine: KnownMachine, looked: Looked, where: str) -> AbsentMachine:
    if machine.name in looked.busy:
        return AbsentMachine(known=machine, state="busy", reason=looked.busy[machine.name])
    hint = where.format(name=machine.name)
    if machine.name in looked.silent:
        return AbsentMachine(
            known=machine, state="absent", reason=looked.silent[machine.name], mend=hint
        )
    seen = f", last measured {machine.last_seen}" if machine.last_seen else ""
    reason = f"it is not joined now{seen}"
    return AbsentMachine(known=machine, state="absent", reason=reason, mend=hint)


def _where_to_join(request: Request, options: Options) -> str:
    """What to type, with the machine's {name} left open."""
    if options.ray_address is None:
        return "fleet head    and on {name}: fleet join"
    if isinstance(request.experiment.engine, SimulatedEngine):
        return "start the practice machines anew: fleet leave; fleet practice"
    from fleet.dispatch.cluster import address_to_type

    return f"on {{name}}: fleet join {address_to_type(options.ray_address)}"
