"""Predicted against measured memory, row by row."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _advisor_rows import Row, Shapes, number, rows

from fleet.advisor.amounts import ZERO, exact
from fleet.advisor.compute import compute_bytes
from fleet.advisor.fit import Verdict, judge
from fleet.advisor.kv import cache_bytes, state_bytes
from fleet.advisor.limits import as_set
from fleet.advisor.need import CONTEXT_BYTES, Backend, Need, Part, need
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
    found = []
    for row, shape, setup in ground_truth(folder, shapes, MEASURED_KINDS):
        step = STEP_BYTES.get(row["precision"], 0.0)
        cache, states = number(row, "kv_bytes"), number(row, "recurrent_bytes")
        if cache:
            found.append(Compared(f"{row['model']} cache", cache_bytes(shape, setup), cache, step))
        if states:
            found.append(
                Compared(f"{row['model']} states", state_bytes(shape, setup), states, step)
            )
    return found


def logged_buffers(folder: Path, shapes: Shapes) -> list[Compared]:
    """Compute buffers that engines printed on one device, wholly offloaded, since 2024."""
    found = []
    for row, shape, setup in ground_truth(folder, shapes, ("load_log", "engine_log")):
        measured = number(row, "compute_gpu_bytes")
        if not measured or setup.devices > 1 or number(row, "weights_cpu_bytes") is None:
            continue
        if (number(row, "weights_cpu_bytes") or 0) > 0.2 * shape.weights.text_bytes:
            continue
        predicted = compute_bytes(shape, setup).value
        found.append(
            Compared(f"{row['model']} {row['num_ctx']}", predicted, measured, 0.0, row["backend"])
        )
    return found


def logged_weights(folder: Path, shapes: Shapes) -> list[Compared]:
    """Weights on the GPU that engines printed of models wholly offloaded."""
    found = []
    for row, shape, _ in ground_truth(folder, shapes, ("load_log",)):
        measured = number(row, "weights_gpu_bytes")
        if measured and number(row, "weights_cpu_bytes"):
            found.append(Compared(row["model"], float(shape.weights.gpu_bytes), measured))
    return found


def process_needs(folder: Path, shapes: Shapes) -> list[tuple[Row, Need, float]]:
    """Whole processes on cards: (row, need without the driver's part, measured)."""
    found = []
    for row, shape, setup in ground_truth(folder, shapes, ("process_vram",)):
        measured = number(row, "gpu_total_bytes")
        if measured:
            wanted = need(shape, setup, BACKENDS.get(row["backend"], "cuda"), offset=ZERO)
            found.append((row, wanted, measured))
    return found


def processes(folder: Path, shapes: Shapes, *, learned: bool) -> list[Compared]:
    """Process totals: with the driver's usual part, or with what the other rows of the same card
    say that this card adds."""
    known = process_needs(folder, shapes)
    usual = CONTEXT_BYTES["cuda"].value
    result = []
    for at, (row, wanted, measured) in enumerate(known):
        offset = usual
        if learned:
            others = [
                other_measured - other.gpu.value
                for place, (other_row, other, other_measured) in enumerate(known)
                if place != at and other_row["device"] == row["device"]
            ]
            if not others:
                continue
            offset = statistics.median(others)
        result.append(
            Compared(
                f"{row['model']} {row['num_ctx']}", wanted.gpu.value + offset, measured, 0.0,
                row["device"],
            )
        )  # fmt: skip
    return result


def listed(folder: Path, shapes: Shapes) -> list[Compared]:
    """What `ollama ps` printed as SIZE, within its printed digits."""
    found = []
    for row, shape, setup in ground_truth(folder, shapes, ("ollama_ps",)):
        measured = number(row, "total_bytes")
        if measured:
            wanted = need(shape, setup, "metal", offset=ZERO)
            step = STEP_BYTES.get(row["precision"], 0.0)
            found.append(Compared(row["model"], wanted.gpu.value, measured, step))
    return found


@dataclass(frozen=True)
class Verdicts:
    """How often the verdict agreed with what happened."""

    right: int = 0
    false_fits: int = 0
    refused: int = 0
    """Ran, although the verdict said that it does not fit."""
    undecided: int = 0
    cases: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return self.right + self.wrong + self.undecided

    @property
    def wrong(self) -> int:
        return self.false_fits + self.refused


def outcomes(folder: Path) -> list[Row]:
    """Loads with a known end; an estimate and a user's opinion are none."""
    return [
        row
        for row in rows(folder, "fit_outcomes.csv")
        if not row["outcome"].startswith(("user", "partial 10"))
    ]


def verdicts_of_rule(folder: Path) -> Verdicts:
    """The rule alone: the need as the row gives it, under the row's limit."""
    result = Verdicts()
    for row in outcomes(folder):
        required, limit = number(row, "required_bytes"), number(row, "limit_bytes")
        if required is None or limit is None:
            continue
        setup = Setup(context=256, devices=int(number(row, "n_devices") or 1))
        wanted = Need.of([Part("measured", "gpu", exact(required))], setup)
        result = _count(result, row, judge(wanted, as_set(limit / MIB)).verdict)
    return result


def verdicts_of_advisor(folder: Path, shapes: Shapes) -> Verdicts:
    """From the name of the model to the verdict, as a user gets it; rows that leave the context
    or the model open are undecided."""
    result = Verdicts()
    for row in outcomes(folder):
        limit = number(row, "limit_bytes")
        shape = shapes.find(row["model"].replace(" ", "-").lower(), quantization=row["quant"])
        context = number(row, "num_ctx")
        if shape is None or limit is None or context is None:
            result = _count(result, row, Verdict.UNKNOWN)
            continue
        verdict = judge(_need_of_outcome(row, shape, int(context)), as_set(limit / MIB)).verdict
        result = _count(result, row, verdict)
    return result


def _need_of_outcome(row: Row, shape: ModelShape, context: int) -> Need:
    """Rows from before 2025 ran without flash attention; those with a measured need had it on."""
    old = row["required_basis"].startswith(("formula, flash", "buffers"))
    metal = row["machine"].startswith(("M1", "M2", "M3", "M4", "M5", "Mac"))
    setup = Setup(
        context=context,
        flash_attention=not old,
        batch=512,
        devices=int(number(row, "n_devices") or 1),
        current=False,
        logits="batch" if old else "slots",
        runner=Runner.LLAMA_SERVER if old else Runner.OLLAMA_ENGINE,
    )
    return need(shape, setup, "metal" if metal else "cuda")


def _count(counts: Verdicts, row: Row, verdict: Verdict) -> Verdicts:
    ran = row["outcome"] == "gpu"
    case = (*counts.cases, f"{row['machine']} {row['model']} {row['quant']} {row['num_ctx']}: "
            f"{verdict.value}, was {row['outcome']}")  # fmt: skip
    if verdict in (Verdict.MAYBE, Verdict.UNKNOWN):
        return replace(counts, undecided=counts.undecided + 1, cases=case)
    says = verdict in (Verdict.FITS, Verdict.TIGHT)
    if says is ran:
        return replace(counts, right=counts.right + 1)
    if says:
        return replace(counts, false_fits=counts.false_fits + 1, cases=case)
    return replace(counts, refused=counts.refused + 1, cases=case)
