"""fleet metrics: what each number and each flag means."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet metrics                          what each number and flag means
    fleet metrics --markdown               as a page of tables
"""


def metrics(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page of tables.")] = False,
    json: options.Json = False,
) -> None:
    """Show the metric dictionary: each number, each flag, and how they are computed."""
    from dataclasses import asdict

    from fleet.metrics import dictionary, flags
    from fleet.metrics import energy_dictionary as dictionary_energy
    from fleet.metrics import words as dictionary_words
    from fleet.report import metrics_text as dictionary_text

    if json:
        options.print_json(
            {
                "version": dictionary.VERSION,
                "metrics": list(map(dictionary_text.as_data, dictionary.METRICS)),
                "flags": [asdict(flag) for flag in flags.FLAGS],
                "energy": {
                    "version": dictionary_energy.VERSION,
                    "metrics": list(map(dictionary_text.as_data, dictionary_energy.ENERGY)),
                    "scopes": dictionary_energy.SCOPES,
                    "faults": dictionary_energy.FAULTS,
                },
                "words": [
                    asdict(word) for word in (*dictionary_words.HEADS, *dictionary_words.NOTES)
                ],
            }
        )
    elif markdown:
        print(dictionary_text.markdown(), end="")
    else:
        output.emit(dictionary_text.lines(output.columns()))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(metrics)
