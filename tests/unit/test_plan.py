"""Trials in blocks: what the ids hold, what is left out and why, how long it takes."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import PlanRefused
from fleet.model.experiment import Request
from fleet.model.job import Job
from fleet.model.machine import Machine
from fleet.model.trial import show_settings
from fleet.plan.expand import Plan, PlanOptions, expand
from tests.builders_plan import CHAT, GIB, SWEEP, machine, model, request

NAMES = ["mercury", "venus", "earth"]
asked_for = st.builds(
    request,
    jobs=st.sampled_from([[CHAT], [SWEEP], [CHAT, SWEEP], [SWEEP, CHAT]]),
    models=st.lists(st.sampled_from(["a", "b:1b", "c"]), min_size=1, max_size=3),
    settings=st.fixed_dictionaries(
        {"num_ctx": st.sampled_from([8192, 16384, [4096, 16384]])},
        optional={
            "num_batch": st.sampled_from([8, [8, 512], [512, 8, 64]]),
            "temperature": st.sampled_from([0.0, 0.7, [0, 1.0]]),
        },
    ),
    repeats=st.integers(1, 4),
    seed=st.integers(0, 9),
)
fleets = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(
    lambda names: [machine(name) for name in names]
)


def ids(plan: Plan) -> set[str]:
    return {trial.trial_id for trial in plan.trials()}


@given(asked_for, fleets)
def test_the_same_input_gives_the_same_plan_and_stays_as_it_was(
    asked: Request, there: list[Machine]
) -> None:
    before = copy.deepcopy((asked, there))
    assert expand(asked, there) == expand(asked, there)
    assert (asked, there) == before


@given(asked_for, fleets)
def test_each_block_holds_each_cell_of_its_machine_once(
    asked: Request, there: list[Machine]
) -> None:
    plan = expand(asked, there)
    for one in plan.machines:
        blocks: dict[int, Counter[object]] = defaultdict(Counter)
        for trial in one.trials:
            blocks[trial.block][trial.cell()] += 1
        assert list(blocks) == list(range(plan.repeats.most))
        assert all(block == Counter(set(blocks[0])) for block in blocks.values())
        assert [trial.position for trial in one.trials] == list(range(len(one.trials)))


@given(asked_for, fleets)
def test_no_two_trials_share_an_id(asked: Request, there: list[Machine]) -> None:
    plan = expand(asked, there)
    assert len(ids(plan)) == len(list(plan.trials()))


@given(asked_for, fleets, st.randoms(use_true_random=False))
def test_ids_hold_the_question_alone(asked: Request, there: list[Machine], chance: Any) -> None:
    experiment = asked.experiment.model_dump()
    experiment |= {"why": "another reason", "seed": asked.experiment.seed + 1}
    most = asked.experiment.blocks().most
    experiment["repeats"] = {"least": 1, "most": most, "half_width_percent": 0.5}
    experiment["settings"] = dict(reversed(experiment["settings"].items()))
    other = Request(
        experiment=type(asked.experiment).model_validate(experiment),
        jobs=tuple(job.model_copy(update={"why": "why not"}) for job in asked.jobs),
    )
    chance.shuffle(there)
    assert ids(expand(other, there)) == ids(expand(asked, there[::-1]))


@given(asked_for, fleets)
def test_another_model_machine_or_repeat_leaves_the_other_ids_alone(
    asked: Request, there: list[Machine]
) -> None:
    models = ("new", *asked.experiment.models)
    more = asked.model_copy(
        update={"experiment": asked.experiment.model_copy(update={"models": models})}
    )
    assert ids(expand(asked, there)) <= ids(expand(more, there))
    assert ids(expand(asked, there)) <= ids(expand(asked, [machine("pluto"), *there]))
    assert ids(expand(asked, there)) <= ids(expand(asked, there, PlanOptions(repeats=5)))


def test_a_default_said_aloud_is_the_same_question() -> None:
    said = request(settings={"num_batch": 512, "num_ctx": 8192, "temperature": 0})
    assert ids(expand(said, [machine()])) == ids(expand(request(), [machine()]))


def test_the_ids_of_a_question_never_change() -> None:
    """Results already stored are found by these; a change here orphans them."""
    plan = expand(request(settings={"num_batch": [8, 512]}, repeats=1), [machine()])
    assert ids(plan) == {"trial-8c0741847276855993dc", "trial-f3b8c9b297d554a727d8"}


def test_again_is_another_session_with_other_ids_in_another_order() -> None:
    asked = request(models=list("abcdefgh"), repeats=1)
    first, second = expand(asked, [machine()]), expand(asked, [machine()], PlanOptions(session=1))
    assert not ids(first) & ids(second)
    assert {trial.session for trial in second.trials()} == {1}
    assert [t.model for t in first.trials()] != [t.model for t in second.trials()]


def test_blocks_and_machines_are_in_different_orders() -> None:
    plan = expand(request(models=list("abcdefgh"), repeats=3), [machine("m"), machine("n")])
    orders = {
        (one.machine.name, block): tuple(t.model for t in one.trials if t.block == block)
        for one in plan.machines
        for block in range(3)
    }
    assert len(set(orders.values())) == 6


def test_a_seed_decides_the_order() -> None:
    first, second = (request(models=list("abcdefgh"), repeats=1, seed=seed) for seed in (1, 2))
    orders = [[t.model for t in expand(each, [machine()]).trials()] for each in (first, second)]
    assert orders[0] != orders[1]


def test_a_point_too_long_for_the_context_is_left_out_of_its_job() -> None:
    plan = expand(request(jobs=[SWEEP], repeats=1), [machine()])
    (trial,) = plan.trials()
    assert [point.name("sweep") for point in trial.job.points] == ["pp512", "tg128"]
    (left,) = plan.left_out
    assert left.point == "tg128@d8192"
    assert left.clause == "tg128@d8192 needs num_ctx >= 8448, settings.num_ctx is 8192"
    assert str(left) == "sweep: tg128@d8192 needs num_ctx >= 8448, settings.num_ctx is 8192"


def test_a_point_that_fits_to_the_last_token_stays() -> None:
    exact = Job(
        name="exact", api="generate", points=({"prompt_tokens": 8064, "output_tokens": 128},)
    )  # type: ignore[arg-type]
    assert not expand(request(jobs=[exact]), [machine()]).left_out


def test_a_job_with_no_point_left_is_left_out_whole() -> None:
    plan = expand(
        request(jobs=[SWEEP, CHAT], settings={"num_ctx": [256, 16384]}, repeats=1), [machine()]
    )
    cells = {(trial.job.name, trial.settings["num_ctx"]) for trial in plan.trials()}
    assert cells == {("chat", 256), ("chat", 16384), ("sweep", 256), ("sweep", 16384)}
    long = Job(name="long", api="generate", points=SWEEP.points[2:])
    plan = expand(request(jobs=[long, CHAT], repeats=1), [machine()])
    assert {trial.job.name for trial in plan.trials()} == {"chat"}


def test_nothing_left_is_a_refusal() -> None:
    long = Job(name="long", api="generate", points=SWEEP.points[2:])
    plan = expand(request(jobs=[long]), [machine()])
    assert plan.machines == ()
    assert plan.refusals == ("nothing is left to run: every cell is left out",)


def test_a_machine_without_engine_is_left_out_with_its_reason() -> None:
    down = machine("box", engine_error="Ollama does not answer at 127.0.0.1:11434")
    plan = expand(request(), [machine(), down])
    assert [one.machine.name for one in plan.machines] == ["studio-96"]
    assert [str(left) for left in plan.left_out] == [
        "box: Ollama does not answer at 127.0.0.1:11434"
    ]


BIG = model("gpt-oss:120b", size_bytes=int(63.0 * GIB))


def test_a_model_larger_than_gpu_memory_is_a_warning_or_left_out_on_wish() -> None:
    there = [
        machine("box", gpu_memory_mb=int(23.8 * 1024)),
        machine("studio", models=[BIG], gpu_limit_mb=73_728),
        machine("no-gpu"),
    ]
    asked = request(models=["gpt-oss:120b"], repeats=1)
    plan = expand(asked, there)
    assert [str(warning) for warning in plan.warnings] == [
        "box gpt-oss:120b: 39.2 GiB of 63.0 GiB would spill to the CPU"
    ]
    assert len(plan.machines) == 3
    skipped = expand(asked, there, PlanOptions(skip_unfit=True))
    assert [str(left) for left in skipped.left_out] == [
        "box gpt-oss:120b: 39.2 GiB of 63.0 GiB would spill to the CPU"
    ]
    assert [one.machine.name for one in skipped.machines] == ["studio", "no-gpu"]
    assert skipped.warnings == ()


def test_a_machines_own_copy_counts_before_the_size_elsewhere() -> None:
    small = machine("small", models=[model("m", size_bytes=GIB)], gpu_limit_mb=2048)
    large = machine("large", models=[model("m", size_bytes=3 * GIB)])
    assert expand(request(models=["m"]), [small, large]).warnings == ()


@pytest.mark.parametrize(
    ("limit", "refused"),
    [("default", False), (80_000, True), ([80_000, 90_000], True), (["default", 80_000], True)],
)
def test_os_settings_are_planned_and_refused_where_not_allowed(
    limit: object, refused: bool
) -> None:
    plan = expand(request(settings={"wired_limit_mb": limit}, repeats=1), [machine()])
    assert {trial.settings["wired_limit_mb"] for trial in plan.trials()} == set(
        limit if isinstance(limit, list) else [limit]
    )
    assert [r.startswith("settings.wired_limit_mb cannot") for r in plan.refusals] == [
        True
    ] * refused


def test_pulls_and_the_disk_they_need() -> None:
    there = [
        machine("has", models=[BIG]),
        machine("lacks", free_disk_bytes=10 * GIB),
        machine("silent", free_disk_bytes=None),
    ]
    plan = expand(request(models=["gpt-oss:120b", "unheard"], repeats=1), there)
    assert [[pull.model for pull in one.pulls] for one in plan.machines] == [
        ["unheard"],
        ["gpt-oss:120b", "unheard"],
        ["gpt-oss:120b", "unheard"],
    ]
    assert plan.machines[1].pulls[1].size_bytes is None
    assert [one.disk_bytes for one in plan.machines] == [0, BIG.size_bytes, BIG.size_bytes]
    assert [one.fits_disk for one in plan.machines] == [None, False, None]
    assert [str(w) for w in plan.warnings] == ["lacks: 63.0 GiB to pull, 10.0 GiB of disk free"]
    assert expand(request(models=["gpt-oss:120b"]), there[:1]).machines[0].fits_disk is True


def test_repeats_on_the_command_line_take_the_place_of_the_experiments() -> None:
    plan = expand(request(), [machine()], PlanOptions(repeats=3))
    assert (plan.repeats.least, plan.repeats.most) == (3, 3)
    assert len(list(plan.trials())) == 3
    assert len(list(expand(request(), [machine()]).trials())) == 12


@pytest.mark.parametrize(
    ("repeats", "given", "words"),
    [
        (0, None, "repeats: 0 is not between 1 and 1000"),
        (5, 1001, "repeats: 1001 is not between 1 and 1000"),
        (
            {"most": 3},
            None,
            "repeats: least is 5 and most is 3\n  give both, least first: {least: 3, most: 3}",
        ),
    ],
)
def test_repeats_that_cannot_be(repeats: object, given: int | None, words: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        expand(request(repeats=repeats), [machine()], PlanOptions(repeats=given))
    assert str(refused.value) == words


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(PlanRefused, match="jobs: two jobs are named chat"):
        expand(request(jobs=[CHAT, CHAT]), [machine()])


def test_a_model_or_machine_named_twice_is_one() -> None:
    plan = expand(request(models=["a", "a:latest"], repeats=1), [machine(), machine()])
    assert [trial.model for trial in plan.trials()] == ["a"]


def test_a_trial_carries_what_was_asked() -> None:
    asked = request(why="to see", seed=7, settings={"num_batch": 8}, repeats=1)
    (trial,) = expand(asked, [machine()]).trials()
    assert (trial.experiment, trial.why, trial.seed, trial.digest) == ("x", "to see", 7, "")
    assert trial.job == CHAT
    assert trial.settings == asked.experiment.settings.combinations()[0]


def test_history_takes_the_place_of_the_prior() -> None:
    asked = request(models=["a", "b"], repeats=2)
    settings = show_settings(asked.experiment.settings.combinations()[0])
    plan = expand(
        asked,
        [machine()],
        PlanOptions(past_seconds={("id-studio-96", "a", "chat", settings): 123.0}),
    )
    seconds = {trial.model: trial.estimate_s for trial in plan.trials()}
    assert seconds["a"] == 123.0
    assert seconds["b"] != 123.0
    assert plan.estimate_s == pytest.approx(2 * (123.0 + seconds["b"]))


def test_the_estimate_is_that_of_the_longest_machine() -> None:
    fast = machine("fast", chip="Apple M3 Ultra", models=[BIG], gpu_limit_mb=90_000)
    slow = machine("slow", models=[BIG])
    plan = expand(request(models=["gpt-oss:120b"]), [fast, slow])
    assert plan.estimate_s == plan.machines[1].estimate_s > plan.machines[0].estimate_s
    assert plan.estimate_least_s == pytest.approx(plan.estimate_s * 5 / 12)
