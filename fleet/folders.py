"""The folders of a home (store, ledger, spool), and of the state of a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import PlatformDirs

USER = PlatformDirs("fleet", appauthor=False)


def home_folder(store: str | None) -> Path:
    """Return the home: `store`, else FLEET_STORE, else the per-user data folder."""
    chosen = store or os.environ.get("FLEET_STORE")
    return Path(chosen).expanduser().absolute() if chosen else USER.user_data_path


def results_folder(home: Path) -> Path:
    """Return the folder of the Parquet files and `views.sql`."""
    return home / "results"


def results_folders(homes: Sequence[Path]) -> list[Path]:
    return [results_folder(home) for home in homes]


def ledger_file(home: Path) -> Path:
    """Return the file of the queue."""
    return home / "ledger.sqlite"


def cache_folder() -> Path:
    """Return the folder of what can be fetched again."""
    return USER.user_cache_path


def state_folder() -> Path:
    """Return the folder of this machine's part in a fleet: its token, its head or node."""
    chosen = os.environ.get("FLEET_STATE")
    return Path(chosen) if chosen else USER.user_state_path


def head_record() -> Path:
    """Return the file in which a head on this machine records itself."""
    return state_folder() / "head.json"


def settings_folder() -> Path:
    """Return the folder with the record of what trials have changed on this machine."""
    return state_folder() / "settings"


def permission_file(platform: str) -> Path:
    """Return the file with what the owner allows; `platform` as for the settings of a trial."""
    return state_folder() / f"{platform}.allowed.json"
