"""Telemetry as an experiment asks for it, on its way into trials; and what it must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleet.config.reading import load_request
from fleet.errors import ConfigError
from fleet.model.experiment import Telemetry
from fleet.plan.expand import expand
from tests.builders_plan import CHAT, machine, model, request

TEXT = """\
version: 1
name: demo
models: [gpt-oss:20b]
jobs: [chat]
"""


def asked(tmp_path: Path, line: str) -> object:
    path = tmp_path / "demo.yaml"
    path.write_text(TEXT + line)
    return load_request(path).experiment.telemetry


def test_it_is_on_unless_turned_off(tmp_path: Path) -> None:
    assert asked(tmp_path, "") == Telemetry(power_s=0.2, state_s=1.0, idle_s=2.0)
    assert asked(tmp_path, "telemetry: off") == "off"
    assert asked(tmp_path, "telemetry: {power_s: 1, idle_s: 0}") == Telemetry(power_s=1, idle_s=0)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("telemetry: on", "telemetry: must be off or a mapping, not 'on'"),
        ("telemetry: {powers: 1}", "telemetry.powers: unknown key (did you mean power_s?)"),
        ("telemetry: {power_s: 0}", "telemetry.power_s: must be at least 0.05, not 0"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, line: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(tmp_path, line)
    assert wrong in str(caught.value)


def test_trials_carry_it_and_are_the_same_trials_without_it() -> None:
    found = {}
    for telemetry in ("off", {"power_s": 0.5}):
        wanted = request(jobs=[CHAT], models=["a"], repeats=1, telemetry=telemetry)
        plan = expand(wanted, [machine(models=[model("a")])])
        found[str(telemetry)] = {t.trial_id: t.telemetry for t in plan.trials()}
    off, on = found.values()
    assert off.keys() == on.keys()
    assert set(off.values()) == {None}
    assert {each.power_s for each in on.values() if each} == {0.5}


def test_no_library_of_a_maker_is_imported_before_it_is_looked_for() -> None:
    code = (
        "import sys\n"
        "from fleet.worker.node_worker import without_command_line_of_httpx\n"
        "without_command_line_of_httpx()\n"
        "from fleet.telemetry import amd, apple, host, nvidia, replay, sampler, simulated\n"
        "from fleet.model.experiment import Telemetry\n"
        "from fleet.wiring import real, simulated\n"
        "real.telemetry_probes(Telemetry())\n"
        "print(sorted({'pynvml', 'zeus_apple_silicon', 'duckdb', 'pyarrow', 'typer', 'rich'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
