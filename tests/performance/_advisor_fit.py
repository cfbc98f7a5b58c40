"""Fits the constants of speed to measured rows: once on all, and on all but one group at a time.

The time of a row is a sum of constants times known terms. The fit finds positive constants that
make the logarithm of measured over expected time small: errors count by their size, not by its
square, so that single machines with a fault do not pull the rest. A weak pull towards values that
any such machine has (`*_USUAL`) settles what few rows cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from _advisor_rows import Speed

from fleet.advisor.decode import decode_terms
from fleet.advisor.machines_kind import SpeedClass
from fleet.advisor.prefill import prefill_terms
from fleet.advisor.work import DecodeWork, PrefillWork

Constants = dict[str, float]

SMOOTH = 0.05
PULL = 0.1

DECODE_USUAL: Constants = {
    "weights": 1.1,
    "cache": 1.5,
    "latent": 1.0,
    "layers": 0.9,
    "experts": 1.0,
}
DECODE_OF: dict[SpeedClass, Constants] = {
    SpeedClass.METAL: {"weights": 0.9, "cores": 6.0, "layers_before": 0.5, "k_quants": 2.0,
                       "old": 1.0},
    SpeedClass.METAL_M5: {
        "weights": 0.9, "cores": 6.0, "cache": 1.7, "layers": 1.1, "experts": 2.0, "k_quants": 5.0,
        "layers_before": 0.3,
    },
    SpeedClass.CUDA: {"layers_before": 0.1, "old": 5.0},
    SpeedClass.VULKAN_SHARED: {"bf16_experts": 1.5},
}  # fmt: skip
PREFILL_USUAL: Constants = {
    "dense": 1.6,
    "mixture": 2.0,
    "attention": 2.0,
    "weights": 1.0,
    "layers": 1.5,
}
PREFILL_OF: dict[SpeedClass, Constants] = {
    SpeedClass.METAL: {"k_quants": 0.2, "old": 0.1},
    SpeedClass.METAL_M5: {"dense": 0.5, "mixture": 0.6, "k_quants": 0.4, "weights": 0.4},
    SpeedClass.CUDA: {"mixture": 8.0, "k_quants": 1.0},
    SpeedClass.GB10: {"k_quants": 1.0, "mixture": 2.0},
    SpeedClass.ROCM_SHARED: {"bf16": 1.0, "cache": 1.5, "attention": 7.0},
    SpeedClass.VULKAN_SHARED: {"bf16": 4.0, "cache": 6.0, "attention": 5.0},
}


def usual(metric: str, kind: SpeedClass) -> Constants:
    """The constants that a class has, each with the value that it is pulled towards."""
    if metric == "decode":
        return {**DECODE_USUAL, **DECODE_OF.get(kind, {})}
    return {**PREFILL_USUAL, **PREFILL_OF.get(kind, {})}


def terms(speed: Speed) -> Mapping[str, float]:
    if isinstance(speed.work, DecodeWork):
        return decode_terms(speed.work, speed.muscle)
    assert isinstance(speed.work, PrefillWork)
    return prefill_terms(speed.work, speed.muscle)


def fit(speeds: Sequence[Speed], towards: Constants) -> Constants:
    """The constants that fit these rows; those of `towards` where there is no row."""
    names = list(towards)
    centre = np.log([towards[name] for name in names])
    if not speeds:
        return dict(towards)
    rows = [terms(speed) for speed in speeds]
    matrix = np.array([[row[name] for name in names] for row in rows])
    seconds = np.array([speed.seconds for speed in speeds])
    logs = _descend(matrix, seconds, centre)
    return dict(zip(names, np.exp(logs).tolist(), strict=True))


def _descend(matrix: np.ndarray, seconds: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Gauss-Newton on the logarithms of the constants, damped until the loss falls."""
    at, damping = centre.copy(), 1e-2
    best = _loss(matrix, seconds, centre, at)
    for _ in range(300):
        constants = np.exp(at)
        expected = matrix @ constants
        error = np.log(seconds / expected)
        slope = -(matrix * constants) / expected[:, None]
        weight = 1 / np.sqrt(error**2 + SMOOTH**2)
        gradient = slope.T @ (weight * error) + 2 * PULL * (at - centre)
        curve = (slope.T * weight) @ slope + 2 * PULL * np.eye(len(at))
        step = np.linalg.solve(curve + damping * np.diag(np.diag(curve)), -gradient)
        trial = at + np.clip(step, -1, 1)
        loss = _loss(matrix, seconds, centre, trial)
        if loss < best:
            at, best, damping = trial, loss, max(damping / 3, 1e-6)
            if np.max(np.abs(step)) < 1e-7:
                break
        else:
            damping *= 4
            if damping > 1e8:
                break
    return at


def _loss(matrix: np.ndarray, seconds: np.ndarray, centre: np.ndarray, at: np.ndarray) -> float:
    error = np.log(seconds / (matrix @ np.exp(at)))
    return float(np.sum(np.sqrt(error**2 + SMOOTH**2)) + PULL * np.sum((at - centre) ** 2))


def expected(speed: Speed, constants: Constants) -> float:
    row = terms(speed)
    return sum(row[name] * value for name, value in constants.items())


def held_out(
    speeds: Sequence[Speed], towards: Constants, group: Callable[[Speed], str]
) -> list[tuple[Speed, float]]:
    """Each row with the time expected by constants that were fitted without its group."""
    result = []
    for name in sorted({group(speed) for speed in speeds}):
        constants = fit([speed for speed in speeds if group(speed) != name], towards)
        result += [(s, expected(s, constants)) for s in speeds if group(s) == name]
    return result
