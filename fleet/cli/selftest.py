"""fleet selftest: what is reported, checked against what an engine of known timing did."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet selftest
    fleet selftest --full
    fleet selftest --json
"""

Full = Annotated[
    bool,
    typer.Option("--full", help="2 000 tokens at each speed, 10 000 clean requests: 20 minutes."),
]


def selftest(full: Full = False, json: options.Json = False) -> None:
    """Prove on this machine that fleet reports what happened.

    A simulated engine of known timing is measured like any other. The reported figures are checked
    against the moments at which the engine wrote each token, and each fault injected into it
    against the flags. Takes a minute. Exit code 1 if anything is wrong.
    """
    from fleet.app.selftest import selftest
    from fleet.app.selftest_stages import FULL, QUICK
    from fleet.report import selftest_text

    report = selftest(output.say, FULL if full else QUICK)
    if json:
        options.print_json(selftest_text.report_data(report))
    else:
        output.emit(selftest_text.report_lines(report))
    raise typer.Exit(0 if report.ok else 1)
