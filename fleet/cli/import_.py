"""fleet import: transcripts of `ollama run --verbose` into the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.app.import_ import ImportReport

EPILOG = """\b
    fleet import a.txt --machine studio-96 --date 2025-08-09 --source terminal
    fleet import a.md --machine m --date 2025-08 --source notes --keep-text
    fleet import a.md --machine m --date 2025 --source t --model 12=gpt-oss:20b
"""

File = Annotated[Path, typer.Argument(help="Text file that holds the transcripts.")]
Machine = Annotated[str, typer.Option("--machine", help="Name of the machine they ran on.")]
Date = Annotated[
    str,
    typer.Option(
        "--date",
        help="Day they ran, in your time zone: 2025-08-09. The day of a heading takes precedence.",
    ),
]
Source = Annotated[str, typer.Option("--source", help="Where the figures come from.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Model of figures whose command names none; LINE=NAME applies from that line on.",
    ),
]
Experiment = Annotated[str, typer.Option("--experiment", help="Name to store them under.")]
KeepText = Annotated[
    bool, typer.Option("--keep-text", help="Keep the answers, for `fleet answers`.")
]


# parameters: each is an option of the command
def import_file(
    file: File,
    machine: Machine,
    date: Date,
    source: Source,
    model: Models = None,
    experiment: Experiment = "imported",
    keep_text: KeepText = False,
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Store figures of `ollama run --verbose`.

    They are marked as imported and never pooled with measured ones. Every figure in the file is
    stored, or named with its line and the reason. Exit code 1 if a figure that fleet knows is not
    stored.
    """
    from fleet.app import import_ as app
    from fleet.cli import request as typed
    from fleet.folders import home_folder

    typed.check_name("--experiment", experiment)
    typed.check_label("--machine", machine)
    request = app.ImportRequest(file, machine, date, source, model or (), experiment, keep_text)
    folder = home_folder(home)
    report = app.import_transcripts(folder, request)
    _print(report, folder, json=json)
    if not report.complete:
        raise typer.Exit(1)


def _print(report: ImportReport, home: Path, *, json: bool) -> None:
    from fleet.report import import_text

    if json:
        options.print_json(import_text.report_data(report))
    else:
        output.emit([*import_text.report_lines(report), *import_text.next_lines(report, home)])
