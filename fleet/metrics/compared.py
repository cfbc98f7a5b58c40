"""The metrics that can be compared, by the name that `fleet compare --metric` takes."""

from __future__ import annotations

from fleet.metrics.dictionary import METRICS
from fleet.metrics.energy_dictionary import ENERGY
from fleet.metrics.metric import Metric
from fleet.names import known

COMPARED = {metric.name: metric for metric in (*METRICS, *ENERGY) if metric.name}


def check_metric(name: str) -> Metric:
    """Return the metric of this name. Raises UnknownName."""
    return COMPARED[known(name, COMPARED, "metric", "what each number means: fleet metrics")]


def is_energy(name: str) -> bool:
    """Return whether a metric needs the readings of energy; a name that is none does not."""
    return name in COMPARED and COMPARED[name].of_energy
