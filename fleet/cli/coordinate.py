"""fleet coordinate: what a head runs for a request that was sent to it."""

from __future__ import annotations

import typer


def coordinate() -> None:
    """Run on the head for a request that was sent to it."""
    from fleet.app import coordinate as app
    from fleet.cli.plan import show
    from fleet.cli.progress import PlainTalk

    if form := app.plan_form():
        raise typer.Exit(show(app.coordinate_plan(), json=form == "json"))
    raise typer.Exit(app.coordinate(PlainTalk()))
