"""The program of `make mutants` makes the changes that it says, and its lists fit the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.copies import ROOT
from tests.mutants.mutant import Mutant
from tests.mutants.numbers import other_numbers
from tests.mutants.python_operators import python_mutants
from tests.mutants.sql_operators import sql_mutants
from tests.mutants.targets import ROOMS, equivalents, mutants_of, named_mutants, sample


def changed(mutants: list[Mutant], source: str) -> list[str]:
    return [mutant.applied(source.encode()).decode() for mutant in mutants]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["x = a <= b", "x = a > b"]),
        ("x = a is None", ["x = a is not None"]),
        ("x = a and b", ["x = a or b"]),
        ("x = not a", ["x = bool(a)"]),
        ("x = a + b", ["x = a - b"]),
        ("x = 'é' + b", []),
        ("x = [a] + b", []),
        ("x = 'é', 3", ["x = 'é', 4", "x = 'é', 2"]),
        ("x: int = True", []),
        ("def f(a: int = 0) -> None:\n    'Doc.'", ["def f(a: int = 1) -> None:\n    'Doc.'"]),
        ("def f(): return ''", []),
        ("def f(): return a", ["def f(): return None"]),
        ("def f(): return True", ["def f(): return False"]),
        ("os.fsync(f)", ["pass"]),
        ("n += 1", ["pass", "n += 2", "n += 0"]),
        ("if a: pass", ["if (not a): pass"]),
        ("x = f'{a + 1}'", []),
    ],
)
def test_each_operator_of_python(source: str, expected: list[str]) -> None:
    mutants = list(python_mutants("fleet/m.py", source.encode()))
    assert sorted(changed(mutants, source)) == sorted(expected)


def test_the_operators_of_sql_leave_text_comments_and_parameters() -> None:
    source = (
        "-- Keep: 5 < 6\n"
        "create or replace view fast as\n"
        "select 'a < 1' as text, {blank} from t where speed >= 128 and $1 <> x1;\n"
    )
    mutants = list(sql_mutants("fleet/query/views.sql", source.encode()))
    assert [(m.scope, m.line, m.replacement) for m in mutants] == [
        *(("fast", 3, word) for word in (">", "<", "129", "127", "=")),
    ]


@pytest.mark.parametrize(
    ("literal", "others"),
    [
        ("0", ["1"]),
        ("3", ["4", "2"]),
        ("2.0", ["3.0", "1.0"]),
        ("0.05", ["0.1", "0.025"]),
        ("1.10", ["2.2", "0.55"]),
        ("1e9", ["2000000000.0", "500000000.0"]),
        ("60_000", ["120000", "30000"]),
        ("0o600", ["385", "383"]),
        ("1e-12", []),
    ],
)
def test_a_number_becomes_another_one_that_can_be_seen(literal: str, others: list[str]) -> None:
    assert list(other_numbers(literal)) == others


def test_the_named_mutants_stand_in_the_code_and_come_first() -> None:
    named = named_mutants()
    assert len(named) >= 7
    assert len({mutant.name for mutant in named}) == len(named)
    chosen = sample(300, 1, named)
    assert chosen[: len(named)] == named
    assert len(chosen) >= 300
    assert sample(300, 1, named) == chosen


def test_every_room_has_files_and_every_mutant_of_a_sample_is_python() -> None:
    assert [room for room, patterns in ROOMS.items() if not mutants_of(patterns)] == []
    for mutant in sample(100, 2, named_mutants()):
        if Path(mutant.path).suffix == ".py":
            compile(mutant.applied((ROOT / mutant.path).read_bytes()), mutant.path, "exec")


def test_each_equivalent_mutant_is_still_made_and_has_its_reason() -> None:
    made = {m.identity() for patterns in ROOMS.values() for m in mutants_of(patterns)}
    listed = equivalents()
    assert [each for each in listed if (each.scope, each.before, each.after) not in made] == []
    assert all(len(each.reason) > 20 for each in listed)
