"""Hints that install something: commands for this very environment, and no name of an index."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from fleet import installation
from fleet.dispatch.processes import mark
from fleet.dispatch.records import Record
from fleet.dispatch.versions import Versions
from fleet.installation import add_extra, git_address
from fleet.report.join_text import join_lines

ROOT = Path(__file__).resolve().parents[2]


class Installed(metadata.Distribution):
    """What an installer noted, file by file."""

    def __init__(self, **files: str) -> None:
        self._files = files

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename.replace(".", "_"))

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def noted(monkeypatch: pytest.MonkeyPatch, direct_url: object) -> None:
    installed = Installed(direct_url_json=json.dumps(direct_url))
    monkeypatch.setattr(installation, "distribution", lambda: installed)


def test_a_part_is_added_to_the_environment_that_runs() -> None:
    assert add_extra("head") == f"{sys.executable} -m pip install 'ray[default]==2.60.0'"
    assert add_extra("node") == f"{sys.executable} -m pip install ray==2.60.0"


def test_an_environment_of_uv_has_no_pip_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/uv")
    assert add_extra("node") == f"uv pip install --python {sys.executable} ray==2.60.0"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ensured = f"{sys.executable} -m ensurepip && {sys.executable} -m pip install ray==2.60.0"
    assert add_extra("node") == ensured


def test_a_bare_checkout_is_installed_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "distribution", lambda: None)
    assert add_extra("head") == f"{sys.executable} -m pip install -e '{ROOT}[head]'"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://git.example/fleet.git", "https://git.example/fleet.git"),
        ("https://me:secret@git.example/fleet.git", "https://git.example/fleet.git"),
        ("https://a-token@git.example/fleet.git", "https://git.example/fleet.git"),
        ("ssh://git@git.example/fleet.git", "ssh://git@git.example/fleet.git"),
    ],
)
def test_a_git_address_is_told_with_its_commit_and_no_secret(
    url: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(monkeypatch, {"url": url, "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})
    assert git_address() == f"git+{shown}@c0ffee"


@pytest.mark.parametrize("note", [{"url": "file:///here", "dir_info": {}}, {}, [], "x"])
def test_what_came_from_no_git_address_has_none(
    note: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(monkeypatch, note)
    assert git_address() is None


def test_a_head_from_a_git_address_offers_it_beside_its_own_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted(monkeypatch, {"url": "https://git.example/fleet", "vcs_info": {"commit_id": "c0ffee"}})
    record = Record(
        address="10.0.0.1:6379",
        dashboard_port=8265,
        versions=Versions(python="3.12.4", ray="2.60.0", fleet="0.1.0"),
        own_ip="10.0.0.1",
        name="",
        command=mark(1),
        ray=(mark(1),),
        install="sh -c 'the line'",
    )
    lines = join_lines(record)
    wanted = "'ollama-fleet[node,nvidia,apple] @ git+https://git.example/fleet@c0ffee'"
    assert f"uv tool install --force --python 3.12 {wanted}" in lines


def test_no_text_takes_the_program_from_a_package_index() -> None:
    """`ollama-fleet` is on none: only an address behind it makes a line that works."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("fleet/**/*")]
    named = re.compile(r"ollama-fleet(?:\[[\w,]+\])?(?=['\"= ])(?! @)")
    found = [
        f"{path.name}: {line.strip()}"
        for path in texts
        if path.suffix in {".py", ".md", ".sh", ".sql"}
        for line in path.read_text().splitlines()
        if named.search(line) and "install" in line
    ]
    assert found == []
