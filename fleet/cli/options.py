"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    str | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Folder of results, ledger and spool; otherwise FLEET_HOME, or your data folder.",
    ),
]
Stores = Annotated[
    list[str] | None,
    typer.Option(
        "--store", metavar="FOLDER", help="Another home to read results from; may be repeated."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Experiment = Annotated[
    str | None, typer.Argument(help="Name of the experiment; all of them by default.")
]

What = Annotated[
    list[str],
    typer.Argument(
        help="A YAML file, the name of an experiment, or one or more model names.", metavar="WHAT"
    ),
]
Jobs = Annotated[
    list[str] | None,
    typer.Option(
        "--job", help="With model names: the jobs to run; otherwise pp512, tg128 and a chat."
    ),
]
Machines = Annotated[
    list[str] | None, typer.Option("--machines", help="With model names: only these machines.")
]
Engine = Annotated[str, typer.Option("--engine", help="With model names: ollama or embedded.")]
Endpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="NAME=URL",
        help="Also measure the Ollama at this address, on a machine without fleet; repeatable.",
    ),
]
Repeats = Annotated[
    int | None, typer.Option("--repeats", min=1, help="How often each cell is measured.")
]
Budget = Annotated[
    str | None, typer.Option("--budget", help="Start no block that would end after this time: 10m.")
]
MaxHours = Annotated[
    float | None, typer.Option("--max-hours", min=0, help="The same limit in hours.")
]
Until = Annotated[
    str | None, typer.Option("--until", help="The same limit as a time of day: 07:00.")
]
Only = Annotated[
    str | None, typer.Option("--only", help="Only these trials: machine=X,model=Y,job=Z.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting: num_ctx=8192; each of several values is measured: num_batch=512,2048. "
        "With a file: only its trials with this value.",
    ),
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A quick look: one block, answers cut after 3 s, no verdict."),
]
Again = Annotated[bool, typer.Option("--again", help="Measure everything again, as a new session.")]
MissingOnly = Annotated[
    bool, typer.Option("--missing-only", help="Skip what only an upgrade made new.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
SkipUnfit = Annotated[
    bool, typer.Option("--skip-unfit", help="Skip models larger than the GPU's memory.")
]
Gates = Annotated[
    str | None,
    typer.Option("--gates", help="If a machine is not ready: wait, strict or record."),
]
Mine = Annotated[
    bool,
    typer.Option("--mine", help="Models in memory are yours: unload them, then measure."),
]
Practice = Annotated[
    bool, typer.Option("--practice", help="Use the simulated machines of configs/practice.yaml.")
]
Head = Annotated[
    str | None,
    typer.Option("--head", help="SSH destination of the fleet's head.", envvar="FLEET_HEAD"),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="With a head: return at once; the head works on.")
]

OwnIp = Annotated[
    str | None, typer.Option("--ip", help="This machine's address, if it has several.")
]


def homes(home: str | None, stores: list[str] | None) -> list[Path]:
    """Return the homes to read: those that are named, otherwise the user's own.

    Raises UserError where the results lie on a head elsewhere, with the command to type.
    """
    import os
    import shlex
    import sys

    from fleet.errors import UserError
    from fleet.folders import home_folder

    named = [*([home] if home else []), *(stores or ())]
    head = os.environ.get("FLEET_HEAD")
    if head and not named and not os.environ.get("FLEET_HOME"):
        typed = shlex.join(["fleet", *sys.argv[1:]])
        raise UserError(f"the results lie on the head, {head}", f"ssh {head} {typed}")
    return [home_folder(folder) for folder in named or (None,)]


def print_json(data: object) -> None:
    """Print data for programs; letters that the output cannot show are escaped."""
    import json
    import sys

    from fleet.cli import output
    from fleet.terminal import json_escaped

    escaped = not output.shows_unicode(sys.stdout)
    print(json_escaped(json.dumps(data, indent=2, ensure_ascii=escaped, default=str)))
