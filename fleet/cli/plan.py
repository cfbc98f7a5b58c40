"""fleet plan: what would run, where, how long, what will not fit and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.plan.expand import Plan

EPILOG = """\b
    fleet plan gpt-oss:20b
    fleet plan configs/gpt-oss.yaml
    fleet plan configs/wired-limit.yaml --practice
    fleet plan configs/wired-limit.yaml --json
"""


def plan(
    what: options.What,
    store: options.Store = None,
    job: options.Jobs = None,
    machines: options.Machines = None,
    engine: options.Engine = "ollama",
    only: options.Only = None,
    repeats: options.Repeats = None,
    setting: options.Set = None,
    quick: options.Quick = False,
    skip_unfit: options.SkipUnfit = False,
    gates: options.Gates = None,
    practice: options.Practice = False,
    head: options.Head = None,
    json: options.Json = False,
) -> None:
    """Show what would run, where, how long.

    And what cannot run, with the reason. Touches nothing. Exit code 2 where submit would refuse it.
    """
    from fleet.app import submit as app
    from fleet.cli import asking

    target = asking.head(head)
    home = asking.home(store)
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
    request = asking.with_gates(request, gates)
    chosen = app.Options(
        home=home,
        only=asking.only(only),
        repeats=repeats,
        skip_unfit=skip_unfit,
        **asking.origin(),
    )
    if target is not None:
        form: Literal["json", "text"] = "json" if json else "text"
        raise typer.Exit(asking.send(request, chosen, target, plan=form, say=output.say))
    raise typer.Exit(show(app.plan(request, chosen), json=json))


def show(planned: Plan, *, json: bool) -> int:
    """Prints the plan; returns the exit code."""
    from fleet.report import plan_text

    if json:
        options.print_json(plan_text.as_data(planned))
    else:
        output.emit([*plan_text.plan_lines(planned), *plan_text.order_lines(planned)])
    return 2 if planned.refusals else 0


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(plan)
