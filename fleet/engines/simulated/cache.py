"""What the server still knows of the prompt before: the real one evaluates only what differs."""

from __future__ import annotations

import threading
from itertools import takewhile

from fleet.engines.simulated.question import BOS, Question
from fleet.model.machine import full_model_name
from fleet.prompts import WORDS


class PromptCache:
    """One slot for each model; used by all threads of the server."""

    def __init__(self) -> None:
        self._words: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def take(self, question: Question, answer_tokens: int, *, keeps_bos: bool = False) -> int:
        """Tokens at its beginning that are known; from now on this prompt and its answer are.

        Where a model thinks, what it thought stands before the answer and is no part of a later
        prompt, so nothing of the answer counts. Since an Ollama tells of its cache, the first
        token of every prompt is known to it.
        """
        answer = () if question.thinks else (WORDS[n % len(WORDS)] for n in range(answer_tokens))
        name = full_model_name(question.model)
        with self._lock:
            before = self._words.get(name, ())
            self._words[name] = (*question.words, *answer)
        pairs = zip(before, question.words, strict=False)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return common + BOS if common or (keeps_bos and before) else 0

    def forget(self, model: str) -> None:
        with self._lock:
            self._words.pop(full_model_name(model), None)
