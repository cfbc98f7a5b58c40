"""What of the workloads cannot run, said before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.model.experiment import Request
from fleet.model.job import Job, Point
from fleet.model.machine import Machine, ModelFacts
from fleet.plan.expand import PlanOptions, expand
from fleet.plan.refusals.unfit import no_engine
from tests.builders_plan import CHAT, machine, model, request


def test_a_text_that_cannot_fit_the_context_is_left_out() -> None:
    """A word has a token or more."""
    words = Job(name="long", prompt="word " * 300, points=(Point(output_tokens=8),))
    talk = Job(name="talk", turns=("why",) * 4, points=(Point(output_tokens=64),))
    plan = expand(request(jobs=[words, talk, CHAT], settings={"num_ctx": 256}), [machine()])
    assert [str(left) for left in plan.left_out] == [
        "long: long needs num_ctx >= 512, settings.num_ctx is 256",
        "talk: talk needs num_ctx >= 512, settings.num_ctx is 256",
    ]


def test_streams_are_left_out_where_the_engine_answers_one_at_a_time() -> None:
    points = tuple(Point(output_tokens=8, concurrency=count) for count in (1, 4))
    asked = request(jobs=[CHAT.model_copy(update={"points": points})])
    assert not expand(asked, [machine()]).left_out
    engine = machine().engine
    assert engine is not None
    alone = replace(machine(), engine=replace(engine, kind="embedded", concurrent=False))
    plan = expand(asked, [alone])
    (left,) = plan.left_out
    assert str(left) == "chat: embedded answers one request at a time, not 4 streams"
    assert {trial.job.points for trial in plan.trials()} == {points[:1]}


BIG, FITS = 70_000 * 2**20, 60_000 * 2**20


def mac(memory_gb: int = 96, limit_mb: int = 73_728, setting_mb: int = 0) -> Machine:
    found = machine(
        f"studio-{memory_gb}",
        models=[model("big", size_bytes=BIG), model("fits", size_bytes=FITS)],
        os="darwin",
        memory_gb=memory_gb,
        wired_limit_mb=setting_mb,
        gpu_limit_mb=setting_mb or limit_mb,
        gpu_limit_expected_mb=limit_mb,
    )
    return replace(found, settable={"wired-limit": ""})


def limits(*asked: object) -> Request:
    settings = {"num_ctx": 8192, "wired_limit_mb": list(asked)}
    return request(models=["fits", "big"], settings=settings, below_default="allow")


def test_what_would_spill_is_told_for_each_limit_asked_for() -> None:
    plan = expand(limits("default", 65_536, 59_000), [mac()])
    assert [str(warning) for warning in plan.warnings] == [
        "studio-96 fits with wired_limit_mb=59000: 1000.0 MiB of 58.6 GiB would spill to the CPU",
        "studio-96 big with wired_limit_mb=65536: 4.4 GiB of 68.4 GiB would spill to the CPU",
        "studio-96 big with wired_limit_mb=59000: 10.7 GiB of 68.4 GiB would spill to the CPU",
    ]


def test_the_default_is_meant_and_not_the_limit_that_somebody_set() -> None:
    low = mac(setting_mb=65_536)
    [found] = expand(limits(65_536, "default"), [low]).warnings
    assert found.setting == "wired_limit_mb=65536"
    [as_it_is] = expand(request(models=["big"]), [low]).warnings
    assert str(as_it_is) == "studio-96 big: 4.4 GiB of 68.4 GiB would spill to the CPU"


def test_only_the_combination_that_would_spill_is_left_out() -> None:
    plan = expand(limits("default", 65_536), [mac()], PlanOptions(skip_unfit=True))
    cells = {(trial.model, trial.settings["wired_limit_mb"]) for trial in plan.trials()}
    assert cells == {("fits", "default"), ("fits", 65_536), ("big", "default")}
    assert plan.warnings == ()
    assert [str(left) for left in plan.left_out] == [
        "studio-96 big with wired_limit_mb=65536: 4.4 GiB of 68.4 GiB would spill to the CPU"
    ]


def test_a_machine_with_a_wrong_address_is_named_beside_those_that_are_measured() -> None:
    wrong = replace(
        machine("b", engine_error="OLLAMA_HOST names c\n  unset it"), wrong_address=True
    )
    planned = expand(request(), [machine("a", models=[model("tiny")]), wrong])
    assert [str(left) for left in planned.left_out] == ["b: OLLAMA_HOST names c; unset it"]
    assert [each.machine.name for each in planned.machines] == ["a"]


def test_where_every_machine_was_told_to_ask_another_the_words_are_the_users() -> None:
    wrong = replace(machine("b", engine_error="OLLAMA_HOST names c"), wrong_address=True)
    silent = machine("d", engine_error="no Ollama answers")
    assert no_engine([wrong, wrong]).exit_code == 2
    assert str(no_engine([wrong])) == "b: OLLAMA_HOST names c"
    mixed = no_engine([wrong, silent])
    assert mixed.exit_code == 3
    assert str(mixed) == "no engine answers: b: OLLAMA_HOST names c\nd: no Ollama answers"


def test_a_model_that_cannot_be_measured_leaves_out_itself_there() -> None:
    cloud = replace(model("Big"), unmeasurable="runs in the cloud, not on this machine")
    machines = [
        machine("a", models=[cloud, model("tiny")]),
        machine("b", models=[model("big"), model("tiny")]),
    ]
    plan = expand(request(models=["big", "tiny"], repeats=1, canary="on"), machines)
    (left,) = plan.left_out
    assert str(left) == "a big: runs in the cloud, not on this machine"
    assert left.unmeasurable
    cells = {(trial.machine, trial.model, trial.role) for trial in plan.trials()}
    assert cells == {
        *(("a", "tiny", "canary"), ("a", "tiny", "measure")),
        *(("b", "big", "canary"), ("b", "big", "measure"), ("b", "tiny", "measure")),
    }
    alone = expand(request(models=["big"]), machines[:1])
    assert alone.refusals == ("nothing is left to run: every cell is left out",)


def on_mlx(name: str, size_bytes: int = 1) -> ModelFacts:
    return replace(model(name, size_bytes=size_bytes), model_format="safetensors")


def test_an_axis_that_a_runner_does_not_read_is_refused_with_the_reason() -> None:
    here = machine(models=[model("gguf"), on_mlx("mlx")])
    asked = request(models=["gguf", "mlx"], settings={"num_batch": [64, 512]})
    plan = expand(asked, [here])
    (left,) = plan.left_out
    assert str(left) == (
        "studio-96 mlx: runs on MLX: num_batch is not read there: prompts are evaluated 2048 "
        "tokens at a time"
    )
    assert {trial.model for trial in plan.trials()} == {"gguf"}
    one_value = request(models=["gguf", "mlx"], settings={"num_batch": 64})
    assert not expand(one_value, [here]).left_out


@pytest.mark.parametrize(("size_mb", "warned"), [(60_000, False), (66_000, True), (73_728, True)])
def test_room_for_what_mlx_keeps_of_prompts_is_asked_for(size_mb: int, warned: bool) -> None:
    """A Mac whose GPU may use 72 GiB: weights above 64 GiB leave less than 8."""
    here = replace(mac(), models=(on_mlx("big", size_mb * 2**20),))
    words = [warning.what for warning in expand(request(models=["big"]), [here]).warnings]
    assert [word.partition(": ")[0].partition("MLX")[2] for word in words] == [
        " keeps up to 8.0 GiB of earlier prompts besides"
    ] * warned


def test_what_does_not_fit_is_not_loaded_by_mlx() -> None:
    found = replace(mac(), models=(on_mlx("big", 80_000 * 2**20),))
    (warning,) = expand(request(models=["big"]), [found]).warnings
    assert warning.what.endswith("do not fit into the GPU's memory: MLX would not load it")
