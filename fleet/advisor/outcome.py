"""What happens when a model is loaded that does not fit: by kind of machine and by runner."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.advisor.fit import WHOLE_MEMORY, Fit, Verdict
from fleet.advisor.need import Backend
from fleet.advisor.remedies import Split
from fleet.advisor.setup import Runner, Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one will see, and how to notice it."""

    what: str
    signal: str = ""


def outcome(fit: Fit, setup: Setup, backend: Backend, parts: Split | None = None) -> Outcome:
    """Tell what loading does on this kind of machine with this runner."""
    if fit.verdict is Verdict.FITS:
        return Outcome(what="runs on the GPU alone")
    if fit.verdict is Verdict.UNKNOWN:
        return Outcome(what="not known")
    if setup.runner is Runner.MLX:
        return _with_mlx(fit)
    if fit.verdict is Verdict.TIGHT:
        return Outcome(
            what="runs; the engine may move a few percent to the CPU to keep 1024 MiB free",
            signal="ollama ps shows less than 100% GPU",
        )
    if fit.decides == WHOLE_MEMORY:
        return Outcome(
            what="the system swaps, or the load ends with an error",
            signal="swap grows, and the first token takes minutes",
        )
    return _on_gpu(setup, backend, parts)


def _with_mlx(fit: Fit) -> Outcome:
    if fit.verdict is Verdict.TIGHT:
        return Outcome(
            what="loads; slower when the prefix cache has grown (unloading frees it)",
            signal="ollama ps shows the size grow from prompt to prompt",
        )
    return Outcome(
        what="Ollama refuses to load it: MLX moves nothing to the CPU",
        signal="error: model requires more memory than is available",
    )


def _on_gpu(setup: Setup, backend: Backend, parts: Split | None) -> Outcome:
    moved = _moved(parts)
    if backend == "metal":
        if setup.current is False:
            return Outcome(
                what=f"{moved} on the CPU", signal="ollama ps shows CPU and GPU: size_vram < size"
            )
        return Outcome(
            what=f"{moved} on the CPU",
            signal="the log says `projected to use`; GPU load is low, CPU load high",
        )
    return Outcome(
        what=f"{moved} on the CPU, which the PCIe bus and the CPU then slow",
        signal="ollama ps shows CPU and GPU; GPU load is 10 to 60 %",
    )


def _moved(parts: Split | None) -> str:
    if parts is None:
        return "parts of the model end"
    if parts.expert_share is not None:
        return f"{1 - parts.expert_share:.0%} of the experts end".replace("%", " %")
    return f"{parts.of_layers - parts.layers} of {parts.of_layers} layers end"
