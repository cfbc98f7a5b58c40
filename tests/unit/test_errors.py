import pickle

import pytest

from fleet import errors
from fleet.errors import ConfigError, FleetError, Mistake, RequestFailed


def every_error() -> list[FleetError]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    plain = [
        k for k in kinds if issubclass(k, FleetError) and k not in (ConfigError, RequestFailed)
    ]
    mistake = Mistake("a.yaml", 3, 5, "models", "is missing")
    return [
        ConfigError((mistake, mistake)),
        RequestFailed("what", "hint", "stream_broken"),
        *(kind("what happened", "what to type") for kind in plain),
    ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_survives_pickling_whole(error: FleetError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)
    assert again.exit_code == error.exit_code


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_the_tree_at_the_top_names_it(error: FleetError) -> None:
    assert type(error).__name__ in (errors.__doc__ or "")


def test_a_failed_request_is_transient_by_its_reason() -> None:
    assert RequestFailed("", "", "stream_broken").transient
    assert RequestFailed("", "", "engine_busy").transient
    assert not RequestFailed("", "", "out_of_memory").transient


def test_the_tree_alone_says_which_reasons_are_tried_again() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    trial_errors = [kind for kind in kinds if issubclass(kind, errors.TrialError)]
    assert len(trial_errors) > 14
    for kind in trial_errors:
        assert kind.transient == (kind.reason in errors.TRANSIENT_REASONS), kind
        assert kind.transient == issubclass(kind, errors.TransientError), kind


def test_a_message_says_what_and_the_hint() -> None:
    assert str(FleetError("no head answers", "fleet head")) == "no head answers\n  fleet head"
    assert str(Mistake("a.yaml", 3, 5, "models", "is missing")) == "a.yaml:3:5: models: is missing"
