"""Checks of the GPU: its memory, the limit in effect, and what other programs hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.doctor.findings import Findings, MachineCheck, cannot_tell, ok, unfit
from fleet.model.gates import FOREIGN_MEMORY, GATES, GPU_USERS, others_gpu_mb
from fleet.readers.metal import parse_mlx
from fleet.units import MIB, show_bytes

GPU_HINT = "nvidia-smi -L    must list it; after an update of the driver: restart the machine"
LIMIT_HINT = "restart Ollama and load any model once, so that its log shows the limit"


def gpu(findings: Findings) -> Iterator[MachineCheck]:
    """Check the memory of the GPU, and on a Mac its wired limit."""
    name, fact = findings.fact("gpu"), findings.fingerprint.fact("gpu")
    if name is None:
        if fact is None or fact.absent:
            yield ok("gpu", "none: models run on the CPU")
            return
        yield cannot_tell("gpu", f"cannot be read: {findings.why('gpu')}", hint=GPU_HINT)
        return
    yield _gpu_memory(findings, str(name))
    conflict = findings.fact("gpu_limit_conflict")
    if conflict is not None:
        what = f"wired limit {conflict}"
        hint = findings.ownership.restart.how or "restart Ollama: it reads the limit when it starts"
        yield unfit("wired limit", what, hint=hint)


def _gpu_memory(findings: Findings, name: str) -> MachineCheck:
    limit_mb, memory_mb = findings.fact("gpu_limit_mb"), findings.fact("gpu_memory_mb")
    by_mlx = parse_mlx(findings.answers.get("mlx", ""))
    if findings.fact("gpu_mig"):
        return ok(
            "gpu",
            f"{name}, cut into {findings.fact('gpu_mig_parts') or 'parts'}: one part is measured",
        )
    if limit_mb is not None:
        return _gpu_limit(findings, f"{name}, limit {limit_mb} MiB")
    if findings.fact("gpu_unified_memory") and memory_mb is not None:
        usable = findings.fact("gpu_usable_mb")
        return ok(
            "gpu",
            f"{name}, shares the machine's memory, of which it may use {usable or memory_mb} MiB",
        )
    if memory_mb is not None:
        return ok("gpu", f"{name}, {memory_mb} MiB of its own")
    if by_mlx.limit_mb is not None:
        return cannot_tell(
            "gpu",
            f"{name}, limit {by_mlx.limit_mb} MiB now, as MLX reports; that of Ollama is unknown",
            hint=LIMIT_HINT,
        )
    usual = findings.fact("gpu_limit_expected_mb")
    remark = f"; {usual} MiB is usual" if usual else ""
    return cannot_tell(
        "gpu",
        f"{name}, limit in effect unknown{remark}: {findings.why('gpu_limit_mb')}",
        hint=LIMIT_HINT,
    )


def _gpu_limit(findings: Findings, limit: str) -> MachineCheck:
    """Check a limit; one that was set is in effect only if the engine says so."""
    conflict, usual = findings.fingerprint.fact("gpu_limit_conflict"), findings.usual_limit_mb()
    if conflict is not None and conflict.state == "unknown":
        return cannot_tell(
            "gpu", f"{limit} as set; {findings.why('gpu_limit_conflict')}", hint=LIMIT_HINT
        )
    remark = f", where {usual} MiB is the usual default" if usual else ""
    return ok("gpu", f"{limit}{remark}")


def gpu_users(findings: Findings) -> Iterator[MachineCheck]:
    """Check the GPU memory that other programs hold, as the gate judges it."""
    look = findings.look
    if look.fact(FOREIGN_MEMORY) is None:
        return
    closed_why = GATES[GPU_USERS](look)
    others_mb = others_gpu_mb(look)
    if closed_why:
        hint = (
            "end what holds it: ps -A" if findings.mac else "end what holds it; nvidia-smi lists it"
        )
        yield unfit("gpu users", closed_why, hint=hint)
    elif others_mb is None:
        yield cannot_tell(
            "gpu users",
            f"memory held by other programs is unknown: {findings.why(FOREIGN_MEMORY)}",
            "run doctor while no model is loaded: then other programs hold all that is in use",
        )
    else:
        held = show_bytes(others_mb * MIB) if others_mb else "none"
        yield ok("gpu users", f"other programs hold {held} of the GPU's memory")
