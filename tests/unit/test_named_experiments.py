"""Experiments by their name: with a head on this machine, with one elsewhere, and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.app.target import Target
from fleet.cli import request as typed
from fleet.errors import UserError


@pytest.mark.parametrize("target", [None, Target(None), Target("me@studio-96")], ids=str)
def test_a_shipped_experiment_is_found_by_its_name_whatever_measures_it(
    tmp_path: Path, target: Target | None
) -> None:
    home = typed.home_with_names(target, tmp_path)
    request = typed.read_request(typed.Words(["practice"]), home)
    assert (request.experiment.name, request.experiment.engine.kind) == ("practice", "simulated")
    with pytest.raises(UserError, match="names an experiment that comes with fleet, and a model"):
        typed.read_request(typed.Words(["gpt-oss"]), home)


def test_submitted_experiments_have_names_where_their_ledger_is(tmp_path: Path) -> None:
    heads = (None, Target(None), Target("me@studio-96"))
    assert [typed.home_with_names(head, tmp_path) for head in heads] == [tmp_path, tmp_path, None]
