"""fleet store: read the files of the results whole, and set aside what is damaged."""

from __future__ import annotations

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet store verify   read every file, and name what is damaged or foreign
    fleet store repair   set it aside, so that the rest can be read again
"""
VERIFY = """\b
    fleet store verify          exit code 1 if anything is damaged
    fleet store verify --json   for scripts: files, rows, what is wrong
"""
REPAIR = """\b
    fleet store repair   nothing is deleted: see results/set-aside
"""


def verify(home: options.Home = None, json: options.Json = False) -> None:
    """Read every file of the results whole, and name damaged ones.

    Foreign files are named too. Nothing is changed. Checksums of pages show a single flipped bit.
    """
    from fleet.app import store as app
    from fleet.report import comparison_text, store_text

    [folder] = options.homes(home, None)
    verified = app.verify_store(folder)
    if json:
        options.print_json(comparison_text.to_json(verified))
    else:
        output.emit(store_text.verified_lines(verified, folder, output.columns()))
    if verified.damaged:
        raise typer.Exit(1)


def repair(home: options.Home = None, json: options.Json = False) -> None:
    """Set damaged and foreign files aside, so that the rest can be read.

    Nothing is deleted. A trial whose requests are damaged goes with them, and is measured again by
    the next submit of its experiment.
    """
    from fleet.app import store as app
    from fleet.report import comparison_text, store_text

    [folder] = options.homes(home, None)
    repaired = app.repair_store(folder)
    if json:
        options.print_json(comparison_text.to_json(repaired))
    else:
        submits = app.submitted_here(folder, repaired.experiments)
        output.emit(store_text.repaired_lines(repaired, submits, folder, output.columns()))


def commands() -> typer.Typer:
    """Return the commands of this group."""
    group = typer.Typer(
        help="Check the files of the results, and set aside what is damaged.",
        epilog=EPILOG,
        no_args_is_help=True,
    )
    group.command(epilog=VERIFY)(verify)
    group.command(epilog=REPAIR)(repair)
    return group
