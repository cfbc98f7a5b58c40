"""What does not fit the GPU's memory lies in the CPU's, and is slower there; pure."""

from __future__ import annotations

from fleet.model.script import ScriptedModel
from fleet.units import MIB

CPU_TIMES_SLOWER = 10.0
"""A layer on the CPU takes so much longer than on the GPU."""


def placed(model: ScriptedModel, gpu_memory_mb: int) -> ScriptedModel:
    """Return the model as it runs in so much GPU memory.

    One whose script already says that it spills (`cpu_share`) has the speeds of that.
    """
    share = 1 - gpu_memory_mb * MIB / model.size_bytes
    if share <= 0 or model.cpu_share > 0:
        return model
    slower = 1 - share + share * CPU_TIMES_SLOWER
    return model.model_copy(
        update={
            "cpu_share": share,
            "prefill_tokens_per_s": model.prefill_tokens_per_s / slower,
            "decode_tokens_per_s": model.decode_tokens_per_s / slower,
        }
    )
