import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import StoreUnusable
from fleet.spool import Spool, from_json, node_spool, to_json
from tests import builders


@given(
    st.lists(st.integers(0, 2**31 - 1), max_size=50),
    st.none() | st.integers(0, 2**62),
    st.text(max_size=30),
    st.dictionaries(
        st.sampled_from(["num_ctx", "temperature"]), st.integers(1, 9) | st.floats(0, 2)
    ),
)
def test_a_result_comes_back_as_it_went(
    gaps: list[int], tokens: int | None, text: str, settings: dict[str, int | float]
) -> None:
    reply = builders.reply(chunk_gaps_us=tuple(gaps), prompt_tokens=tokens, text=text)
    attempt = builders.attempt(settings=settings or {"num_ctx": 256})
    result = builders.result(attempt, requests=(builders.record(reply=reply),))
    assert from_json(to_json(result)) == result


def test_waits_until_it_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    assert list(spool.waiting(print)) == []
    results = [builders.result(builders.attempt(block=block)) for block in range(3)]
    for moment, result in enumerate(results):
        spool.put(result)
        os.utime(spool.folder / f"{result.attempt_id}.json", ns=(moment, moment))
    assert list(spool.waiting(print)) == results
    spool.forget(results[1].attempt_id)
    spool.forget(results[1].attempt_id)
    assert list(Spool(spool.folder).waiting(print)) == [results[0], results[2]]


def test_a_file_that_cannot_be_read_is_put_aside_and_the_others_come(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    result = builders.result(builders.attempt())
    spool.put(result)
    (tmp_path / "torn.json").write_bytes(to_json(result)[:100])
    said: list[str] = []
    assert list(spool.waiting(said.append)) == [result]
    assert (tmp_path / "torn.bad").exists()
    (words,) = said
    assert words.startswith(f"a spooled result cannot be read; it is kept as {tmp_path}/torn.")


def test_a_result_set_aside_waits_no_more_and_has_its_reason_beside_it(tmp_path: Path) -> None:
    spool = node_spool(tmp_path, "machine-1")
    result = builders.result(builders.attempt(), reason="\ud83d")  # has no form as UTF-8
    other = builders.result(builders.attempt(block=1))
    spool.put(other)
    path = spool.set_aside(other, "too large")
    assert path.parent == tmp_path / "spool" / "machine-1" / "set-aside"
    assert path.with_suffix(".txt").read_text() == "too large\n"
    assert from_json(path.read_bytes()) == other
    assert list(spool.waiting(print)) == []
    again = spool.set_aside(other, "still too large")
    assert again != path
    assert path.with_suffix(".txt").read_text() == "too large\n"
    assert "\\ud83d" in spool.set_aside(result, "why \ud83d").read_text()


def test_where_nothing_can_be_set_aside_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(StoreUnusable, match="cannot be set aside"):
        node_spool(tmp_path, "machine-1").set_aside(builders.result(builders.attempt()), "why")


def test_a_write_that_did_not_end_is_no_result(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "trial-x-0.part").write_bytes(b"{")
    assert list(spool.waiting(print)) == []
