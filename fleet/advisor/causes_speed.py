"""Causes that lie elsewhere than in the memory: power, heat, versions, other work, wrong counts."""

from __future__ import annotations

from fleet.advisor.causes import Facts, Rule, Weighing

COOL = frozenset({"", "0", "nominal"})


def _low_power(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    evidence.speaks_for(seen.low_power, 3, "low power mode is on")
    evidence.speaks_against(seen.low_power is False, 3, "low power mode is off")
    hot = (seen.thermal_class or "").lower() not in COOL
    evidence.speaks_for(hot, 3, f"thermal pressure is {seen.thermal_class}")
    evidence.speaks_for(facts.mild, 1, "low power and heat cost a factor of 1.4 to 3.8")
    evidence.speaks_for(facts.mild and facts.busy, 1, "the GPU was busy and yet slow")
    evidence.speaks_against(facts.far_below, 1, "it is slower than low power explains")


def _old_engine(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    old = f"{seen.engine_version}: versions differ by up to a factor of two on one machine"
    evidence.speaks_for(seen.before_fit and facts.mild, 2.5, old)
    unknown = seen.before_fit is None and facts.mild
    evidence.speaks_for(unknown, 0.5, "the version of the engine is not known")
    current = seen.before_fit is False and bool(seen.engine_version)
    evidence.speaks_against(current, 1, f"version {seen.engine_version} is current")


def _other_gpu_work(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    evidence.speaks_for(facts.slow and facts.busy, 1, "the GPU was busy and yet slow")
    others = bool(seen.residents) and facts.slow
    evidence.speaks_for(others, 1, "other models are in memory")
    unseen = facts.mild and seen.gpu_percent is None
    evidence.speaks_for(unseen, 0.7, "other work on the GPU would show so")
    evidence.speaks_against(facts.idle, 2, facts.gpu_load)


def _too_fast(facts: Facts, evidence: Weighing) -> None:
    share = facts.share_of_ceiling or 0.0
    evidence.speaks_for(share > 1, 4, f"{share:.2f} times what the memory can deliver")
    drafts = share > 1 and facts.seen.shape.weights.draft_bytes > 0
    evidence.speaks_against(drafts, 3, "the model has a draft head, which makes this possible")


RULES: tuple[Rule, ...] = (
    Rule(
        "low-power",
        "low power mode or heat",
        lambda facts: "pmset -g | grep -i power; pmset -g therm",
        "plug it in, set the power mode to automatic or high, let it cool",
        _low_power,
    ),
    Rule(
        "old-engine",
        "an old version of the engine",
        lambda facts: "ollama --version",
        "update it and measure again",
        _old_engine,
    ),
    Rule(
        "other-gpu-work",
        "other work on the same GPU",
        lambda facts: "fleet doctor    (load of others on the GPU)",
        "stop it and measure again",
        _other_gpu_work,
    ),
    Rule(
        "not-this-model",
        "not this model file, not this machine, or a wrong count",
        lambda facts: f"ollama show {facts.seen.shape.name}",
        "measure again with fleet",
        _too_fast,
    ),
)
