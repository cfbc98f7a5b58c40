"""fleet noise: how far each machine is from itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.model.experiment import Request

EPILOG = """\b
    fleet noise gpt-oss:20b
    fleet noise gpt-oss:20b --machines studio-96 --repeats 40
    fleet noise --config configs/practice.yaml --repeats 80 --json
"""

Model = Annotated[
    str | None, typer.Argument(help="The model; left out: the first one of the config.")
]
Config = Annotated[
    str | None,
    typer.Option("--config", help="An experiment: its engine, machines and first settings."),
]
Machines = Annotated[list[str] | None, typer.Option("--machines", help="Only these machines.")]
Jobs = Annotated[str | None, typer.Option("--job", help="The job to ask; left out: noise.")]
Engine = Annotated[str, typer.Option("--engine", help="Without config: ollama or embedded.")]
Blocks = Annotated[int, typer.Option("--repeats", help="Blocks of two trials, 5 or more.")]


def noise(
    model: Model = None,
    config: Config = None,
    store: options.Store = None,
    job: Jobs = None,
    machines: Machines = None,
    engine: Engine = "ollama",
    repeats: Blocks = 20,
    setting: options.Set = None,
    gates: options.Gates = None,
    mine: options.Mine = False,
    again: options.Again = False,
    yes: options.Yes = False,
    head: options.Head = None,
    detach: options.Detach = False,
    json: options.Json = False,
) -> None:
    """Find the noise floor of each machine.

    An A/A run: the same cell twice in each block, as side a and side b. Tells how much the speed
    changes from run to run, and whether the sides are equal as they should be. Exit code 1 where
    they are not, or trials failed.
    """
    from fleet.app import noise as app
    from fleet.app import submit as submitting
    from fleet.app.named_experiments import refuse_experiment
    from fleet.cli import asking
    from fleet.cli.talk import talk as open_talk

    home = asking.home(store)
    if model is not None:
        refuse_experiment(model, home)
    request = app.request_of(
        _experiment(config),
        model,
        jobs=[job] if job else (),
        machines=machines or (),
        engine=engine,
        repeats=repeats,
        settings=setting or (),
    )
    request = asking.with_gates(request, gates, residents_are_mine=mine)
    chosen = submitting.Options(home=home, again=again, yes=yes, **asking.origin())

    target = asking.head(head)
    if target is not None:
        raise typer.Exit(asking.send(request, chosen, target, detach=detach, say=output.say))
    asking.refuse_detached(detach)
    with open_talk(chosen.home) as talk:
        if not json:
            raise typer.Exit(submitting.submit(request, chosen, talk))
        result = submitting.measured(request, chosen, talk)
        report = app.read_report(chosen.home, result.plan)
        options.print_json(report.data())
        submitting.close(result.account, request, chosen, talk)
    raise typer.Exit(0 if report.trusted and result.complete else 1)


def _experiment(word: str | None) -> Request | None:
    if word is None:
        return None
    from fleet import config

    return config.load(config.find_experiment(word) or Path(word))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(noise)
