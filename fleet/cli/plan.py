"""fleet plan: what would run, where, for how long, and what will not fit and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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


# parameters: each is an option of the command
def plan(
    what: options.What,
    home: options.Home = None,
    job: options.Jobs = None,
    machines: options.Machines = None,
    endpoint: options.Endpoints = None,
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
    """Show what would run, where, and for how long.

    The plan also names what cannot run, with the reason. Nothing is measured or changed. Exit code
    2 if submit would refuse it.
    """
    from fleet.app import plan as app
    from fleet.cli import request as typed

    words = typed.Words(what, job, machines, engine, repeats, setting, quick, practice, endpoint)
    request, chosen, target = typed.prepare(words, home, head, only)
    request = typed.with_gates(request, gates)
    chosen = replace(chosen, skip_unfit=skip_unfit)
    if target is not None:
        from fleet.app.target import send_plan

        form = "json" if json else "text"
        raise typer.Exit(send_plan(request, chosen, target, form, say=output.say))
    raise typer.Exit(show(app.plan(request, chosen), json=json))


def show(planned: Plan, *, json: bool) -> int:
    """Print the plan; return the exit code."""
    from fleet.report import plan_text

    if json:
        options.print_json(plan_text.as_data(planned))
    else:
        output.emit([*plan_text.plan_lines(planned), *plan_text.order_lines(planned)])
    return 2 if planned.refusals else 0
