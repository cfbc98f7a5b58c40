"""Writes the metric dictionary as a page and as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.metrics.dictionary import METRICS, VERSION
from fleet.metrics.energy_dictionary import ENERGY, FAULTS, SCOPES
from fleet.metrics.flags import FLAGS
from fleet.metrics.metric import Metric
from fleet.metrics.words import HEADS, NOTES
from fleet.report.tables import GAP, described

WORDS = {
    "heads of tables": HEADS,
    "words in tables and below them": NOTES,
}


def markdown() -> str:
    """Write the dictionary as a page."""
    flags = [f"| `{flag.name}` | {flag.kind} | {flag.rule} |" for flag in FLAGS]
    return "\n".join(
        [
            f"# Metric dictionary, version {VERSION}",
            "",
            "Made by `fleet metrics --markdown`. Each number is a median over the valid requests "
            "of one trial and point, in the view `speeds`; `cells` holds the medians over trials.",
            "",
            *_table(METRICS),
            "",
            "## Flags",
            "",
            "An *invalid* request is left out and counted. A *qualified* trial is true and kept, "
            "under its label, apart from those without it; only those that throttled stay with the "
            "others of their side, which is then judged by its sustained speed.",
            "",
            "| Flag | Kind | Raised where |",
            "|---|---|---|",
            *flags,
            "",
            *_energy_page(),
            *_words_page(),
        ]
    )


def _energy_page() -> Iterator[str]:
    yield from ("## Energy", "", OF_ENERGY, "", *_table(ENERGY), "")
    yield from ("| Scope | Is |", "|---|---|")
    yield from (f"| `{scope}` | {rule} |" for scope, rule in SCOPES.items())
    yield from ("", "| Not valid | Where |", "|---|---|")
    yield from (f"| `{fault}` | {rule} |" for fault, rule in FAULTS.items())
    yield ""


def _words_page() -> Iterator[str]:
    for title, words in WORDS.items():
        yield from (f"## {title[0].upper()}{title[1:]}", "", "| Word | Means |", "|---|---|")
        yield from (f"| {word.name} | {word.meaning} |" for word in words)
        yield ""


OF_ENERGY = (
    "In the view `energy`, one row per trial, point and scope: medians over the requests whose "
    "energy is valid. `source` says whose readings, `method` whether of a counter or of power, "
    "`least_samples` and `greatest_gap_ns` how many readings and how far apart. Where `valid` is "
    "false no request's energy is, `invalid` says why, and no comparison takes it; "
    "`prefill_invalid` and `decode_invalid` say it of the phases. `fleet compare --metric energy` "
    "compares `joules_per_token`; `energy_net`, `energy_prefill` and `energy_decode` the others."
)


def _table(entries: Sequence[Metric]) -> Iterator[str]:
    yield "| Column | Unit | Is | Computed as | Needs |"
    yield "|---|---|---|---|---|"
    for e in entries:
        yield f"| `{e.column}` | {e.unit} | {e.meaning} | {e.formula} | {e.needs} |"


def lines(width: int | None = None) -> list[str]:
    """Write the dictionary for a terminal; `width` in its columns."""
    text = [f"metric dictionary, version {VERSION}: medians over the valid requests of a trial"]
    text += _entries(METRICS)
    text += ["", "flags: invalid requests are left out and counted, qualified trials kept apart"]
    text += described([(f.name, f.kind, f.rule) for f in FLAGS], width, GAP)
    text += ["", "energy: for each scope, medians over the requests whose energy is valid"]
    text += _entries(ENERGY)
    text += ["", "scopes: what was measured; unlike ones are not compared"]
    text += described(list(SCOPES.items()), width, GAP)
    text += ["", "why an energy is not valid", *described(list(FAULTS.items()), width, GAP)]
    for title, words in WORDS.items():
        rows = [(word.name, word.meaning) for word in words]
        text += ["", title, *described(rows, width, GAP)]
    return text


def _entries(entries: Sequence[Metric]) -> Iterator[str]:
    for entry in entries:
        yield from ("", f"{entry.column}  ({entry.unit})", f"  {entry.meaning}")
        yield f"  = {entry.formula}"
        if entry.needs:
            yield f"  needs {entry.needs}"


def as_data(metric: Metric) -> dict[str, str]:
    """Return one entry of the dictionary for --json."""
    return {
        "name": metric.column,
        "unit": metric.unit,
        "meaning": metric.meaning,
        "formula": metric.formula,
        "needs": metric.needs,
    }
