"""fleet noise: how much each machine differs from itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options

if TYPE_CHECKING:
    from fleet.app.options import Options
    from fleet.model.experiment import Request

EPILOG = """\b
    fleet noise gpt-oss:20b
    fleet noise gpt-oss:20b --machines studio-96 --repeats 40
    fleet noise --config configs/practice.yaml --repeats 80 --json
"""

Model = Annotated[
    str | None, typer.Argument(help="The model; otherwise the first one of the config.")
]
Config = Annotated[
    str | None,
    typer.Option("--config", help="An experiment: its engine, machines and first settings."),
]
Machines = Annotated[list[str] | None, typer.Option("--machines", help="Only these machines.")]
Job = Annotated[str | None, typer.Option("--job", help="The job to run; otherwise noise.")]
Engine = Annotated[str, typer.Option("--engine", help="Without a config: ollama or embedded.")]
Blocks = Annotated[int, typer.Option("--repeats", help="Blocks of two trials, 5 or more.")]


# parameters: each is an option of the command
def noise(
    model: Model = None,
    config: Config = None,
    home: options.Home = None,
    job: Job = None,
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

    An A/A run measures the same cell twice in each block, as side a and side b. It shows how much
    the speed changes from run to run, and whether the sides are equal as they should be. Exit code
    1 if they are not, or if trials failed.
    """
    from fleet.app import noise as app
    from fleet.app.one_cell import CellRequest
    from fleet.app.options import Options
    from fleet.cli import request as typed
    from fleet.folders import home_folder

    folder = home_folder(home)
    cell = CellRequest(model, job or app.JOB, machines or (), engine, repeats, setting or ())
    request = app.noise_request(experiment_of(config), cell, folder)
    request = typed.with_gates(request, gates, residents_are_mine=mine)
    chosen = Options(home=folder, again=again, yes=yes, **typed.origin(typed.declared_machines()))
    target = typed.find_target(head)
    if target is not None or not json:
        raise typer.Exit(typed.measure(request, chosen, target, detach=detach))
    typed.refuse_detached(detach)
    raise typer.Exit(_print_data(request, chosen))


def _print_data(request: Request, chosen: Options) -> int:
    """Measure here, and print the report as JSON; return the exit code."""
    from fleet.app.noise import read_report
    from fleet.app.submit import close, measure
    from fleet.cli.talk import open_talk
    from fleet.report.noise_text import report_data

    with open_talk() as talk:
        result = measure(request, chosen, talk)
        report = read_report(chosen.home, result.plan)
        options.print_json(report_data(report))
        close(result.account, request, chosen, talk)
    return 0 if report.trusted and result.complete else 1


def experiment_of(word: str | None) -> Request | None:
    """Return the experiment that --config names, by its file or as fleet ships it."""
    from fleet.config.reading import load_request
    from fleet.config.shipped import find_experiment

    return None if word is None else load_request(find_experiment(word) or Path(word))
