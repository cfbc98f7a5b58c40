"""Checks of what belongs to the owner: how Ollama is run, what fleet may do to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.doctor.findings import Findings, MachineCheck, cannot_tell, ok, unfit
from fleet.owner.allowed import RESTART_OLLAMA

ALLOW = f"fleet join --allow {RESTART_OLLAMA} --hours 22-07"


def run_as(findings: Findings) -> Iterator[MachineCheck]:
    """Tell how Ollama is run, and how it would be restarted."""
    if findings.ollama.version is None:
        return
    text = findings.fact("ollama_run_as")
    if text is None:
        yield cannot_tell(
            "service", f"it is unknown how Ollama is run: {findings.why('ollama_run_as')}"
        )
    else:
        how = findings.ownership.restart.how
        by = f"; restarted by: {how}" if how else ""
        yield ok("service", f"{text}{by}")


def permission(findings: Findings) -> Iterator[MachineCheck]:
    """Tell what is allowed; allowing nothing is the default, and fine."""
    ownership = findings.ownership
    if ownership.problem:
        what, _, hint = ownership.problem.partition("\n")
        yield unfit("permission", what, hint=hint.strip())
        return
    kinds, hours = ownership.allowed.kinds, ownership.allowed.hours
    may = "fleet may restart Ollama here and unload models that others use"
    may_not = "fleet restarts and unloads nothing of yours"
    text = [may if RESTART_OLLAMA in kinds else may_not]
    text += ["it may set the wired limit"] if ownership.wired_limit else []
    programs = ownership.allowed.programs
    text += [f"it may start {label} ({path})" for label, path in sorted(programs.items())]
    text += [f"trials begin only within {hours}" if hours else "trials begin at any hour"]
    allowed_and_cannot = RESTART_OLLAMA in kinds and ownership.restart.refusal
    hint = f"Ollama: {ownership.restart.refusal}" if allowed_and_cannot else ""
    hint = hint or ("" if kinds or hours or programs else f"to allow: {ALLOW}")
    yield ok("permission", "; ".join(text), hint=hint)


def declared(findings: Findings) -> Iterator[MachineCheck]:
    """Check that the machine itself allows what the fleet's file allows."""
    if findings.declared is None or findings.ownership.problem:
        return
    path, fleet = findings.declared
    wanted = fleet.machines.get(findings.name)
    here = findings.ownership.allowed.kinds
    if wanted and RESTART_OLLAMA in wanted.allow and RESTART_OLLAMA not in here:
        yield cannot_tell(
            "allowed",
            f"{path} allows {RESTART_OLLAMA}, this machine does not",
            f"on it: fleet join --allow {RESTART_OLLAMA}",
        )


CHECKS = (run_as, permission, declared)
