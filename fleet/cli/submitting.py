"""fleet submit: plan, run, follow, compare."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options

EPILOG = """
    fleet submit gpt-oss:20b
    fleet submit gpt-oss:20b gpt-oss:120b --job chat --machines studio-96
    fleet submit configs/gpt-oss.yaml --until 07:00
    fleet submit configs/gpt-oss.yaml --only machine=studio-96,model=gpt-oss:20b
    fleet submit configs/gpt-oss.yaml --head me@studio-96 --detach
"""


def submit(
    what: Annotated[
        list[str], typer.Argument(help="A YAML file, or one or more model names.", metavar="WHAT...")
    ],
    store: options.Store = None,
    job: Annotated[
        list[str] | None, typer.Option("--job", help="With model names: the jobs to run.")
    ] = None,
    machines: Annotated[
        list[str] | None, typer.Option("--machines", help="With model names: only these machines.")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="With model names: ollama or embedded.")
    ] = "ollama",
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Measure each cell so often.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Start no block that ends after this span: 10m.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", min=0, help="The same in hours.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="The same as a time of day: 07:00.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="machine=X,model=Y,job=Z: only these trials.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure everything once more, as a new session.")
    ] = False,
    missing_only: Annotated[
        bool, typer.Option("--missing-only", help="Leave out what only an upgrade made new.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    skip_unfit: Annotated[
        bool, typer.Option("--skip-unfit", help="Leave out models larger than the GPU's memory.")
    ] = False,
    head: Annotated[
        str | None,
        typer.Option("--head", help="SSH destination of the fleet's head.", envvar="FLEET_HEAD"),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="With a head: return at once; the head goes on.")
    ] = False,
) -> None:
    """Measure an experiment: plan, run, follow, compare. Run it again to finish what is missing."""
    from fleet.app import submitting as app
    from fleet.cli import asking, view

    request = asking.request(
        what, jobs=job or (), machines=machines or (), engine=engine, repeats=repeats
    )
    chosen = app.Options(
        home=asking.home(store),
        only=asking.only(only),
        repeats=repeats,
        seconds=asking.seconds(budget=budget, max_hours=max_hours, until=until),
        again=again,
        missing_only=missing_only,
        yes=yes,
        skip_unfit=skip_unfit,
    )
    from fleet.app import cluster

    target = cluster.head(head)
    if target is not None:
        raise typer.Exit(cluster.send(request, chosen, target, detach=detach, say=view.say))
    with view.talk(chosen.home) as talk:
        raise typer.Exit(app.submit(request, chosen, talk))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(submit)
