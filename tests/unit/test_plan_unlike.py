"""What compare will refuse is said by the plan, from the machines as found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.errors import PlanRefused
from fleet.plan.digests import digests
from fleet.plan.refusals.unlike import unlike
from tests.builders_plan import machine, model, request

TINY = model("tiny", digest="sha256:" + "a" * 64)
OTHER = model("tiny", digest="sha256:" + "b" * 64)


def words(by: str, *machines: object) -> list[str]:
    return [str(warning) for warning in unlike(by, request(), machines)]  # type: ignore[arg-type]


def test_another_engine_version_is_said_with_its_hint() -> None:
    first = machine("alpha", models=[TINY])
    others = [machine(name, models=[TINY], version="0.33.0") for name in ("beta", "gamma")]
    assert words("machine", first, *others) == [
        "beta, gamma: engine versions differ: 0.33.0 against 0.32.15 on alpha; "
        "fleet compare --by machine will refuse this: bring the engine to one version everywhere, "
        "or compare with --allow-diff engine_version"
    ]


@pytest.mark.parametrize(
    ("variable", "fact"),
    [("OLLAMA_KV_CACHE_TYPE", "kv_cache_type"), ("OLLAMA_FLASH_ATTENTION", "flash_attention")],
)
def test_the_engines_environment_is_looked_into(variable: str, fact: str) -> None:
    [told] = words("machine", machine("alpha"), machine("beta", environment={variable: "1"}))
    assert "differ: 1 against not set on alpha" in told
    assert f"--allow-diff {fact}" in told


def test_the_digest_is_told_per_model_where_both_have_it() -> None:
    alpha, beta = machine("alpha", models=[TINY]), machine("beta", models=[OTHER])
    [told] = words("machine", alpha, beta)
    assert told.startswith("beta tiny: model digests differ: bbbbbbbbbbbb against aaaaaaaaaaaa")
    assert words("machine", alpha, machine("beta")) == []


def test_unlike_variants_of_one_name_are_told_with_the_tag_that_mends_it() -> None:
    """A pull would bring each machine the same variant again."""
    alpha = machine("alpha", models=[replace(TINY, model_format="gguf")])
    beta = machine("beta", models=[replace(OTHER, model_format="safetensors")])
    assert words("machine", alpha, beta) == [
        "beta tiny: model formats differ: safetensors against gguf on alpha; fleet compare --by "
        "machine will refuse this: name one variant by a tag of its own, as in tiny:latest-mlx, or "
        "compare with --allow-diff model_format"
    ]
    copies = {"a": alpha.models, "b": beta.models}
    with pytest.raises(PlanRefused, match=r"alpha has a{12} \(gguf\)") as refused:
        digests(copies, {"a": "alpha", "b": "beta"}, ["tiny"])
    assert refused.value.hint.endswith("as in tiny:latest-mlx")
    assert "pull" not in refused.value.hint


def test_what_is_implied_or_only_listed_is_no_warning() -> None:
    alpha = machine("alpha", memory_gb=96, os_build="a", power_mode="auto")
    beta = machine("beta", memory_gb=128, os_build="b", power_mode="low")
    assert words("machine", alpha, beta) == []
    assert words("memory_gb", alpha, beta) == []


def test_an_axis_within_each_machine_knows_no_other_machine() -> None:
    alpha, beta = machine("alpha"), machine("beta", version="0.33.0")
    for by in ("num_batch", "model", "job", ""):
        assert words(by, alpha, beta) == []


def test_a_condition_as_the_axis_implies_itself_and_nothing_more() -> None:
    alpha, beta = machine("alpha"), machine("beta", version="0.33.0")
    assert words("engine_version", alpha, beta) == []
    old, new = machine("alpha", os_version="15.6"), machine("beta", os_version="26.1")
    assert words("os_version", old, new) == []
    [told] = words("os_version", old, machine("beta", os_version="26.1", version="0.33.0"))
    assert "--allow-diff engine_version" in told


def test_a_machine_without_an_engine_is_told_elsewhere() -> None:
    assert words("machine", machine("alpha"), machine("beta", engine_error="nobody answers")) == []


def test_a_machine_alone_is_unlike_no_other() -> None:
    alone = machine("alpha", models=[TINY])
    assert words("machine", alone) == words("version", alone) == []
