"""fleet fit: what a model needs, whether it fits a machine, and how fast it could be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.advisor.limits import Limit
    from fleet.advisor.machines_kind import Box
    from fleet.advisor.report import Report
    from fleet.advisor.setup import Setup

EPILOG = """\b
    fleet fit gpt-oss:120b --on "M3 Ultra 96 GB"
    fleet fit gpt-oss:120b --on "M4 Max 128 GB" --context 32k --context 128k
    fleet fit gpt-oss:20b qwen3:32b --on "RTX 4090" --on "2x RTX 3090"
    fleet fit qwen3:32b --machine studio-96
    fleet fit llama3.3:70b --limit-mib 49152 --ram-gb 64 --bandwidth 400
    fleet fit gpt-oss:120b                 what it needs, without a machine

A model is a name of the catalogue, a GGUF or safetensors file or folder, or a web
address of one (only its head is read). Exit code 1 if it fits at no context.
"""

Models = Annotated[list[str] | None, typer.Argument(help="Models.", metavar="MODEL")]
Machine = Annotated[
    list[str] | None, typer.Option("--machine", help="A measured machine, as it was last seen.")
]
On = Annotated[
    list[str] | None, typer.Option("--on", help="A machine of the catalogue: 'M4 Max 128 GB'.")
]
LimitMib = Annotated[
    float | None, typer.Option("--limit-mib", help="Memory that the GPU may use, MiB.")
]
RamGb = Annotated[float | None, typer.Option("--ram-gb", help="Memory of the machine, GB.")]
Bandwidth = Annotated[
    float | None, typer.Option("--bandwidth", help="Bandwidth of its memory, GB/s.")
]
Context = Annotated[
    list[str] | None, typer.Option("--context", help="Tokens: 32768 or 32k; may be repeated.")
]
Slots = Annotated[int, typer.Option("--parallel", min=1, help="Concurrent requests.")]
CacheType = Annotated[str, typer.Option("--kv", help="Type of the KV cache: f16, q8_0, q4_0.")]
Flash = Annotated[str, typer.Option("--flash", help="Flash attention: on, off or unknown.")]
Version = Annotated[
    str | None, typer.Option("--ollama", help="Version of Ollama; otherwise a current one.")
]
Engine = Annotated[
    str | None, typer.Option("--engine", help="Address of an Ollama that has the models.")
]
Chart = Annotated[bool, typer.Option("--chart", help="Draw memory need against context.")]
ListModels = Annotated[bool, typer.Option("--models", help="List the catalogue of models.")]
ListMachines = Annotated[bool, typer.Option("--machines", help="List the catalogue of machines.")]


# parameters: each is an option of the command
def fit(
    model: Models = None,
    machine: Machine = None,
    on: On = None,
    limit_mib: LimitMib = None,
    ram_gb: RamGb = None,
    bandwidth: Bandwidth = None,
    context: Context = None,
    parallel: Slots = 1,
    kv: CacheType = "f16",
    flash: Flash = "on",
    ollama: Version = None,
    engine: Engine = None,
    chart: Chart = False,
    models: ListModels = False,
    machines: ListMachines = False,
    home: options.Home = None,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show what a model needs, whether it fits, and its speed.

    Nothing is loaded, and no machine is touched.
    """
    if models or machines:
        _print_catalogue(models=models, json=json)
        return
    if not model:
        raise typer.BadParameter("name at least one model, or --models to list them")
    boxes = _catalogue_boxes(on) + _measured_boxes(machine, home, store)
    boxes = boxes or _given_box(limit_mib, ram_gb, bandwidth)
    limits = _set_limits(limit_mib, on, machine)
    setup = _setup(parallel, kv, flash, ollama)
    reports = _reports(model, engine, boxes, setup, context or (), limits)
    _print(reports, chart=chart, json=json)
    on_machines = [report for report in reports if report.box is not None]
    raise typer.Exit(1 if any(not report.fits_somewhere for report in on_machines) else 0)


# parameters: what `fleet fit` was asked, one by one
def _reports(
    models: Sequence[str],
    engine: str | None,
    boxes: Sequence[Box | None],
    setup: Setup,
    contexts: Sequence[str],
    limits: list[Limit],
) -> list[Report]:
    from fleet.advisor.report import report
    from fleet.app.fit import shape_of

    lengths = [tokens(text) for text in contexts]
    shapes = [shape_of(name, engine) for name in models]
    return [report(shape, box, setup, lengths, limits) for shape in shapes for box in boxes]


def _print(reports: Sequence[Report], *, chart: bool, json: bool) -> None:
    from fleet.report import fit_data, fit_text

    if json:
        options.print_json([fit_data.as_data(report) for report in reports])
    else:
        output.emit(fit_text.fit_lines(reports, chart=chart))


def _catalogue_boxes(names: list[str] | None) -> list[Box | None]:
    from fleet.advisor import machines

    return [machines.read(name) for name in names or ()]


def _measured_boxes(
    names: list[str] | None, home: str | None, store: list[str] | None
) -> list[Box | None]:
    from fleet.app.fit import machine_of_store

    if not names:
        return []
    homes = options.homes(home, store)
    return [machine_of_store(homes, name).box for name in names]


def _given_box(
    limit_mib: float | None, ram_gb: float | None, bandwidth: float | None
) -> list[Box | None]:
    """Return the machine of these numbers; None in its place if there are none."""
    from fleet.app.fit import box_from_numbers

    if limit_mib is ram_gb is bandwidth is None:
        return [None]
    return [box_from_numbers(limit_mib, ram_gb, bandwidth)]


def _set_limits(
    limit_mib: float | None, on: list[str] | None, machine: list[str] | None
) -> list[Limit]:
    """Let a limit given beside a named machine replace the machine's own."""
    from fleet.advisor.limits import as_set

    return [as_set(limit_mib)] if limit_mib is not None and (on or machine) else []


def _setup(slots: int, cache_type: str, flash: str, version: str | None) -> Setup:
    from fleet.advisor.setup import Setup, of_version
    from fleet.errors import UserError

    states: dict[str, bool | None] = {"on": True, "off": False, "unknown": None}
    if flash not in states:
        raise UserError(f"--flash {flash} is not understood", "on, off or unknown")
    setup = Setup(context=8192, slots=slots, cache_type=cache_type, flash_attention=states[flash])
    return setup if version is None else of_version(setup, "ollama", version)


def tokens(text: str) -> int:
    """Read `32768`, `32k` or `1m` as a number of tokens."""
    from fleet.errors import UserError

    word = text.strip().lower()
    unit = {"k": 1024, "m": 1024 * 1024}.get(word[-1:], 0)
    number = word[:-1] if unit else word
    if not number.isascii() or not number.isdigit() or len(number) > 12:
        raise UserError(f"{text!r} is not a number of tokens", "write 32768 or 32k")
    return int(number) * (unit or 1)


def _print_catalogue(*, models: bool, json: bool) -> None:
    from fleet.report.catalogue_text import machine_table, model_table
    from fleet.report.tables import aligned

    titles, rows = model_table() if models else machine_table()
    if json:
        options.print_json([dict(zip(titles, row, strict=True)) for row in rows])
    else:
        output.emit(aligned(titles, rows))
