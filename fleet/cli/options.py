"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option("--store", help="Folder for results, ledger and spool.", envvar="FLEET_STORE"),
]
Stores = Annotated[
    list[str] | None,
    typer.Option("--store", help="Folder to read; may be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Experiment = Annotated[str | None, typer.Argument(help="Name of the experiment; all without it.")]


def folders(stores: list[str] | None) -> list[Path]:
    """The homes to read: those named, else the one of this user."""
    from fleet import wiring

    return [wiring.home_folder(store) for store in stores or [None]]
