"""Reads `configs/fleet.yaml`: what the machines should be."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from fleet.config.document import read_document
from fleet.config.explain import explain
from fleet.errors import ConfigError
from fleet.model.declared import DeclaredFleet

USUAL = Path("configs/fleet.yaml")


def declared_fleet(named: str | None) -> tuple[Path, DeclaredFleet] | None:
    """Return the named file, else the usual one if it exists, and the machines that it declares.

    Raises ConfigError with every mistake of the file.
    """
    path = Path(named) if named else USUAL
    return (path, load_declared(path)) if named or path.is_file() else None


def load_declared(path: Path) -> DeclaredFleet:
    """Return the machines that a file declares; raises ConfigError with every mistake."""
    document = read_document(path, str(path))
    try:
        fleet = DeclaredFleet.model_validate_json(json.dumps(document.content), strict=True)
    except ValidationError as problem:
        raise ConfigError((*document.mistakes, *explain(problem, document, "fleet"))) from None
    if document.mistakes:
        raise ConfigError(document.mistakes)
    return fleet
