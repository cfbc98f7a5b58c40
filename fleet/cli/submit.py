"""fleet submit: plan, run, follow, compare."""

from __future__ import annotations

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet submit gpt-oss:20b
    fleet submit gpt-oss:20b --quick
    fleet submit gpt-oss:20b --set num_ctx=16384 --set num_batch=512,2048
    fleet submit gpt-oss:20b gpt-oss:120b --job chat --machines studio-96
    fleet submit configs/gpt-oss.yaml --until 07:00
    fleet submit configs/gpt-oss.yaml --only machine=studio-96,model=gpt-oss:20b
    fleet submit configs/gpt-oss.yaml --head me@studio-96 --detach
"""


def submit(
    what: options.What,
    store: options.Store = None,
    job: options.Jobs = None,
    machines: options.Machines = None,
    engine: options.Engine = "ollama",
    repeats: options.Repeats = None,
    setting: options.Set = None,
    quick: options.Quick = False,
    budget: options.Budget = None,
    max_hours: options.MaxHours = None,
    until: options.Until = None,
    only: options.Only = None,
    again: options.Again = False,
    missing_only: options.MissingOnly = False,
    yes: options.Yes = False,
    skip_unfit: options.SkipUnfit = False,
    gates: options.Gates = None,
    mine: options.Mine = False,
    practice: options.Practice = False,
    head: options.Head = None,
    detach: options.Detach = False,
) -> None:
    """Measure an experiment, to a verdict.

    Run it again to finish what is missing; a finished one has nothing to do.
    """
    from fleet.app import submit as app
    from fleet.cli import asking
    from fleet.cli.talk import talk as open_talk

    target, home = asking.head(head), asking.home(store)
    request = asking.request(
        what,
        jobs=job or (),
        machines=machines or (),
        engine=engine,
        repeats=repeats,
        practice=practice,
        settings=setting or (),
        quick=quick,
        home=asking.home_with_names(target, home),
    )
    request = asking.with_gates(request, gates, residents_are_mine=mine)
    chosen = app.Options(
        home=home,
        only=asking.only(only),
        repeats=repeats,
        seconds=asking.seconds(budget=budget, max_hours=max_hours, until=until),
        again=again or quick,
        missing_only=missing_only,
        yes=yes,
        skip_unfit=skip_unfit,
        **asking.origin(),
    )
    if target is not None:
        raise typer.Exit(asking.send(request, chosen, target, detach=detach, say=output.say))
    asking.refuse_detached(detach)
    with open_talk(chosen.home) as talk:
        raise typer.Exit(app.submit(request, chosen, talk))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(submit)
