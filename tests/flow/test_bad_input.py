"""What people get wrong: one clear message each, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.config.reading import load_request
from fleet.config.shipped import find_experiment
from tests.builders_flow import Done, Fleet, experiment, machine

CLOSED = "127.0.0.1:9"
FILE_LIMIT_BYTES = 96 * 1024
"""Small enough to stop the ledger's log in the middle of a run."""

LIMITED = (
    sys.executable,
    "-c",
    "import os, resource, sys\n"
    f"resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_LIMIT_BYTES}, {FILE_LIMIT_BYTES}))\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)

GOOD = json.dumps(experiment({"alpha": machine(), "beta": machine(memory_gb=128)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    says: tuple[str, ...]
    content: bytes | None = None
    """Of the experiment's file; None: the good one."""
    words: tuple[str, ...] = ("submit", "configs/bad.yaml")
    code: int = 2


def changed(before: str, after: str) -> bytes:
    assert before in GOOD
    return GOOD.replace(before, after).encode()


BAD: Mapping[str, Bad] = {
    "version": Bad(
        content=changed('"version": 1', '"version": 2'),
        says=("configs/bad.yaml:1:13: version: this program reads version 1, not 2",),
    ),
    "unknown key": Bad(
        content=changed('"repeats"', '"repeat"'), says=("unknown key (did you mean repeats?)",)
    ),
    "duplicate key": Bad(
        content=changed('"repeats": 2', '"repeats": 2, "repeats": 3'),
        says=("repeats: stands here a second time, first in line 1",),
    ),
    "several mistakes at once": Bad(
        content=changed('"version": 1', '"version": 1, "sed": 1, "jbs": 2'),
        says=("sed: unknown key", "jbs: unknown key"),
    ),
    "empty": Bad(content=b"", says=("configs/bad.yaml:1:1: the file is empty",)),
    "binary": Bad(content=bytes(range(256)) * 8, says=("configs/bad.yaml", "binary file")),
    "no such file": Bad(words=("submit", "configs/badd.yaml"), says=("badd.yaml", "no such file")),
    "no such job": Bad(
        content=changed('["exact"]', '["exect"]'),
        says=("jobs: no job named 'exect' (did you mean exact?)",),
    ),
    "nobody matches": Bad(
        content=changed('"version": 1', '"version": 1, "machines": {"memory_gb": ">=192"}'),
        says=("machines.memory_gb: no machine has >= 192; the nearest is beta with 128",),
    ),
    "unknown model, simulated": Bad(
        content=changed('["tiny"]', '["tinny"]'),
        says=("alpha is left out: pulling tinny", "beta is left out", "nothing was measured"),
    ),
    "unknown model, embedded": Bad(
        words=("submit", "nonsuch", "--engine", "embedded"),
        says=("nonsuch is not in", "the embedded engine makes tiny-gpt-oss and tiny-llama"),
    ),
    "no Ollama": Bad(
        words=("submit", "tiny"), code=3, says=(f"no Ollama answers at http://{CLOSED}", "serve")
    ),
    "no time of day": Bad(
        words=("submit", "configs/bad.yaml", "--until", "25:99"),
        says=("'25:99' is no time of day like 07:00",),
    ),
    "only what": Bad(
        words=("submit", "configs/bad.yaml", "--only", "nonsense"),
        says=("--only: 'nonsense' is not understood", "--only machine="),
    ),
    "only whom": Bad(
        words=("submit", "configs/bad.yaml", "--only", "machine=alpa"),
        says=("no such machine (did you mean alpha?)",),
    ),
    "a file and a model": Bad(
        words=("submit", "configs/bad.yaml", "tiny"), says=("cannot be combined",)
    ),
    "no results yet": Bad(
        words=("results", "--store", "nowhere"), says=("nowhere/results: no results here",)
    ),
    "unknown command": Bad(
        words=("submitt", "tiny"),
        says=("No such command 'submitt'", "'submit'?\n", "fleet --help\n"),
    ),
    "unknown option": Bad(
        words=("results", "--nosuch"),
        says=("No such option: --nosuch\n", "fleet results --help"),
    ),
    "nothing named": Bad(words=("show",), says=("Missing argument 'trial'\n", "fleet show --help")),
    "not one of several": Bad(
        words=("results", "--format", "xml"),
        says=("Invalid value for '--format': 'xml' is not one of", "fleet results --help"),
    ),
    "never submitted": Bad(words=("status", "demo"), says=("demo was never submitted here",)),
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    yield Fleet(tmp_path)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_one_clear_message(fleet: Fleet, bad: Bad) -> None:
    file = fleet.folder / "configs" / "bad.yaml"
    file.write_bytes(GOOD.encode() if bad.content is None else bad.content)
    done = fleet(*bad.words, code=bad.code, env={"OLLAMA_HOST": CLOSED})
    assert done.out == ""
    for text in bad.says:
        assert done.err.count(text) == 1, done.err
    assert fleet.parquet() == []
    for status in fleet("status", "--json").json():
        assert (status["outcome"], status["alive"]) == ("failed", False)
        assert status["reason"], "what was refused is in the ledger, with the reason"
        assert (status["account"]["done"], status["account"]["waiting"]) == (0, 0)
    assert fleet.processes() == []


@pytest.mark.parametrize("words", [("submit", "tiny"), ("status",), ("noise", "tiny")])
def test_a_command_of_one_home_says_how_that_is_named(fleet: Fleet, words: tuple[str, ...]) -> None:
    done = fleet(*words, "--store", "other", code=2)
    assert done.err.splitlines() == [
        f"--store names homes to read results from; fleet {words[0]} works in one home",
        f"  fleet {' '.join(words)} --home other",
    ]
    assert not fleet.store.exists()


def test_a_file_where_the_store_should_be(fleet: Fleet) -> None:
    fleet.write(experiment({"alpha": machine()}))
    fleet.store.write_text("not a folder")
    done = fleet("submit", "configs/demo.yaml", code=2)
    assert f"{fleet.store} is a file, not a folder" in done.err
    assert "--home" in done.err
    assert fleet.store.read_text() == "not a folder"
    assert fleet.processes() == []


def test_a_home_that_does_not_exist(fleet: Fleet) -> None:
    fleet.write(experiment({"alpha": machine()}))
    assert "alpha" in fleet("plan", "configs/demo.yaml", env={"HOME": "/nonexistent"}).out


def test_a_full_disk_loses_nothing(fleet: Fleet) -> None:
    fleet.write(experiment({"alpha": machine(), "beta": machine(memory_gb=128)}))
    done = fleet("submit", "configs/demo.yaml", before=LIMITED, code=2)
    assert "cannot be written" in done.err
    assert "df -h" in done.err
    kept = fleet.rows("select trial_id from trials")
    assert 0 < len(kept) < 4, "the limit no longer stops it in the middle"
    rest = fleet("submit", "configs/demo.yaml")
    assert re.search(rf"\b{len(kept)} trials? (is|are) finished already", rest.err)
    _each_trial_once(fleet, 4)


def _each_trial_once(fleet: Fleet, trials: int) -> None:
    query = "select count(*) as n, count(distinct trial_id) as ids from trials"
    assert fleet.rows(query) == [{"n": trials, "ids": trials}]


@pytest.fixture
def damaged(measured: Fleet, tmp_path: Path) -> Fleet:
    return measured.copied_to(tmp_path)


@pytest.mark.parametrize("how", ["truncated", "foreign"])
def test_a_broken_file_in_the_store_is_named(damaged: Fleet, how: str) -> None:
    trials = damaged.store / "results" / "current" / "trials"
    broken = next(trials.glob("trial-*.parquet")) if how == "truncated" else trials / "x.parquet"
    if how == "truncated":
        os.truncate(broken, 500)
    else:
        broken.write_bytes(b"a,b\n1,2\n")
    for words in (("results",), ("submit", "configs/demo.yaml")):
        done = damaged(*words, code=2)
        assert broken.name in done.err
        assert "fleet store repair" in done.err
        assert done.out == ""
    assert f"trials/{broken.name}" in damaged("store", "repair").out
    if how == "truncated":
        assert (
            "3 trials are finished already, 1 to go" in damaged("submit", "configs/demo.yaml").err
        )


def test_a_setting_that_the_machine_does_not_allow_is_planned_and_refused(fleet: Fleet) -> None:
    shipped = find_experiment("wired-limit")
    assert shipped is not None
    wired = load_request(shipped).experiment.model_dump(mode="json", exclude_unset=True)
    mac = machine(os="darwin", os_version="15.6", models={wired["models"][0]: {**SLOW}})
    fleet.write({**wired, "engine": {"kind": "simulated", "machines": {"studio": mac}}}, "wired")
    plan: Done = fleet("plan", "configs/wired.yaml", code=2)
    assert "wired_limit_mb=81920" in plan.out
    assert "refused: settings.wired_limit_mb cannot be set on studio: fleet may not" in plan.out
    done = fleet("submit", "configs/wired.yaml", code=2)
    assert "wired_limit_mb" in done.err.splitlines()[-1]
    assert fleet.parquet() == []


SLOW = {"prefill_tokens_per_s": 900, "decode_tokens_per_s": 70}
