"""fleet answers: what the models said, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.answers.nouns import Sheet

EPILOG = """\b
    fleet answers
    fleet answers --job side-by-side --reference gpt-5-pro.txt
    fleet answers --job side-by-side --diff --html answers.html
    fleet answers --check contains=relativistic --check json

\b
A reference file holds an answer from elsewhere, after an optional head:
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
    list[str] | None, typer.Option("--model", help="Only this model; may be repeated.")
]
Machines = Annotated[
    list[str] | None, typer.Option("--machine", help="Only this machine; may be repeated.")
]
References = Annotated[
    list[Path] | None,
    typer.Option("--reference", help="File with an answer from elsewhere to show beside them."),
]
Checks = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        help="Besides the job's own: contains=, regex=, exact=, json, similar_to_reference=.",
    ),
]
Html = Annotated[Path | None, typer.Option("--html", help="Write one self-contained page.")]
Diff = Annotated[
    bool, typer.Option("--diff", help="Compare each answer with the first, or the reference.")
]
Thinking = Annotated[bool, typer.Option("--thinking", help="Show the thinking as well.")]


# parameters: each is an option of the command
def answers(
    experiment: options.Experiment = None,
    home: options.Home = None,
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
    """Show kept answers side by side.

    For each model and machine, the first answer of its newest session. Outputs that should be
    equal (temperature 0, same seed, digest, job, settings and prompt) are compared by their hashes.
    """
    from fleet.app import answers as app

    homes = options.homes(home, store)
    request = app.AnswersWords(
        experiment=experiment,
        job=job,
        models=tuple(model or ()),
        machines=tuple(machine or ()),
        references=tuple(reference or ()),
        checks=tuple(check or ()),
        contrasts=diff,
    )
    sheets, notes = app.read_answers(homes, request)
    for note in notes:
        output.say(note)
    if html is not None:
        app.write_page(html, sheets)
        output.say(f"written: {html}")
    if json or html is None:
        _print(sheets, homes, thinking=thinking, json=json)


def _print(sheets: Sequence[Sheet], homes: Sequence[Path], *, thinking: bool, json: bool) -> None:
    import shutil

    from fleet.folders import with_home
    from fleet.report import answers_text, comparison_text

    if json:
        options.print_json(comparison_text.to_json(sheets))
        return
    width = max(shutil.get_terminal_size().columns, LEAST_WIDTH)
    lines = answers_text.answers_lines(sheets, width, thinking=thinking)
    submit = with_home("fleet submit gpt-oss:20b --job side-by-side", homes[0])
    output.emit_data(lines or [f"no answers yet: {submit}"])
