"""What only the embedded engine does: makes its models, counts the cache, reloads by options."""

import gc
import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.errors import EngineUnreachable, Interrupted, ModelMissing, RequestRefused
from fleet.model.measure import Ask, Reply
from fleet.model.settings import Value

pytest.importorskip("xllamacpp", reason="needs the extra `embedded`")

from fleet.engines import tiny
from fleet.engines.embedded import Embedded
from fleet.engines.embedded.stream import END, Arrivals

LOAD: dict[str, Value] = {"num_ctx": 1024, "num_batch": 64, "num_thread": 1}
WORDS = " the of and to in is that it"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("models")
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Embedded]:
    made = Embedded(folder, clock=SystemClock())
    for model in ("tiny-llama", "tiny-gpt-oss"):
        made.pull(model, print, threading.Event())
    yield made
    made.close()


def _ask(engine: Embedded, stop: threading.Event | None = None, **changes: Any) -> Reply:
    options = {**LOAD, "num_predict": 12, "seed": 1, "temperature": 0.0, "repeat_penalty": 1.0}
    asked: dict[str, Any] = {"model": "tiny-llama", "api": "generate", "prompt": WORDS, **changes}
    asked["options"] = {**options, **changes.get("options", {})}
    return engine.ask(Ask(**asked, keep_text=True), stop or threading.Event())


def test_a_raw_prompt_gets_bos_where_the_model_has_one(engine: Embedded) -> None:
    assert _ask(engine).prompt_tokens == 8 + 1
    assert _ask(engine, model="tiny-gpt-oss").prompt_tokens == 8


def test_nothing_is_ever_cached(engine: Embedded) -> None:
    first, second = _ask(engine, prompt=WORDS * 40), _ask(engine, prompt=WORDS * 40)
    assert engine.facts().proofs.cache_off
    assert (first.cached_tokens, second.cached_tokens) == (0, 0)
    assert first.prompt_tokens == second.prompt_tokens == 321
    assert first.prompt_ns is not None
    assert second.prompt_ns is not None
    assert second.prompt_ns > first.prompt_ns / 10


def test_the_system_message_and_the_thinking_level_reach_the_model(engine: Embedded) -> None:
    def prompt_tokens(**changes: Any) -> int:
        reply = _ask(engine, model="tiny-gpt-oss", api="chat", **changes)
        assert reply.error is None
        return reply.prompt_tokens or 0

    plain = prompt_tokens()
    assert prompt_tokens(system=WORDS) > plain + 8
    assert prompt_tokens(think="high") != plain


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"think": True}, "does not support thinking"),
        ({"options": {"mirostat": 1}}, "knows no option mirostat"),
        ({"options": {"num_predict": 0}}, "num_predict must be at least 1"),
        ({"system": "s"}, "raw prompt has no system message"),
        ({"prompt": WORDS * 200}, "exceeds the available context size"),
    ],
)
def test_what_it_cannot_do_is_refused(engine: Embedded, changes: dict[str, Any], said: str) -> None:
    reply = _ask(engine, **changes)
    assert reply.error_reason == "request_refused"
    assert said in (reply.error or "")
    assert (reply.output_tokens, reply.prompt_tokens, reply.chunks) == (None, None, 0)


def test_other_load_options_load_anew_and_the_same_do_not(engine: Embedded) -> None:
    engine.load("tiny-llama", LOAD)
    assert _ask(engine).load_ns is None
    assert (_ask(engine, options={"num_batch": 32}).load_ns or 0) > 0
    assert _ask(engine, prompt=WORDS * 70, options={"num_ctx": 512}).error is not None
    assert _ask(engine, prompt=WORDS * 70).error is None


def test_a_stop_ends_a_long_prompt_and_leaves_the_engine_fit(engine: Embedded) -> None:
    options = {"num_ctx": 8192}
    engine.load("tiny-llama", {**LOAD, **options})
    stop = threading.Event()
    set_ns: list[int] = []

    def stop_soon() -> None:
        set_ns.append(time.monotonic_ns())
        stop.set()

    timer = threading.Timer(0.2, stop_soon)
    timer.start()
    with pytest.raises(Interrupted):
        _ask(engine, stop, prompt=WORDS * 1000, options=options)
    assert set_ns, "the prompt was evaluated before the stop: this test proves nothing"
    assert time.monotonic_ns() - set_ns[0] < 500e6
    timer.join()
    assert _ask(engine).output_tokens == 12
    assert time.monotonic_ns() - set_ns[0] < 3e9  # the rest of the prompt would take longer


class _BrokenClock(SystemClock):
    """Fails at its fifth stamp: in the callback, in mid-answer."""

    stamps = 0

    def monotonic_ns(self) -> int:
        self.stamps += 1
        if self.stamps == 5:
            raise OverflowError("the clock broke")
        return super().monotonic_ns()


def test_what_breaks_in_the_callback_is_not_swallowed(engine: Embedded, folder: Path) -> None:
    broken = Embedded(folder, clock=_BrokenClock())
    with pytest.raises(OverflowError, match="the clock broke"):
        _ask(broken, options={"num_predict": 900})
    broken.close()
    arrivals = Arrivals(_BrokenClock().monotonic_ns, threading.Event())
    assert [arrivals.take({}) for _ in range(5)] == [not END] * 4 + [END]


def test_digest_is_that_of_the_file_and_follows_it(engine: Embedded, folder: Path) -> None:
    copy = folder / "mine.gguf"
    small = {"layers": 1, "width": 64, "ff": 64, "vocab": 1024}
    for seed in (1, 2):
        content = tiny.make("llama", folder / "made", **small, seed=seed).read_bytes()
        copy.write_bytes(content)
        facts = engine.describe("mine")
        assert facts.digest == hashlib.sha256(content).hexdigest()
        assert engine.describe("mine:latest") == facts
    assert "mine" in {facts.name for facts in engine.models()}
    assert _ask(engine, model="mine").output_tokens == 12
    assert (facts.architecture, facts.quantization) == ("llama", "F16")
    assert facts.tensors_bytes is not None
    assert 0 < facts.tensors_bytes < facts.size_bytes
    copy.unlink()


def test_a_file_that_is_no_model_is_refused(engine: Embedded, folder: Path) -> None:
    broken = folder / "broken.gguf"
    broken.write_bytes(b"no model at all, but long enough to be read as one" * 4)
    with pytest.raises(RequestRefused, match="no GGUF file"):
        engine.describe("broken")
    broken.unlink()
    with pytest.raises(ModelMissing, match="tiny-gpt-oss and tiny-llama"):
        engine.pull("gpt-oss:20b", print, threading.Event())
    with pytest.raises(ModelMissing):
        engine.describe("../models/tiny-llama")


def test_its_log_is_silent(engine: Embedded, capfd: pytest.CaptureFixture[str]) -> None:
    engine.unload("tiny-llama")
    engine.load("tiny-llama", LOAD)
    assert _ask(engine).error is None
    engine.unload("tiny-llama")
    assert capfd.readouterr() == ("", "")


def test_close_ends_the_native_threads(folder: Path, engine: Embedded) -> None:
    engine.load("tiny-llama", LOAD)  # its log keeps one thread, whatever is closed
    engine.unload("tiny-llama")
    gc.collect()
    before = _native_threads()
    if before is None:
        pytest.skip("only Linux lists the threads of a process")
    other = Embedded(folder, clock=SystemClock())
    for _ in range(5):  # freed right after a load, it once waited for its own loop forever
        other.load("tiny-llama", LOAD)
        assert (_native_threads() or 0) > before
        other.close()
        assert _native_threads() == before


def _native_threads() -> int | None:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else None


def test_without_the_package_nothing_answers(
    engine: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.metadata

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(
        EngineUnreachable, match=r"pip install 'gguf>=\S+' 'numpy>=\S+' xllamacpp==\S+$"
    ):
        engine.facts()
