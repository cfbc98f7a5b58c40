"""The metric dictionary against the views: nothing is defined twice, nothing undefined."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from fleet.cli.main import build
from fleet.metrics import dictionary, flags
from fleet.metrics import energy_dictionary as dictionary_energy
from fleet.metrics.compared import COMPARED
from fleet.model.machine import EnergyScope
from fleet.query.open_store import open_store, rows
from fleet.query.views import HERE
from fleet.report import metrics_text as dictionary_text
from tests.builders_compare import GoldenStore

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(r"then '(\w+)'\s+end")


def test_every_number_of_the_view_is_in_the_dictionary_and_no_other(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("t")
    con = open_store([store.write(tmp_path)])
    columns = {str(row["column_name"]) for row in rows(con, "describe speeds")}
    named = {entry.column for entry in dictionary.METRICS}
    measured = {
        name
        for name in columns
        if re.search(
            r"_tokens_per_s$|token\w*_ns$|^(load|end_to_end|most_lateness|round_p50)_ns$|_per_round$",
            name,
        )
    }
    assert named == measured
    assert {metric.column for metric in COMPARED.values() if not metric.of_energy} <= named


IDENTITY = {
    *("attempt_id", "folder", "trial_id", "experiment", "session", "machine_id", "machine"),
    *("model", "job", "settings", "block", "role", "point", "energy_version"),
}
OF_THE_MEASURING = {
    *("scope", "source", "method", "valid", "invalid", "prefill_invalid", "decode_invalid"),
    *("requests", "requests_left_out", "least_samples", "greatest_gap_ns"),
}


def test_every_column_of_energy_is_in_the_dictionary_and_no_other(tmp_path: Path) -> None:
    con = open_store([GoldenStore().write(tmp_path)], ("trials", "requests", "readings"))
    columns = {str(row["column_name"]) for row in rows(con, "describe energy")}
    named = {entry.column for entry in dictionary_energy.ENERGY}
    assert named == columns - IDENTITY - OF_THE_MEASURING
    assert columns > IDENTITY | OF_THE_MEASURING
    assert {metric.column for metric in COMPARED.values() if metric.of_energy} <= named
    page = dictionary_text.markdown()
    told = OF_THE_MEASURING - {"scope", "requests", "requests_left_out"}
    assert [name for name in sorted(told) if f"`{name}`" not in page] == []


def test_every_fault_and_scope_of_energy_is_in_the_dictionary_and_no_other() -> None:
    text = (HERE / "energy.sql").read_text()
    faults = set(re.findall(r"then '(\w+)'", text.partition("energy_fault(")[2].partition(";")[0]))
    assert faults | {"no_phase"} == dictionary_energy.FAULTS.keys()
    assert "'no_phase'" in text
    [scopes] = re.findall(r"'\(([\w|]+)\)_\(energy_joules", text)
    assert set(scopes.split("|")) == dictionary_energy.SCOPES.keys() == set(get_args(EnergyScope))
    assert f"{dictionary_energy.VERSION} as energy_version" in text


def test_every_flag_of_the_views_is_in_the_dictionary_and_no_other() -> None:
    text = (HERE / "views.sql").read_text()
    assert set(LABEL.findall(text)) == {flag.name for flag in flags.FLAGS}
    assert f"{dictionary.VERSION} as flags_version" in text


def test_the_page_is_the_one_that_the_command_prints() -> None:
    printed = CliRunner().invoke(build(), ["metrics", "--markdown"])
    assert printed.output == (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_names_every_metric_and_flag(options: list[str]) -> None:
    printed = CliRunner().invoke(build(), ["metrics", *options]).output
    for metric in (*dictionary.METRICS, *dictionary_energy.ENERGY):
        assert metric.column in printed
    for flag in flags.FLAGS:
        assert flag.name in printed
    for name in (*dictionary_energy.SCOPES, *dictionary_energy.FAULTS):
        assert name in printed
    if options:
        assert json.loads(printed)["version"] == dictionary.VERSION
