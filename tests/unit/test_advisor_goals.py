"""The advisor's goals on measured rows, where a folder of them lies beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "performance" / "advisor.py"
DATA = ROOT.parent.parent / "shared" / "data"
ABSENT = f"no measured rows here: {DATA} is absent"
FILES = ("memory_engine_sweep.csv", "memory_ground_truth.csv", "fit_outcomes.csv",
         "speed_ground_truth.csv")  # fmt: skip


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *words], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not (DATA / FILES[0]).is_file(), reason=ABSENT)
def test_every_goal_is_met_on_the_measured_rows() -> None:
    done = run("--data", str(DATA), "--brief")
    assert done.returncode == 0, done.stdout
    goals = [line for line in done.stdout.splitlines() if "| <= " in line or "85 to 95" in line]
    assert len(goals) >= 20
    assert all(line.rstrip().endswith("| yes |") for line in goals), done.stdout


@pytest.mark.skipif(not (DATA / FILES[0]).is_file(), reason=ABSENT)
def test_a_missed_goal_is_an_exit_code(tmp_path: Path) -> None:
    """The same rows with every rate halved: the speeds are missed, and named."""
    for name in FILES:
        lines = (DATA / name).read_text().splitlines()
        if name == "speed_ground_truth.csv":
            at = lines[0].split(",").index("tokens_per_second")
            lines = [lines[0], *(halved(line, at) for line in lines[1:])]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    done = run("--data", str(tmp_path), "--brief")
    assert done.returncode == 1
    assert "missed: decode, metal" in done.stdout


def halved(line: str, at: int) -> str:
    cells = line.split(",")
    cells[at] = str(float(cells[at]) / 2)
    return ",".join(cells)


def test_a_folder_without_rows_says_so(tmp_path: Path) -> None:
    done = run("--data", str(tmp_path))
    assert "no rows" in done.stdout
    assert "Traceback" not in done.stderr
    assert run("--data", str(tmp_path / "absent")).returncode == 2
