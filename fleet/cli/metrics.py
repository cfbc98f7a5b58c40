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
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page of tables.")] = False,
    json: options.Json = False,
) -> None:
    """Show what each number and flag means and how it is computed."""
    from fleet.report import metrics_text

    if json:
        options.print_json(_data())
    elif markdown:
        print(metrics_text.markdown(), end="")
    else:
        output.emit(metrics_text.lines(output.columns()))


def _data() -> dict[str, object]:
    """Return the dictionary for --json."""
    from dataclasses import asdict

    from fleet.metrics import dictionary, energy_dictionary, flags, words
    from fleet.report.metrics_text import as_data

    return {
        "version": dictionary.VERSION,
        "metrics": list(map(as_data, dictionary.METRICS)),
        "flags": [asdict(flag) for flag in flags.FLAGS],
        "energy": {
            "version": energy_dictionary.VERSION,
            "metrics": list(map(as_data, energy_dictionary.ENERGY)),
            "scopes": energy_dictionary.SCOPES,
            "faults": energy_dictionary.FAULTS,
        },
        "words": [asdict(word) for word in (*words.HEADS, *words.NOTES)],
    }
