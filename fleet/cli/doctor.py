"""fleet doctor: what can be measured here and what not, each with the command to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output
from fleet.report.tables import described
from fleet.units import show_count

if TYPE_CHECKING:
    from fleet.app.doctor import Diagnosis

EPILOG = """\b
    fleet doctor
    fleet doctor --json
    fleet doctor --fleet configs/fleet.yaml
"""

File = Annotated[
    str | None,
    typer.Option("--fleet", help="What the machines should be; usually configs/fleet.yaml."),
]


def doctor(fleet: File = None, store: options.Store = None, json: options.Json = False) -> None:
    """Check whether this machine is fit to be measured.

    Changes nothing. Exit code 1 where something is unfit, 2 where OLLAMA_HOST is no address here.
    """
    from fleet import folders
    from fleet.app.doctor import diagnose

    found = diagnose(folders.home_folder(store), fleet)
    if json:
        options.print_json(found.to_json())
    else:
        output.emit(lines(found, output.columns()))
    raise typer.Exit(found.exit_code)


def lines(found: Diagnosis, width: int | None = None) -> list[str]:
    """A line for each check, under it the hint; at the end the answer."""
    rows: list[tuple[str, str, str]] = []
    for check in found.checks:
        rows.append((check.state, check.name, check.found))
        if check.hint:
            rows.append(("", "", f"  {check.hint}"))
    return [*described(rows, width), "", answer(found)]


def answer(found: Diagnosis) -> str:
    unfit = [check.name for check in found.checks if check.state == "unfit"]
    unknown = sum(check.state == "cannot tell" for check in found.checks)
    open_ends = f" ({show_count(unknown, 'thing')} cannot be told here)" if unknown else ""
    if unfit:
        return f"{found.name} is unfit: {', '.join(unfit)}{open_ends}"
    return f"{found.name} is fit to be measured{open_ends}"


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(doctor)
