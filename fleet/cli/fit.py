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
address of one (only its head is read). Exit code 1 where it fits at no context.
"""

Models = Annotated[list[str] | None, typer.Argument(help="Models.", metavar="MODEL")]
Machine = Annotated[
    list[str] | None, typer.Option("--machine", help="A machine of the store, as last seen.")
]
On = Annotated[list[str] | None, typer.Option("--on", help="A machine not owned: 'M4 Max 128 GB'.")]
LimitMib = Annotated[float | None, typer.Option("--limit-mib", help="What the GPU may use.")]
RamGb = Annotated[float | None, typer.Option("--ram-gb", help="Memory of the machine.")]
Bandwidth = Annotated[float | None, typer.Option("--bandwidth", help="Of its memory, GB/s.")]
Context = Annotated[
    list[str] | None, typer.Option("--context", help="Tokens: 32768 or 32k; several times.")
]
Slots = Annotated[int, typer.Option("--parallel", min=1, help="Requests at once.")]
CacheType = Annotated[str, typer.Option("--kv", help="Type of the cache: f16, q8_0, q4_0.")]
Flash = Annotated[str, typer.Option("--flash", help="Flash attention: on, off or unknown.")]
Version = Annotated[
    str | None, typer.Option("--ollama", help="Version of Ollama; else a current one.")
]
Engine = Annotated[
    str | None, typer.Option("--engine", help="Address of an Ollama that has the models.")
]
Chart = Annotated[bool, typer.Option("--chart", help="Draw need against context.")]
ListModels = Annotated[bool, typer.Option("--models", help="List the catalogue of models.")]
ListMachines = Annotated[bool, typer.Option("--machines", help="List that of machines.")]


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
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Tell what a model needs, whether it fits, and how fast it could be.

    Nothing is loaded, and no machine is touched.
    """
    from fleet.advisor import report as fitting
    from fleet.app import advise as advising

    if models or machines:
        _list_catalogue(models=models, json=json)
        return
    if not model:
        raise typer.BadParameter("name at least one model, or --models to list them")
    boxes = _boxes(machine, on, (limit_mib, ram_gb, bandwidth), store)
    limits = _set_limits(limit_mib, on, machine)
    setup = _setup(parallel, kv, flash, ollama)
    contexts = [tokens(text) for text in context or ()]
    reports = [
        fitting.report(shape, box, setup, contexts, limits)
        for shape in [advising.shape_of(name, engine) for name in model]
        for box in boxes
    ]
    _print(reports, chart=chart, json=json)
    on_machines = [report for report in reports if report.box is not None]
    raise typer.Exit(1 if any(not report.fits_somewhere for report in on_machines) else 0)


def _print(reports: Sequence[Report], *, chart: bool, json: bool) -> None:
    from fleet.cli import fit_data

    if json:
        options.print_json([fit_data.as_data(report) for report in reports])
    else:
        output.emit(_text(reports, chart=chart))


def _text(reports: Sequence[Report], *, chart: bool) -> list[str]:
    from fleet.report import fit_text

    if len(reports) > 2 and not chart:
        return fit_text.grid_lines(reports)
    lines: list[str] = []
    for report in reports:
        lines += [*([""] if lines else []), *fit_text.report_lines(report, chart=chart)]
    return lines


def _boxes(
    names: list[str] | None,
    on: list[str] | None,
    numbers: tuple[float | None, float | None, float | None],
    store: list[str] | None,
) -> list[Box | None]:
    """The machines asked about; None stands for none."""
    from fleet.advisor import machines
    from fleet.app import advise as advising

    boxes: list[Box | None] = [machines.read(text) for text in on or ()]
    if names:
        homes = options.folders(store)
        boxes += [advising.machine_of_store(homes, name).box for name in names]
    if not boxes and any(number is not None for number in numbers):
        boxes.append(advising.box_from_numbers(*numbers))
    return boxes or [None]


def _set_limits(
    limit_mib: float | None, on: list[str] | None, machine: list[str] | None
) -> list[Limit]:
    """A limit given beside a named machine takes the place of the machine's own."""
    from fleet.advisor.limits import as_set

    return [as_set(limit_mib)] if limit_mib is not None and (on or machine) else []


def _setup(slots: int, cache_type: str, flash: str, version: str | None) -> Setup:
    from fleet.advisor.setup import Setup, of_version
    from fleet.errors import UserError

    states: dict[str, bool | None] = {"on": True, "off": False, "unknown": None}
    if flash not in states:
        raise UserError(f"--flash {flash}", "on, off or unknown")
    setup = Setup(context=8192, slots=slots, cache_type=cache_type, flash_attention=states[flash])
    return setup if version is None else of_version(setup, "ollama", version)


def tokens(text: str) -> int:
    """`32768`, `32k` or `1m` tokens."""
    from fleet.errors import UserError

    word = text.strip().lower()
    unit = {"k": 1024, "m": 1024 * 1024}.get(word[-1:], 0)
    number = word[:-1] if unit else word
    if not number.isascii() or not number.isdigit() or len(number) > 12:
        raise UserError(f"{text!r} is no number of tokens", "write 32768 or 32k")
    return int(number) * (unit or 1)


def _list_catalogue(*, models: bool, json: bool) -> None:
    from fleet.advisor import machines
    from fleet.advisor.models import CATALOGUE
    from fleet.report.tables import aligned
    from fleet.units import show_bytes

    titles: list[str]
    if models:
        titles = ["model", "parameters", "quantization", "weights", "context", "known"]
        rows = [
            [
                entry.name,
                f"{entry.parameters / 1e9:.1f}B",
                entry.files[0].quantization,
                show_bytes(entry.shape().weights.text_bytes),
                str(entry.context),
                entry.confidence,
            ]
            for entry in CATALOGUE
        ]
    else:
        titles = ["machine", "memory GB", "GB/s", "TFLOPS", "known"]
        rows = [
            [
                kind.label,
                " ".join(map(str, kind.memory_gb)),
                f"{kind.bandwidth_gb_s:g}",
                f"{kind.tflops:g}",
                kind.confidence,
            ]
            for kind in machines.CATALOGUE
        ]
    if json:
        options.print_json([dict(zip(titles, row, strict=True)) for row in rows])
    else:
        output.emit(aligned(titles, rows))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(fit)
