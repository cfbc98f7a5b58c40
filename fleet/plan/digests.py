"""Which model every trial must find: the digest on which all machines agree; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from fleet.errors import PlanRefused
from fleet.model.machine import ModelFacts, same_model
from fleet.model.runners import variant_hint
from fleet.plan.plans import Plan

SHOWN_DIGITS = 12


def digests(
    models: Mapping[str, Sequence[ModelFacts]], names: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """Return, by model, the digest on which all machines agree; a model without copies has none.

    `models` and `names` are by machine id. Raises PlanRefused if the machines disagree.
    """
    copies = {model: _copies(models, model) for model in wanted}
    unequal = [m for m in wanted if len(set(map(_bare, copies[m].values()))) > 1]
    if unequal:
        raise PlanRefused(
            "\n".join(_disagreement(model, copies[model], names) for model in unequal),
            "\n  ".join(line for m in unequal for line in _hints(m, copies[m], names)),
        )
    return {model: next(iter(copies[model].values())).digest for model in wanted if copies[model]}


def with_digests(plan: Plan, digests: Mapping[str, str]) -> Plan:
    """Return the plan whose trials know which digest they must find."""
    machines = tuple(
        replace(
            machine,
            trials=tuple(replace(t, digest=digests.get(t.model, "")) for t in machine.trials),
        )
        for machine in plan.machines
    )
    return replace(plan, machines=machines)


def without(plan: Plan, models: Collection[tuple[str, str]]) -> Plan:
    """Return the plan without the trials of some models, each given as machine id and model."""
    if not models:
        return plan
    machines = (
        replace(
            each,
            trials=tuple(t for t in each.trials if (t.machine_id, t.model) not in models),
        )
        for each in plan.machines
    )
    kept = tuple(each for each in machines if each.trials)
    cells = {trial.cell() for each in kept for trial in each.trials}
    contrasts = (contrast.within(cells) for contrast in plan.contrasts)
    return replace(
        plan,
        machines=kept,
        contrasts=tuple(contrast for contrast in contrasts if len(contrast.sides) > 1),
    )


def bare_digest(digest: str | None) -> str:
    """Return the digest without the name of its algorithm."""
    return (digest or "").removeprefix("sha256:")


def short_digest(digest: str | None) -> str:
    """Return the first digits of the digest, for people."""
    return bare_digest(digest)[:SHOWN_DIGITS] or "unknown"


def _bare(facts: ModelFacts) -> str:
    return bare_digest(facts.digest)


def _copies(models: Mapping[str, Sequence[ModelFacts]], model: str) -> dict[str, ModelFacts]:
    """Return, by machine id, the model on the machines that have it."""
    return {
        machine_id: facts
        for machine_id, present in models.items()
        for facts in present
        if same_model(facts.name, model)
    }


def _disagreement(model: str, copies: Mapping[str, ModelFacts], names: Mapping[str, str]) -> str:
    formats = {facts.model_format for facts in copies.values()}
    each = ", ".join(
        f"{names[m]} has {short_digest(facts.digest)}"
        + (f" ({facts.model_format})" if len(formats) > 1 and facts.model_format else "")
        for m, facts in copies.items()
    )
    return f"{model} is not the same model on every machine: {each}"


def _hints(model: str, copies: Mapping[str, ModelFacts], names: Mapping[str, str]) -> Iterator[str]:
    """Yield a command for each machine that differs from the majority, or for all without one.

    Machines that take unlike variants of one name would do so again after each pull.
    """
    if len({facts.model_format for facts in copies.values()} - {None}) > 1:
        yield variant_hint(model)
        return
    (most, count), (_, second) = Counter(map(_bare, copies.values())).most_common(2)
    for machine_id, facts in copies.items():
        if _bare(facts) != most or count == second:
            yield f"on {names[machine_id]}: ollama pull {model}"
