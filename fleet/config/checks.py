"""Checks beyond the schema of a file: values that must fit one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fleet.config.document import Document, Steps
from fleet.errors import Mistake
from fleet.model.experiment import Repeats
from fleet.model.machine import full_model_name

MOST_REPEATS = 1000

Wrong = Iterator[tuple[Steps, str]]


def experiment_mistakes(document: Document) -> list[Mistake]:
    """Return the mistakes in what was written, so that no other mistake of the file hides them."""
    content = document.content
    wrong = [
        *_doubled("models", content, full_model_name),
        *_doubled("jobs", content, str),
        *_repeats(content.get("repeats"), document.written(("repeats",)) or ""),
        *_machines(content.get("machines")),
        *_commands(content.get("engine")),
    ]
    return [document.mistake(steps, what) for steps, what in wrong]


def _commands(engine: object) -> Iterator[tuple[Steps, str]]:
    """Refuse a command: an experiment is data, and its author need not own the machine."""
    if isinstance(engine, dict) and engine.get("restart") is not None:
        yield (
            ("engine", "restart"),
            "a command is no part of an experiment; the owner of each machine registers it there: "
            "fleet join --restart-command 'systemctl restart ollama'",
        )


def job_mistakes(document: Document, file_name: str) -> list[Mistake]:
    """Return the mistakes in the file of a job."""
    content = document.content
    mistakes = []
    name, prompt = content.get("name"), content.get("prompt")
    if isinstance(name, str) and name != file_name:
        what = f"must be {file_name}, as the file is named, not '{name}'"
        mistakes.append(document.mistake(("name",), what))
    if isinstance(prompt, str) and not prompt.strip():
        mistakes.append(document.mistake(("prompt",), "is empty"))
    if prompt is not None and content.get("prompt_file") is not None:
        what = "stands beside prompt: keep one of them"
        mistakes.append(document.mistake(("prompt_file",), what, of_key=True))
    return mistakes


def repeats_mistake(repeats: int, written: str = "") -> str | None:
    """Return why this number of repeats is wrong; `written`: the number as a file has it."""
    if 1 <= repeats <= MOST_REPEATS:
        return None
    return f"must be 1 to {MOST_REPEATS}, not {written or repeats}"


def texts(value: Any) -> list[tuple[int, str]]:
    """Return position and text of the items of a list that are text, each text once."""
    items = value if isinstance(value, list) else []
    positions: dict[str, int] = {}
    for at, item in enumerate(items):
        if isinstance(item, str):
            positions.setdefault(item, at)
    return [(at, text) for text, at in positions.items()]


def _doubled(key: str, content: dict[str, Any], same: Callable[[str], str]) -> Wrong:
    items = content.get(key)
    seen: set[str] = set()
    for at, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, str):
            continue
        if same(item) in seen and item.strip():
            yield (key, at), f"{item} is named twice"
        seen.add(same(item))


def _repeats(value: Any, written: str) -> Wrong:
    if isinstance(value, int) and not isinstance(value, bool):
        what = repeats_mistake(value, written)
        if what:
            yield ("repeats",), what
    if isinstance(value, dict):
        usual = Repeats()
        least, most = value.get("least", usual.least), value.get("most", usual.most)
        if isinstance(least, int) and isinstance(most, int) and least > most:
            yield ("repeats",), f"least ({least}) is more than most ({most})"


def _machines(value: Any) -> Wrong:
    if value == []:
        yield ("machines",), "names no machine: write all, names, or clauses"
