import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleet.spool import Spool, from_json, to_json
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
    assert list(spool.waiting()) == []
    results = [builders.result(builders.attempt(block=block)) for block in range(3)]
    for moment, result in enumerate(results):
        spool.put(result)
        os.utime(spool.folder / f"{result.attempt_id}.json", ns=(moment, moment))
    assert list(spool.waiting()) == results
    spool.forget(results[1].attempt_id)
    spool.forget(results[1].attempt_id)
    assert list(Spool(spool.folder).waiting()) == [results[0], results[2]]


def test_a_file_that_cannot_be_read_is_put_aside_and_the_others_come(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    result = builders.result(builders.attempt())
    spool.put(result)
    (tmp_path / "torn.json").write_bytes(to_json(result)[:100])
    assert list(spool.waiting()) == [result]
    assert (tmp_path / "torn.bad").exists()


def test_a_write_that_did_not_end_is_no_result(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "trial-x-0.part").write_bytes(b"{")
    assert list(spool.waiting()) == []
