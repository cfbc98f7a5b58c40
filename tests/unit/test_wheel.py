"""The wheel that a head makes of its own code: whole, true to its record, the same each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

import fleet
from fleet.config.shipped import shipped_folder
from fleet.dispatch.wheel import Wheel, build_wheel, code_digest, wheel_of

ROOT = Path(__file__).resolve().parents[2]
INFO = f"ollama_fleet-{fleet.__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    return build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})


def contents(wheel: Wheel) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def tracked(*folders: str) -> set[str]:
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *folders]
    listing = subprocess.run(argv, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip(f"this is no checkout that git knows: {listing.stderr.strip()}")
    return set(filter(None, listing.stdout.split("\0")))


def test_every_file_of_the_program_is_in_it_as_it_runs_here(wheel: Wheel) -> None:
    inside = contents(wheel)
    for name in tracked("fleet"):
        assert inside[name] == (ROOT / name).read_bytes(), name
    for name in tracked("configs", "jobs"):
        assert inside[f"fleet/shipped/{name}"] == (ROOT / name).read_bytes(), name
    assert not [name for name in inside if "__pycache__" in name or "/." in name]


def test_its_record_names_every_file_with_its_hash_and_size(wheel: Wheel) -> None:
    inside = contents(wheel)
    rows = list(csv.reader(io.StringIO(inside.pop(f"{INFO}/RECORD").decode())))
    assert rows.pop() == [f"{INFO}/RECORD", "", ""]
    assert {name for name, _, _ in rows} == set(inside)
    for name, digest, size in rows:
        raw = hashlib.sha256(inside[name]).digest()
        assert digest == "sha256=" + base64.urlsafe_b64encode(raw).decode().rstrip("=")
        assert int(size) == len(inside[name])


def test_it_says_what_installers_ask(wheel: Wheel) -> None:
    inside = contents(wheel)
    assert wheel.name == f"ollama_fleet-{fleet.__version__}-py3-none-any.whl"
    assert b"Wheel-Version: 1.0\n" in inside[f"{INFO}/WHEEL"]
    assert b"Tag: py3-none-any\n" in inside[f"{INFO}/WHEEL"]
    assert b"fleet = fleet.cli.main:main" in inside[f"{INFO}/entry_points.txt"]
    head = inside[f"{INFO}/METADATA"].decode().partition("\n\n")[0].splitlines()
    assert {"Name: ollama-fleet", f"Version: {fleet.__version__}"} <= set(head)
    assert any(line.startswith("Requires-Dist: ray==") for line in head)


def test_the_same_files_give_the_same_bytes(wheel: Wheel) -> None:
    again = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
    assert again == wheel
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        assert {each.date_time for each in archive.infolist()} == {(2020, 2, 2, 0, 0, 0)}


def test_an_executable_file_stays_one() -> None:
    wheel = wheel_of({"fleet/a.sh": b"", "fleet/b.py": b""}, {"fleet/a.sh": 0o100755})
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
    assert modes["fleet/a.sh"] == 0o100755
    assert modes["fleet/b.py"] == 0o100644


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a smaller program, which is the running one for a while."""
    for name in ("fleet/__init__.py", "fleet/views.sql", "configs/shipped.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr(fleet, "__file__", str(tmp_path / "fleet/__init__.py"))
    return tmp_path


def test_a_file_of_the_users_own_is_not_given_away(checkout: Path) -> None:
    git = ["git", "-C", str(checkout)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    (checkout / "configs/mine.yaml").write_text("models: [secret]")
    inside = contents(build_wheel({"configs": checkout / "configs"}))
    assert "fleet/shipped/configs/shipped.yaml" in inside
    assert not [name for name in inside if "mine" in name]


def test_without_git_everything_shipped_is_there(checkout: Path) -> None:
    inside = contents(build_wheel({"configs": checkout / "configs"}))
    assert "fleet/shipped/configs/shipped.yaml" in inside


def test_an_installed_package_gives_what_it_holds_itself(checkout: Path) -> None:
    inside_package = checkout / "fleet/shipped/configs"
    inside_package.mkdir(parents=True)
    (inside_package / "shipped.yaml").write_text("installed")
    inside = contents(build_wheel({"configs": inside_package}))
    assert inside["fleet/shipped/configs/shipped.yaml"] == b"installed"


def test_other_code_is_known_by_its_digest(checkout: Path) -> None:
    before = code_digest()
    (checkout / "fleet/__pycache__").mkdir()
    (checkout / "fleet/__pycache__/x.pyc").write_text("compiled")
    (checkout / "fleet/shipped").mkdir()
    (checkout / "fleet/shipped/a.yaml").write_text("read where it is submitted")
    assert code_digest() == before
    (checkout / "fleet/views.sql").write_text("another")
    assert code_digest() != before
