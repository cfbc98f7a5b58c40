"""At the gates, on a stepped clock: who is held, for how long, what is said, who is let pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from fleet import wiring
from fleet.engines.ollama.client import KEEP_ALIVE
from fleet.errors import EngineInUse, EngineUnreachable, GateClosed, Interrupted
from fleet.model.event import Finished, Held, Started
from fleet.model.experiment import CoolDown, SimulatedEngine
from fleet.model.gates import Gates, Resident
from fleet.model.hours import DAY_MIN, Hours
from fleet.model.machine import FactValue, Fingerprint, ModelFacts
from fleet.model.measure import Placement
from fleet.model.script import MachineScript, ScriptedModel
from fleet.model.settings import Value
from fleet.model.trial import Trial
from fleet.owner.hours import minute_of_day
from fleet.ports import Clock, Engine
from fleet.runner.gates import Gatekeeper
from fleet.runner.visit import KEPT_S, LeftoverModel, Visit
from fleet.units import NS_PER_S, span_s
from fleet.wiring import WorkerSpec
from fleet.worker import NodeWorker
from tests import builders
from tests.builders_gates import found, ready

MINUTE_NS = 60 * NS_PER_S
BATTERY = ready(power_source="battery")


@dataclass
class Memory:
    """Of an engine: models by name, and when they go. `used` moves that with each look."""

    models: dict[str, int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    taken_out: list[str] = field(default_factory=list)
    gone: bool = False
    context_length: int | None = None

    def placement(self, model: str) -> Placement | None:
        return Placement(context_length=self.context_length) if model in self.models else None

    def resident(self) -> list[Resident]:
        if self.gone:
            raise EngineUnreachable("nothing answers")
        for name, step_ns in self.used.items():
            if name in self.models:
                self.models[name] += step_ns
        return [Resident(name=name, expires_unix_ns=at) for name, at in self.models.items()]

    def unload(self, model: str) -> None:
        self.taken_out.append(model)
        self.models.pop(model, None)


@dataclass
class Library:
    """Of an engine: the one model that it has on disk, of so many GiB."""

    size_gib: int
    gone: bool = False
    asked: int = 0

    def models(self) -> list[ModelFacts]:
        self.asked += 1
        if self.gone:
            raise EngineUnreachable("nothing answers")
        name = f"{builders.trial().model}:latest"
        return [ModelFacts(name=name, digest="d", size_bytes=self.size_gib * 2**30)]


@dataclass
class Machine:
    """Told look by look, its last look from then on."""

    looks: list[Fingerprint]
    memory: Memory = field(default_factory=Memory)
    clock: builders.SteppedClock = field(default_factory=builders.SteppedClock)
    may_evict: bool = False

    def __post_init__(self) -> None:
        self.told = self._told()
        self.stop = threading.Event()
        self.gates = Gatekeeper(
            lambda: next(self.told), self.clock, self.stop, may_evict=self.may_evict
        )

    def _told(self) -> Iterator[Fingerprint]:
        bare = [_without_models(look) for look in self.looks]
        yield from bare
        while True:
            yield bare[-1]

    def visit(self, trial: Trial | None = None, **changes: Any) -> Visit:
        engine = cast(Engine, self.memory)
        return Visit(trial=trial or builders.trial(), engine=engine, **changes)

    def hold(self, visit: Visit) -> list[str]:
        return list(self.gates.hold(visit))


def _without_models(look: Fingerprint) -> Fingerprint:
    kept = tuple(fact for fact in look.facts if fact.name != "resident_models")
    return replace(look, facts=kept)


def trial(policy: str = "wait", at_most: str = "10m", **changes: Any) -> Trial:
    rule = Gates.model_validate({"policy": policy, "at_most": at_most})
    return builders.trial(gates=rule, **changes)


def forever(clock: Clock) -> int:
    return clock.unix_ns() + 10**6 * NS_PER_S


def test_a_machine_that_is_ready_is_looked_at_once() -> None:
    machine = Machine([ready(), BATTERY])
    visit = machine.visit()
    assert machine.hold(visit) == []
    assert (visit.held_ns, visit.closed_gates) == (0, {})
    assert visit.fingerprint is not None
    assert visit.fingerprint.get("resident_models") == ""


@pytest.mark.parametrize(
    ("context_length", "job", "passes"),
    [(8192, {"answer_s": 3.0}, True), (4096, {"answer_s": 3.0}, False), (8192, {}, False)],
)
def test_only_a_quick_look_takes_a_model_as_somebody_has_loaded_it(
    context_length: int, job: dict[str, Any], passes: bool
) -> None:
    memory = Memory({"tiny-llama": 10**18}, context_length=context_length)
    machine = Machine([ready()], memory)
    settings = {"num_ctx": 8192}
    visit = machine.visit(trial("record", job=builders.job(**job), settings=settings))
    if passes:
        assert machine.hold(visit) == []
        assert visit.fingerprint is not None
        assert visit.fingerprint.get("resident_models") == "tiny-llama"  # the rows tell of it
    else:
        with pytest.raises(EngineInUse):
            machine.hold(visit)
    assert memory.taken_out == []
    assert visit.uses_loaded is passes


def test_held_then_opened() -> None:
    machine = Machine([BATTERY, BATTERY, ready()])
    visit = machine.visit()
    [said] = machine.hold(visit)
    begun = time.strftime("%H:%M", time.localtime(machine.clock.unix_zero_ns / NS_PER_S))
    assert said == (
        f"waiting since {begun}, at most 10m: on battery   (--gates record measures at once)"
    )
    assert visit.held_ns == 4 * NS_PER_S
    assert visit.closed_gates == {}


def test_it_is_said_again_every_half_minute_and_when_the_reason_is_another() -> None:
    hot = ready(thermal_class="heavy")
    machine = Machine([BATTERY, BATTERY, hot, *[hot] * 17, ready()])
    said = machine.hold(machine.visit())
    assert [text.partition(": ")[2].partition("   ")[0] for text in said] == [
        "on battery",
        "thermal pressure heavy",
        "thermal pressure heavy",
    ]


def test_a_figure_that_moves_is_no_other_reason() -> None:
    busy = [ready(foreign_cpu_percent=percent) for percent in (30, 50, 70)]
    machine = Machine([*busy, ready()])
    assert len(machine.hold(machine.visit())) == 1


def test_after_the_wait_it_is_measured_under_a_label() -> None:
    machine = Machine([BATTERY])
    visit = machine.visit(trial(at_most="45s"))
    said = machine.hold(visit)
    assert said[-1] == "not ready after 45s; measuring under a label: on battery"
    assert (visit.held_ns, visit.why()) == (45 * NS_PER_S, "on battery")
    assert visit.fingerprint is not None
    assert visit.fingerprint.get("power_source") == "battery"


def test_what_stayed_closed_for_a_whole_wait_is_not_waited_for_again() -> None:
    machine = Machine([BATTERY])
    machine.hold(machine.visit())
    again = machine.visit()
    assert machine.hold(again) == []
    assert (again.held_ns, again.why()) == (0, "on battery")


def test_unless_it_was_open_in_between() -> None:
    machine = Machine([*[BATTERY] * 301, ready(), BATTERY])
    machine.hold(machine.visit())
    assert machine.hold(machine.visit()) == []
    third = machine.visit()
    assert machine.hold(third)
    assert third.held_ns == 10 * MINUTE_NS


def test_record_holds_nobody() -> None:
    machine = Machine([BATTERY])
    visit = machine.visit(trial("record"))
    assert machine.hold(visit) == []
    assert (visit.held_ns, visit.why()) == (0, "on battery")


def test_strict_waits_as_well_and_then_fails() -> None:
    machine = Machine([BATTERY])
    visit = machine.visit(trial("strict"))
    with pytest.raises(GateClosed, match="waited for 10 min: on battery; --gates wait measures"):
        machine.hold(visit)
    assert visit.held_ns == 10 * MINUTE_NS
    with pytest.raises(GateClosed):
        machine.hold(machine.visit(trial("strict")))
    assert machine.clock.now_ns == 20 * MINUTE_NS, "each trial waits: it may be plugged in yet"
    opened = Machine([BATTERY, ready()])
    assert opened.hold(opened.visit(trial("strict")))


def test_under_strict_what_cannot_be_told_is_closed() -> None:
    machine = Machine([ready(thermal_class=None)])
    with pytest.raises(GateClosed, match="thermal level cannot be read"):
        machine.hold(machine.visit(trial("strict")))
    plain = machine.visit()
    assert machine.hold(plain) == []


def test_where_the_experiment_cools_down_itself_heat_holds_nobody_twice() -> None:
    machine = Machine([ready(thermal_class="heavy")])
    visit = machine.visit(trial(cool_down=CoolDown()))
    assert machine.hold(visit) == []
    assert visit.why() == "thermal pressure heavy"


def test_the_load_of_a_gpu_may_be_that_of_the_last_trial() -> None:
    machine = Machine([ready(foreign_gpu_percent=97), ready()])
    visit = machine.visit()
    assert machine.hold(visit) == []
    assert machine.clock.now_ns == NS_PER_S
    busy = Machine([ready(foreign_gpu_percent=97)])
    assert busy.hold(busy.visit())


OTHERS = ready(foreign_gpu_memory_mb=70656, foreign_gpu_programs="python 70656 MiB")
ALONE = ready(foreign_gpu_memory_mb=0)


def test_a_program_that_holds_the_gpus_memory_is_waited_for_and_named() -> None:
    machine = Machine([OTHERS, OTHERS, ALONE])
    [said] = machine.hold(machine.visit())
    assert said.endswith(
        "at most 10m: others hold 69.0 GiB of the GPU's memory: python 70656 MiB   "
        "(--gates record measures at once)"
    )
    stays = Machine([OTHERS])
    said = stays.hold(stays.visit(trial(at_most="45s")))
    assert said[-1].startswith("not ready after 45s; measuring under a label: others hold 69.0 GiB")


def test_memory_of_the_last_trial_may_still_be_in_use_for_a_moment() -> None:
    machine = Machine([ready(gpu_memory_in_use_mb=60_000), ready(gpu_memory_in_use_mb=400)])
    assert machine.hold(machine.visit()) == []
    assert machine.clock.now_ns == NS_PER_S


BESIDE = ready(foreign_gpu_memory_mb=1000, gpu_memory_mb=24_000)
"""Others hold less than the gate lets pass."""


def visit_of(size_gib: int, **changes: Any) -> tuple[Library, Visit]:
    held = Library(size_gib, **changes)
    return held, Visit(trial=builders.trial(), engine=cast(Engine, held))


def test_a_model_that_does_not_fit_beside_others_closes_the_gate() -> None:
    held, large = visit_of(23)
    for _ in range(2):
        large.see(BESIDE)
    assert large.why() == (
        "others hold 1.0 GiB of the GPU's memory; the model does not fit beside them"
    )
    assert held.asked == 1, "its size stays the same"
    _, small = visit_of(20)
    small.see(BESIDE)
    assert small.why() == ""


@pytest.mark.parametrize(
    "look", [ALONE, ready(foreign_gpu_memory_mb=None), ready(foreign_gpu_memory_mb=9)]
)
def test_the_size_of_the_model_is_asked_for_only_where_it_matters(look: Fingerprint) -> None:
    held, visit = visit_of(23)
    visit.see(look)
    assert (visit.why(), held.asked) == ("", 0)


def test_an_engine_that_does_not_tell_the_size_closes_nothing() -> None:
    held, visit = visit_of(23, gone=True)
    visit.see(BESIDE)
    assert (visit.why(), held.asked) == ("", 1)


def test_stop_ends_the_wait_at_once() -> None:
    machine = Machine([BATTERY], clock=builders.StoppedClock())
    holding = machine.gates.hold(machine.visit())
    next(holding)
    with pytest.raises(Interrupted, match="while it was waiting: on battery"):
        next(holding)
    assert machine.stop.is_set()


def test_a_model_of_somebody_else_is_waited_for() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    holding = machine.gates.hold(machine.visit())
    assert next(holding).endswith(
        "at most 10m: another model is in memory: llama3:8b   (ollama stop NAME unloads it)"
    )
    machine.memory.models.clear()
    assert list(holding) == []
    assert machine.memory.taken_out == []


def test_one_that_nobody_used_for_ten_minutes_may_be_taken_out() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit()
    machine.hold(visit)
    assert visit.held_ns == 10 * MINUTE_NS
    assert machine.memory.taken_out == ["llama3:8b"] == list(visit.unloaded)
    assert visit.why() == "another model is in memory: llama3:8b"


def test_each_time_that_a_model_is_there_it_is_waited_for() -> None:
    machine = Machine([ready()])
    for times in (1, 2):
        machine.memory.models["llama3:8b"] = forever(machine.clock)
        machine.hold(machine.visit())
        assert machine.clock.now_ns == times * 10 * MINUTE_NS


def test_strict_makes_room_before_it_asks_whose_memory_of_the_gpu_is_in_use() -> None:
    """A Mac's list of programs does not exist; once its engine rests, what is in use is others'."""
    mac = ready(gpu="Apple M9", foreign_gpu_memory_mb=None, gpu_memory_in_use_mb=5000)
    machine = Machine([*[mac] * 302, replace_fact(mac, gpu_memory_in_use_mb=400)])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit(trial("strict"))
    machine.hold(visit)
    assert (machine.memory.taken_out, visit.why()) == (["llama3:8b"], "")


def replace_fact(look: Fingerprint, **facts: FactValue) -> Fingerprint:
    kept = tuple(fact for fact in look.facts if fact.name not in facts)
    return replace(look, facts=(*kept, *found(**facts).facts))


@pytest.mark.parametrize("policy", ["wait", "strict"])
def test_one_that_is_used_meanwhile_is_never_taken_out(policy: str) -> None:
    machine = Machine([ready()])
    machine.memory.models |= {"idle": forever(machine.clock), "used": forever(machine.clock)}
    machine.memory.used = {"used": NS_PER_S}
    with pytest.raises(EngineInUse, match=r"used is in memory, and may have been used .* 10 min"):
        machine.hold(machine.visit(trial(policy)))
    assert machine.memory.taken_out == []


def test_one_past_its_time_is_answering_now() -> None:
    machine = Machine([ready()])
    machine.memory.models["long"] = machine.clock.unix_ns() + MINUTE_NS
    with pytest.raises(EngineInUse):
        machine.hold(machine.visit())


def test_a_shorter_wait_cannot_tell_ten_minutes_without_use() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    with pytest.raises(EngineInUse, match=r"watched for 60 s\).*ollama stop llama3:8b"):
        machine.hold(machine.visit(trial(at_most="1m")))
    machine.clock.now_ns += 9 * MINUTE_NS
    machine.hold(machine.visit(trial(at_most="1m")))
    assert machine.memory.taken_out == ["llama3:8b"], "it was watched over both trials"


def test_record_takes_nothing_out_either() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    with pytest.raises(EngineInUse, match="watched for 0 s"):
        machine.hold(machine.visit(trial("record")))
    assert (machine.clock.now_ns, machine.memory.taken_out) == (0, [])


def test_unless_the_owner_allows_it() -> None:
    machine = Machine([ready()], may_evict=True)
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    machine.memory.used = {"llama3:8b": NS_PER_S}
    machine.hold(machine.visit())
    assert machine.memory.taken_out == ["llama3:8b"]
    assert machine.clock.now_ns == 10 * MINUTE_NS, "it is waited for all the same"


@pytest.mark.parametrize("policy", ["wait", "strict", "record"])
def test_the_users_own_models_are_taken_out_at_once(policy: str) -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    machine.memory.used = {"llama3:8b": NS_PER_S}
    rule = Gates.model_validate({"policy": policy, "residents_are_mine": True})
    visit = machine.visit(builders.trial(gates=rule))
    assert machine.hold(visit) == []
    assert (machine.memory.taken_out, visit.unloaded) == (["llama3:8b"], ("llama3:8b",))
    assert (machine.clock.now_ns, visit.held_ns, visit.closed_gates) == (0, 0, {})


def test_an_engine_of_its_own_finds_the_users_models_gone_too() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit(builders.trial(gates=Gates(residents_are_mine=True)), own_engine=True)
    assert machine.hold(visit) == []
    assert visit.unloaded == ("llama3:8b",)
    assert visit.fingerprint is not None
    assert visit.fingerprint.get("resident_models") is None, "the owner's engine is not looked at"


def test_another_reason_to_wait_stays_one_where_the_models_are_the_users_own() -> None:
    machine = Machine([BATTERY, BATTERY, BATTERY, ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit(builders.trial(gates=Gates(residents_are_mine=True)))
    [said] = machine.hold(visit)
    assert "on battery   (--gates record" in said


def test_strict_goes_on_once_it_has_made_room_and_takes_nothing_out_in_vain() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit(trial("strict"))
    machine.hold(visit)
    assert (visit.closed_gates, machine.memory.taken_out) == ({}, ["llama3:8b"])
    battery = Machine([BATTERY])
    battery.memory.models["llama3:8b"] = forever(battery.clock)
    with pytest.raises(GateClosed):
        battery.hold(battery.visit(trial("strict")))
    assert battery.memory.taken_out == []


def test_an_engine_of_its_own_waits_for_the_owners_models_by_itself() -> None:
    machine = Machine([ready()])
    machine.memory.models["llama3:8b"] = forever(machine.clock)
    visit = machine.visit(own_engine=True)
    assert machine.hold(visit) == []
    assert visit.fingerprint is not None
    assert visit.fingerprint.get("resident_models") is None
    strict = machine.visit(trial("strict"), own_engine=True)
    assert machine.hold(strict) == []


def test_an_engine_that_does_not_answer_holds_nobody() -> None:
    machine = Machine([ready()], memory=Memory(gone=True))
    visit = machine.visit()
    assert machine.hold(visit) == []
    assert visit.fingerprint is not None
    [fact] = [fact for fact in visit.fingerprint.facts if fact.name == "resident_models"]
    assert (fact.value, fact.source) == (None, "engine: nothing answers")


def test_what_a_trial_cut_off_left_behind_is_fleets_own() -> None:
    machine = Machine([ready()])
    left = LeftoverModel(model="tiny", unix_ns=machine.clock.unix_ns())
    machine.clock.now_ns += MINUTE_NS
    machine.memory.models["tiny:latest"] = left.unix_ns + round((KEPT_S + 20) * NS_PER_S)
    assert machine.hold(machine.visit(leftover=left)) == []
    assert machine.memory.taken_out == ["tiny:latest"]


@pytest.mark.parametrize(
    ("name", "minutes"),
    [("other", 30.5), ("tiny", 6), ("tiny", 29.9), ("tiny", 32), ("tiny", 10**8)],
)
def test_what_somebody_else_loaded_or_used_since_is_not(name: str, minutes: float) -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    left = LeftoverModel(model="tiny", unix_ns=now_ns - MINUTE_NS)
    other = Resident(name=name, expires_unix_ns=left.unix_ns + round(minutes * MINUTE_NS))
    assert not left.is_it(other, now_ns)
    assert not left.is_it(replace(other, expires_unix_ns=None), now_ns)


def test_a_model_left_behind_is_known_for_as_long_as_an_engine_is_asked_to_keep_it() -> None:
    assert KEPT_S == span_s(KEEP_ALIVE) == 1800


@pytest.mark.parametrize("note", ["", "soon tiny", "17", "17 "])
def test_a_note_that_says_nothing(note: str) -> None:
    assert LeftoverModel.noted(note) is None
    assert LeftoverModel.noted("17 a:b\n") == LeftoverModel(model="a:b", unix_ns=17)


MakeWorker = Callable[..., NodeWorker]


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorker]:
    """Make workers of a scripted machine that is on its battery for ever, with a stepped clock.

    The machine differs from its script by the changes that are given.
    """
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("FLEET_STATE", str(tmp_path / "state"))
    tiny = ScriptedModel(prefill_tokens_per_s=20_000, decode_tokens_per_s=2_000, load_s=0.01)
    script = MachineScript(
        chip="Test",
        memory_gb=16,
        gpu_memory_mb=8192,
        models={"tiny-llama": tiny},
        facts={"power_source": "battery"},
    )
    engine = SimulatedEngine(kind="simulated", machines={"laptop": script})
    spec = WorkerSpec(engine=engine, name="laptop", state=str(tmp_path))
    with ExitStack() as workers:

        def make(clock: Clock | None = None, **changes: Any) -> NodeWorker:
            node = replace(wiring.node(spec, tmp_path), **changes)
            worker = NodeWorker(spec, clock=clock or builders.SteppedClock(), node=node)
            return workers.enter_context(closing(worker))

        yield make


def test_a_worker_says_for_which_trial_it_is_held_and_begins_it_after_that(
    laptop: MakeWorker,
) -> None:
    attempt = builders.attempt(gates=Gates(at_most="3s"))
    events = list(laptop().run([attempt]))
    kinds = [type(event) for event in events]
    assert kinds == [Held, Held, Started, Finished]
    assert [event.attempt for event in events if isinstance(event, Held)] == [attempt] * 2
    assert isinstance(events[-1], Finished)
    assert events[-1].result.outcome == "ok"
    assert events[-1].result.gates_held_ns == 3 * NS_PER_S


def test_where_the_hours_end_while_it_is_held_it_waits_for_the_next(laptop: MakeWorker) -> None:
    clock = builders.SteppedClock()
    now = minute_of_day(clock.unix_ns() / NS_PER_S)
    hours = Hours((now - 60) % DAY_MIN, (now + 1) % DAY_MIN)
    worker = laptop(clock, hours=lambda: hours)
    events = list(worker.run([builders.attempt(gates=Gates(at_most="2m"))]))
    told = [event.why.split(" ", 2)[0] for event in events if isinstance(event, Held)]
    assert told == [*["waiting"] * 4, "not", "waits"]
    assert [type(event) for event in events[-2:]] == [Started, Finished]
    assert minute_of_day(clock.unix_ns() / NS_PER_S) == (now - 60) % DAY_MIN


def test_a_trial_that_is_dropped_while_it_is_held_leaves_nothing(laptop: MakeWorker) -> None:
    held, needed = (builders.attempt(block=block) for block in (0, 1))
    worker = laptop()
    events = worker.run([held, needed])
    assert isinstance(next(events), Held)
    worker.drop([held.trial.trial_id])
    rest = [event for event in events if not isinstance(event, Held)]
    assert [type(event) for event in rest] == [Started, Finished]
    assert isinstance(rest[0], Started)
    assert rest[0].attempt.trial.trial_id == needed.trial.trial_id


def test_a_block_that_has_begun_is_measured_to_its_end(laptop: MakeWorker) -> None:
    """The head drops it before it hears that it has begun; what comes later is left out."""
    open_gates = {"gates": Gates(policy="record")}
    first, other = (builders.attempt(model=name, **open_gates) for name in ("tiny", "other"))
    canary, idle = (builders.attempt(role="canary", block=at, **open_gates) for at in (1, 2))
    later = builders.attempt(model="other", block=1, **open_gates)
    worker = laptop()
    events = worker.run([first, other, canary, later, idle])
    assert isinstance(next(events), Started)
    worker.drop([each.trial.trial_id for each in (other, canary, later, idle)])
    done = [event.result for event in events if isinstance(event, Finished)]
    assert [result.trial for result in done] == [each.trial for each in (first, other, canary)]


@pytest.mark.parametrize(("settings", "restarts"), [({}, 1), ({"flash_attention": True}, 0)])
def test_the_owners_engine_stays_beside_an_engine_of_its_own(
    laptop: MakeWorker, settings: dict[str, Value], restarts: int
) -> None:
    again: list[Engine] = []

    def restart(engine: Engine) -> Engine:
        again.append(engine)
        return engine

    worker = laptop(restart=restart)
    plain = builders.trial()
    changes = {"settings": {**plain.settings, **settings}, "restart_engine": True}
    [*_, last] = worker.run([builders.attempt(gates=Gates(policy="record"), **changes)])
    assert isinstance(last, Finished)
    assert (last.result.outcome, last.result.engine_restarted) == ("ok", True)
    assert len(again) == restarts


def measured(visit: Visit, after: FactValue = "mains", **changes: Any) -> Any:
    attempt = builders.attempt(gates=visit.trial.gates)
    told = {"fingerprint_after": ready(power_source=after), "clock_step_ns": 0, **changes}
    return visit.judged(builders.result(attempt, **told))


def test_the_result_tells_of_the_gates_before_and_after() -> None:
    machine = Machine([ready(power_source="battery", memory_pressure=None)])
    visit = machine.visit(trial("record"))
    machine.hold(visit)
    result = measured(visit, after="battery", clock_step_ns=-5 * NS_PER_S)
    assert result.outcome == "ok"
    assert (result.gates_held_ns, result.gates_closed) == (0, ("on battery",))
    assert result.gates_closed_after == ("on battery", "the clock stepped back by 5 s")
    assert result.gates_unverified == ("memory pressure",)


def test_an_attempt_that_failed_at_a_gate_tells_what_the_machine_was() -> None:
    visit = Machine([BATTERY]).visit(trial("record"))
    visit.see(BATTERY)
    failed = measured(visit, fingerprint_after=None, outcome="failed", reason="engine_in_use")
    assert failed.fingerprint is BATTERY
    assert failed.gates_closed == ("on battery",)


def test_right_after_a_trial_the_gpu_is_busy_with_that_trial() -> None:
    visit = Machine([ready()]).visit()
    after = ready(foreign_gpu_percent=99)
    assert measured(visit, fingerprint_after=after).gates_closed_after == ()


def test_right_after_a_trial_only_a_list_of_programs_tells_whose_memory_is_in_use() -> None:
    visit = Machine([ready()]).visit()
    in_use = measured(visit, fingerprint_after=ready(gpu_memory_in_use_mb=60_000))
    assert in_use.gates_closed_after == ()
    listed = measured(visit, fingerprint_after=OTHERS)
    assert listed.gates_closed_after == (
        "others hold 69.0 GiB of the GPU's memory: python 70656 MiB",
    )


def test_what_was_not_looked_at_is_unknown() -> None:
    visit = Machine([ready()]).visit()
    result = measured(visit, fingerprint_after=None)
    assert (result.gates_closed, result.gates_closed_after, result.gates_unverified) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"after": "battery"},
        {"clock_step_ns": 2 * NS_PER_S},
        {"suspended_ns": 7 * NS_PER_S},
    ],
)
def test_under_strict_what_closed_meanwhile_fails_the_attempt(changes: dict[str, Any]) -> None:
    strict = measured(Machine([ready()]).visit(trial("strict")), **changes)
    assert (strict.outcome, strict.reason, strict.transient) == ("failed", "gate_closed", True)
    assert strict.detail.startswith("after the measurement: ")
    assert strict.requests, "its rows are kept"
    assert measured(Machine([ready()]).visit(), **changes).outcome == "ok"


def test_under_strict_another_failure_keeps_its_reason() -> None:
    visit = Machine([ready()]).visit(trial("strict"))
    failed = measured(visit, after="battery", outcome="failed", reason="engine_busy")
    assert failed.reason == "engine_busy"
    assert measured(visit).outcome == "ok"


def test_a_model_whose_expiry_the_last_request_set_is_the_one_left_behind() -> None:
    now_ns = 1_700_000_000 * NS_PER_S
    left = LeftoverModel(model="tiny", unix_ns=now_ns - MINUTE_NS)
    for latest_ns in (left.unix_ns, now_ns):
        kept = Resident(name="tiny", expires_unix_ns=latest_ns + round(KEPT_S * NS_PER_S))
        assert left.is_it(kept, now_ns)
