"""Who is joined to a head, out of what Ray's state interface lists, and how it is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.app.target import Target, require_target
from fleet.cli.machines import require_one_question
from fleet.dispatch.jobs import Jobs
from fleet.dispatch.members import Member, members
from fleet.dispatch.processes import mark
from fleet.dispatch.records import HEAD, NODE, Record, write_record
from fleet.dispatch.versions import Versions
from fleet.errors import FleetUnreachable, UserError
from fleet.report.joined_text import joined_lines


def node(name: str | None, node_id: str, **changes: Any) -> dict[str, Any]:
    labels = {"ray.io/node-id": node_id} | ({"bench/node": name} if name else {})
    plain = {
        "node_id": node_id,
        "node_ip": "10.0.0.2",
        "state": "ALIVE",
        "labels": labels,
        "start_time_ms": 1_796_064_111_900,
        "end_time_ms": 0,
    }
    return plain | changes


def actor(name: str, node_id: str, state: str = "ALIVE") -> dict[str, Any]:
    return {"name": name, "node_id": node_id, "state": state}


class StateInterface:
    """Answers like the head's dashboard; no socket is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.actors: list[dict[str, Any]] = []
        self.body: bytes | None = None
        true_client = httpx.Client

        def client(**options: Any) -> httpx.Client:
            return true_client(**options, transport=httpx.MockTransport(self._answer))

        monkeypatch.setattr("fleet.dispatch.jobs.httpx.Client", client)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer the-token"
        rows = {"/api/v0/nodes": self.nodes, "/api/v0/actors": self.actors}[request.url.path]
        body = {"result": True, "data": {"result": {"result": rows}}}
        return httpx.Response(200, content=self.body or json.dumps(body).encode())


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> StateInterface:
    return StateInterface(monkeypatch)


@pytest.fixture
def jobs(state: StateInterface) -> Iterator[Jobs]:
    with Jobs("http://127.0.0.1:8265", "the-token") as jobs:
        yield jobs


def test_every_joined_machine_is_named_with_what_measures_on_it(
    state: StateInterface, jobs: Jobs
) -> None:
    state.nodes = [node(None, "head"), node("b", "n2", node_ip="10.0.0.3"), node("a", "n1")]
    state.actors = [
        actor("_ray_internal_job_actor_x", "head"),
        actor("night@run@b", "n2"),
        actor("earlier@a", "n1", "DEAD"),
    ]
    assert members(jobs) == [
        Member(
            name="a",
            address="10.0.0.2",
            node_id="n1",
            joined_unix_s=1_796_064_111,
            gone_unix_s=None,
            experiment=None,
        ),
        Member(
            name="b",
            address="10.0.0.3",
            node_id="n2",
            joined_unix_s=1_796_064_111,
            gone_unix_s=None,
            experiment="night@run",
        ),
    ]


def test_a_machine_that_left_stands_last_with_the_time(state: StateInterface, jobs: Jobs) -> None:
    state.nodes = [node("a", "n1", state="DEAD", end_time_ms=1_796_064_200_000), node("b", "n2")]
    assert [(each.name, each.gone_unix_s) for each in members(jobs)] == [
        ("b", None),
        ("a", 1_796_064_200),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_a_machine_that_joined_again_counts_once(
    turned: bool, state: StateInterface, jobs: Jobs
) -> None:
    gone = node("a", "n1", state="DEAD", end_time_ms=1_796_064_200_000)
    again = node("a", "n2", start_time_ms=1_796_064_300_000)
    state.nodes = [again, gone] if turned else [gone, again]
    assert [(each.node_id, each.gone_unix_s) for each in members(jobs)] == [("n2", None)]


@pytest.mark.parametrize("body", [b'{"data": null}', b"[]", b'{"data": {"result": 1}}', b"<html>"])
def test_an_answer_that_is_not_rays_is_one_message(
    body: bytes, state: StateInterface, jobs: Jobs
) -> None:
    state.body = body
    with pytest.raises(FleetUnreachable, match="the answer to /api/v0/actors is not Ray's"):
        members(jobs)


def member(name: str, **changes: Any) -> Member:
    plain: dict[str, Any] = {
        "name": name,
        "address": "192.168.100.100",
        "node_id": "n1",
        "joined_unix_s": 1_796_064_111,
        "gone_unix_s": None,
        "experiment": None,
    }
    return Member(**plain | changes)


def test_the_table_fits_80_columns_whatever_the_names() -> None:
    long = member("n" * 63, experiment="e" * 60)
    lines = joined_lines([long, member("a"), member("m" * 63, gone_unix_s=1_796_064_200)])
    assert max(map(len, lines)) <= 80
    assert lines[0] == "2 machines joined"
    assert lines[1].split() == ["machine", "address", "joined", "measures"]
    assert lines[2].split()[0] == "n" * 23 + "..."
    assert lines[2].split()[-1] == "e" * 14 + "..."
    assert lines[3].split()[-1] == "nothing"
    assert lines[4].startswith("left at 2026-")
    assert len(lines) == 5


def test_a_head_is_asked_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_HEAD", raising=False)
    require_one_question(joined=True, head="me@head", others=False)
    with pytest.raises(UserError, match="--here, --home and --store do not"):
        require_one_question(joined=True, head=None, others=True)
    with pytest.raises(UserError, match="--head goes with --joined") as caught:
        require_one_question(joined=False, head="me@head", others=False)
    assert caught.value.hint == "ssh me@head fleet machines"
    monkeypatch.setenv("FLEET_HEAD", "me@head")
    require_one_question(joined=False, head="me@head", others=True)


def test_where_no_head_runs_it_is_told_where_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path))
    with pytest.raises(UserError, match="no head runs on this machine") as caught:
        require_target(None)
    assert "fleet machines --joined --head USER@HEAD" in caught.value.hint
    here = mark(os.getpid())
    record = Record(
        address="10.0.0.1:6379",
        dashboard_port=0,
        versions=Versions(python="3.12.4", ray="2.60.0", fleet="0.1.0"),
        own_ip="10.0.0.2",
        name="studio-96",
        command=here,
        ray=(here,),
    )
    write_record(tmp_path / NODE, record)
    with pytest.raises(UserError, match=r"joined as studio-96; the head at 10\.0\.0\.1:6379"):
        require_target(None)
    write_record(tmp_path / HEAD, replace(record, name="", dashboard_port=8265))
    assert require_target(None) == Target(None, 8265)
    assert require_target("me@head") == Target("me@head")


def test_no_machine_is_no_table() -> None:
    assert joined_lines([]) == []
