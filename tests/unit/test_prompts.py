"""Nonces, bodies, and the fit of a body to an exact number of tokens, on made-up vocabularies."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import prompts
from fleet.prompts import NONCE_WORDS, SAMPLE_WORDS, WORDS, Body, Fit, Scale
from fleet.prompts.body import LAST_WORDS, everyday
from fleet.prompts.fitting import MOST_COUNTS

fits = st.builds(Fit, st.integers(0, 4000), st.integers(0, 60))
bodies = st.builds(Body, st.sampled_from(["natural", "synthetic"]), st.text(max_size=20))


@dataclass
class Vocabulary:
    """Common words are one token; others have one to `most`, as their letters have it."""

    most: int
    added: int = 1
    counted: list[int] = field(default_factory=list)

    def tokens(self, text: str) -> int:
        return self.added + sum(map(self._of, text.split()))

    def count(self, text: str) -> int:
        self.counted.append(self.tokens(text))
        return self.counted[-1]

    def scale(self, body: Body, nonce: str) -> Scale:
        sample = nonce + body.cut(Fit(SAMPLE_WORDS))
        return Scale(self.tokens(nonce), self.tokens(sample))

    def _of(self, word: str) -> int:
        return 1 if word in WORDS else 1 + zlib.crc32(word.encode()) % self.most


def test_two_requests_share_no_nonce() -> None:
    nonces = {prompts.nonce(1, "m", "job", "point", 0, index) for index in range(1000)}
    assert len(nonces) == 1000
    assert {len(nonce.split()) for nonce in nonces} == {NONCE_WORDS}


@given(bodies, fits)
def test_a_body_has_the_words_of_its_fit_and_is_always_the_same(body: Body, fit: Fit) -> None:
    text = body.cut(fit)
    assert len(text.split()) == fit.words + fit.fillers
    assert text == body.cut(fit)
    assert text.isascii()


@given(st.text(max_size=20), st.integers(LAST_WORDS, 3000), st.integers(0, 60))
def test_a_natural_body_goes_on_where_it_was_cut_and_ends_in_its_own_words(
    seed: str, words: int, fillers: int
) -> None:
    body = Body("natural", seed)
    plain, filled = body.cut(Fit(words)).split(), body.cut(Fit(words, fillers)).split()
    assert filled[-LAST_WORDS:] == plain[-LAST_WORDS:]
    assert filled[: words - LAST_WORDS] == plain[: words - LAST_WORDS]
    assert body.cut(Fit(words)) + body.cut(Fit(100), after=words) == body.cut(Fit(words + 100))


def test_an_excerpt_repeats_nothing_before_the_whole_text_was_used() -> None:
    whole = [word for paragraph in everyday() for word in paragraph]
    assert len(whole) > 2500
    once = Body("natural", "any").cut(Fit(len(whole))).split()
    assert sorted(once) == sorted(whole)
    twice = Body("natural", "any").cut(Fit(2 * len(whole))).split()
    assert twice[: len(whole)] != twice[len(whole) :]
    assert len({Body("natural", str(seed)).cut(Fit(50)) for seed in range(200)}) == len(everyday())


@given(
    st.integers(0, 2**31),
    st.one_of(st.integers(16, 300), st.integers(300, 16_000)),
    st.integers(1, 8),
    st.integers(0, 3),
)
def test_the_count_comes_out_exact_in_few_questions_that_are_hardly_ever_too_long(
    seed: int, target: int, most: int, added: int
) -> None:
    vocabulary, body, nonce = (
        Vocabulary(most, added),
        Body("natural", str(seed)),
        prompts.nonce(seed),
    )
    scale = vocabulary.scale(body, nonce)
    fit = prompts.fit(
        lambda cut: vocabulary.count(nonce + body.cut(cut)), target, scale.nonce_tokens, scale
    )
    assert vocabulary.tokens(nonce + body.cut(fit)) == target
    assert len(vocabulary.counted) <= MOST_COUNTS
    assert max(vocabulary.counted) <= target * 1.02 + 48
    other = prompts.nonce("other", seed)
    assert vocabulary.tokens(other + body.cut(fit)) == target, "a fit serves every nonce"


def test_common_words_fit_at_once() -> None:
    vocabulary, body, nonce = Vocabulary(1), Body("synthetic", "x"), prompts.nonce(1)
    scale = vocabulary.scale(body, nonce)
    prompts.fit(lambda cut: vocabulary.count(nonce + body.cut(cut)), 4096, 9, scale)
    assert vocabulary.counted == [4096]


def test_where_no_word_is_small_enough_the_nearest_is_taken() -> None:
    scale = Scale(nonce_tokens=16, sample_tokens=16 + 2 * SAMPLE_WORDS)

    def count(cut: Fit) -> int:
        return 16 + 2 * (cut.words + cut.fillers)

    fit = prompts.fit(count, 513, 16, scale)
    assert count(fit) == 512


@pytest.mark.parametrize(
    ("nonce_tokens", "per_filler"), [(8, 1), (9, 1), (11, 1), (17, 2), (25, 3)]
)
def test_what_the_engine_adds_is_not_taken_for_a_larger_word(
    nonce_tokens: int, per_filler: int
) -> None:
    assert Scale(nonce_tokens, 0).per_filler == per_filler
