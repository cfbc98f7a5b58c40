"""fleet submit: plan an experiment, run it, follow it and compare."""

from __future__ import annotations

from dataclasses import replace

import typer

from fleet.cli import options

EPILOG = """\b
    fleet submit gpt-oss:20b
    fleet submit gpt-oss:20b --quick
    fleet submit gpt-oss:20b --set num_ctx=16384 --set num_batch=512,2048
    fleet submit gpt-oss:20b gpt-oss:120b --job chat --machines studio-96
    fleet submit gpt-oss:20b --endpoint gpu-box=http://gpu-box:11434
    fleet submit configs/gpt-oss.yaml --until 07:00
    fleet submit configs/gpt-oss.yaml --only machine=studio-96,model=gpt-oss:20b
    fleet submit configs/gpt-oss.yaml --head me@studio-96 --detach
"""


# parameters: each is an option of the command
def submit(
    what: options.What,
    home: options.Home = None,
    job: options.Jobs = None,
    machines: options.Machines = None,
    endpoint: options.Endpoints = None,
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
    """Measure an experiment until it gives a verdict.

    Run it again to measure what is missing; a finished experiment has nothing to do.
    """
    from fleet.cli import request as typed

    words = typed.Words(what, job, machines, engine, repeats, setting, quick, practice, endpoint)
    request, chosen, target = typed.prepare(words, home, head, only)
    request = typed.with_gates(request, gates, residents_are_mine=mine)
    chosen = replace(chosen, seconds=typed.seconds(budget, max_hours, until), yes=yes)
    chosen = replace(chosen, again=again or quick, missing_only=missing_only)
    chosen = replace(chosen, skip_unfit=skip_unfit)
    raise typer.Exit(typed.measure(request, chosen, target, detach=detach))
