"""A real head with real nodes on this machine; only the worker does not measure.

One cluster serves the whole file; the machines of each test are its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed")

from ray.util import list_named_actors  # noqa: E402

from fleet.app.target import PYTHON  # noqa: E402
from fleet.dispatch import pool  # noqa: E402
from fleet.dispatch.access import read_token, save_token, token_file  # noqa: E402
from fleet.dispatch.actors import RayDispatcher  # noqa: E402
from fleet.dispatch.cluster import Running, join, running_head  # noqa: E402
from fleet.dispatch.driver import connect  # noqa: E402
from fleet.dispatch.jobs import Jobs  # noqa: E402
from fleet.dispatch.launch import Ports  # noqa: E402
from fleet.dispatch.members import members  # noqa: E402
from fleet.dispatch.nodes import NodeSlot  # noqa: E402
from fleet.dispatch.practice import Practice, practice_cluster  # noqa: E402
from fleet.dispatch.processes import in_session  # noqa: E402
from fleet.dispatch.ray_paths import busy_port  # noqa: E402
from fleet.errors import FleetUnreachable, UserError  # noqa: E402
from fleet.ledger.journal import Ledger  # noqa: E402
from fleet.model.event import Event, Failed, Finished, Lost, Prepared, Started  # noqa: E402
from fleet.model.trial import Attempt  # noqa: E402
from tests import builders  # noqa: E402
from tests.builders_dispatch import FakeWorker, Spec  # noqa: E402
from tests.builders_flow import DEADLINE_S, Fleet, experiment, model, until  # noqa: E402
from tests.builders_flow import machine as script  # noqa: E402

MACHINES = ("a", "b")
Dispatching = Callable[..., RayDispatcher]


def own_ports() -> Ports:
    """For a node that joins by itself: nobody else's, and below those that Linux gives away."""
    sets = (Ports().shifted(by) for by in range(12_100, 12_700, 100))
    return next(ports for ports in sets if busy_port(ports) is None)


@pytest.fixture
def join_names() -> dict[str, str | None]:
    """What each slot said of the name given at `join --name`."""
    return {}


def world(state: Path) -> dict[str, str]:
    """What coordinators and nodes find, with locks of their own for the scripted machines."""
    (state / "tmp").mkdir(exist_ok=True)
    own = {"FLEET_STATE": state, "FLEET_HOME": state / "nodes", "TMPDIR": state / "tmp"}
    own["FLEET_LOCKS"] = state / "locks"
    return {PYTHON: sys.executable, **{name: str(value) for name, value in own.items()}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Practice, Path]]:
    state = tmp_path_factory.mktemp("state")
    said: list[str] = []
    with practice_cluster(MACHINES, state, extra=world(state), say=said.append) as head:
        assert head.joined == list(MACHINES), said
        leaders = [leader.pid for leader in running_head(state).ray]  # type: ignore[union-attr]
        assert len(leaders) == 3
        yield head, state
    assert [pid for leader in leaders for pid in in_session(leader)] == []
    assert running_head(state) is None


@pytest.fixture
def dispatching(
    cluster: tuple[Practice, Path], join_names: dict[str, str | None]
) -> Iterator[Dispatching]:
    """Makes a dispatcher whose specs are changed by name, and closes it."""
    head, state = cluster
    made: list[RayDispatcher] = []
    join_names.clear()

    def make(names: tuple[str, ...] = MACHINES, **changes: dict[str, object]) -> RayDispatcher:
        def spec_of(slot: NodeSlot) -> Spec:
            join_names[slot.name] = slot.join_name
            plain = {"name": slot.name, "machine_id": f"id-{slot.name}"}
            return Spec(**{**plain, **changes.get(slot.name, {})})

        made.append(
            RayDispatcher(
                FakeWorker,
                spec_of,
                address=head.address,
                token_file=token_file(state),
                experiment="demo",
                log=state / "ray.log",
            )
        )
        until(lambda: not made[-1].borrow(names))  # the actors of the test before may still end
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close()


def attempts(name: str, count: int) -> list[Attempt]:
    return [builders.attempt(machine=name, block=block) for block in range(count)]


def finished(events: list[Event], machine_id: str) -> list[str]:
    done = [one for one in events if isinstance(one, Finished) and one.machine_id == machine_id]
    return [one.result.trial.trial_id for one in done]


def test_machines_work_side_by_side_and_each_in_order(dispatching: Dispatching) -> None:
    dispatcher = dispatching(a={"trial_s": 0.1}, b={"trial_s": 0.1})
    machines = dispatcher.machines()
    assert [machine.name for machine in machines] == ["a", "b"]
    assert dispatcher.absent == {}
    for machine in machines:
        assert machine.fingerprint.get("nice") == 0
        assert machine.fingerprint.get("threads") == str(os.cpu_count())
        assert machine.fingerprint.get("arrow") is False
    queues = {f"id-{name}": attempts(name, 5) for name in MACHINES}
    events = list(dispatcher.run(queues))
    for machine_id, queue in queues.items():
        assert finished(events, machine_id) == [one.trial.trial_id for one in queue]
    order = [one.machine_id for one in events if isinstance(one, Started)]
    assert order != sorted(order), "one machine waited for the other"


def test_models_are_prepared_on_each_machine(dispatching: Dispatching) -> None:
    dispatcher = dispatching()
    dispatcher.machines()
    events = list(dispatcher.prepare({"id-a": ["tiny"], "id-b": ["absent"]}))
    assert [one.models[0].name for one in events if isinstance(one, Prepared)] == ["tiny"]
    assert [one.machine_id for one in events if isinstance(one, Failed)] == ["id-b"]


def test_a_killed_worker_is_lost_and_the_other_goes_on(
    cluster: tuple[Practice, Path], dispatching: Dispatching
) -> None:
    dispatcher = dispatching(a={"trial_s": 30.0}, b={"trial_s": 0.2})
    pids = {machine.name: machine.fingerprint.get("pid") for machine in dispatcher.machines()}
    events: list[Event] = []
    for event in dispatcher.run({"id-a": attempts("a", 3), "id-b": attempts("b", 3)}):
        events.append(event)
        if isinstance(event, Started) and event.machine_id == "id-a":
            os.kill(int(str(pids["a"])), signal.SIGKILL)
    assert len(finished(events, "id-b")) == 3
    lost = [one for one in events if isinstance(one, Lost)]
    assert [one.machine_id for one in lost] == ["id-a"]
    assert "its worker process ended" in lost[0].what
    assert lost[0].what.endswith(f"(details: {cluster[1] / 'ray.log'})")
    assert "ActorDiedError" not in lost[0].what, "Ray's own words are in the file"
    assert "The actor died" in (cluster[1] / "ray.log").read_text()
    dispatcher.borrow(MACHINES)
    assert {machine.name for machine in dispatcher.machines()} == {"a", "b"}, "no new slot"


def test_dropped_trials_are_not_begun_and_results_are_acknowledged(
    dispatching: Dispatching,
) -> None:
    dispatcher = dispatching(("a",), a={"trial_s": 0.5})
    dispatcher.machines()
    queue = attempts("a", 4)
    events: list[Event] = []
    for event in dispatcher.run({"id-a": queue}):
        events.append(event)
        if len(events) == 1:
            dispatcher.drop("id-a", [one.trial.trial_id for one in queue[2:]])
        if isinstance(event, Finished):
            dispatcher.acknowledge("id-a", event.result.attempt_id)
    done = [one.trial.trial_id for one in queue[:2]]
    assert finished(events, "id-a") == done
    looked = {machine.name: machine for machine in dispatcher.machines()}["a"]
    assert looked.fingerprint.get("acknowledged") == ",".join(f"{one}-0" for one in done)


def test_cancel_ends_a_run_with_its_trials_as_cancelled(dispatching: Dispatching) -> None:
    dispatcher = dispatching(a={"trial_s": 2 * DEADLINE_S}, b={"trial_s": 2 * DEADLINE_S})
    dispatcher.machines()
    events: list[Event] = []
    began = 0.0
    for event in dispatcher.run({f"id-{name}": attempts(name, 2) for name in MACHINES}):
        events.append(event)
        if sum(isinstance(one, Started) for one in events) == 2 and not began:
            began = time.monotonic()
            dispatcher.cancel()
    assert time.monotonic() - began < DEADLINE_S
    outcomes = [one.result.outcome for one in events if isinstance(one, Finished)]
    assert outcomes == ["cancelled", "cancelled"]


def test_a_worker_that_does_not_stop_is_ended(dispatching: Dispatching) -> None:
    dispatcher = dispatching(("a",), a={"breaks": "hang"})
    dispatcher.machines()
    run = dispatcher.run({"id-a": attempts("a", 1)})
    assert isinstance(next(run), Started)
    dispatcher.cancel()
    assert [type(event) for event in run] == [Lost]


def test_a_machine_that_cannot_be_looked_at_is_left_out_with_the_reason(
    dispatching: Dispatching,
) -> None:
    dispatcher = dispatching(a={"breaks": "look"})
    assert [machine.name for machine in dispatcher.machines()] == ["b"]
    assert dispatcher.absent == {"a": "the machine would not be looked at"}
    assert [type(event) for event in dispatcher.run({"id-a": attempts("a", 1)})] == [Lost]


def test_a_machine_that_is_late_is_asked_once_more_and_then_named(
    dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = dispatching(a={"breaks": "late once"}, b={"breaks": "late always"})
    monkeypatch.setattr(pool, "LOOK_S", 5.0)
    assert [machine.name for machine in dispatcher.machines()] == ["a"]
    assert dispatcher.absent == {"b": "it did not answer in time, twice"}


def test_a_worker_that_refuses_its_work_fails_with_its_own_words(dispatching: Dispatching) -> None:
    dispatcher = dispatching(a={"breaks": "run"}, b={"breaks": "begin"})
    dispatcher.machines()
    assert dispatcher.absent == {"b": "no scripted machine is called 'b' name another"}
    events = list(dispatcher.run({"id-a": attempts("a", 1)}))
    failed = Failed(machine_id="id-a", what="the engine is of another kind", hint="name another")
    assert events[1:] == [failed]


def test_two_nodes_with_one_machine_id_are_named(dispatching: Dispatching) -> None:
    dispatcher = dispatching(a={"machine_id": "same"}, b={"machine_id": "same"})
    with pytest.raises(UserError, match="a and b have the same machine id") as caught:
        dispatcher.machines()
    assert "fleet join HEAD --name" in caught.value.hint


def test_the_join_name_reaches_the_seat_and_a_dead_node_is_lost(
    cluster: tuple[Practice, Path],
    dispatching: Dispatching,
    join_names: dict[str, str | None],
    tmp_path: Path,
) -> None:
    head, state = cluster
    third = tmp_path / "third"
    token = read_token(token_file(state))
    with join(
        head.address,
        third,
        name="c",
        token=token,
        ports=own_ports(),
    ) as node:
        dispatcher = dispatching(("c",), c={"trial_s": 60.0})
        assert [machine.name for machine in dispatcher.machines()] == ["c"]
        assert join_names == {"c": "c"}
        run = dispatcher.run({"id-c": attempts("c", 2)})
        assert isinstance(next(run), Started)
        raylet = next(pid for pid in in_session(node.record.ray[0].pid) if _is_raylet(pid))
        os.kill(raylet, signal.SIGKILL)
        assert [type(event) for event in run] == [Lost]
        with pytest.raises(FleetUnreachable, match="Ray ended on this machine"):
            node.watch(threading.Event())
    assert not (third / "node.json").exists()


HOLD = """
import sys
from pathlib import Path
from fleet.dispatch.actors import RayDispatcher
from tests.builders_dispatch import FakeWorker, Spec
holder = RayDispatcher(
    FakeWorker,
    lambda slot: Spec(slot.name, slot.name),
    address=sys.argv[1],
    token_file=Path(sys.argv[2]),
    experiment="other",
    log=Path(sys.argv[2]).with_name("other.log"),
)
print(holder.take(["a"], {}), len(holder.machines()), flush=True)
sys.stdin.read()
holder.close()
"""


@contextmanager
def held_by_another_experiment(cluster: tuple[Practice, Path]) -> Iterator[None]:
    head, state = cluster
    argv = [sys.executable, "-c", HOLD, head.address, str(token_file(state))]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "{} 1\n"
        yield
        holder.communicate("")


def test_a_machine_that_another_experiment_holds_is_waited_for(
    cluster: tuple[Practice, Path], dispatching: Dispatching, tmp_path: Path
) -> None:
    """All or none: while it waits it holds nothing itself, and nothing is pending in Ray."""
    locked = tmp_path / "somebody measures here without Ray"
    locked.touch()
    dispatcher = dispatching((), b={"breaks": f"held by {locked}"})
    with held_by_another_experiment(cluster):
        busy = dispatcher.take(MACHINES, {})
        assert list(busy) == ["a"]
        assert re.fullmatch(r"a has been measuring other since \d\d:\d\d", busy["a"])
        named = [actor["name"] for actor in list_named_actors(all_namespaces=True)]
        assert named == ["other@a"]
        assert dispatcher.take(["b"], {"b": "b is waited for"}) == {"b": "b is waited for"}
        assert dispatcher.borrow(MACHINES) == busy
        assert [machine.name for machine in dispatcher.machines()] == ["b"]
    until(lambda: "a" not in dispatcher.take(MACHINES, {}))
    assert dispatcher.take(MACHINES, {}) == {"b": "b is measuring demo"}
    locked.unlink()
    assert dispatcher.take(MACHINES, {}) == {}
    assert [machine.name for machine in dispatcher.machines()] == ["a", "b"]
    assert dispatcher.absent == {}
    dispatcher.keep(["id-b"])
    until(lambda: [each["name"] for each in list_named_actors(all_namespaces=True)] == ["demo@b"])


def _is_raylet(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip().endswith("raylet")


def _jobs(cluster: tuple[Practice, Path]) -> Jobs:
    head, state = cluster
    url = f"http://127.0.0.1:{head.record.dashboard_port}"
    return Jobs(url, read_token(token_file(state)))


def test_the_head_tells_who_is_joined_and_what_measures_there(
    cluster: tuple[Practice, Path], dispatching: Dispatching
) -> None:
    head, _ = cluster
    with _jobs(cluster) as jobs:

        def measured() -> dict[str, str | None]:
            """By machine; of another test's machine, Ray may not know yet that it is gone."""
            return {each.name: each.experiment for each in members(jobs) if each.name in MACHINES}

        assert measured() == {"a": None, "b": None}
        assert {each.address for each in members(jobs)} == {head.record.own_ip}
        assert all(0 < time.time() - each.joined_unix_s < 600 for each in members(jobs))
        dispatching(names=("b",)).machines()
        assert measured() == {"a": None, "b": "demo"}


def test_a_job_runs_on_the_head_and_its_log_is_followed(cluster: tuple[Practice, Path]) -> None:
    line = f"{sys.executable} -c \"import os; print('hello', os.environ['WHO'], os.nice(0))\""
    with _jobs(cluster) as jobs:
        assert jobs.submit(line, "demo-1", environment={"WHO": "fleet"}) == "demo-1"
        told = "".join(jobs.follow("demo-1", threading.Event()))
        assert "hello fleet 0" in told
        assert jobs.state("demo-1") == "SUCCEEDED"
        with pytest.raises(UserError, match="submitted before"):
            jobs.submit("true", "demo-1")
        with pytest.raises(UserError, match="the head has no job 'demo-2'"):
            jobs.state("demo-2")


def test_a_running_job_is_stopped(cluster: tuple[Practice, Path]) -> None:
    with _jobs(cluster) as jobs:
        jobs.submit("sleep 60", "sleeper")
        began = threading.Event()
        while jobs.state("sleeper") == "PENDING":
            began.wait(0.1)
        jobs.stop("sleeper")
        list(jobs.follow("sleeper", threading.Event()))
        assert jobs.state("sleeper") == "STOPPED"


def test_a_wrong_token_opens_nothing(cluster: tuple[Practice, Path], tmp_path: Path) -> None:
    head, _ = cluster
    url = f"http://127.0.0.1:{head.record.dashboard_port}"
    with Jobs(url, "0" * 64) as jobs, pytest.raises(UserError, match="refuses this token"):
        jobs.submit("true", "evil")
    assert httpx.get(f"{url}/api/jobs/", trust_env=False).status_code in (401, 403)
    with pytest.raises(UserError, match="another token"):
        join(head.address, tmp_path, token="0" * 64)


def test_a_driver_with_a_wrong_token_is_told_so(
    cluster: tuple[Practice, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="another token"):
        connect(cluster[0].address, save_token(tmp_path, "0" * 64))


def test_no_secret_is_seen_in_the_process_list(cluster: tuple[Practice, Path]) -> None:
    _, state = cluster
    told = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True)
    assert "ray start" in told.stdout
    assert read_token(token_file(state)) not in told.stdout


def test_the_head_is_found_by_its_record(cluster: tuple[Practice, Path]) -> None:
    head, state = cluster
    record = json.loads((state / "head.json").read_text())
    assert record["address"] == head.address
    assert read_token(token_file(state)) not in json.dumps(record)


def test_a_head_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FleetUnreachable, match="no fleet head answers"):
        connect("127.0.0.1:9", save_token(tmp_path, "0" * 64), deadline_s=0.2)


SLOW = {"tiny": model(decode_tokens_per_s=400)}
"""A trial takes half a second."""


class OnHead(Fleet):
    """`fleet` as typed on the head of the cluster, with a store of its own."""

    def __init__(self, folder: Path, state: Path) -> None:
        super().__init__(folder)
        self.state = state

    def environment(self, **changes: str) -> dict[str, str]:
        return super().environment(FLEET_STATE=str(self.state), **changes)

    def asked(self, name: str, machines: Sequence[str], repeats: int) -> str:
        scripts = {each: script(models=SLOW) for each in machines}
        return self.write(experiment(scripts, name=name, repeats=repeats), name)

    def told(self, name: str) -> Any:
        statuses = self("status", "--json").json()
        return next((each for each in statuses if each["experiment"] == name), None)

    def states(self, name: str) -> list[tuple[str, str]]:
        return [(row["machine"], row["state"]) for row in self.told(name)["states"]]

    def outcome(self, name: str) -> str | None:
        found: str | None = self.told(name)["outcome"]
        return found

    def coordinator(self, name: str) -> int:
        with closing(Ledger(self.store / "ledger.sqlite")) as ledger:
            pid = ledger.coordinator(name)
        assert pid is not None
        return pid


@pytest.fixture
def fleet(cluster: tuple[Practice, Path], tmp_path: Path) -> Iterator[OnHead]:
    fleet = OnHead(tmp_path, cluster[1])
    yield fleet
    fleet.clear()


def test_experiments_that_are_sent_are_known_at_once_and_wait_for_each_other(
    fleet: OnHead,
) -> None:
    fleet("submit", fleet.asked("demo", "ab", 8), "--detach")
    assert fleet.told("demo")["state"] in ("starting", "preparing", "measuring")
    fleet("submit", fleet.asked("other", "ab", 2), "--detach")
    assert fleet.told("other")["state"] in ("starting", "waiting")
    file = fleet.asked("third", "b", 1)
    fleet("submit", file, "--detach")
    os.kill(fleet.coordinator("third"), signal.SIGKILL)
    assert "its coordinator ended without a message while it was" in fleet("status", "third").out
    assert Path(fleet.told("third")["log"]).exists(), "its last words"
    fleet("submit", file, "--detach")
    assert "third is stopping" in fleet("cancel", "third").out
    until(lambda: fleet.outcome("third") == "interrupted")

    until(lambda: fleet.outcome("demo") and fleet.outcome("other"))
    for name, trials in (("demo", 16), ("other", 4)):
        account = fleet.told(name)["account"]
        assert (account["asked"], account["done"], account["missing"]) == (trials, trials, 0)
        assert fleet.outcome(name) == "done"
    log = Path(fleet.told("other")["log"]).read_text()
    for name in MACHINES:
        assert re.search(rf"waits: {name} has been measuring demo since \d\d:\d\d", log)


def test_a_node_that_dies_while_it_measures_is_missed_until_it_is_back(
    cluster: tuple[Practice, Path], fleet: OnHead, tmp_path: Path
) -> None:
    head, state = cluster
    token = read_token(token_file(state))

    def joined(folder: str) -> Running:
        own, ports = tmp_path / folder, own_ports()
        return join(head.address, own, name="c", token=token, ports=ports, extra=world(state))

    file = fleet.asked("demo", "ac", 6)
    with joined("once") as node:
        fleet("submit", file, "--detach")
        until(lambda: ("c", "done") in fleet.states("demo"))
        for pid in in_session(node.record.ray[0].pid):
            os.kill(pid, signal.SIGKILL)
        until(lambda: fleet.outcome("demo"))
    told = fleet.told("demo")
    account = told["account"]
    assert (told["outcome"], account["asked"]) == ("failed", 12)
    assert account["missing"] == account["left_out"] >= 1
    status = fleet("status", "demo").out
    assert status.startswith(f"demo   not complete: {account['missing']} of 12 trials are missing")
    [lost] = [row for row in told["machines"] if row["machine"] == "c"]
    assert lost["state"] == "lost"
    words = Path(lost["reason"].partition("(details: ")[2].rstrip(")"))
    assert "ctor" in words.read_text(), "Ray's own words"
    printed = Path(told["log"]).read_text()
    assert not re.search(r"raylet|gcs|rpc|Actor", printed), printed

    plan = fleet("plan", file).out
    assert re.search(r"c +absent: (it is not joined now, last measured 20|its worker )", plan)
    with joined("again"):
        done = fleet("submit", file)
    assert "demo is in the queue of this head" in done.out
    assert "absent" not in done.out
    assert fleet.outcome("demo") == "done"
    assert fleet.told("demo")["account"]["missing"] == 0
