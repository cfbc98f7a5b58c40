"""Tiny models: same arguments, same bytes, and files that appear whole."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.engines.tiny import KINDS, Kind, chain, file_name, make, templates, vocabulary
from fleet.engines.tiny.sizes import SIZES, Sizes
from fleet.errors import UserError

SMALL: dict[str, int] = {"layers": 1, "width": 64, "ff": 64, "vocab": 1024}


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_bytes(kind: Kind, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra `embedded`")
    first, second = (make(kind, tmp_path / side, **SMALL) for side in ("a", "b"))
    assert first.name == second.name
    assert _sha(first) == _sha(second)
    assert _sha(make(kind, tmp_path, **SMALL, seed=2)) != _sha(first)


def test_a_file_is_made_once_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra `embedded`")
    made = make("llama", tmp_path, **SMALL)
    before = made.stat()
    assert make("llama", tmp_path, **SMALL) == made
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [path.name for path in tmp_path.iterdir()] == [made.name]


def test_a_broken_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer: Any = pytest.importorskip("fleet.engines.tiny.writer")

    def torn(kind: Kind, sizes: Sizes, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(writer, "write", torn)
    with pytest.raises(OSError, match="disk full"):
        make("llama", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_name_tells_recipe_and_unusual_sizes() -> None:
    assert file_name("llama") == "tiny-llama.r1.gguf"
    longer = Sizes(**{**_fields(SIZES["llama"]), "layers": 16, "stop_after": 20})
    assert file_name("llama", longer) == "tiny-llama.r1-layers16-stop_after20.gguf"


def _fields(sizes: Sizes) -> dict[str, int]:
    return {name: getattr(sizes, name) for name in Sizes.__slots__}


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fleet.engines.tiny.writer", None)
    with pytest.raises(UserError, match=r"pip install 'gguf>=\S+' 'numpy>=\S+' xllamacpp==\S+$"):
        make("llama", tmp_path)


@pytest.mark.parametrize("sizes", [{"width": 100}, {"kv_heads": 3}, {"experts_used": 4}])
def test_impossible_sizes_are_refused(sizes: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be|may not"):
        make("llama", tmp_path, **sizes)


def test_every_word_of_the_vocabulary_is_one_token() -> None:
    words = vocabulary.build(2048, templates.LLAMA_SPECIALS)
    assert len(words.tokens) == len(set(words.tokens)) == 2048
    letters = {vocabulary.encoded(chr(code)): chr(code) for code in range(128)}
    listed = ["".join(map(letters.__getitem__, words.tokens[token])) for token in words.words]
    merges = tuple(words.merges)
    for word in (*listed, "assistant"):
        assert words.add_word(word, 2048)
        assert vocabulary.encoded(word) in words.ids
    assert tuple(words.merges) == merges, "none of them takes another merge"
    for word in " the of and to in is that it was for".split():
        assert vocabulary.encoded(f" {word}") in words.ids


def _walk(walk: chain.Chain, token: int, steps: int) -> list[int]:
    seen = []
    for _ in range(steps):
        token = walk.follower[token]
        seen.append(token)
    return seen


def test_the_walk_never_ends_and_never_repeats_soon() -> None:
    words = vocabulary.build(1024, templates.LLAMA_SPECIALS)
    walk = chain.build("llama", words, words.words, SIZES["llama"])
    text = _walk(walk, words.ids["<|im_start|>"], 2 * len(words.words))
    assert set(text) <= set(words.words)
    assert len(set(text[: len(words.words)])) == len(words.words)
    assert set(walk.forbidden(words)) == {words.ids[text] for text in templates.LLAMA_SPECIALS}


def test_gpt_oss_thinks_answers_and_returns() -> None:
    bridge = (templates.HARMONY_BRIDGE,)
    words = vocabulary.build(1024, templates.HARMONY_SPECIALS, bridge)
    sizes = Sizes(**{**_fields(SIZES["gpt-oss"]), "think_words": 3, "stop_after": 2})
    walk = chain.build("gpt-oss", words, words.words, sizes)
    spoken = [words.tokens[token] for token in _walk(walk, words.ids["assistant"], 11)]
    assert spoken[:3] == ["<|channel|>", "analysis", "<|message|>"]
    assert spoken[6:8] == ["<|end|>", vocabulary.encoded(templates.HARMONY_BRIDGE)]
    assert spoken[10] == "<|return|>"
    assert len(set(spoken)) == 11
