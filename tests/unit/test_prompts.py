from hypothesis import given
from hypothesis import strategies as st

from fleet import prompts


@given(st.integers(0, 2**31), st.text(max_size=20), st.integers(0, 100), st.integers(8, 600))
def test_a_prompt_has_exactly_the_words_asked_for_and_begins_with_its_nonce(
    seed: int, model: str, index: int, words: int
) -> None:
    nonce = prompts.nonce(seed, model, index)
    text = prompts.filled(nonce, words)
    assert text.startswith(nonce)
    assert len(text.split()) == words
    assert set(text.split()) <= set(prompts.WORDS)
    assert text == prompts.filled(nonce, words)


def test_two_requests_share_no_nonce() -> None:
    nonces = {prompts.nonce(1, "m", "job", "point", 0, index) for index in range(1000)}
    assert len(nonces) == 1000


def test_fitting_finds_the_words_where_the_engine_counts_otherwise() -> None:
    asked: list[int] = []

    def count(words: int) -> int:
        asked.append(words)
        return 3 + words + words // 100  # some words are two tokens

    words = prompts.fit_words(count, 512, 512)
    assert words is not None
    assert 3 + words + words // 100 == 512
    assert len(asked) <= prompts.MOST_FITTING_TRIES


def test_fitting_gives_up_where_no_number_of_words_fits() -> None:
    assert prompts.fit_words(lambda words: 2 * words, 513, 256) is None
