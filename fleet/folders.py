"""The folders of a home (results, ledger, spool), and what a machine keeps for itself."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from platformdirs import PlatformDirs

USER = PlatformDirs("fleet", appauthor=False)
HOME_ID = "home-id"
"""A file of a home with a random id, by which a machine tells apart who sends it work."""


def home_folder(home: str | None) -> Path:
    """Return the folder of results, ledger and spool: the one named, FLEET_HOME, or the user's."""
    chosen = home or os.environ.get("FLEET_HOME")
    return Path(chosen).expanduser().absolute() if chosen else USER.user_data_path


def with_home(command: str, *homes: Path) -> str:
    """Return the command with the homes that it would not find by itself.

    Several homes are only read, so they are named with --store.
    """
    if len(homes) > 1:
        return " ".join([command, *(f"--store {shlex.quote(str(home))}" for home in homes)])
    named = [home for home in homes if home != home_folder(None)]
    return " ".join([command, *(f"--home {shlex.quote(str(home))}" for home in named)])


def home_id(home: Path) -> str:
    """Return the id of a home; empty where nothing was ever submitted from it."""
    try:
        return (home / HOME_ID).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def results_folder(home: Path) -> Path:
    """Return the folder of the Parquet files and of `views.sql`."""
    return home / "results"


def results_folders(homes: Sequence[Path]) -> list[Path]:
    """Return the results folder of each home."""
    return [results_folder(home) for home in homes]


def ledger_file(home: Path) -> Path:
    """Return the SQLite file of the queue."""
    return home / "ledger.sqlite"


def cache_folder() -> Path:
    """Return the folder of files that can be made again."""
    return USER.user_cache_path


def state_folder() -> Path:
    """Return the folder of this machine's part in a fleet: the token, the head or node it runs."""
    chosen = os.environ.get("FLEET_STATE")
    return Path(chosen) if chosen else USER.user_state_path


def head_record() -> Path:
    """Return the file in which a head that runs on this machine describes itself."""
    return state_folder() / "head.json"


def settings_folder() -> Path:
    """Return the folder that records what a trial has changed on this machine."""
    return state_folder() / "settings"


def permission_file(platform: str) -> Path:
    """Return the file of what the owner allows on one machine, named by its platform."""
    return state_folder() / f"{platform}.allowed.json"
