"""Several stores read together: copies count once, other measurements all count, in any order."""

from __future__ import annotations

import datetime
import itertools
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.query.adhoc_sql import sql
from fleet.query.one_trial import show
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.views import columns_of, question
from fleet.report.comparison_text import to_json
from fleet.stats.noise_floor import NoiseTrial, noise_floor
from fleet.stats.ratios import paired
from fleet.store.schema import TABLES
from tests.builders_compare import IMPORTED, START, GoldenStore, S, compare, imported_request
from tests.builders_energy import Curve, asked, counter, every, reading

CELLS = (8, 512)
BLOCKS = range(3)
Measured = dict[tuple[int, int], float]
"""Rates by cell and block."""

Home = tuple[bool, Measured, frozenset[tuple[int, int]]]
"""Whether its fleet told submissions, what it measured, and what of that took a second try."""

homes = st.tuples(
    st.booleans(),
    st.dictionaries(
        st.tuples(st.sampled_from(CELLS), st.sampled_from(BLOCKS)), st.floats(50, 150), min_size=1
    ),
    st.frozensets(st.tuples(st.sampled_from(CELLS), st.sampled_from(BLOCKS)), max_size=2),
)


def write(home: Home, number: int, folder: Path, *, most_blocks: int = len(BLOCKS)) -> Path:
    """The store of one home; of a copy that was taken early, its first blocks alone."""
    told, measured, tried_twice = home
    store = GoldenStore()
    for (cell, block), rate in sorted(measured.items(), key=lambda item: item[0][::-1]):
        if block >= most_blocks:
            continue
        minute = 100 * number + 10 * block + CELLS.index(cell)
        own: dict[str, Any] = {
            "block": block,
            "num_batch": cell,
            "started_at": START + datetime.timedelta(minutes=minute),
            "zero_unix_ns": minute * 60 * S,
            "submission_id": f"submission-{number}-{block // 2}" if told else None,
        }
        twice = (cell, block) in tried_twice
        if twice:
            store.trial(f"{cell}-{block}", outcome="failed", requests=[], **own)
            own |= {"zero_unix_ns": own["zero_unix_ns"] + S}
        store.trial(f"{cell}-{block}", decode=rate, fence=int(twice), **own)
    return store.write(folder)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(homes, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, len(BLOCKS))), max_size=3),
    st.randoms(use_true_random=False),
)
def test_each_measurement_counts_once_in_any_order(
    measured: list[Home], copies: list[tuple[int, int]], chance: Any
) -> None:
    """Homes measured the same trials of the same machine; some folders are copies of a home."""
    expected: dict[str, list[float]] = defaultdict(list)
    for _, rates, _ in measured:
        for (cell, _), rate in rates.items():
            expected[f"num_ctx=8192 num_batch={cell}"].append(rate)
    with tempfile.TemporaryDirectory() as place:
        folders = [write(h, n, Path(place) / f"home-{n}") for n, h in enumerate(measured)]
        for number, (of, blocks) in enumerate(copies):
            of %= len(measured)
            copy = Path(place) / f"copy-{number}"
            folders.append(write(measured[of], of, copy, most_blocks=blocks))
        told = [read(folders)]
        for _ in range(2):
            chance.shuffle(folders)
            told.append(read(folders))
    assert told[0] == told[1] == told[2]
    cells, compared = told[0]
    assert cells == {
        settings: (len(rates), pytest.approx(statistics.median(rates)))
        for settings, rates in expected.items()
    }
    for line in (line for group in compared for line in group["lines"]):
        batch = f"num_ctx=8192 num_batch={line['side']}"
        assert (line["trials"], line["value"]) == cells[batch]


def read(folders: Sequence[Path]) -> tuple[dict[str, tuple[int, float]], Any]:
    """Trials and median by settings, and what a comparison makes of it."""
    query = "select settings, trials, decode_tokens_per_s as rate from cells"
    with open_store(folders) as con:
        cells = {str(row["settings"]): (row["trials"], row["rate"]) for row in rows(con, query)}
        if len(cells) < 2:
            return cells, []  # type: ignore[return-value]
        compared: Any = to_json(compare(con, axis="num_batch", metrics=["decode"]))
    return cells, compared["groups"]  # type: ignore[return-value]


def two_homes(place: Path) -> list[Path]:
    """The same three blocks of two cells, measured twice; 512 is 20 % faster in either."""
    made = []
    for number, level in enumerate((100.0, 200.0)):
        rates = {
            (cell, block): level * (1 + block / 10) * (1 + (cell == 512) * (0.2 + block / 1000))
            for cell in CELLS
            for block in BLOCKS
        }
        made.append(write((True, rates, frozenset()), number, place / f"home-{number}"))
    return made


def test_blocks_of_two_stores_are_pairs_of_their_own(tmp_path: Path) -> None:
    with open_store(two_homes(tmp_path)) as con:
        [group] = compare(con, axis="num_batch", metrics=["decode"]).groups
    line = group.lines[1]
    assert line.estimate is not None
    assert (line.design, line.trials, line.estimate.n_a, line.unpaired) == ("paired", 6, 6, 0)
    assert line.ratio == pytest.approx(1.2, rel=0.01)


def test_a_block_that_a_resume_ended_is_still_a_pair(tmp_path: Path) -> None:
    """Block 0 was interrupted between its two cells."""
    store = GoldenStore()
    for number, (cell, block, submission) in enumerate(
        [(8, 0, "a"), (512, 0, "b"), (512, 1, "b"), (8, 1, "b")]
    ):
        own = {"block": block, "num_batch": cell, "submission_id": submission}
        store.trial(f"{cell}-{block}", decode=cell + number, **own)
    with open_store([store.write(tmp_path / "results")]) as con:
        [group] = compare(con, axis="num_batch", metrics=["decode"]).groups
    estimate = group.lines[1].estimate
    assert estimate is not None
    assert (estimate.n_a, group.lines[1].unpaired) == (2, 0)


def test_the_two_sides_of_a_noise_run_of_two_stores_are_paired_in_each() -> None:
    trials = [
        NoiseTrial(block=block, position=2 * block, side=side, value=value, submission=store)
        for store, level in (("one", 100.0), ("two", 200.0))
        for block in range(5)
        for side, value in (("a", level + block), ("b", 1.01 * (level + block)))
    ]
    for order in (trials, trials[::-1]):
        floor = noise_floor(order)
        assert floor is not None
        assert floor.n == 20
        assert floor.ratio == pytest.approx(1.01)
        assert floor.ratio_high - floor.ratio_low < 1e-9, "each pair differs by the same share"


def test_a_noise_trial_without_its_partner_takes_none_from_another_store() -> None:
    """Store one has no side a in block 2; in block 4 a resume ended what another submit began."""
    trials = [
        NoiseTrial(block=block, position=block, side=side, value=value, submission=store)
        for store, level in (("one", 100.0), ("two", 200.0))
        for block in range(6)
        for side, value in (("a", level), ("b", 1.01 * level))
        if (store, block, side) != ("one", 2, "a") and (block != 4 or store == "one")
    ]
    resumed = [
        replace(t, submission="three") if (t.block, t.side) == (4, "b") else t for t in trials
    ]
    floor = noise_floor(resumed)
    assert floor is not None
    assert floor.ratio == pytest.approx(1.01)
    assert floor.ratio_high - floor.ratio_low < 1e-9
    pairs = paired([1.0] * 10, [1.01 * (1 + 0.001 * (n == 0)) for n in range(10)])
    assert pairs is not None
    [half] = [t for t in resumed if (t.submission, t.block, t.side) == ("three", 4, "b")]
    moved = [replace(t, value=t.value * 1.001) if t == half else t for t in resumed]
    with_half = noise_floor(moved)
    assert with_half is not None
    assert with_half.ratio == pytest.approx(pairs.ratio), "the resumed block is one of ten pairs"


def test_show_says_that_a_trial_was_measured_in_two_stores(tmp_path: Path) -> None:
    folders = two_homes(tmp_path)
    for order in (folders, folders[::-1]):
        with open_store(order, WITH_READINGS) as con:
            found = show(con, "trial-512-2")
        assert [row["submission_id"] for row in found.attempts] == [
            "submission-1-1",
            "submission-0-1",
        ]
        assert found.trial["submission_id"] == "submission-1-1", "the newest"
        assert {round(float(str(r["decode_tokens_per_s"]))) for r in found.requests} == {288}
        assert len(found.requests) == 3


CURVE = Curve([0, 4, 6.5, 17.25], [10, 60, 80, 10])


def test_the_log_of_a_wall_meter_beside_one_copy_is_of_the_measurement(tmp_path: Path) -> None:
    bare, metered = GoldenStore(), GoldenStore()
    log = [{**row, "source": "meter"} for row in counter(CURVE, every(0.2, 20, 0.07), "wall")]
    for store, readings in ((bare, ()), (metered, log)):
        told = [reading("idle_window_s", 0.5, 3.0, "fleet"), *readings]
        store.trial(
            "t", requests=[asked(4, 6.5, 17.25)], readings=told, submission_id="s", zero_unix_ns=S
        )
    folders = [bare.write(tmp_path / "bare"), metered.write(tmp_path / "metered")]
    folders.append(shutil.copytree(folders[1], tmp_path / "copy", symlinks=True))
    for order in (folders, folders[::-1], [folders[0], folders[2], folders[1]]):
        with open_store(order, WITH_READINGS) as con:
            energy = rows(con, "select scope, joules_per_token as j from energy where valid")
            assert energy == [{"scope": "wall", "j": pytest.approx(1010 / 200, rel=0.005)}]
            counted = rows(
                con, "select count(*) as n, count(distinct offset_ns) as o from readings"
            )
            assert counted[0]["n"] == len(log) + 1


@pytest.mark.parametrize("later", [0, 24])
def test_an_imported_figure_counts_once_whatever_day_was_given(tmp_path: Path, later: int) -> None:
    """The id of an imported attempt is made of its figures."""
    folders = []
    for name, hours in (("one", 0), ("two", later)):
        store = GoldenStore()
        started = START + datetime.timedelta(hours=hours)
        store.trial(
            "x",
            requests=[imported_request(84, 10**9, 201, 2 * 10**9, 0)],
            started_at=started,
            zero_unix_ns=hours * 3600 * S,
            **IMPORTED,
        )
        folders.append(store.write(tmp_path / name))
    told = []
    for order in (folders, folders[::-1]):
        with open_store(order) as con:
            told.append(rows(con, "select trials, last_started_at from cells"))
    assert told[0] == told[1]
    assert told[0][0]["trials"] == 1


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_columns_that_reading_knows_are_those_that_the_store_writes(table: str) -> None:
    with open_store_of(table) as con:
        written = {name: kind for name, kind, *_ in con.fetchall()}
    assert columns_of(table) == {name: kind.lower() for name, kind in written.items()}


def open_store_of(table: str) -> Any:
    """Columns as DuckDB reads them from a file of the store's schema."""
    import duckdb

    con = duckdb.connect()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "x.parquet"
        pq.write_table(TABLES[table].empty_table(), path)
        con.execute(f"describe from read_parquet('{path}')")
    return con


def test_a_folder_of_an_older_fleet_that_nobody_has_written_to_since_can_be_read(
    tmp_path: Path,
) -> None:
    """It lacks columns in its schema files too."""
    store = GoldenStore()
    for block in range(3):
        store.trial(f"a{block}", block=block, num_batch=8)
        store.trial(f"b{block}", block=block, num_batch=512, decode=150 + block)
    folder = store.write(tmp_path / "results")
    for path in (folder / "gen-000001").rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        newer = {"submission_id", "clock_step_ns", "gpu_slowed_before", "sibling_prompt_ns"}
        path.unlink()
        pq.write_table(table.drop_columns([*newer.intersection(table.column_names)]), path)
    new = GoldenStore()
    new.trial("c", block=9, num_batch=8, submission_id="s")
    for folders in ([folder], [folder, new.write(tmp_path / "new")]):
        with open_store(folders, WITH_READINGS) as con:
            [group] = compare(con, axis="num_batch", metrics=["decode"]).groups
            assert group.lines[1].verdict == "faster"
            assert len(rows(con, "from trials")) == 6 + len(folders) - 1


def test_a_text_that_was_kept_in_one_copy_alone_is_of_the_measurement(tmp_path: Path) -> None:
    folders = []
    for name, texts in (("bare", []), ("kept", ["gold is yellow"]), ("again", ["gold is yellow"])):
        store = GoldenStore()
        attempt = store.trial("t", submission_id="s", zero_unix_ns=S)
        folder = store.write(tmp_path / name)
        kept = [{"attempt_id": attempt, "request": 0, "answer": text} for text in texts]
        path = folder / "current" / "answers" / "part-0.parquet"
        pq.write_table(pa.Table.from_pylist(kept, schema=TABLES["answers"]), path)
        folders.append(folder)
    tables = ("trials", "requests", "answers")
    for order in itertools.permutations(folders):
        with open_store(order, tables) as con:
            joined = "select answer from requests_flagged join answers using (attempt_id, folder)"
            texts = rows(con, f"{joined} where requests_flagged.request = answers.request")
        assert texts == [{"answer": "gold is yellow"}]


def test_free_sql_and_the_list_of_machines_count_both_stores_and_no_copy(tmp_path: Path) -> None:
    folders = two_homes(tmp_path)
    folders.append(shutil.copytree(folders[0], tmp_path / "copy", symlinks=True))
    count = "select count(*) from trials"
    for order in (folders, folders[::-1]):
        assert sql(order, count)[1] == [[12]]
        with open_store(order, ("trials", "requests", "fingerprints")) as con:
            [machine] = rows(con, question("machines"))
        assert machine["trials"] == 12
