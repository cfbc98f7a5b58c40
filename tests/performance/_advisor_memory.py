"""Predicted against measured memory, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _advisor_rows import Row, Shapes, number, rows

from fleet.advisor.amounts import ZERO
from fleet.advisor.compute import compute_bytes
from fleet.advisor.kv import cache_bytes, state_bytes
from fleet.advisor.learning import Load, learned_offset
from fleet.advisor.need import CONTEXT_BYTES, Backend, Need, need
from fleet.advisor.recipes import scaled_to_file
from fleet.advisor.setup import CACHE_BYTES, Runner, Setup, of_version
from fleet.advisor.shape import ModelShape
from fleet.units import MIB

BACKENDS: dict[str, Backend] = {"Metal": "metal", "CUDA": "cuda", "ROCm": "rocm"}
STEP_BYTES = {"0.1GiB": 0.1 * 2**30, "0.1GB": 1e8, "1GB": 1e9}
"""What the last printed digit stands for."""
MEASURED_KINDS = ("load_log", "load_log_2023", "breakdown", "engine_log")


@dataclass(frozen=True)
class Compared:
    """One number predicted and measured."""

    what: str
    predicted: float
    measured: float
    step: float = 0.0
    """The printed step: half of it is no error."""
    group: str = ""

    @property
    def error(self) -> float:
        beyond = max(abs(self.predicted - self.measured) - self.step / 2, 0.0)
        return beyond / self.measured


def sweep(folder: Path, shapes: Shapes) -> Iterator[tuple[Row, ModelShape, Setup]]:
    """Every allocation of the sweep whose model is known."""
    for row in rows(folder, "memory_engine_sweep.csv"):
        shape = shapes.find(row["model"])
        if shape is None:
            continue
        yield (
            row,
            shape,
            Setup(
                context=int(row["n_ctx_per_seq"]),
                slots=int(row["parallel"]),
                cache_type=row["kv_type"],
                flash_attention=row["flash_attention"] == "on",
                batch=int(row["n_ubatch"]),
                logits="slots" if row["outputs_reserved"] == "n_parallel" else "batch",
            ),
        )


def sweep_caches(folder: Path, shapes: Shapes) -> list[Compared]:
    """The sweep prints whole MiB."""
    return [
        Compared(
            f"{row['model']} {row['n_ctx_per_seq']}",
            cache_bytes(shape, setup) + state_bytes(shape, setup),
            float(row["device_context_mib"]) * MIB,
            2 * MIB,
            row["model"],
        )
        for row, shape, setup in sweep(folder, shapes)
    ]


def sweep_buffers(folder: Path, shapes: Shapes) -> list[Compared]:
    return [
        Compared(
            f"{row['model']} {row['n_ctx_per_seq']} {row['flash_attention']}",
            compute_bytes(shape, setup).value,
            float(row["device_compute_mib"]) * MIB,
            0.0,
            f"flash attention {row['flash_attention']}",
        )
        for row, shape, setup in sweep(folder, shapes)
    ]


def setup_of(row: Row) -> Setup | None:
    """The setup that a row of the ground truth tells; None where its context is unknown."""
    context = number(row, "num_ctx")
    if not context or row["kv_type"] not in CACHE_BYTES:
        return None
    slots = int(number(row, "parallel") or 1)
    shared = slots > 1 and row["engine"] == "llama.cpp"
    flash = {"on": True, "off": False}.get(row["flash_attention"])
    setup = Setup(
        context=int(context) // (slots if shared else 1),
        slots=slots,
        unified=shared,
        cache_type=row["kv_type"],
        flash_attention=flash,
        batch=int(number(row, "n_ubatch") or 512),
        devices=int(number(row, "n_devices") or 1),
    )
    return _built(setup, row["engine"], row["engine_version"])


def _built(setup: Setup, engine: str, version: str) -> Setup:
    """Rows name builds by number, by month, or not at all; the old ones are those without."""
    if engine == "ollama":
        if re.match(r"v?\d+\.\d+", version) and not version.startswith("20"):
            return of_version(setup, "ollama", version)
        before = not version or version[:7] < "2026-05"
        own = replace(setup, runner=Runner.OLLAMA_ENGINE, current=False, logits="slots")
        return own if before else replace(setup, current=True)
    if version.startswith("20"):
        return replace(setup, current=version >= "2026", logits="batch")
    if version:
        return of_version(setup, "llama.cpp", version)
    return replace(setup, current=False, logits="batch")


def ground_truth(
    folder: Path, shapes: Shapes, kinds: Sequence[str]
) -> Iterator[tuple[Row, ModelShape, Setup]]:
    for row in rows(folder, "memory_ground_truth.csv"):
        if row["kind"] not in kinds:
            continue
        shape = shapes.find(row["model"], row["model_key"], quantization=row["quant"])
        setup = setup_of(row)
        if shape is None or setup is None:
            continue
        file_bytes = number(row, "model_file_bytes")
        if file_bytes:
            other = shape.weights.projector_bytes
            weights = scaled_to_file(shape.weights, int(file_bytes), other)
            shape = replace(shape, weights=weights)
        yield row, shape, setup.capped(shape.trained_context)


def logged_caches(folder: Path, shapes: Shapes) -> list[Compared]:
    """Caches and states that engines printed."""
    results = []
    for row, shape, setup in ground_truth(folder, shapes, MEASURED_KINDS):
        step = STEP_BYTES.get(row["precision"], 0.0)
        cache, states = number(row, "kv_bytes"), number(row, "recurrent_bytes")
        if cache:
            results.append(
                Compared(f"{row['model']} cache", cache_bytes(shape, setup), cache, step)
            )
        if states:
            results.append(
                Compared(f"{row['model']} states", state_bytes(shape, setup), states, step)
            )
    return results


def logged_buffers(folder: Path, shapes: Shapes) -> list[Compared]:
    """Compute buffers that engines printed on one device, wholly offloaded, since 2024."""
    results = []
    for row, shape, setup in ground_truth(folder, shapes, ("load_log", "engine_log")):
        measured = number(row, "compute_gpu_bytes")
        if not measured or setup.devices > 1 or number(row, "weights_cpu_bytes") is None:
            continue
        if (number(row, "weights_cpu_bytes") or 0) > 0.2 * shape.weights.text_bytes:
            continue
        predicted = compute_bytes(shape, setup).value
        results.append(
            Compared(f"{row['model']} {row['num_ctx']}", predicted, measured, 0.0, row["backend"])
        )
    return results


def logged_weights(folder: Path, shapes: Shapes) -> list[Compared]:
    """Weights on the GPU that engines printed of models wholly offloaded."""
    results = []
    for row, shape, _ in ground_truth(folder, shapes, ("load_log",)):
        measured = number(row, "weights_gpu_bytes")
        if measured and number(row, "weights_cpu_bytes"):
            results.append(Compared(row["model"], float(shape.weights.gpu_bytes), measured))
    return results


def process_needs(folder: Path, shapes: Shapes) -> list[tuple[Row, Need, float]]:
    """Whole processes on cards: (row, need without the driver's part, measured)."""
    results = []
    for row, shape, setup in ground_truth(folder, shapes, ("process_vram",)):
        measured = number(row, "gpu_total_bytes")
        if measured:
            demand = need(shape, setup, BACKENDS.get(row["backend"], "cuda"), offset=ZERO)
            results.append((row, demand, measured))
    return results


def processes(folder: Path, shapes: Shapes, *, learned: bool) -> list[Compared]:
    """Process totals: with the driver's usual part, or with what the other rows of the same card
    say that this card adds."""
    needs = process_needs(folder, shapes)
    usual = CONTEXT_BYTES["cuda"].value
    result = []
    for at, (row, demand, measured) in enumerate(needs):
        offset = usual
        if learned:
            others = [
                Load(other.gpu.value, other_measured)
                for place, (other_row, other, other_measured) in enumerate(needs)
                if place != at and other_row["device"] == row["device"]
            ]
            own = learned_offset(others)
            if own is None:
                continue
            offset = own.value
        result.append(
            Compared(
                f"{row['model']} {row['num_ctx']}", demand.gpu.value + offset, measured, 0.0,
                row["device"],
            )
        )  # fmt: skip
    return result


def ps_sizes(folder: Path, shapes: Shapes) -> list[Compared]:
    """What `ollama ps` printed as SIZE, within its printed digits."""
    results = []
    for row, shape, setup in ground_truth(folder, shapes, ("ollama_ps",)):
        measured = number(row, "total_bytes")
        if measured:
            demand = need(shape, setup, "metal", offset=ZERO)
            step = STEP_BYTES.get(row["precision"], 0.0)
            results.append(Compared(row["model"], demand.gpu.value, measured, step))
    return results
