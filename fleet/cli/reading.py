"""fleet results, fleet show, fleet machines: what has been measured, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options
from fleet.compare.tables import aligned
from fleet.units import show_count, show_ns, show_number

if TYPE_CHECKING:
    from fleet.compare.reader import Row
    from fleet.compare.results import Shown

ID_SHOWN = 14


def results(
    experiment: options.Experiment = None,
    store: options.Stores = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only cells with flags or requests left out.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show what was measured, a line per cell."""
    from fleet.app import reading as app
    from fleet.compare import text

    found = app.read_results(options.folders(store), experiment)
    if flagged:
        found = [row for row in found if row.flags or row.left_out]
    if json:
        options.print_json(text.to_json(found))
        return
    for line in text.results_lines(found):
        print(line)


def show(
    trial: Annotated[str, typer.Argument(help="Id of a trial, or how it begins.")],
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show one trial whole.

    The machine, the settings, every request, and the naive rates beside ours.
    """
    from fleet.app import reading as app
    from fleet.compare import text

    found = app.read_trial(options.folders(store), trial)
    if json:
        options.print_json(text.to_json(found))
        return
    for line in shown_lines(found):
        print(line)


HEADLINES = (
    ("experiment", ("experiment", "session", "block", "why")),
    ("machine", ("machine", "chip", "gpu", "gpu_cores", "memory_gb", "gpu_limit_mb")),
    ("system", ("os", "os_version", "os_build", "kernel", "gpu_driver")),
    ("condition", ("power_source", "power_mode", "thermal_class", "gpu_slowdowns")),
    ("model", ("model", "digest")),
    ("engine", ("engine", "engine_version", "context_length")),
    ("settings", ("settings", "think")),
    ("outcome", ("outcome", "reason", "detail", "source")),
)


def shown_lines(found: Shown) -> list[str]:
    trial = found.trial
    lines = [
        f"{trial['trial_id']}   {show_count(len(found.attempts), 'attempt')}, {trial['started_at']}"
    ]
    for title, names in HEADLINES:
        told = [_told(name, trial[name]) for name in names if trial.get(name) not in (None, "")]
        if told:
            lines.append(f"  {title:<11}{'  '.join(told)}")
    lines += [f"  {'gates':<11}{told}" for told in _gates(trial)]
    lines += [f"  {'measured':<11}{told}" for told in _other_measurements(found)]
    lines += ["", *(f"  {line}" for line in _request_lines(found.requests))]
    if found.readings:
        lines += ["", *(f"  {line}" for line in _reading_lines(found.readings))]
    if found.energy:
        lines += ["", *(f"  {line}" for line in map(_energy_line, found.energy))]
    return [*lines, "", *_reproduce(trial)]


def _other_measurements(found: Shown) -> Iterator[str]:
    """The same question measured again, in another store or after an upgrade: each counts."""
    others = [row for row in found.attempts[1:] if row["counted"]]
    if others:
        yield f"{show_count(len(others) + 1, 'time')} under this id; the newest is shown"
    for row in others:
        engine = " ".join(filter(None, (_text(row["engine"]), _text(row["engine_version"]))))
        by = f", submission {str(row['submission_id'])[:8]}" if row["submission_id"] else ""
        yield f"also {row['started_at']} ({engine}{by})"


def _gates(trial: Row) -> Iterator[str]:
    """Only what is out of the ordinary."""
    if trial.get("gates") not in (None, "wait"):
        yield f"policy {trial['gates']}"
    if trial.get("gates_held_ns"):
        yield f"held for {_ns(trial['gates_held_ns'])} before it"
    titles = {
        "gates_closed": "closed before it",
        "gates_closed_after": "closed after it",
        "models_unloaded": "taken out of memory for it",
        "gates_unverified": "unverified",
    }
    for name, title in titles.items():
        if trial.get(name):
            yield f"{title}: {trial[name]}"


def _told(name: str, value: object) -> str:
    units = {"memory_gb": " GB", "gpu_limit_mb": " MiB GPU limit", "gpu_cores": " GPU cores"}
    if name in units:
        return f"{value}{units[name]}"
    if name == "gpu_slowdowns":
        return f"the GPU slowed itself down: {value}"
    return f"{name} {value}" if name in ("session", "block", "context_length") else str(value)


def _request_lines(requests: Sequence[Row]) -> list[str]:
    titles = (
        *("request", "test", "prompt", "prefill", "naive-prefill"),
        *("output", "decode", "naive-decode", "first-token", "left-out"),
    )
    rows = [
        (
            f"{row['request']}{' warm-up' if row.get('warmup') else ''}",
            _text(row.get("point")),
            _text(row.get("prompt_tokens")),
            _number(row.get("prefill_tokens_per_s")),
            _number(row.get("naive_prefill_tokens_per_s")),
            _text(row.get("output_tokens")),
            _number(row.get("decode_tokens_per_s")),
            _number(row.get("naive_decode_tokens_per_s")),
            _ns(row.get("first_token_ns")),
            _text(row.get("invalid") or row.get("error")),
        )
        for row in requests
    ]
    return aligned(titles, rows, right=titles[2:-1])


def _reading_lines(readings: Sequence[Row]) -> list[str]:
    """Least, median and most of each metric; a gap has its reason as the source."""
    titles = ("reading", "least", "median", "most", "values", "gaps", "source")
    rows = [
        (
            str(row["metric"]),
            *(_number(row[name]) for name in ("least", "median", "most")),
            str(row["values"]),
            str(row["gaps"] or ""),
            str(row["source"]),
        )
        for row in readings
    ]
    return aligned(titles, rows, right=titles[1:-1])


def _energy_line(row: Row) -> str:
    told = f"energy   {row['point']}  {row['scope']}  {_number(row['joules_per_token'])} J/token"
    told += f"  {_number(row['tokens_per_joule'])} tokens/J  by {row['method']} ({row['source']})"
    return told if row["valid"] else f"{told}  not valid: {row['invalid']}"


def _reproduce(trial: Row) -> list[str]:
    if trial.get("imported"):
        return [f"imported: {trial.get('source')}"]
    only = f"machine={trial['machine']},model={trial['model']},job={trial['job']}"
    return [f"again:  fleet submit FILE --again --only {only}   (FILE: {trial['experiment']})"]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> str:
    return show_number(value) if isinstance(value, (int, float)) else ""


def _ns(value: object) -> str:
    return show_ns(value) if isinstance(value, (int, float)) else ""


MACHINES = (
    *("machine", "kind", "chip", "cpu", "gpu", "gpu-cores", "memory", "bandwidth", "gpu-limit"),
    *("os", "driver", "engine", "trials", "last-seen", "id"),
)


def machines(
    store: options.Stores = None,
    here: Annotated[
        bool, typer.Option("--here", help="Look at this machine now: every fact, its source.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show every machine as last seen."""
    if here:
        _look_here(json)
        return
    from fleet.app import reading as app

    found = app.read_machines(options.folders(store))
    if json:
        options.print_json(found)
        return
    right = ("cpu", "gpu-cores", "memory", "bandwidth", "gpu-limit", "trials")
    for line in aligned(MACHINES, list(map(_machine_cells, found)), right=right):
        print(line)
    for row in found:
        if int(str(row["hardware_seen"])) > 1:
            print(f"{row['machine']} was seen with other hardware before: histories stay apart")


def _look_here(json: bool) -> None:
    from fleet.app.doctoring import look_here

    found = look_here()
    if json:
        options.print_json(found)
        return
    facts = found.pop("facts")
    found |= {
        "allowed": ", ".join(found["allowed"]) or "nothing of yours is restarted or changed",
        "hours": found["hours"] or "any",
    }
    rows = [(name, _text(fact["value"]), fact["source"]) for name, fact in facts.items()]
    print("\n".join([*(f"{name}: {value}" for name, value in found.items()), ""]))
    print("\n".join(aligned(("fact", "value", "source, and why unknown"), rows)))


def _machine_cells(row: Row) -> tuple[str, ...]:
    limit, memory = row["gpu_limit_mb"], row["gpu_memory_mb"]
    rate = row["memory_bandwidth_gb_s"]
    return (
        str(row["machine"]),
        _kind(row),
        _text(row["chip"]),
        f"{row['cpu_cores']} cores" if row["cpu_cores"] else "",
        _text(row["gpu"]),
        _text(row["gpu_cores"]),
        f"{row['memory_gb']} GB" if row["memory_gb"] else "",
        f"{float(str(rate)):g} GB/s" if rate else "",
        f"{limit or memory} MiB" if limit or memory else "",
        " ".join(filter(None, (_text(row["os"]), _text(row["os_version"])))),
        _text(row["gpu_driver"]),
        " ".join(filter(None, (_text(row["engine"]), _text(row["engine_version"])))),
        str(row["trials"]),
        str(row["last_seen"])[:16],
        str(row["machine_id"])[:ID_SHOWN],
    )


def _kind(row: Row) -> str:
    """Empty for a machine of its own."""
    guest = f"guest ({row['hypervisor'] or 'unknown'})" if row["virtual"] else ""
    boxed = f"container ({row['container_kind'] or 'unknown'})" if row["container"] else ""
    return ", ".join(filter(None, (guest, boxed)))


def add(app: typer.Typer) -> None:
    app.command()(results)
    app.command()(show)
    app.command()(machines)
