"""What may explain the ratio of two machines: memory, bandwidth or cores, on golden stores."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from fleet.compare.explanations import LEGEND
from fleet.compare.result import Comparison, Line
from fleet.query.open_store import open_store
from fleet.report.comparison_text import comparison_lines, comparison_markdown, to_json
from tests.builders_compare import START, GoldenStore, compare

M3_ULTRA = {"memory_bandwidth_gb_s": 800.0, "os_build": "24G84"}
M4_MAX = {
    "machine_id": "machine-max",
    "machine": "max-128",
    "hardware_id": "hardware-2",
    "chip": "Apple M4 Max",
    "gpu": "Apple M4 Max",
    "gpu_cores": 40,
    "memory_gb": 128,
    "memory_bandwidth_gb_s": 546.0,
    "gpu_limit_mb": 110100,
    "os_build": "25B78",
}
WOBBLE = (1.0, 1.01, 0.99, 1.005, 0.995)


def measured(
    folder: Path,
    decode: float = 0.69,
    prefill: float = 0.68,
    axis: str = "memory_gb",
    studio: dict[str, Any] | None = None,
    **other: Any,
) -> Comparison:
    """The M4 Max at these ratios to the M3 Ultra, five trials each."""
    store = GoldenStore()
    sides = ((1.0, 1.0, {**M3_ULTRA, **(studio or {})}), (decode, prefill, {**M4_MAX, **other}))
    for number, (of_decode, of_prefill, columns) in enumerate(sides):
        for block, factor in enumerate(WOBBLE):
            store.trial(
                f"{number}-{block}",
                decode=100 * of_decode * factor,
                prefill=1000 * of_prefill * factor,
                block=block,
                started_at=START + datetime.timedelta(minutes=block),
                **columns,
            )
    return compare(open_store([store.write(folder / "results")]), axis=axis)


def line(found: Comparison, metric: str = "decode") -> Line:
    [group] = [group for group in found.groups if group.metric == metric]
    return group.lines[1]


def words(found: Comparison, metric: str = "decode") -> str:
    told = line(found, metric).explanation
    assert told is not None
    return told.words


def test_decode_follows_the_bandwidths_and_prefill_the_cores(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert words(found) == (
        "consistent with bandwidth: 546 / 800 GB/s = 0.682 x, seen 0.69 x; "
        "GPU cores would too: 40 / 60 cores = 0.667 x, clocks not known"
    )
    assert words(found, "prefill") == (
        "consistent with GPU cores: 40 / 60 cores = 0.667 x, clocks not known, seen 0.68 x; "
        "bandwidth would too: 546 / 800 GB/s = 0.682 x"
    )
    assert found.footer[-1] == LEGEND


@pytest.mark.parametrize(
    ("ratio", "cores", "said"),
    [
        (0.91, 30, "neither bandwidth (0.682 x) nor GPU cores (0.5 x) explains 0.91 x"),
        (0.5, 30, "consistent with GPU cores: 30 / 60 cores = 0.5 x, clocks not known, "
                  "seen 0.5 x; not with bandwidth: 546 / 800 GB/s = 0.682 x"),
        (0.69, 30, "consistent with bandwidth: 546 / 800 GB/s = 0.682 x, seen 0.69 x"),
        (0.72, 30, "neither bandwidth (0.682 x) nor GPU cores (0.5 x) explains 0.72 x"),
        (0.71, 30, "consistent with bandwidth: 546 / 800 GB/s = 0.682 x, seen 0.71 x"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_not_taken(
    tmp_path: Path, ratio: float, cores: int, said: str
) -> None:
    """0.71 is within 5 % of 0.682, and 0.72 is not, interval and all."""
    assert words(measured(tmp_path, decode=ratio, gpu_cores=cores)) == said


def test_memory_explains_where_the_slower_one_ran_on_the_cpu(tmp_path: Path) -> None:
    found = measured(tmp_path, decode=1.5, studio={"placement_gpu_bytes": 910})
    assert words(found) == (
        "consistent with memory: 9.0 % of the model ran on the CPU of "
        "96 (Apple M3 Ultra, 60 GPU cores)"
    )
    told = line(found).explanation
    assert told is not None
    assert [(p.candidate, p.consistent) for p in told.predictions] == [
        ("memory", True),
        ("bandwidth", None),
        ("GPU cores", None),
    ]


def test_memory_does_not_explain_where_the_faster_one_ran_on_the_cpu(tmp_path: Path) -> None:
    found = measured(tmp_path, decode=0.5, studio={"placement_gpu_bytes": 910})
    assert words(found).startswith(
        "not explained by memory: 9.0 % of the model ran on the CPU of 96"
    )


def test_a_fact_that_is_not_known_predicts_nothing(tmp_path: Path) -> None:
    found = measured(tmp_path, decode=0.9, memory_bandwidth_gb_s=None)
    assert words(found) == (
        "GPU cores (0.667 x) does not explain 0.9 x; "
        "bandwidth: not known of 128 (Apple M4 Max, 40 GPU cores)"
    )
    nothing = measured(tmp_path / "none", memory_bandwidth_gb_s=None, gpu_cores=None)
    assert line(nothing).explanation is None
    assert LEGEND not in nothing.footer


def test_cores_of_two_makers_are_not_compared(tmp_path: Path) -> None:
    card = {"chip": "AMD Ryzen 9", "gpu": "NVIDIA GeForce RTX 4090"}
    found = measured(tmp_path, decode=0.9, axis="machine", **card)
    assert "GPU cores: of two makers" in words(found)


def test_only_machines_and_resolved_rates_are_explained(tmp_path: Path) -> None:
    by_build = measured(tmp_path, axis="os_build")
    assert line(by_build).explanation is None
    con = open_store([tmp_path / "results"])
    times = compare(con, axis="memory_gb", metrics=["ttft", "load"])
    assert {each.explanation for each in times.sides()} == {None}
    assert any(each.verdict in ("faster", "slower") for each in times.sides())


def test_everything_else_that_differs_is_listed(tmp_path: Path) -> None:
    [listed] = [r for r in line(measured(tmp_path)).reasons if r.startswith("also differs")]
    for part in (
        "chip Apple M4 Max / Apple M3 Ultra",
        "GPU cores 40 / 60",
        "memory bandwidth (GB/s) 546.0 / 800.0",
        "GPU limit (MiB) 110100 / 73728",
        "OS build 25B78 / 24G84",
    ):
        assert part in listed
    assert "GPU Apple" not in listed, "of a Mac the GPU is the chip"


def test_it_is_shown_in_text_markdown_and_json(tmp_path: Path) -> None:
    found = measured(tmp_path)
    text = comparison_lines(found)
    at = next(i for i, row in enumerate(text) if row.startswith("  128"))
    assert text[at + 1] == f"    {words(found, found.groups[0].metric)}"
    assert "consistent with bandwidth" in "\n".join(comparison_markdown(found))
    told: Any = json.loads(json.dumps(to_json(found)))
    for group in told["groups"]:
        assert group["lines"][1]["explanation"]["predictions"][1]["consistent"] is True


def test_a_model_that_does_not_fit_at_all_is_told(tmp_path: Path) -> None:
    store = GoldenStore()
    for number, columns in enumerate((M3_ULTRA, M4_MAX)):
        for block, factor in enumerate(WOBBLE):
            store.trial(f"{number}-{block}", decode=100 * factor, block=block, **columns)
    failed = {"outcome": "failed", "reason": "out_of_memory", "model": "big", "requests": []}
    for block in range(5):
        store.trial(f"big-{block}", block=block, **failed, **M3_ULTRA)
        store.trial(f"max-{block}", block=block, model="big", **M4_MAX)
    con = open_store([store.write(tmp_path / "results")])
    told = "big does not fit studio: 5 trials ended out of memory"
    assert told in compare(con, axis="machine").footer
    assert told in compare(con, axis="machine", experiment="golden").footer
