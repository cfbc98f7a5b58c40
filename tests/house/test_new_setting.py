"""A setting is added by one definition beside its field: every reader has it.

The test follows what a newcomer does, in a copy of the program: two fields more in
`fleet/model/settings.py`, and the schema for editors written anew. Nothing else is edited.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.comparability import ENVIRONMENT_FACTS
from fleet.comparability import SETTINGS as COMPARED
from fleet.compare.explanations import LIMITS, SETUP
from fleet.engines.embedded.engine import LOAD_OPTIONS, REQUEST_OPTIONS
from fleet.model.settings import SETTINGS, settings_of
from fleet.query.views import columns_of
from fleet.readers.environment import changes_speed
from fleet.store.schema import TABLES
from tests.builders_flow import Fleet, experiment, machine

ROOT = Path(__file__).resolve().parents[2]
LAST = '    """LLAMA_ARG_FIT_TARGET: MiB to leave free on each GPU."""\n'
NEW = '''\
    top_k: Annotated[Axis[Count] | None, request_option("candidates per token")] = None
    """How many tokens are candidates for the next one."""
    sched_spread: Annotated[
        Axis[bool] | None, environment("OLLAMA_SCHED_SPREAD", "spread", owners_set_it=True)
    ] = None
    """OLLAMA_SCHED_SPREAD: one model over all GPUs."""
'''
READ = """
import json
from fleet.comparability import ENVIRONMENT_FACTS, FACTS
from fleet.config.overrides import given_settings
from fleet.engines.ollama.client import request_body
from fleet.model.settings import variables_of
from fleet.plan.expand import expand
from fleet.plan.refusals.limits import refused_settings
from fleet.readers.environment import is_listed
from fleet.query.views import columns_of
from fleet.runner.sending import RequestPlan, build_ask, load_options
from tests.builders_plan import machine, request

settings = given_settings(["top_k=20,40", "sched_spread=true"])
plan = expand(request(settings={"top_k": 20, "sched_spread": True}), [machine()])
(trial, *_) = plan.trials()
plain = expand(request(), [machine()])
question = RequestPlan(point="p", prompt="p", nonce="n", output_tokens=1)
print(json.dumps({
    "override": settings,
    "body": request_body(build_ask(trial, question, None))["options"],
    "load": load_options(trial.settings),
    "variables": variables_of(trial.settings),
    "kept": is_listed("OLLAMA_SCHED_SPREAD"),
    "fact": [FACTS["top_k"].words, FACTS["top_k"].standing, ENVIRONMENT_FACTS["sched_spread"]],
    "refusals": list(refused_settings([trial.settings], [machine()])),
    "columns": {name: columns_of("trials").get(name) for name in ("top_k", "sched_spread")},
    "ids": [trial.trial_id for trial in plain.trials()],
}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program with two settings more."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("fleet", "configs", "jobs", "tests"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "expected")
        )
    table = folder / "fleet" / "model" / "settings.py"
    text = table.read_text()
    assert text.count(LAST) == 1
    table.write_text(text.replace(LAST, LAST + NEW))
    return folder


@pytest.fixture(scope="module")
def run(copy: Path) -> Callable[..., str]:
    def run(*words: str) -> str:
        """Run Python in the copy, and return what it prints."""
        done = subprocess.run(
            [sys.executable, *words], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def read(run: Callable[..., str]) -> dict[str, Any]:
    """What the readers in the copy make of the new settings."""
    known: dict[str, Any] = json.loads(run("-c", READ))
    return known


def test_an_override_and_a_plan_have_the_new_setting(read: dict[str, Any]) -> None:
    assert read["override"] == {"top_k": [20, 40], "sched_spread": True}
    assert read["refusals"] == [
        "settings.sched_spread cannot be set on studio-96: "
        "this worker does not say that it can change it"
    ]


def test_engines_get_the_new_setting(read: dict[str, Any]) -> None:
    assert read["body"]["top_k"] == 20
    assert "sched_spread" not in read["body"]
    assert "top_k" not in read["load"]
    assert read["variables"] == {"OLLAMA_SCHED_SPREAD": "1"}
    assert read["kept"] is True


def test_the_table_of_what_may_differ_has_the_new_setting(read: dict[str, Any]) -> None:
    assert read["fact"] == ["candidates per token", "refused", "OLLAMA_SCHED_SPREAD"]


def test_a_store_that_an_older_fleet_wrote_has_the_new_columns_too(read: dict[str, Any]) -> None:
    assert read["columns"] == {"top_k": "bigint", "sched_spread": "boolean"}


def test_trials_that_do_not_set_it_keep_their_ids(read: dict[str, Any]) -> None:
    from fleet.plan.expand import expand
    from tests.builders_plan import machine, request

    assert read["ids"] == [trial.trial_id for trial in expand(request(), [machine()]).trials()]


def test_the_schema_and_the_page_have_the_new_setting(run: Callable[..., str], copy: Path) -> None:
    run("-m", "fleet", "config", "schema", "--write", "configs")
    written = json.loads((copy / "configs" / "fleet.schema.json").read_text())
    described = written["$defs"]["Settings"]["properties"]["top_k"]["description"]
    assert described == "How many tokens are candidates for the next one."
    page = run("tests/house/settings_page.py")
    assert "| `top_k` | whole number from 1 | not sent | option of each request |" in page
    assert "`OLLAMA_SCHED_SPREAD` of an engine that is started for the trial" in page


def test_the_new_setting_is_measured_stored_and_compared(copy: Path, fleet: Fleet) -> None:
    env = {"PYTHONPATH": str(copy)}
    settings = {"num_ctx": 1024, "top_k": [20, 40], "sched_spread": True}
    file = fleet.write(experiment({"alpha": machine()}, settings=settings))
    fleet("submit", file, env=env)
    plain = "num_ctx=1024 num_batch=512 temperature=0.0 repeat_penalty=1.0"
    assert fleet.rows("select distinct top_k, sched_spread, settings from trials order by 1") == [
        {"top_k": k, "sched_spread": True, "settings": f"{plain} top_k={k} sched_spread=True"}
        for k in (20, 40)
    ]
    asked = "select distinct typeof(top_k) as k, typeof(sched_spread) as s from trials"
    assert fleet("sql", asked, "--json", env=env).json() == [{"k": "BIGINT", "s": "BOOLEAN"}]
    sides = fleet("compare", "--by", "top_k", "--json", env=env).json()
    assert {line["side"] for group in sides["groups"] for line in group["lines"]} == {"20", "40"}


def test_every_list_of_settings_is_that_of_the_table() -> None:
    assert [*COMPARED] == [*sorted(SETTINGS, key=_as_compared), "think"]
    assert set(ENVIRONMENT_FACTS.values()) <= {s.variable for s in settings_of("environment")}
    assert {*LIMITS, *(name for name, _ in SETUP)} & {*COMPARED} <= {*SETTINGS}
    assert all(changes_speed(setting.variable) for setting in settings_of("environment"))
    types = {"integer": "int64", "real": "double", "boolean": "bool", "text": "string"}
    for name, setting in SETTINGS.items():
        assert str(TABLES["trials"].field(name).type) == types[setting.column]
        assert name in columns_of("trials")


def _as_compared(name: str) -> int:
    kinds = ("load option", "request option", "system", "environment", "program")
    return kinds.index(SETTINGS[name].kind)


def test_the_embedded_engine_has_every_option_that_works_on_it() -> None:
    works = {name for name, setting in SETTINGS.items() if "embedded" in setting.runners}
    assert works == (LOAD_OPTIONS | {*REQUEST_OPTIONS}) & {*SETTINGS}


def test_the_page_of_settings_is_the_one_that_is_made_from_the_table() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "house" / "settings_page.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "docs" / "reference" / "settings.md").read_text()
