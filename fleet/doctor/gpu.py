"""What doctor makes of the GPU: its memory, the limit in force, what others hold of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.doctor.findings import Check, Findings
from fleet.model.gates import FOREIGN_MEMORY, GATES, GPU_USERS, others_gpu_mb
from fleet.readers.metal import parse_mlx
from fleet.units import MIB, show_bytes

GPU_MEND = "nvidia-smi -L    must list it; after an update of the driver: restart the machine"
LIMIT_MEND = "restart Ollama and load any model once, so that its log tells"


def gpu(findings: Findings) -> Iterator[Check]:
    name, fact = findings.fact("gpu"), findings.fingerprint.fact("gpu")
    if name is None:
        if fact is None or fact.absent:
            yield Check(name="gpu", state="ok", found="none: models run on the CPU")
            return
        what = f"cannot be read: {findings.why('gpu')}"
        yield Check(name="gpu", state="cannot tell", found=what, hint=GPU_MEND)
        return
    yield _gpu_memory(findings, str(name))
    conflict = findings.fact("gpu_limit_conflict")
    if conflict is not None:
        what = f"wired limit {conflict}"
        hint = findings.ownership.restart.how or "restart Ollama: it reads the limit at its start"
        yield Check(name="wired limit", state="unfit", found=what, hint=hint)


def _gpu_memory(findings: Findings, name: str) -> Check:
    limit_mb, memory_mb = findings.fact("gpu_limit_mb"), findings.fact("gpu_memory_mb")
    by_mlx = parse_mlx(findings.answers.get("mlx", ""))
    if findings.fact("gpu_mig"):
        what = f"{name}, cut into {findings.fact('gpu_mig_parts') or 'parts'}: one part is measured"
        return Check(name="gpu", state="ok", found=what)
    if limit_mb is not None:
        return _gpu_limit(findings, f"{name}, limit {limit_mb} MiB")
    if findings.fact("gpu_unified_memory") and memory_mb is not None:
        usable = findings.fact("gpu_usable_mb")
        what = f"{name}, shares the machine's memory, of which it may use {usable or memory_mb} MiB"
        return Check(name="gpu", state="ok", found=what)
    if memory_mb is not None:
        return Check(name="gpu", state="ok", found=f"{name}, {memory_mb} MiB of its own")
    if by_mlx.limit_mb is not None:
        what = f"{name}, limit {by_mlx.limit_mb} MiB now, as MLX tells; Ollama's is not known"
        return Check(name="gpu", state="cannot tell", found=what, hint=LIMIT_MEND)
    usual = findings.fact("gpu_limit_expected_mb")
    remark = f"; {usual} MiB would be usual" if usual else ""
    what = f"{name}, limit in force unknown{remark}: {findings.why('gpu_limit_mb')}"
    return Check(name="gpu", state="cannot tell", found=what, hint=LIMIT_MEND)


def _gpu_limit(findings: Findings, limit: str) -> Check:
    """A limit that was set is in effect only where the engine says so."""
    conflict, usual = findings.fingerprint.fact("gpu_limit_conflict"), findings.usual_limit_mb()
    if conflict is not None and conflict.state == "unknown":
        what = f"{limit} as set; {findings.why('gpu_limit_conflict')}"
        return Check(name="gpu", state="cannot tell", found=what, hint=LIMIT_MEND)
    remark = f", where {usual} MiB is the usual default" if usual else ""
    return Check(name="gpu", state="ok", found=f"{limit}{remark}")


def gpu_users(findings: Findings) -> Iterator[Check]:
    """Memory of the GPU that others hold, as the gate judges it."""
    look = findings.look
    if look.fact(FOREIGN_MEMORY) is None:
        return
    closed_why = GATES[GPU_USERS](look)
    others_mb = others_gpu_mb(look)
    if closed_why:
        hint = (
            "end what holds it: ps -A" if findings.mac else "end what holds it; nvidia-smi lists it"
        )
        yield Check(name="gpu users", state="unfit", found=closed_why, hint=hint)
    elif others_mb is None:
        what = f"memory that others hold is not known: {findings.why(FOREIGN_MEMORY)}"
        hint = "run doctor while no model is loaded: then all that is in use is others'"
        yield Check(name="gpu users", state="cannot tell", found=what, hint=hint)
    else:
        held = show_bytes(others_mb * MIB) if others_mb else "none"
        yield Check(name="gpu users", state="ok", found=f"others hold {held} of the GPU's memory")
