"""The folders of a home (store, ledger, spool) and of what a machine keeps of itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import PlatformDirs

USER = PlatformDirs("fleet", appauthor=False)


def home_folder(store: str | None) -> Path:
    """Where store, ledger and spool lie: --store, FLEET_STORE, else the per-user data folder."""
    chosen = store or os.environ.get("FLEET_STORE")
    return Path(chosen).expanduser().absolute() if chosen else USER.user_data_path


def results_folder(home: Path) -> Path:
    """Where the Parquet files and `views.sql` lie."""
    return home / "results"


def results_folders(homes: Sequence[Path]) -> list[Path]:
    return [results_folder(home) for home in homes]


def ledger_file(home: Path) -> Path:
    return home / "ledger.sqlite"


def cache_folder() -> Path:
    return USER.user_cache_path


def state_folder() -> Path:
    """What this machine keeps of its part in a fleet: the token, the head or node it runs."""
    chosen = os.environ.get("FLEET_STATE")
    return Path(chosen) if chosen else USER.user_state_path


def head_record() -> Path:
    """What a head that runs on this machine notes of itself."""
    return state_folder() / "head.json"


def settings_folder() -> Path:
    """Where it is written what a trial has changed on this machine, whatever its home."""
    return state_folder() / "settings"


def permission_file(platform: str) -> Path:
    """What the owner allows on one machine; `platform` as for the settings of a trial."""
    return state_folder() / f"{platform}.allowed.json"
