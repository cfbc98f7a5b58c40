"""Writes results as a table: for a terminal of any width, as Markdown and as CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fleet.model.machine import OVER_NETWORK
from fleet.query.machines import MachineOfResults
from fleet.query.results import ResultRow
from fleet.report.tables import Column, comma_separated, escape, fitted, markdown
from fleet.terminal import figures_wrapped
from fleet.units import NS_PER_MS, show_count, show_number

ID_LETTERS = 14
"""`trial-` and eight digits: `fleet show` takes the beginning of an id."""

COLUMNS = (
    Column(title="experiment", shared=True),
    Column(title="date", shared=True, rank=1),
    Column(title="session", shared=True),
    Column(title="machine", shared=True),
    Column(title="model", shared=True),
    Column(title="format"),
    Column(title="test"),
    Column(title="settings"),
    Column(title="prefill", right=True),
    Column(title="decode", right=True),
    Column(title="burst", right=True, rank=6),
    Column(title="sustained", right=True, rank=5),
    Column(title="together", right=True, rank=3),
    Column(title="first token", right=True, rank=8),
    Column(title="J/token", right=True, rank=4),
    Column(title="trials", right=True, rank=3, shared=True),
    Column(title="spread", right=True, rank=9),
    Column(title="flags", shared=True, words=True),
    Column(title="state", shared=True),
    Column(title="id", rank=7),
)
TITLES = tuple(column.title for column in COLUMNS)
EXPERIMENT, DATE, SESSION = range(3)
FORMAT = TITLES.index("format")
"""Places of what is shown where it differs between rows."""
SharedSettings = Mapping[str | None, Sequence[str]]
NONE_SHARED: SharedSettings = {}
NOTHING = "no results yet: fleet submit gpt-oss:20b"
NOTHING_FLAGGED = "nothing is flagged, imported, or had requests left out"


def results_lines(
    results: Sequence[ResultRow], width: int | None = None, *, flagged: bool = False
) -> list[str]:
    """Write one line per cell and point, then what was left out; None: as wide as it takes.

    `flagged`: these are only the rows with a flag, or with requests left out.
    """
    if not results:
        return [NOTHING_FLAGGED if flagged else NOTHING]
    shared = shared_parts([row.settings for row in results if row.settings])
    own = _shared_in_experiments(results)
    lines = fitted(COLUMNS, _rows(results, own), width)
    for note in _notes(results, shared, own):
        lines += figures_wrapped(note, width, "  ") if width else [note]
    return lines


def results_markdown(
    results: Sequence[ResultRow], machines: Sequence[MachineOfResults]
) -> list[str]:
    """Write one table to paste, the machines above it."""
    if not results:
        return [NOTHING]
    shared = shared_parts([row.settings for row in results if row.settings])
    body = [list(map(escape, row)) for row in _rows(results, _the_same_in_all(results, shared))]
    above = [f"{escape(line)}  " for line in machine_lines(machines)]
    below = [f"{escape(line)}  " for line in _notes(results, shared)]
    return [*above, "", *markdown(TITLES, body), "", *below]


def results_csv(results: Sequence[ResultRow], machines: Sequence[MachineOfResults]) -> list[str]:
    """Write a file for a spreadsheet; lines that begin with # say what its cells do not."""
    shared = shared_parts([row.settings for row in results if row.settings])
    above = [f"# {line}" for line in (*machine_lines(machines), *_notes(results, shared))]
    return [*above, *comma_separated(TITLES, _rows(results, _the_same_in_all(results, shared)))]


def machine_lines(machines: Sequence[MachineOfResults]) -> list[str]:
    """Write `studio-96: Apple M3 Ultra, 60 GPU cores, 96 GB, darwin 26.1, ollama 0.32.15`."""
    return [f"{each.machine}: {', '.join(_facts(each))}" for each in machines]


def _facts(of: MachineOfResults) -> Iterator[str]:
    yield of.chip or "unknown chip"
    if of.gpu and of.gpu != of.chip:
        yield of.gpu
    if of.gpu_cores:
        yield f"{of.gpu_cores} GPU cores"
    if of.memory_gb:
        yield f"{of.memory_gb} GB"
    for name, version in ((of.os, of.os_version), (of.engine, of.engine_version)):
        if name:
            yield " ".join(filter(None, (name, version)))
    if of.gpu_driver:
        yield f"driver {of.gpu_driver}"


def shared_parts(settings: Sequence[str]) -> list[str]:
    """Return the settings that all have in common, which stand once below."""
    each = [text.split() for text in settings]
    return [part for part in each[0] if all(part in parts for parts in each)] if each else []


def settings_of_all(shared: Sequence[str]) -> list[str]:
    return [f"settings of all: {' '.join(shared)}"] if shared else []


def apart_from(settings: str, shared: Sequence[str]) -> str:
    return " ".join(part for part in settings.split() if part not in shared)


def _shared_in_experiments(results: Sequence[ResultRow]) -> SharedSettings:
    """Return what all cells of each experiment share, which is more than what all cells do."""
    settings = defaultdict[str | None, list[str]](list)
    for row in results:
        settings[row.experiment] += [row.settings] if row.settings else []
    return {name: shared_parts(texts) for name, texts in settings.items()}


def _the_same_in_all(results: Sequence[ResultRow], shared: Sequence[str]) -> SharedSettings:
    return {row.experiment: shared for row in results}


def _rows(results: Sequence[ResultRow], shared: SharedSettings) -> list[list[str]]:
    """Make the rows. `shared`: settings that no row names, by experiment."""
    with_scope = len(_scopes(results)) > 1
    rows = [_cells(row, shared[row.experiment], with_scope) for row in results]
    places = (EXPERIMENT, DATE, SESSION, FORMAT)
    several = {at: len({row[at] for row in rows} - {""}) > 1 for at in places}
    several[DATE] |= several[EXPERIMENT]
    for at, is_shown in several.items():
        for row in rows:
            row[at] = row[at] if is_shown else ""
    return rows


def _scopes(results: Sequence[ResultRow]) -> list[str]:
    return sorted({scope for row in results for scope in row.joules_per_token})


def _notes(
    results: Sequence[ResultRow], shared: Sequence[str], own: SharedSettings = NONE_SHARED
) -> list[str]:
    scopes = _scopes(results)
    of_scope = f", J/token of {scopes[0]}" if len(scopes) == 1 else ""
    notes = [f"rates in tokens/s{of_scope}, medians over trials", *settings_of_all(shared)]
    for name, parts in own.items():
        alone = [part for part in parts if part not in shared]
        notes += [f"settings of all of {name}: {' '.join(alone)}"] if alone else []
    notes += [*_of_formats(results), *_over_network(results), *_second_opinions(results)]
    left_out = Counter[str]()
    for row in results:
        left_out.update(row.left_out)
    if left_out:
        total = ", ".join(
            f"{count} {flags.replace(' ', ' and ')}" for flags, count in sorted(left_out.items())
        )
        notes.append(f"requests left out: {total}")
    return notes


def _of_formats(results: Sequence[ResultRow]) -> Iterator[str]:
    """Say what all rows have in common, and once that some rows do not say it."""
    every = {format_of(row) for row in results}
    if len(every - {""}) == 1:
        yield f"format of all: {', '.join(every - {''})}"
    if "" in every and len(every) > 1:
        count = sum(not format_of(row) for row in results)
        yield f"format of {show_count(count, 'row')} not known: an older fleet measured them"


def format_of(row: ResultRow) -> str:
    """`gguf Q4_K_M`, `safetensors nvfp4 with drafts`: a name of one format is none of the other."""
    drafts = "with drafts" if row.drafts == "yes" else ""
    return " ".join(filter(None, (row.model_format, row.quantization, drafts)))


def _over_network(results: Sequence[ResultRow]) -> Iterator[str]:
    names = sorted({row.machine for row in results if row.measured_over == OVER_NETWORK})
    if names:
        yield (
            f"over the network: {', '.join(names)}: rates are the engine's own, "
            "the first token holds the way there and back"
        )


def _second_opinions(results: Sequence[ResultRow]) -> Iterator[str]:
    for row in results:
        if row.decode_second_opinion:
            where = f"{row.model} {row.point} on {row.machine}"
            yield f"decode of {where} by two clocks: {row.decode_second_opinion}"


def _cells(row: ResultRow, shared: Sequence[str], with_scope: bool) -> list[str]:
    first_ns = row.server_first_token_ns if row.first_token_ns is None else row.first_token_ns
    return [
        row.experiment or "",
        f"{row.last_at:%Y-%m-%d}" if row.last_at else "",
        str(row.session or 0),
        row.machine,
        row.model,
        format_of(row),
        row.point,
        apart_from(row.settings, shared),
        _rate(row.prefill_tokens_per_s, row.naive_prefill_tokens_per_s, row.prefill_note),
        _rate(row.decode_tokens_per_s, row.naive_decode_tokens_per_s, row.decode_note),
        *(_of_heat(row) or ("", "")),
        "" if row.throughput_tokens_per_s is None else show_number(row.throughput_tokens_per_s),
        "-" if first_ns is None else f"{show_number(first_ns / NS_PER_MS)} ms",
        _energy(row.joules_per_token, with_scope),
        str(row.trials),
        "" if row.spread_percent is None else f"{row.spread_percent:.1f} %",
        " ".join(filter(None, (row.flags, "imported" if row.imported else ""))),
        row.state,
        row.id[:ID_LETTERS],
    ]


def _energy(joules_per_token: Mapping[str, float], with_scope: bool) -> str:
    """Write `3.21`, with several scopes among the cells `3.21 gpu_board, 5.4 wall`."""
    parts = [
        f"{show_number(joules)}{f' {scope}' if with_scope else ''}"
        for scope, joules in sorted(joules_per_token.items())
    ]
    return ", ".join(parts)


def _of_heat(row: ResultRow) -> tuple[str, str] | None:
    """Return burst and sustained decode of a cell that throttled."""
    burst, sustained = row.burst_decode_tokens_per_s, row.sustained_decode_tokens_per_s
    if "throttled" not in row.flags.split() or burst is None or sustained is None:
        return None
    return show_number(burst), show_number(sustained)


def _rate(rate: float | None, naive: float | None, note: str) -> str:
    """Write a rate; where the cache is unknown the naive one is better than none."""
    if rate is not None:
        return show_number(rate)
    if naive is not None and note == "cache state unknown":
        return f"{show_number(naive)} naive"
    return note.removesuffix(" for a rate") or "-"
