"""fleet config schema: the schemas with which an editor checks configs and jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fleet.cli import options

EPILOG = """\b
    fleet config schema       the JSON Schema of experiments, for your editor
    fleet config schema job   the schema of jobs
"""

KINDS: dict[str, Literal["experiment", "job", "session", "fleet"]] = {
    "experiment": "experiment",
    "job": "job",
    "session": "session",
    "fleet": "fleet",
}


def schema(
    kind: Annotated[str, typer.Argument(help="experiment, job, session or fleet.")] = "experiment",
    write: Annotated[
        Path | None, typer.Option("--write", help="Write all schemas into this folder.")
    ] = None,
) -> None:
    """Print the JSON Schema of experiments, jobs or machines."""
    from fleet.config.schemas import json_schema, write_schemas
    from fleet.errors import UserError

    if write is not None:
        for path in write_schemas(write):
            print(path)
        return
    if kind not in KINDS:
        raise UserError(
            f"there is no schema {kind!r}",
            "fleet config schema experiment    or: job, session, fleet",
        )
    options.print_json(json_schema(KINDS[kind]))


def commands() -> typer.Typer:
    """Return the commands of this group."""
    group = typer.Typer(
        help="Print schemas of configuration files.", epilog=EPILOG, no_args_is_help=True
    )
    group.callback()(lambda: None)
    group.command(epilog=EPILOG)(schema)
    return group
