"""The JSON Schema of each kind of file, for editors and for the words of messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fleet.model.declared import DeclaredFleet
from fleet.model.experiment import Experiment
from fleet.model.job import Job
from fleet.model.noun import Noun
from fleet.model.session import Session

Kind = Literal["experiment", "job", "session", "fleet"]
Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES: dict[Kind, str] = {
    "experiment": "fleet.schema.json",
    "job": "job.schema.json",
    "session": "session.schema.json",
    "fleet": "machines.schema.json",
}
NOUNS: dict[Kind, type[Noun]] = {
    "experiment": Experiment,
    "job": Job,
    "session": Session,
    "fleet": DeclaredFleet,
}


def json_schema(kind: Kind) -> Schema:
    """Return the JSON Schema 2020-12 of one kind of file."""
    return {"$schema": DIALECT, **NOUNS[kind].model_json_schema()}


def write_schemas(folder: Path) -> list[Path]:
    """Write the schemas into a folder and return their paths; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / name, json_schema(kind)) for kind, name in FILES.items()]


def schema_text(schema: Schema) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, schema: Schema) -> Path:
    path.write_text(schema_text(schema), encoding="utf-8")
    return path


def forms_at(schema: Schema, content: Any, steps: tuple[str | int, ...]) -> list[Schema]:
    """Return the alternatives that the schema allows for the value at these steps."""
    forms = _alternatives(schema, schema)
    for step in steps:
        parts = [part for form in _of_kind(forms, content) for part in _part(form, step)]
        forms = [form for part in parts for form in _alternatives(schema, part)]
        content = _inside(content, step)
    return _of_kind(forms, content)


def _alternatives(schema: Schema, form: Schema) -> list[Schema]:
    if "$ref" in form:
        return _alternatives(schema, schema["$defs"][form["$ref"].rsplit("/", 1)[-1]])
    branches = form.get("anyOf") or form.get("oneOf")
    if branches:
        return [each for branch in branches for each in _alternatives(schema, branch)]
    return [form]


def _part(form: Schema, step: str | int) -> Iterator[Schema]:
    rest = form.get("additionalProperties")
    if isinstance(step, int):
        if isinstance(form.get("items"), dict):
            yield form["items"]
    elif step in form.get("properties", {}):
        yield form["properties"][step]
    elif isinstance(rest, dict):
        yield rest


def _of_kind(forms: list[Schema], content: Any) -> list[Schema]:
    """Return only the alternative that the file names, if `kind` tells them apart."""
    kind = content.get("kind") if isinstance(content, dict) else None
    same = [f for f in forms if f.get("properties", {}).get("kind", {}).get("const") == kind]
    return same if same and kind is not None else forms


def _inside(content: Any, step: str | int) -> Any:
    try:
        return content[step]
    except (KeyError, IndexError, TypeError):
        return None
