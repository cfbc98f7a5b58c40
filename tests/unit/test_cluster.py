"""What Ray is started with, who may join, and what is ended: everything short of Ray itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import httpx
import pytest

from fleet.app.head import lines_for_new_machines
from fleet.dispatch import cluster, launch, versions
from fleet.dispatch import ray_paths as places
from fleet.dispatch.access import make_token, read_token, save_token
from fleet.dispatch.nodes import slots
from fleet.dispatch.processes import end_sessions, in_session, mark, started_at
from fleet.dispatch.records import HEAD, NODE, Record, read_record, write_record
from fleet.dispatch.versions import (
    MOST_REQUESTS,
    HeadAnswer,
    Versions,
    VersionsServer,
    answers,
    ask_head,
    check_versions,
)
from fleet.errors import FleetUnreachable, UserError
from fleet.report.join_text import join_lines

TOKEN = Path("/state/token")
MINE = Versions(python="3.12.4", ray="2.60.0", fleet="0.1.0", code="c0de")
SECRET = "0123456789abcdef" * 4


def test_every_process_of_ray_is_in_token_mode() -> None:
    ports = launch.Ports()
    for variables in (
        launch.driver_environment(TOKEN, "linux"),
        launch.head_environment(TOKEN, ports, "linux"),
        launch.worker_environment(TOKEN, "linux", 8),
    ):
        assert variables["RAY_AUTH_MODE"] == "token"
        assert variables["RAY_AUTH_TOKEN_PATH"] == "/state/token"
        assert "RAY_AUTH_TOKEN" not in variables
        assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in variables


def test_a_measuring_process_is_as_it_would_be_without_ray() -> None:
    variables = launch.worker_environment(TOKEN, "darwin", 8)
    assert variables["RAY_worker_niceness"] == "0"
    assert variables["RAY_memory_monitor_refresh_ms"] == "0"
    assert variables["OMP_NUM_THREADS"] == "8"
    assert variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "1"


def test_what_a_shell_says_to_ray_is_left_behind() -> None:
    shell = {"PATH": "/bin", "RAY_ADDRESS": "evil:1", "RAY_AUTH_TOKEN": "other"}
    assert launch.without_ray(shell) == {"PATH": "/bin"}


def test_no_secret_stands_in_a_command_line(tmp_path: Path) -> None:
    secret = read_token(make_token(tmp_path))
    ports = launch.Ports()
    head = launch.head_command(
        "ray", launch.RayNode(own_ip="10.0.0.1", folder=tmp_path, ports=ports)
    )
    labels = launch.node_labels("a", None, 1)
    node = launch.join_command(
        "ray",
        launch.RayNode(own_ip="10.0.0.2", folder=tmp_path, ports=ports),
        "10.0.0.1:6379",
        labels,
    )
    assert secret not in " ".join(head + node)
    assert "--dashboard-host=127.0.0.1" in head
    assert "--num-cpus=0" in head
    assert '--resources={"bench_slot": 1}' in node
    assert "--labels=bench/node=a,bench/since=1" in node


def test_the_join_name_travels_only_where_it_was_given() -> None:
    assert launch.JOIN_NAME_LABEL not in launch.node_labels("a", None, 1)
    assert launch.node_labels("a", "a", 1)[launch.JOIN_NAME_LABEL] == "a"


def test_shifted_ports_never_meet() -> None:
    all_ports = [port for by in (0, 100, 200) for port in launch.Ports().shifted(by).single()]
    assert len(set(all_ports)) == len(all_ports)
    assert launch.Ports().shifted(100).first_worker > launch.Ports().last_worker


@pytest.mark.parametrize("name", ["", "llama3:8b", "-a", "a" * 64, "a b"])
def test_a_name_that_ray_would_refuse_is_refused_here(name: str) -> None:
    with pytest.raises(UserError, match="cannot name a machine"):
        launch.checked_name(name)


def test_a_token_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = make_token(tmp_path / "state")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(read_token(path)) == 64
    assert read_token(make_token(tmp_path / "state")) == read_token(path)


def test_a_token_others_can_read_is_refused(tmp_path: Path) -> None:
    path = make_token(tmp_path)
    path.chmod(0o640)
    with pytest.raises(UserError, match="others on this machine") as caught:
        make_token(tmp_path)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("text", ["", "short", "two words in a row of this", "naïve" * 8])
def test_what_is_no_token_is_not_kept(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="not the token of a fleet"):
        save_token(tmp_path, text)


def test_a_missing_token_says_where_one_is_had(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no fleet token here") as caught:
        read_token(tmp_path / "token")
    assert "--show-token" in caught.value.hint


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(MINE, python="3.11.7"), "Python 3.12 here, 3.11 there"),
        (replace(MINE, ray="2.59.0"), "Ray 2.60.0 here, 2.59.0 there"),
        (replace(MINE, fleet="0.2.0"), "fleet 0.1.0 here, 0.2.0 there"),
        (replace(MINE, code="0ther"), "code of fleet c0de here, 0ther there"),
    ],
)
def test_another_version_is_refused_with_the_line_that_mends_it(
    other: Versions, named: str
) -> None:
    problem = check_versions(MINE, other, "the line")
    assert problem is not None
    assert problem.what == f"this machine does not fit the head: {named}"
    assert problem.hint == "the line"


def test_another_patch_of_python_may_join() -> None:
    assert check_versions(MINE, replace(MINE, python="3.12.9"), "") is None


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def only_answer(handler: Callable[[httpx.Request], httpx.Response]) -> Iterator[None]:
    """Every HTTP client made in the block talks to this function."""
    true_client = httpx.Client

    def client(**options: object) -> httpx.Client:
        return true_client(transport=httpx.MockTransport(handler))

    with mock.patch.object(versions.httpx, "Client", client):
        yield


@pytest.fixture
def server() -> Iterator[VersionsServer]:
    server = VersionsServer("127.0.0.1", 0, MINE, SECRET)
    server.offer("sh -c 'the line'", {"/f00d/a.whl": b"a wheel"})
    yield server
    server.close()


@pytest.fixture
def endpoint(server: VersionsServer) -> int:
    return server.port


def test_the_head_tells_its_versions_and_the_line_that_installs_them(endpoint: int) -> None:
    expected = HeadAnswer(versions=MINE, install="sh -c 'the line'")
    assert ask_head("127.0.0.1", endpoint, SECRET) == expected


def test_another_token_is_known_without_sending_it(endpoint: int) -> None:
    with pytest.raises(UserError, match="another token"):
        ask_head("127.0.0.1", endpoint, "f" * 64)


@pytest.mark.parametrize("name", ["python", "ray", "fleet", "code", "install"])
def test_an_answer_that_was_changed_on_the_way_is_not_believed(name: str, endpoint: int) -> None:
    """What it proposes to install would else be anybody's."""

    def forged(request: httpx.Request) -> httpx.Response:
        url = f"http://127.0.0.1:{endpoint}{request.url.raw_path.decode()}"
        true = httpx.get(url, trust_env=False).json()
        return httpx.Response(200, json=true | {name: "forged"})

    with only_answer(forged), pytest.raises(UserError, match="another token"):
        ask_head("127.0.0.1", endpoint, SECRET)


def test_a_head_that_does_not_answer_is_named_in_time_with_the_ports_to_open() -> None:
    with pytest.raises(FleetUnreachable, match=r"127\.0\.0\.1:9: no fleet head") as caught:
        ask_head("127.0.0.1", 9, SECRET, deadline_s=0.2)
    assert "6378 to 6388 and 20000 to 20099" in caught.value.hint
    with pytest.raises(FleetUnreachable, match=r"127\.0\.0\.1:9: no fleet head"):
        answers("127.0.0.1", 9, deadline_s=0.2)


def test_the_head_serves_what_it_offers_and_nothing_else(endpoint: int) -> None:
    def get(path: str) -> tuple[int, bytes]:
        with socket.create_connection(("127.0.0.1", endpoint)) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    assert get("/f00d/a.whl") == (200, b"a wheel")
    for path in ("/", "/f00d", "/f00d/", "/f00d/../f00d/a.whl", "/../../etc/passwd"):
        assert get(path) == (404, b""), path


def test_a_flood_of_connections_is_bounded_and_passes(server: VersionsServer) -> None:
    address = ("127.0.0.1", server.port)

    def closed_at_once() -> bool:
        with socket.create_connection(address, timeout=0.2) as one_more:
            try:
                return one_more.recv(1) == b""
            except TimeoutError:
                return False

    assert not closed_at_once()
    with ExitStack() as held:
        for _ in range(MOST_REQUESTS):
            held.enter_context(socket.create_connection(address))
        until(closed_at_once)
    assert ask_head(*address, SECRET).versions == MINE


def test_a_machine_of_another_version_is_refused_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Versions(python="3.9.1", ray="2.60.0", fleet="0.1.0")
    server = VersionsServer("127.0.0.1", 0, other, SECRET)
    monkeypatch.setattr(cluster, "start_node", lambda *_: pytest.fail("Ray was started"))
    try:
        with pytest.raises(UserError, match="does not fit the head") as caught:
            cluster.join(f"127.0.0.1:{server.port + 1}", tmp_path, token=SECRET)
    finally:
        server.close()
    assert "the first line that fleet head prints" in caught.value.hint
    assert not (tmp_path / "token").exists()


def test_a_port_in_use_is_named(endpoint: int) -> None:
    with pytest.raises(FleetUnreachable, match="cannot listen there"):
        VersionsServer("127.0.0.1", endpoint, MINE, SECRET)


@pytest.mark.parametrize("text", [":6379", "host:ray", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not the address of a head"):
        places.split_address(text)


def test_a_head_on_the_usual_port_is_joined_by_its_address_alone() -> None:
    assert cluster.address_to_type("10.0.0.1:6379") == "10.0.0.1"
    assert cluster.address_to_type("10.0.0.1:7379") == "10.0.0.1:7379"


def test_what_to_do_on_a_new_machine_names_no_index_and_can_be_pasted() -> None:
    record = replace(_record(os.getpid(), os.getpid()), install="sh -c 'the line'")
    lines = join_lines(record)
    assert "sh -c 'the line'" in lines
    assert "~/.fleet/bin/fleet join 10.0.0.1" in lines
    assert "6378 to 6388 and 20000 to 20099" in " ".join(lines)
    assert "uv or Python 3.12" in " ".join(lines)
    assert "ollama-fleet" not in " ".join(lines)


def test_the_lines_are_shown_again_while_a_head_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path))
    with pytest.raises(UserError, match="no head runs on this machine"):
        lines_for_new_machines()
    practice = _record(os.getpid(), os.getpid())
    write_record(tmp_path / HEAD, practice)
    with pytest.raises(UserError, match="a practice fleet takes no further machine"):
        lines_for_new_machines()
    head = replace(practice, install="sh -c 'the line'")
    write_record(tmp_path / HEAD, head)
    assert lines_for_new_machines() == join_lines(head)


def test_who_has_joined_already_is_told_before_the_token_is_asked_for(tmp_path: Path) -> None:
    write_record(tmp_path / NODE, replace(_record(os.getpid(), os.getpid()), name="studio-96"))
    with pytest.raises(UserError, match=r"10\.0\.0\.1:6379 already, as studio-96") as caught:
        cluster.require_joinable("127.0.0.1", tmp_path, deadline_s=0.2)
    assert caught.value.hint.startswith("fleet leave")


def test_a_name_that_cannot_be_one_is_told_before_the_token_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'a b' cannot name a machine"):
        cluster.require_joinable("127.0.0.1", tmp_path, "a b", deadline_s=0.2)


def test_without_ray_it_says_what_adds_it_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="Ray, which is not installed") as caught:
        places.ray_program("node")
    assert caught.value.hint == f"{tmp_path}/python -m pip install ray==2.60.0"
    (tmp_path / "ray").touch()
    assert places.ray_program("node") == str(tmp_path / "ray")


def test_a_joined_machines_ray_makes_no_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head would come up and never take an experiment."""
    monkeypatch.setattr(places, "DASHBOARD_PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="needs Ray's dashboard") as caught:
        places.ray_program("head")
    assert "'ray[default]==2.60.0'" in caught.value.hint
    places.ray_program("node")


def test_a_head_that_is_not_there_is_told_before_the_token_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FleetUnreachable, match=r"127\.0\.0\.1:9: no fleet head answers"):
        cluster.require_joinable("127.0.0.1:10", tmp_path, deadline_s=0.2)


def test_the_sockets_of_ray_fit_a_mac(tmp_path: Path) -> None:
    folder = places.fresh_folder(tmp_path, "h")
    socket = "session_2026-11-23_22-03-37_805339_1234567/sockets/plasma_store"
    assert len(str(folder / socket)) <= 104
    assert folder.stat().st_mode & 0o777 == 0o700


def _sleeper() -> subprocess.Popen[bytes]:
    program = "sleep 60 & echo; wait"
    child = subprocess.Popen(["sh", "-c", program], start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    return child


def test_a_session_ends_whole_and_alone() -> None:
    ours, strangers = _sleeper(), _sleeper()
    try:
        assert len(in_session(ours.pid)) == 2
        end_sessions([ours.pid], grace_s=0.3)
        ours.wait()
        assert in_session(ours.pid) == []
        assert len(in_session(strangers.pid)) == 2
    finally:
        os.killpg(strangers.pid, signal.SIGKILL)
        strangers.wait()


def test_a_process_is_known_by_its_start(tmp_path: Path) -> None:
    me = mark(os.getpid())
    assert me.alive()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert started_at(child.pid) is None


def _record(command: int, ray: int) -> Record:
    return Record(
        address="10.0.0.1:6379",
        dashboard_port=8265,
        versions=MINE,
        own_ip="10.0.0.1",
        name="",
        command=mark(command),
        ray=(mark(ray),),
    )


def test_leave_asks_the_command_and_ends_what_it_left(tmp_path: Path) -> None:
    command, ray = _sleeper(), _sleeper()
    reaping = threading.Thread(target=lambda: (command.wait(), ray.wait()))
    reaping.start()
    write_record(tmp_path / NODE, _record(command.pid, ray.pid))
    assert cluster.leave(tmp_path, grace_s=0.3)
    reaping.join()
    os.killpg(command.pid, signal.SIGKILL)  # the shell is gone, its child is not of Ray
    assert command.returncode == -signal.SIGTERM
    assert in_session(ray.pid) == []
    assert not (tmp_path / NODE).exists()
    assert not cluster.leave(tmp_path)


def test_leave_spares_a_stranger_with_the_number_of_ours(tmp_path: Path) -> None:
    stranger = _sleeper()
    path = tmp_path / HEAD
    write_record(path, _record(stranger.pid, stranger.pid))
    path.write_text(path.read_text().replace(mark(stranger.pid).started, "1"))
    try:
        assert cluster.running_head(tmp_path) is None
        cluster.leave(tmp_path)
        assert stranger.poll() is None
    finally:
        os.killpg(stranger.pid, signal.SIGKILL)
        stranger.wait()


def test_a_record_survives_the_disk_and_a_broken_one_is_none(tmp_path: Path) -> None:
    record = _record(os.getpid(), os.getpid())
    write_record(tmp_path / HEAD, record)
    assert read_record(tmp_path / HEAD) == record
    assert cluster.running_head(tmp_path) == record
    earlier = json.loads((tmp_path / HEAD).read_text())
    del earlier["install"], earlier["versions"]["code"]
    (tmp_path / HEAD).write_text(json.dumps(earlier))
    assert cluster.running_head(tmp_path) == replace(record, versions=replace(MINE, code=""))
    (tmp_path / HEAD).write_text('{"address": 1}')
    assert read_record(tmp_path / HEAD) is None


def test_a_port_that_ray_needs_and_another_has_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = replace(launch.Ports().shifted(14_000), gcs=taken)
        with pytest.raises(UserError, match=f"port {taken} of this machine is in use"):
            cluster.start_head(tmp_path, ports=ports)


def test_two_heads_of_one_state_are_refused(tmp_path: Path) -> None:
    write_record(tmp_path / HEAD, _record(os.getpid(), os.getpid()))
    with pytest.raises(UserError, match="a head runs here already"):
        cluster.start_head(tmp_path)


def _node(name: str, node_id: str, since: int, ip: str = "10.0.0.2", alive: bool = True) -> dict:
    labels = {"bench/node": name, "bench/since": str(since)}
    return {"NodeID": node_id, "Alive": alive, "Labels": labels, "NodeManagerAddress": ip}


def test_a_node_that_was_started_anew_counts_once() -> None:
    nodes = [_node("a", "new", 20), _node("a", "old", 10), _node("b", "dead", 5, alive=False)]
    head = {"NodeID": "head", "Alive": True, "Labels": {}, "NodeManagerAddress": "10.0.0.1"}
    assert [(slot.name, slot.node_id) for slot in slots([*nodes, head])] == [("a", "new")]


def test_two_machines_of_one_name_are_told_apart() -> None:
    with pytest.raises(UserError, match=r"two machines are called a: 10\.0\.0\.2 and 10\.0\.0\.3"):
        slots([_node("a", "1", 1), _node("a", "2", 2, ip="10.0.0.3")])


def test_the_installed_versions_are_those_of_this_process() -> None:
    mine = versions.installed()
    assert sys.version.startswith(mine.python)
    assert mine.ray == "2.60.0"
