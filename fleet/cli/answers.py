"""fleet answers: what the models said, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import options

EPILOG = """\b
    fleet answers
    fleet answers --job side-by-side --reference gpt-5-pro.txt
    fleet answers --job side-by-side --diff --html answers.html
    fleet answers --check contains=relativistic --check json

\b
A reference file holds an answer from elsewhere, after a head (optional):
    ---
    name: OpenAI GPT-5 Pro
    time: 2m18s
    prompt: why does gold look yellow?
    source: chatgpt.com, 2025-08-09
    ---
    Gold looks yellow because ...
"""

LEAST_WIDTH = 40

Job = Annotated[str | None, typer.Option("--job", help="Only answers to this job.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only this model; may be given several times.")
]
Machines = Annotated[
    list[str] | None, typer.Option("--machine", help="Only this machine; may be given again.")
]
References = Annotated[
    list[Path] | None, typer.Option("--reference", help="File with an answer to set beside them.")
]
Checks = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        help="Beside the job's own: contains=, regex=, exact=, json, similar_to_reference=.",
    ),
]
Html = Annotated[Path | None, typer.Option("--html", help="Write one self-contained page.")]
Diff = Annotated[
    bool, typer.Option("--diff", help="Each answer against the first, or the reference.")
]
Thinking = Annotated[bool, typer.Option("--thinking", help="Show what was thought, too.")]


def answers(
    experiment: options.Experiment = None,
    store: options.Stores = None,
    job: Job = None,
    model: Models = None,
    machine: Machines = None,
    reference: References = None,
    check: Checks = None,
    html: Html = None,
    diff: Diff = False,
    thinking: Thinking = False,
    json: options.Json = False,
) -> None:
    """Set kept answers side by side.

    Of each model and machine the first answer of its newest session. Outputs that should be equal
    (temperature 0, same seed, digest, job, settings and prompt) are compared by their hashes.
    """
    import shutil

    from fleet.app import answers as app
    from fleet.report import answers_text
    from fleet.report import comparison_text as text

    asked = app.Asking(
        experiment=experiment,
        job=job,
        models=tuple(model or ()),
        machines=tuple(machine or ()),
        references=tuple(reference or ()),
        checks=tuple(check or ()),
        contrasts=diff,
    )
    found, told = app.read_answers(options.folders(store), asked)
    for line in told:
        typer.echo(line, err=True)
    if html is not None:
        app.write_page(html, found)
        typer.echo(f"written: {html}", err=True)
    if json:
        options.print_json(text.to_json(found))
    elif html is None:
        width = max(shutil.get_terminal_size().columns, LEAST_WIDTH)
        lines = answers_text.answers_lines(found, width, thinking=thinking)
        print("\n".join(lines or [app.NOTHING]))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(answers)
