"""The control of an experiment: an A/A pair of its baseline cells in each block; pure.

Only chance differs between the two sides of a pair, so that they show the noise of the machine in
the very hours in which the other cells were measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet.model.experiment import Experiment, Request
from fleet.model.settings import SETTINGS
from fleet.plan.refusals.unfit import Shape

LEAST_BLOCKS = 5
"""Fewer blocks give no noise floor."""


def wanted(request: Request) -> bool:
    """Tell whether the experiment has a control; a noise run has none."""
    return request.role == "measure" and request.experiment.control == "on"


def baseline_shapes(experiment: Experiment, shapes: Sequence[Shape]) -> list[Shape]:
    """Return, for each model and job, the cell that the others are compared with."""
    first: dict[tuple[str, str], Shape] = {}
    for shape in sorted(shapes, key=lambda each: not _is_baseline(experiment, each)):
        first.setdefault((shape.model, shape.job.name), shape)
    return list(first.values())


def _is_baseline(experiment: Experiment, shape: Shape) -> bool:
    """Tell whether the experiment names this cell as its baseline."""
    axes = experiment.settings.axes()
    axis = experiment.compare_by or (axes[0] if axes else "")
    if axis not in SETTINGS or experiment.baseline is None:
        return False
    return str(shape.settings.get(axis)).casefold() == experiment.baseline.casefold()
