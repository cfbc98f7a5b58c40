"""fleet bisect: from which version of Ollama on is this machine faster or slower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options
from fleet.cli.noise import Config, experiment_of

if TYPE_CHECKING:
    from fleet.app.options import Options
    from fleet.model.experiment import Request
    from fleet.stats.bisection import Bisection

EPILOG = """\b
    fleet join --allow engine-binary v0.30=PATH v0.31=PATH v0.32=PATH
    fleet bisect v0.30 v0.31 v0.32 --model gpt-oss:20b
    fleet bisect v0.30 v0.31 v0.32 v0.33 --config practice --machines studio-96
"""

Labels = Annotated[
    list[str], typer.Argument(help="Registered programs, the oldest first.", metavar="LABEL")
]
Model = Annotated[
    str | None, typer.Option("--model", help="The model; otherwise the first one of the config.")
]
Metric = Annotated[str, typer.Option("--metric", help="decode, prefill, ttft, load ...")]
Job = Annotated[str | None, typer.Option("--job", help="The job to run; otherwise quickstart.")]
Machines = Annotated[list[str] | None, typer.Option("--machines", help="Only this machine.")]
Blocks = Annotated[int, typer.Option("--repeats", help="Blocks of a first look, 3 or more.")]


# parameters: each is an option of the command
def bisect(
    labels: Labels,
    model: Model = None,
    metric: Metric = "decode",
    config: Config = None,
    home: options.Home = None,
    job: Job = None,
    machines: Machines = None,
    repeats: Blocks = 5,
    setting: options.Set = None,
    gates: options.Gates = None,
    mine: options.Mine = False,
    yes: options.Yes = False,
    json: options.Json = False,
) -> None:
    """Find the version of Ollama that made a machine faster or slower.

    Halves the list until the step lies between two neighbours. Each step measures both ends of
    what is left and the version between them in the same blocks; what is stored is not measured
    again. Exit code 1 if that is not resolved.
    """
    from fleet.app import bisect as app
    from fleet.app.one_cell import CellRequest
    from fleet.app.options import Options
    from fleet.cli import request as typed
    from fleet.folders import home_folder
    from fleet.metrics.compared import check_metric
    from fleet.stats.bisection import Bisection

    folder = home_folder(home)
    check_metric(metric)
    cell = CellRequest(model, job or app.JOB, machines or (), "ollama", repeats, setting or ())
    request = app.bisect_request(experiment_of(config), labels, cell, folder)
    request = typed.with_gates(request, gates, residents_are_mine=mine)
    chosen = Options(home=folder, yes=yes, **typed.origin(typed.declared_machines()))
    bisection = Bisection(labels, blocks=repeats)
    raise typer.Exit(_search(request, bisection, metric, chosen, json=json))


def _search(
    request: Request, bisection: Bisection, metric: str, chosen: Options, *, json: bool
) -> int:
    """Search, print where that ended, and return the exit code."""
    from fleet.app.bisect import search
    from fleet.cli.talk import open_talk
    from fleet.folders import with_home
    from fleet.report.bisect_text import search_data, search_lines
    from fleet.report.next_text import step_lines

    home = chosen.home
    with open_talk() as talk:
        report = search(request, bisection, metric, chosen, talk)
        if json:
            options.print_json(search_data(report))
        else:
            last = with_home(f"fleet compare {report.experiments[-1]} --by engine_binary", home)
            talk.answer([*search_lines(report), "", *step_lines([last])])
    conclusion = bisection.conclusion
    return 0 if conclusion is not None and conclusion.ending != "not resolved" else 1
