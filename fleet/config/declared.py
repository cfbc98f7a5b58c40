"""`configs/fleet.yaml`: what the machines should be, or every mistake in the file."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from fleet.config.document import read_document
from fleet.config.explain import explain
from fleet.errors import ConfigError
from fleet.model.declared import DeclaredFleet

USUAL = Path("configs/fleet.yaml")


def find_declared(named: str | None) -> Path | None:
    """The file named, else the usual one where it is there."""
    if named:
        return Path(named)
    return USUAL if USUAL.is_file() else None


def load_declared(path: Path) -> DeclaredFleet:
    """Raises ConfigError with every mistake."""
    document = read_document(path, str(path))
    try:
        found = DeclaredFleet.model_validate_json(json.dumps(document.content), strict=True)
    except ValidationError as problem:
        raise ConfigError((*document.mistakes, *explain(problem, document, "fleet"))) from None
    if document.mistakes:
        raise ConfigError(document.mistakes)
    return found
