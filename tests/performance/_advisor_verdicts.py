"""Verdicts against loads whose end is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from _advisor_rows import Row, Shapes, number, rows

from fleet.advisor.amounts import exact
from fleet.advisor.fit import Verdict, judge
from fleet.advisor.limits import as_set
from fleet.advisor.need import Need, Part, need
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.units import MIB


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
        demand = Need.of([Part("measured", "gpu", exact(required))], setup)
        result = _count(result, row, judge(demand, as_set(limit / MIB)).verdict)
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
