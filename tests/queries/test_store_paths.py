"""A results folder of any name can be read, or is refused before anything is measured into it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.errors import StoreUnusable
from fleet.query.adhoc_sql import sql
from fleet.query.open_store import open_store, rows
from fleet.store.parquet import ParquetStore
from tests.builders_compare import GoldenStore
from tests.builders_store import result

ODD = "a'\"*?[]{}!$%#;=~&|<>` \n\t.-:éя日\\\udcff"


@pytest.mark.parametrize("name", ["back\\slash", "\\", "a\\*", "not-utf-8-\udcff"])
def test_a_folder_that_no_query_can_look_into_is_refused_at_the_first_write(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(StoreUnusable, match="results cannot lie in") as refused:
        ParquetStore(tmp_path / name / "results")
    assert "--home" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_results_moved_to_such_a_folder_say_what_to_rename(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("t")
    folder = store.write(tmp_path / "back\\slash")
    with pytest.raises(StoreUnusable, match="a folder with a backslash"):
        open_store([folder])
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(StoreUnusable, match="a folder with a backslash"):
        open_store([tmp_path / "link"])


def test_free_sql_reads_a_folder_whose_name_is_a_pattern_or_a_column(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("t")
    folder = store.write(tmp_path / "model=other *?['\n")
    assert sql([folder], "select model from trials")[1] == [["gpt-oss:20b"]]


@settings(max_examples=15, deadline=None)
@given(st.text(ODD, min_size=1, max_size=8).filter(lambda name: name not in (".", "..")))
@example("model=other")
@example("year=2026")
@example("it's [a] *?")
def test_what_is_written_is_read_whatever_the_folder_is_called(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / name / "results"
        try:
            store = ParquetStore(folder)
        except StoreUnusable:
            assert "\\" in name or "\udcff" in name
            return
        store.write(result(1))
        model = "select model, count(*) as n from trials group by model"
        with open_store([folder]) as con:
            assert rows(con, model) == [{"model": "gpt-oss:20b", "n": 1}]
        assert [past.fence for past in store.attempts("e")] == [0]
