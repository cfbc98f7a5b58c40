"""The metric dictionary against the views: nothing is defined twice, nothing undefined."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.cli.main import build
from fleet.compare import dictionary
from fleet.compare.axes import METRICS
from fleet.compare.reader import open_store, rows
from fleet.compare.views import HERE
from tests.builders_compare import GoldenStore

ROOT = Path(__file__).resolve().parents[2]
LABEL = re.compile(r"then '(\w+)'\s+end")


def test_every_number_of_the_view_is_in_the_dictionary_and_no_other(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("t")
    con = open_store([store.write(tmp_path)])
    columns = {str(row["column_name"]) for row in rows(con, "describe speeds")}
    named = {entry.name for entry in dictionary.METRICS}
    measured = {
        name
        for name in columns
        if re.search(r"_tokens_per_s$|token\w*_ns$|^(load|end_to_end|most_lateness)_ns$", name)
    }
    assert named == measured
    assert {metric.column for metric in METRICS.values()} <= named


def test_every_flag_of_the_views_is_in_the_dictionary_and_no_other() -> None:
    text = (HERE / "views.sql").read_text()
    assert set(LABEL.findall(text)) == {flag.name for flag in dictionary.FLAGS}
    assert f"{dictionary.VERSION} as flags_version" in text


def test_the_page_is_the_one_that_the_command_prints() -> None:
    printed = CliRunner().invoke(build(), ["metrics", "--markdown"])
    assert printed.output == (ROOT / "docs" / "metrics.md").read_text()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_names_every_metric_and_flag(options: list[str]) -> None:
    printed = CliRunner().invoke(build(), ["metrics", *options]).output
    for entry in (*dictionary.METRICS, *dictionary.FLAGS):
        assert entry.name in printed
    if options:
        assert json.loads(printed)["version"] == dictionary.VERSION
