"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    str | None,
    typer.Option("--store", help="Folder for results, ledger and spool.", envvar="FLEET_STORE"),
]
Stores = Annotated[
    list[str] | None,
    typer.Option("--store", help="Folder to read; may be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Experiment = Annotated[str | None, typer.Argument(help="Name of the experiment; all without it.")]

What = Annotated[
    list[str],
    typer.Argument(
        help="A YAML file, an experiment's name, or one or more model names.", metavar="WHAT"
    ),
]
Jobs = Annotated[
    list[str] | None,
    typer.Option("--job", help="With model names: the jobs to run; else pp512, tg128 and a chat."),
]
Machines = Annotated[
    list[str] | None, typer.Option("--machines", help="With model names: only these machines.")
]
Engine = Annotated[str, typer.Option("--engine", help="With model names: ollama or embedded.")]
Repeats = Annotated[
    int | None, typer.Option("--repeats", min=1, help="Measure each cell so often.")
]
Budget = Annotated[
    str | None, typer.Option("--budget", help="Start no block that ends after this span: 10m.")
]
MaxHours = Annotated[float | None, typer.Option("--max-hours", min=0, help="The same in hours.")]
Until = Annotated[str | None, typer.Option("--until", help="The same as a time of day: 07:00.")]
Only = Annotated[
    str | None, typer.Option("--only", help="machine=X,model=Y,job=Z: only these trials.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting: num_ctx=8192; several values are measured each: num_batch=512,2048. "
        "With a file: only its trials with this value.",
    ),
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="A first glance: one block, answers cut after 3 s, no verdict."),
]
Again = Annotated[
    bool, typer.Option("--again", help="Measure everything once more, as a new session.")
]
MissingOnly = Annotated[
    bool, typer.Option("--missing-only", help="Leave out what only an upgrade made new.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]
SkipUnfit = Annotated[
    bool, typer.Option("--skip-unfit", help="Leave out models larger than the GPU's memory.")
]
Gates = Annotated[
    str | None,
    typer.Option("--gates", help="Where a machine is not ready: wait, strict or record."),
]
Mine = Annotated[
    bool,
    typer.Option("--mine", help="Models in memory are your own: unload them, then measure."),
]
Practice = Annotated[
    bool, typer.Option("--practice", help="On the scripted machines of configs/practice.yaml.")
]
Head = Annotated[
    str | None,
    typer.Option("--head", help="SSH destination of the fleet's head.", envvar="FLEET_HEAD"),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="With a head: return at once; the head goes on.")
]

OwnIp = Annotated[
    str | None, typer.Option("--ip", help="This machine's address, where it has several.")
]


def folders(stores: list[str] | None) -> list[Path]:
    """The homes to read: those named, else the one of this user.

    With a head elsewhere the results are there, so the command to type is said instead.
    """
    import os
    import shlex
    import sys

    from fleet.errors import UserError
    from fleet.folders import home_folder

    head = os.environ.get("FLEET_HEAD")
    if head and not stores and not os.environ.get("FLEET_STORE"):
        typed = shlex.join(["fleet", *sys.argv[1:]])
        raise UserError(f"the results lie on the head, {head}", f"ssh {head} {typed}")
    return [home_folder(store) for store in stores or (None,)]


def print_json(data: object) -> None:
    """Data for programs on standard output; letters that it cannot show as JSON escapes them."""
    import json
    import sys

    from fleet.cli import output

    escaped = not output.shows_unicode(sys.stdout)
    print(json.dumps(data, indent=2, ensure_ascii=escaped, default=str))
