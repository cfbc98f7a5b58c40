"""The A/A control of an experiment: its baseline cells twice more in each block; pure.

Nothing differs between the two but chance, so they tell how far the machine was from itself in the
very hours in which the other cells were measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet.model.experiment import Experiment, Request
from fleet.model.settings import SETTINGS
from fleet.plan.refusals.unfit import Shape

LEAST_BLOCKS = 5
"""From fewer no noise floor is taken."""


def wanted(request: Request) -> bool:
    """A run that is all control needs none."""
    return request.role == "measure" and request.experiment.control == "on"


def baseline_shapes(experiment: Experiment, shapes: Sequence[Shape]) -> list[Shape]:
    """Of each model and job the one cell that the others stand against."""
    first: dict[tuple[str, str], Shape] = {}
    for shape in sorted(shapes, key=lambda each: not _is_baseline(experiment, each)):
        first.setdefault((shape.model, shape.job.name), shape)
    return list(first.values())


def _is_baseline(experiment: Experiment, shape: Shape) -> bool:
    """By the name given; where none is, the first in the order written is the baseline."""
    axes = experiment.settings.axes()
    axis = experiment.compare_by or (axes[0] if axes else "")
    if axis not in SETTINGS or experiment.baseline is None:
        return False
    return str(shape.settings.get(axis)).casefold() == experiment.baseline.casefold()
