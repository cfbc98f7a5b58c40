"""What doctor makes of what is the owner's: how Ollama is run, what fleet may do to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.doctor.machine import Check, Findings
from fleet.owner.allowed import RESTART_OLLAMA

ALLOW = f"fleet join --allow {RESTART_OLLAMA} --hours 22-07"


def run_as(found: Findings) -> Iterator[Check]:
    if found.ollama.version is None:
        return
    told = found.fact("ollama_run_as")
    if told is None:
        what = f"how it is run is not known: {found.why('ollama_run_as')}"
        yield Check(name="service", state="cannot tell", found=what)
    else:
        how = found.ownership.restart.how
        by = f"; restarted by: {how}" if how else ""
        yield Check(name="service", state="ok", found=f"{told}{by}")


def permission(found: Findings) -> Iterator[Check]:
    """Nothing is the default, and no fault."""
    there = found.ownership
    if there.problem:
        what, _, hint = there.problem.partition("\n")
        yield Check(name="permission", state="unfit", found=what, hint=hint.strip())
        return
    kinds, hours = there.allowed.kinds, there.allowed.hours
    may = "fleet may restart Ollama here and unload models that others use"
    may_not = "nothing of yours is restarted or unloaded"
    told = [may if RESTART_OLLAMA in kinds else may_not]
    told += ["it may set the wired limit"] if there.wired_limit else []
    told += [f"trials begin only within {hours}" if hours else "trials begin at any hour"]
    allowed_and_cannot = RESTART_OLLAMA in kinds and there.restart.refusal
    hint = f"Ollama: {there.restart.refusal}" if allowed_and_cannot else ""
    hint = hint or ("" if kinds or hours else f"to allow: {ALLOW}")
    yield Check(name="permission", state="ok", found="; ".join(told), hint=hint)


def declared(found: Findings) -> Iterator[Check]:
    """What the file of the fleet allows must have been allowed on the machine itself."""
    if found.declared is None or found.ownership.problem:
        return
    path, fleet = found.declared
    wanted = fleet.machines.get(found.name)
    here = found.ownership.allowed.kinds
    if wanted and RESTART_OLLAMA in wanted.allow and RESTART_OLLAMA not in here:
        what = f"{path} allows {RESTART_OLLAMA}, this machine does not"
        hint = f"on it: fleet join --allow {RESTART_OLLAMA}"
        yield Check(name="allowed", state="cannot tell", found=what, hint=hint)


CHECKS = (run_as, permission, declared)
