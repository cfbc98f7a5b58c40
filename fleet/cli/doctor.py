"""fleet doctor: what can be measured here and what cannot, with the command to type."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet doctor
    fleet doctor --json
    fleet doctor --fleet configs/fleet.yaml
"""

File = Annotated[
    str | None,
    typer.Option("--fleet", help="What the machines should be; usually configs/fleet.yaml."),
]


def doctor(fleet: File = None, home: options.Home = None, json: options.Json = False) -> None:
    """Check whether this machine is fit to be measured.

    Nothing is changed. Exit code 1 if something is unfit, 2 if OLLAMA_HOST is no address of this
    machine.
    """
    from fleet import folders
    from fleet.app.doctor import diagnose
    from fleet.report.doctor_text import doctor_lines

    diagnosis = diagnose(folders.home_folder(home), fleet)
    if json:
        options.print_json(diagnosis.to_json())
    else:
        output.emit(doctor_lines(diagnosis, output.columns()))
    raise typer.Exit(diagnosis.exit_code)
