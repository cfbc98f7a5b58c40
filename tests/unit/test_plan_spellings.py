"""One model under several spellings is one model, and a request is asked as it was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model.machine import full_model_name, same_model
from fleet.plan.digests import without
from fleet.plan.expand import Plan, expand
from fleet.plan.spellings import as_before
from tests.builders_plan import machine, model, request

PARTS = st.text("abzABZ019._-", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("m", "m:latest"),
        ("M", "m:latest"),
        ("m:Latest", "m:latest"),
        ("Llama3.1:8B", "llama3.1:8b"),
        ("library/m", "m:latest"),
        ("registry.ollama.ai/library/m:8b", "m:8b"),
        ("https://Registry.Ollama.AI/library/M", "m:latest"),
        ("registry.ollama.ai/user/m", "user/m:latest"),
        ("User/m", "user/m:latest"),
        ("hf.co/user/m-GGUF:Q4_K_M", "hf.co/user/m-gguf:q4_k_m"),
        ("host:5000/user/m", "host:5000/user/m:latest"),
        ("host:5000/library/m:1", "host:5000/library/m:1"),
    ],
)
def test_the_spellings_of_one_model_have_one_full_name(name: str, full: str) -> None:
    assert full_model_name(name) == full
    assert full_model_name(full) == full


@given(PARTS, PARTS, PARTS)
def test_what_a_name_leaves_out_and_its_case_do_not_tell_models_apart(
    namespace: str, name: str, tag: str
) -> None:
    assert same_model(name, f"{name.upper()}:LATEST")
    assert same_model(f"{name}:{tag}", f"registry.ollama.ai/library/{name}:{tag.upper()}")
    assert same_model(f"{namespace}/{name}", f"registry.ollama.ai/{namespace}/{name}:latest")
    assert same_model(f"{name}:{tag}", name) == (tag.lower() == "latest")
    assert not same_model(name, f"{name}x")


@pytest.mark.parametrize(
    ("name", "models", "known", "asked"),
    [
        ("x", ["M"], {"x": ["m"]}, ("x", ["m"])),
        ("x", ["M", "other"], {"x": ["m:latest"]}, ("x", ["m:latest", "other"])),
        ("x", ["M"], {"x": ["M", "m"]}, ("x", ["M"])),
        ("x", ["M"], {"y": ["m"]}, ("x", ["M"])),
        ("M", ["M"], {"m": ["m"]}, ("m", ["m"])),
        ("m-latest-exact", ["m:latest"], {"m-exact": ["m"]}, ("m-exact", ["m"])),
        ("noise-M", ["M"], {"noise-m": ["m"]}, ("noise-m", ["m"])),
        ("M", ["M"], {"m": ["m", "n"]}, ("M", ["M"])),
        ("Demo", ["m"], {"demo": ["m"]}, ("Demo", ["m"])),
        ("m-8b", ["m:8b"], {"M-8B": ["M:8B"], "m-8b": ["m:8b"]}, ("m-8b", ["m:8b"])),
    ],
)
def test_a_request_is_asked_as_it_was_asked_before(
    name: str,
    models: Sequence[str],
    known: Mapping[str, Sequence[str]],
    asked: tuple[str, Sequence[str]],
) -> None:
    found = as_before(request(name=name, models=models), known).experiment
    assert (found.name, list(found.models)) == (asked[0], list(asked[1]))


def test_the_baseline_is_spelled_as_its_model() -> None:
    named = request(name="x", models=["M", "n"], compare_by="model", baseline="M")
    assert as_before(named, {"x": ["m"]}).experiment.baseline == "m"
    other = request(name="x", models=["M"], baseline="8")
    assert as_before(other, {"x": ["m"]}).experiment.baseline == "8"


def test_the_ids_keep_the_spelling() -> None:
    there = machine(models=[model("m:latest")])
    typed, before = request(models=["M"]), request(models=["m"])
    ids = [{t.trial_id for t in expand(each, [there]).trials()} for each in (typed, before)]
    assert not ids[0] & ids[1]
    known = as_before(typed, {typed.experiment.name: ["m"]})
    assert {t.trial_id for t in expand(known, [there]).trials()} == ids[1]


def test_trials_of_one_model_are_taken_out_of_one_machine() -> None:
    machines = [machine(name, models=[model("m"), model("n")]) for name in ("a", "b")]
    plan = expand(request(models=["m", "n"]), machines)
    left = without(plan, {("id-a", "m"), ("id-b", "m"), ("id-b", "n")})
    assert [m.machine.name for m in left.machines] == ["a"]
    assert {trial.model for trial in left.trials()} == {"n"}


def test_a_plan_without_some_models_compares_what_is_left() -> None:
    machines = [machine(name, models=[model("m"), model("n")]) for name in ("a", "b", "c")]
    plan = expand(request(models=["m", "n"]), machines)
    left = without(plan, {("id-a", "m"), ("id-a", "n"), ("id-b", "n")})
    assert (plan.axis, plan.baseline, len(plan.contrasts)) == ("machine", "a", 2)
    assert [[name for name, _ in each.sides] for each in left.contrasts] == [["b", "c"]]
    assert (left.axis, left.baseline) == ("machine", "b")
    assert replace_baseline(plan, "c").baseline == "c"


def replace_baseline(plan: Plan, name: str) -> Plan:
    experiment = plan.request.experiment.model_copy(update={"baseline": name})
    return replace(plan, request=plan.request.model_copy(update={"experiment": experiment}))
