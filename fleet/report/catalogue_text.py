"""The advisor's catalogues of models and machines, as titles and rows."""

from __future__ import annotations

from fleet.advisor import machines, models
from fleet.units import show_bytes

Table = tuple[list[str], list[list[str]]]


def model_table() -> Table:
    """Return the models, one in each row."""
    rows = [
        [
            entry.name,
            f"{entry.parameters / 1e9:.1f}B",
            entry.files[0].quantization,
            show_bytes(entry.shape().weights.text_bytes),
            str(entry.context),
            entry.confidence,
        ]
        for entry in models.CATALOGUE
    ]
    return ["model", "parameters", "quantization", "weights", "context", "known"], rows


def machine_table() -> Table:
    """Return the machines, one kind in each row."""
    rows = [
        [
            kind.label,
            " ".join(map(str, kind.memory_gb)),
            f"{kind.bandwidth_gb_s:g}",
            f"{kind.tflops:g}",
            kind.confidence,
        ]
        for kind in machines.CATALOGUE
    ]
    return ["machine", "memory GB", "GB/s", "TFLOPS", "known"], rows
