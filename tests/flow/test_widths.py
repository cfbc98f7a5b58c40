"""Every command at 80, 120 and 200 columns, with names as long as people have them."""

from __future__ import annotations

import csv
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from fleet.terminal import cells
from tests.builders_flow import Fleet, experiment, machine, model

CODER = "hf.co/unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:Q4_K_M"
NEXT = "hf.co/unsloth/Qwen3-Next-80B-A3B-Instruct-GGUF:Q4_K_M"
STUDIO, BOX = "mac-studio-in-the-basement", "box-with-two-gpus-upstairs"
COMMANDS: Sequence[Sequence[str]] = (
    ("results",),
    ("results", "--flagged"),
    ("compare", "--by", "machine"),
    ("compare", "--by", "model"),
    ("machines",),
    ("status",),
    ("answers",),
    ("metrics",),
    ("compare", "--classes"),
    ("plan", "configs/demo.yaml"),
    ("sql", "from cells"),
    ("results", "nonsuch"),
    ("submit", "--help"),
)
VERDICT = re.compile("\x1b\\[3[1236]m(slower|faster)\x1b\\[0m")


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    fleet = Fleet(tmp_path_factory.mktemp("long"))
    models = {CODER: model(), NEXT: model(decode_tokens_per_s=1_000)}
    half = {name: {**script, "decode_tokens_per_s": 500} for name, script in models.items()}
    machines = {
        STUDIO: machine(models=models, gpu="Apple M3 Ultra", gpu_cores=60),
        BOX: machine(models=half, chip="AMD Ryzen Threadripper PRO 7995WX", os_version="24.04"),
    }
    plain = experiment(machines, models=[CODER, NEXT], settings={"num_batch": [512, 64]})
    fleet("submit", fleet.write({**plain, "compare_by": "machine"}), code=0)
    return fleet


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_is_wider_than_the_terminal(
    long_names: Fleet, words: Sequence[str], width: int
) -> None:
    done = long_names(*words, code=None, env={"COLUMNS": str(width)})
    lines = (done.out + done.err).splitlines()
    assert lines
    assert [line for line in lines if cells(line) > width] == []


def test_names_that_are_cut_are_told_whole_below(long_names: Fleet) -> None:
    text = long_names("results", env={"COLUMNS": "80"}).out
    told = "".join(text[text.index("cut:") :].split())
    assert all(f"is{name}" in told for name in (CODER, NEXT))
    assert "left out: " in text
    lines = text.splitlines()  # a busy machine adds lines below on what it flagged
    rows = [line for line in lines if re.match(rf"({STUDIO}|{BOX}) +hf\S+  (pp512|tg128) ", line)]
    assert len(rows) == 16
    assert len({tuple(row.split()[:5]) for row in rows}) == 16


def test_64_stands_before_512(long_names: Fleet) -> None:
    settings = [row["settings"] for row in long_names("results", "--json").json()]
    batches = [int(re.findall(r"num_batch=(\d+)", text)[0]) for text in settings]
    assert batches == [64, 512] * (len(batches) // 2)


def test_results_are_one_table_to_paste(long_names: Fleet) -> None:
    markdown = long_names("results", "demo", "--format", "markdown").out.splitlines()
    assert sorted(line.split(":")[0] for line in markdown[:2]) == [BOX, STUDIO]
    assert any("96 GB" in line and "ollama" not in line for line in markdown[:2])
    table = [line for line in markdown if line.startswith("|")]
    assert len(table) == 2 + 16
    assert len({line.count("|") for line in table}) == 1
    text = long_names("results", "demo", "--format", "csv").out
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert sum("96 GB" in line for line in comments) == 2
    body = [line for line in text.splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(body))
    assert len(rows) == 16
    assert {row["model"] for row in rows} == {CODER, NEXT}


def on_a_terminal(fleet: Fleet, *words: str, **env: str) -> str:
    """What a terminal of 80 columns receives."""
    terminal, behind = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", *words],
        cwd=fleet.folder,
        env=fleet.environment(TERM="xterm-256color", COLUMNS="80", **env),
        stdin=subprocess.DEVNULL,
        stdout=behind,
        stderr=behind,
    )
    os.close(behind)
    received = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux, when nobody writes any more
            break
        if not part:
            break
        received += part
    process.wait()
    os.close(terminal)
    return received.decode()


def test_verdicts_have_a_colour_on_a_terminal_only(long_names: Fleet) -> None:
    words = ("compare", "--by", "machine")
    assert VERDICT.search(on_a_terminal(long_names, *words))
    assert "\x1b" not in on_a_terminal(long_names, *words, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(long_names, *words, "--format", "markdown")
    assert "\x1b" not in long_names(*words, code=None).out
