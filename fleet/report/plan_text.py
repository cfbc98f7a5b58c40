"""A plan as text: what each machine will do, for how long, and what cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from fleet.model.experiment import Experiment
from fleet.model.gates import Gates
from fleet.model.trial import Trial
from fleet.plan.expand import AbsentPlan, MachinePlan, Plan
from fleet.plan.refusals.controls import LEAST_BLOCKS
from fleet.report.event_text import varied_settings
from fleet.units import GIB, show_bytes, show_count, show_span

MOST_LEFT_OUT_SHOWN = 12
SHORTEST_S = 0.5
"""A shorter span would round to `0 s`."""


def plan_lines(plan: Plan) -> list[str]:
    """Describe the plan: its size, its machines, its conditions, and what is left out."""
    experiment = plan.request.experiment
    lines = [f"{experiment.name}   {_shape(plan)}"]
    if experiment.why:
        lines.append(f"  {experiment.why.strip()}")
    lines += [_machine_line(machine, plan) for machine in plan.machines]
    lines += [line for absent in plan.absent for line in _absent_lines(absent)]
    lines += [f"  {change}" for change in (*plan.limits, *_programs(plan), *plan.restarts)]
    lines += _canary_lines(plan)
    lines += _control_lines(plan)
    lines += _gate_lines(experiment)
    lines += [f"  warning: {warning}" for warning in plan.warnings]
    left_out = [f"  left out: {left}" for left in plan.left_out]
    lines += left_out[:MOST_LEFT_OUT_SHOWN]
    if len(left_out) > MOST_LEFT_OUT_SHOWN:
        lines.append(f"  and {len(left_out) - MOST_LEFT_OUT_SHOWN} more left out")
    lines += [f"  refused: {refusal}" for refusal in plan.refusals]
    return lines


def _programs(plan: Plan) -> Iterator[str]:
    """Say which Ollama each label of `engine_binary` is on each machine."""
    for each in plan.machines:
        labels = dict.fromkeys(str(t.settings.get("engine_binary", "")) for t in each.trials)
        programs = {label: each.machine.programs.get(label) for label in labels}
        words = [f"{label} is {found.version}" for label, found in programs.items() if found]
        if words:
            yield f"{each.machine.name}: engine_binary {', '.join(words)}"


def _shape(plan: Plan) -> str:
    experiment = plan.request.experiment
    counts = [
        show_count(len(experiment.models), "model"),
        show_count(len(plan.request.jobs), "job"),
    ]
    combinations = len(experiment.settings.combinations())
    if combinations > 1:
        counts.append(show_count(combinations, "setting", "combinations of settings"))
    blocks = plan.repeats
    often = f"{blocks.most}" if blocks.least == blocks.most else f"{blocks.least} to {blocks.most}"
    machines = show_count(len(plan.machines), "machine")
    repeats = "repeat" if often == "1" else "repeats in random blocks"
    least, most = _about(plan.estimate_least_s), _about(plan.estimate_s)
    time = most if least == most else f"{least} to {most.removeprefix('about ')}"
    return f"{' x '.join(counts)} on {machines}, {often} {repeats}, {time}"


def _about(seconds: float) -> str:
    return f"about {show_span(seconds)}" if seconds >= SHORTEST_S else "less than 1 s"


def _machine_line(planned: MachinePlan, plan: Plan) -> str:
    machine = planned.machine
    memory = machine.gpu_memory_bytes()
    limit = f", GPU memory {memory / GIB:.1f} GiB" if memory else ""
    trials = sum(trial.role != "canary" for trial in planned.trials)
    what = f"{show_count(trials, 'trial')}, {_about(planned.estimate_s).removeprefix('about ')}"
    pulls = ", ".join(
        f"pulls {p.model}" + (f" ({show_bytes(p.size_bytes)})" if p.size_bytes else "")
        for p in planned.pulls
    )
    hours = f"only {machine.hours}" if machine.hours else ""
    parts = (f"{machine.name:<14} {_hardware(planned)}{limit}", what, hours, pulls)
    return "  " + "   ".join(filter(None, parts))


def _absent_lines(absent: AbsentPlan) -> list[str]:
    """Name a machine of the experiment that is absent, the reason, and what to type."""
    machine = absent.machine
    line = f"  {machine.name:<14} {machine.state}: {machine.reason}"
    return [line, f"  {'':<14} {machine.hint}"] if machine.hint else [line]


def _canary_lines(plan: Plan) -> list[str]:
    """Describe the canaries, whose time is part of that of each machine."""
    canaries = plan.canaries()
    if not canaries:
        return []
    each = show_count(max(trial.block for trial in canaries) + 1, "canary", "canaries")
    longest = max(
        sum(trial.estimate_s for trial in machine.trials if trial.role == "canary")
        for machine in plan.machines
    )
    return [
        f"  with {each} on each machine, at the start, between blocks and at the end, "
        f"{show_span(longest)} of its time (canary: off leaves them out)"
    ]


def _gate_lines(experiment: Experiment) -> list[str]:
    rule = experiment.gate_rule()
    if rule == Gates():
        return []
    does = {
        "wait": "then measured under a label",
        "strict": "then failed",
        "record": "machines are measured as they are, under a label",
    }
    return [f"  gates: {rule}: {does[rule.policy]}"]


def _control_lines(plan: Plan) -> list[str]:
    """Describe the controls, whose time is part of that of each machine."""
    pairs = plan.controls()
    if not pairs:
        return []
    cells = dict.fromkeys(" ".join((t.model, t.job.name, _varied(t))).strip() for t in pairs)
    few = plan.repeats.most < LEAST_BLOCKS
    return [
        f"  with a control, twice more in each block: {', '.join(cells)}"
        + (f"; below {LEAST_BLOCKS} repeats it gives no noise floor" if few else "")
    ]


def _varied(trial: Trial) -> str:
    return " ".join(f"{key}={value}" for key, value in varied_settings(trial).items())


def _hardware(planned: MachinePlan) -> str:
    fingerprint = planned.machine.fingerprint
    cores, memory = fingerprint.get("gpu_cores"), fingerprint.get("memory_gb")
    parts = [
        str(fingerprint.get("gpu") or fingerprint.get("chip") or "unknown hardware"),
        f"{cores}-core GPU" if cores else "",
        f"{memory} GB" if memory else "",
    ]
    return ", ".join(part for part in parts if part)


def order_lines(plan: Plan) -> list[str]:
    """List the first block of each machine in its order, as an example of all blocks."""
    lines: list[str] = []
    for machine in plan.machines:
        first = [trial for trial in machine.trials if trial.block == machine.trials[0].block]
        lines.append(f"  {machine.machine.name}, first block of {plan.repeats.most}:")
        for trial in first:
            points = ", ".join(point.name(trial.job.name) for point in trial.job.points)
            role = "canary" if trial.role == "canary" else f"control {trial.side}".strip()
            parts = (role if trial.role != "measure" else "", trial.model, points, _varied(trial))
            what = "  ".join(part for part in parts if part)
            lines.append(f"    {what}   {_about(trial.estimate_s)}")
    return lines


def as_data(plan: Plan) -> dict[str, object]:
    """Return the plan for --json: times in seconds, sizes in bytes."""
    return {
        "experiment": plan.request.experiment.name,
        "estimate_s": plan.estimate_s,
        "repeats": plan.repeats.model_dump(),
        "gates": _gates_data(plan.request.experiment.gate_rule()),
        "machines": [
            {
                "machine": m.machine.name,
                "machine_id": m.machine.machine_id,
                "estimate_s": m.estimate_s,
                "hours": str(m.machine.hours) if m.machine.hours else None,
                "disk_bytes": m.disk_bytes,
                "pulls": [{"model": p.model, "size_bytes": p.size_bytes} for p in m.pulls],
                "trials": [
                    {
                        "trial_id": t.trial_id,
                        "model": t.model,
                        "job": t.job.name,
                        "settings": dict(t.settings),
                        "block": t.block,
                        "position": t.position,
                        "role": t.role,
                        "estimate_s": t.estimate_s,
                    }
                    for t in m.trials
                ],
            }
            for m in plan.machines
        ],
        "absent": [_absent_data(absent) for absent in plan.absent],
        "trials_asked": plan.trials_asked,
        "limits": [asdict(change) | {"change_mb": change.change_mb} for change in plan.limits],
        "restarts": list(plan.restarts),
        "warnings": [str(warning) for warning in plan.warnings],
        "left_out": [str(left) for left in plan.left_out],
        "refusals": list(plan.refusals),
    }


def _gates_data(rule: Gates) -> dict[str, object]:
    return rule.model_dump(exclude=set() if rule.residents_are_mine else {"residents_are_mine"})


def _absent_data(absent: AbsentPlan) -> dict[str, object]:
    machine = absent.machine
    return {
        "machine": machine.name,
        "machine_id": machine.known.machine_id,
        "state": machine.state,
        "reason": machine.reason,
        "hint": machine.hint,
        "trials": [trial.trial_id for trial in absent.trials if trial.role != "canary"],
    }
