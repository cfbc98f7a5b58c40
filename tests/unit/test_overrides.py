"""`--set` and `--quick`: what a command line changes of an experiment."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.config.from_models import ModelWords, from_models
from fleet.config.overrides import given_settings, narrowed, quick_look
from fleet.config.reading import load_request
from fleet.errors import UserError
from fleet.model.experiment import Request, Telemetry
from fleet.model.settings import Settings
from fleet.plan.expand import expand
from tests.builders_plan import machine, model

FILE = """\
version: 1
name: x
models: [m]
jobs: [quickstart]
settings: {num_ctx: 4096, num_batch: [256, 512]}
compare_by: num_batch
baseline: "256"
control: "on"
canary: "on"
gates: strict
cool_down: {}
"""


@pytest.fixture
def written(tmp_path: Path) -> Request:
    path = tmp_path / "x.yaml"
    path.write_text(FILE)
    return load_request(path)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["num_ctx=4096"], {"num_ctx": 4096}),
        (["num_batch=512,2048"], {"num_batch": [512, 2048]}),
        (["num_ctx = 4096", "num_thread=2"], {"num_ctx": 4096, "num_thread": 2}),
        (["temperature=0.7"], {"temperature": 0.7}),
        (["wired_limit_mb=default,81920"], {"wired_limit_mb": ["default", 81920]}),
        (["flash_attention=true,false"], {"flash_attention": [True, False]}),
        (["kv_cache_type=q8_0"], {"kv_cache_type": "q8_0"}),
    ],
)
def test_settings_are_read_as_in_a_file(words: list[str], settings: dict[str, object]) -> None:
    assert given_settings(words) == settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["num_cxt=8192"], ["--set num_cxt: unknown setting (did you mean num_ctx?)"]),
        (["num_ctx"], ["--set num_ctx: must be NAME=VALUE or NAME=VALUE,VALUE"]),
        (["num_ctx="], ["--set num_ctx=: must be NAME=VALUE or NAME=VALUE,VALUE"]),
        (["=1"], ["--set =1: must be NAME=VALUE or NAME=VALUE,VALUE"]),
        (["num_ctx={1}"], ["--set num_ctx={1}: must be NAME=VALUE or NAME=VALUE,VALUE"]),
        (["num_ctx=100"], ["--set num_ctx: must be at least 256, not 100"]),
        (["num_ctx=0x10"], ["--set num_ctx: must be at least 256, not 0x10"]),
        (["num_ctx=big"], ["--set num_ctx: must be a whole number or a list, not 'big'"]),
        (
            ["num_ctx=1000"],
            ["--set num_ctx: must be a multiple of 256: engines round it up silently"],
        ),
        (["num_batch=8,8"], ["--set num_batch: a list needs at least one value, each only once"]),
        (
            ["num_batch=8", "num_batch=512"],
            ["--set num_batch: is given twice: write num_batch=8,512 to measure each"],
        ),
        (
            ["num_cxt=1", "num_ctx=7", "flash_attention=on"],
            [
                "--set num_cxt: unknown setting (did you mean num_ctx?)",
                "--set num_ctx: must be at least 256, not 7",
                "--set flash_attention: must be true, false or a list, not 'on'",
            ],
        ),
    ],
)
def test_every_mistake_is_told_at_once(words: list[str], said: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        given_settings(words)
    assert caught.value.what.splitlines() == said
    assert caught.value.hint.startswith("such as --set num_ctx=8192")


@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_words_are_settings_or_one_message(words: list[str]) -> None:
    with suppress(UserError):
        Settings.model_validate(given_settings(words))


def test_model_names_take_settings_and_are_named_by_them() -> None:
    plain = from_models(ModelWords(models=["m"])).experiment
    asked = from_models(ModelWords(models=["m"], settings=["num_batch=512,2048"])).experiment
    assert (plain.settings.num_ctx, asked.settings.num_ctx) == (8192, 8192)
    assert asked.settings.axes() == ("num_batch",)
    assert (plain.name, asked.name) == ("m", "m-num_batch-512-2048")


def test_with_a_file_a_setting_narrows(written: Request) -> None:
    narrow = narrowed(written, ["num_batch=512"])
    whole = expand(written, [machine("here", models=[model("m")])])
    part = expand(narrow, [machine("here", models=[model("m")])])
    asked = {trial.trial_id for trial in part.trials() if trial.role == "measure"}
    assert asked < {trial.trial_id for trial in whole.trials()}
    assert {trial.settings["num_batch"] for trial in part.trials() if trial.role == "measure"} == {
        512
    }
    assert (narrow.experiment.compare_by, narrow.experiment.baseline) == (None, None)
    assert narrowed(written, []) is written


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["num_batch=2048"], "--set num_batch=2048: x measures num_batch=256,512"),
        (["num_batch=512,2048"], "--set num_batch=512,2048: x measures num_batch=256,512"),
        (["num_ctx=8192"], "--set num_ctx=8192: x measures num_ctx=4096"),
        (["num_thread=2"], "--set num_thread=2: x does not set num_thread"),
    ],
)
def test_with_a_file_a_setting_that_it_does_not_measure_is_refused(
    written: Request, words: list[str], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        narrowed(written, words)
    assert caught.value.what == said
    assert "only narrows" in caught.value.hint


def test_a_quick_look_waits_for_nothing_and_is_no_part_of_the_experiment(written: Request) -> None:
    quick = quick_look(written)
    experiment = quick.experiment
    assert experiment.name == "x-quick"
    assert (experiment.repeats, experiment.canary, experiment.control) == (1, "off", "off")
    assert (experiment.gates, experiment.cool_down) == ("record", None)
    assert isinstance(experiment.telemetry, Telemetry)
    assert experiment.telemetry.idle_s == 0
    assert [(job.requests, job.answer_s) for job in quick.jobs] == [(1, 3.0)]
    here = [machine("here", models=[model("m")])]
    asked = {trial.trial_id for trial in expand(written, here).trials()}
    looked = list(expand(quick, here).trials())
    assert len(looked) == 2
    assert not asked & {trial.trial_id for trial in looked}
