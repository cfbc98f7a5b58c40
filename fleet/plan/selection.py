"""Which machines an experiment means, and what `--only` leaves of it; pure."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal

from fleet.errors import PlanRefused, UnknownName, nearest
from fleet.identity import canonical_json
from fleet.model.experiment import Request, Selector
from fleet.model.job import Job
from fleet.model.machine import FactValue, Machine, full_model_name, same_model
from fleet.model.settings import Value
from fleet.model.size_rule import comparison

Clause = tuple[str, str, Callable[[FactValue], bool]]
"""Name of the clause, its demand in words, and its test of a machine's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an experiment selects: its four axes, each in the order written."""

    machines: tuple[Machine, ...]
    models: tuple[str, ...]
    jobs: tuple[Job, ...]
    combinations: tuple[dict[str, Value], ...]

    @property
    def ready(self) -> list[Machine]:
        """The machines whose engine answers."""
        return [machine for machine in self.machines if machine.engine is not None]


def select(
    selector: Literal["all"] | Sequence[str] | Selector,
    machines: Sequence[Machine],
    absent: Collection[str] = (),
) -> tuple[Machine, ...]:
    """Return the selected machines in the order given.

    `absent`: names and ids that are known but not there now; naming one is no mistake. Raises
    PlanRefused or UnknownName if no machine is selected.
    """
    if not machines:
        raise PlanRefused("machines: no machine is there", "this machine: fleet machines --here")
    if isinstance(selector, Selector):
        return _matching(selector, machines)
    if selector == "all":
        return tuple(machines)
    return _named([name for name in selector if name not in absent], machines)


def matches(selector: Selector, name: str, facts: Mapping[str, FactValue]) -> bool:
    """Tell whether this name and these facts fit every clause; an unknown fact fits none."""
    values = {**facts, "name": name}
    return all(test(values.get(clause)) for clause, _, test in _clauses(selector))


def narrow(selection: Selection, only: Mapping[str, str]) -> Selection:
    """Return what `--only` leaves; no id changes. Raises UnknownName for a value that it lacks."""
    for key, value in only.items():
        selection = _narrowed(selection, key, value)
    return selection


def selection_of(request: Request, machines: Sequence[Machine]) -> Selection:
    """Return the whole selection; a model or machine named twice counts once.

    Raises PlanRefused for two jobs of one name.
    """
    names = [job.name for job in request.jobs]
    for name in names:
        if names.count(name) > 1:
            raise PlanRefused(f"jobs: two jobs are named {name}", "give each job a name of its own")
    return Selection(
        machines=tuple({machine.machine_id: machine for machine in machines}.values()),
        models=_each_once(request.experiment.models),
        jobs=request.jobs,
        combinations=tuple(request.experiment.settings.combinations()),
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean studio-96?)`, or nothing if no known name is near."""
    near = nearest(name, known)
    return f" (did you mean {near}?)" if near else ""


def _each_once(models: Sequence[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for model in models:
        first.setdefault(full_model_name(model), model)
    return tuple(first.values())


def _named(names: Sequence[str], machines: Sequence[Machine]) -> tuple[Machine, ...]:
    known = sorted({machine.name for machine in machines})
    chosen: dict[str, Machine] = {}
    unknown: list[str] = []
    for name in names:
        named = [machine for machine in machines if name in (machine.name, machine.machine_id)]
        if not named:
            unknown.append(f"{name}{did_you_mean(name, known)}")
        elif len(named) > 1:
            ids = ", ".join(machine.machine_id for machine in named)
            raise PlanRefused(
                f"machines: {len(named)} machines are named {name}",
                f"name them by id ({ids}), or give each its own: fleet join --name",
            )
        chosen.update((machine.machine_id, machine) for machine in named)
    if unknown:
        raise unknown_machines(unknown, known)
    return tuple(chosen.values())


def unknown_machines(unknown: Sequence[str], known: Sequence[str]) -> UnknownName:
    """Return the error for names that no machine has."""
    return UnknownName(
        f"machines: no machine is named {', '.join(unknown)}", f"there are {', '.join(known)}"
    )


def _matching(selector: Selector, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    left, passed = tuple(machines), ""
    for name, wanted, test in _clauses(selector):
        matching = tuple(machine for machine in left if test(_value(machine, name)))
        if not matching:
            subject = f"no machine with {passed}" if passed else "no machine"
            raise PlanRefused(
                f"machines.{name}: {subject} has {wanted}; {_nearest(name, wanted, left)}"
            )
        left, passed = matching, ", ".join(filter(None, (passed, f"{name} {wanted}")))
    return left


def _clauses(selector: Selector) -> Iterable[Clause]:
    if selector.name is not None:
        yield "name", selector.name, partial(_like, selector.name)
    if selector.os is not None:
        yield "os", selector.os, partial(operator.eq, selector.os)
    for name, part in (("chip", selector.chip), ("gpu", selector.gpu)):
        if part is not None:
            yield name, part, partial(_holds, part)
    if selector.memory_gb is not None:
        words, test = comparison(selector.memory_gb)
        yield "memory_gb", words.removeprefix("= "), partial(_number, test)


def _like(pattern: str, value: FactValue) -> bool:
    return fnmatchcase(str(value), pattern)


def _holds(part: str, value: FactValue) -> bool:
    return part.lower() in str(value or "").lower()


def _number(test: Callable[[float], bool], value: FactValue) -> bool:
    return isinstance(value, (int, float)) and test(value)


def _value(machine: Machine, name: str) -> FactValue:
    return machine.name if name == "name" else machine.fingerprint.get(name)


def _nearest(name: str, wanted: str, machines: Sequence[Machine]) -> str:
    known = [(machine, _value(machine, name)) for machine in machines]
    known = [(machine, value) for machine, value in known if value is not None]
    if not known:
        return f"no machine says what its {name} is"
    machine, value = min(known, key=lambda pair: _distance(name, wanted, pair[1]))
    return f"the nearest is {machine.name}" + (f" with {value}" if name != "name" else "")


def _distance(name: str, wanted: str, value: FactValue) -> float:
    if name == "memory_gb" and isinstance(value, (int, float)):
        return abs(value - float(wanted.split()[-1]))
    alike = difflib.SequenceMatcher(None, wanted.lower(), str(value).lower())
    return 1 - alike.find_longest_match().size / len(wanted or " ")


def _narrowed(selection: Selection, key: str, value: str) -> Selection:
    if key == "machine":
        machines = selection.machines
        kept = tuple(m for m in machines if value in (m.name, m.machine_id))
        _refuse_empty(key, value, [m.name for m in machines], kept)
        return replace(selection, machines=kept)
    if key == "model":
        models = tuple(m for m in selection.models if same_model(m, value))
        _refuse_empty(key, value, selection.models, models)
        return replace(selection, models=models)
    if key == "job":
        jobs = tuple(job for job in selection.jobs if job.name == value)
        _refuse_empty(key, value, [job.name for job in selection.jobs], jobs)
        return replace(selection, jobs=jobs)
    return _with_setting(selection, key, value)


def _with_setting(selection: Selection, key: str, value: str) -> Selection:
    settings = sorted({name for combination in selection.combinations for name in combination})
    if key not in settings:
        known = ["machine", "model", "job", *settings]
        raise UnknownName(
            f"--only {key}: no such axis{did_you_mean(key, known)}", f"there are {', '.join(known)}"
        )
    kept = tuple(c for c in selection.combinations if value in _spellings(c[key]))
    values = dict.fromkeys(str(combination[key]) for combination in selection.combinations)
    _refuse_empty(key, value, values, kept)
    return replace(selection, combinations=kept)


def _spellings(value: Value) -> tuple[str, str]:
    return str(value), canonical_json(value)


def _refuse_empty(key: str, value: str, known: Iterable[str], kept: Sequence[object]) -> None:
    if not kept:
        raise no_such(key, value, list(known))


def no_such(key: str, value: str, known: Sequence[str]) -> UnknownName:
    """Return the error for a value of `--only` that the experiment does not have."""
    return UnknownName(
        f"--only {key}={value}: the experiment has no such {key}{did_you_mean(value, known)}",
        f"there are {', '.join(known)}",
    )
