"""What a request body asks for, and how the server refuses what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from fleet.model.settings import settings_of
from fleet.prompts import NONCE_WORDS

Api = Literal["generate", "chat"]

DEFAULT_CONTEXT = 4096
LOAD_OPTIONS = tuple(setting.name for setting in settings_of("load option"))
INTEGERS = (
    *(
        each.name
        for each in settings_of("load option", "request option")
        if each.column == "integer"
    ),
    *("num_predict", "seed"),
)
BOS = 1


class Refusal(Exception):
    """An answer that is only an error: its status and its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of generate or chat."""

    api: Api
    model: str
    prompt_tokens: int
    """0: nothing is asked, the model is only to be loaded or unloaded."""
    num_predict: int
    context: int
    load_options: tuple[object, ...]
    stream: bool
    truncate: bool
    opening: str
    """The first words asked: the nonce, where there is one."""
    unload: bool
    """keep_alive 0."""
    think: object
    words: tuple[str, ...] = ()
    """Of the whole prompt; each is a token."""

    @property
    def thinks(self) -> bool:
        """gpt-oss thinks before it answers, also where it is asked not to."""
        return self.api == "chat" and is_gpt_oss(self.model)


def is_gpt_oss(model: str) -> bool:
    return "gpt-oss" in model


def body_of(content: bytes) -> dict[str, object]:
    if not content:
        raise Refusal(400, "missing request body")
    try:
        body = json.loads(content)
    except ValueError as problem:
        raise Refusal(400, f"invalid character in the request body: {problem}") from problem
    if not isinstance(body, dict):
        raise Refusal(400, "json: cannot unmarshal the request body into an object")
    return body


def model_of(body: Mapping[str, object]) -> str:
    name = body.get("model") or body.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal(400, "model is required")
    return name


def question_of(body: Mapping[str, object], api: Api) -> Question:
    options = _options(body)
    texts = _messages(body) if api == "chat" else _texts(body)
    words = tuple(word for text in texts for word in text.split())
    return Question(
        api=api,
        model=model_of(body),
        prompt_tokens=len(words) + BOS if words else 0,
        num_predict=_integer(options.get("num_predict"), -1),
        context=max(_integer(options.get("num_ctx"), DEFAULT_CONTEXT), 4),
        load_options=tuple(options.get(name) for name in LOAD_OPTIONS),
        stream=body.get("stream") is not False,
        truncate=body.get("truncate") is not False,
        opening=_opening(texts),
        unload=body.get("keep_alive") in (0, "0", "0s"),
        think=body.get("think"),
        words=words,
    )


def _options(body: Mapping[str, object]) -> Mapping[str, object]:
    options = body.get("options") or {}
    if not isinstance(options, dict):
        raise Refusal(400, "json: cannot unmarshal options into an object")
    for name in INTEGERS:
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise Refusal(500, f'option "{name}" must be of type integer')
    return options


def _integer(value: object, default: int) -> int:
    return int(value) if isinstance(value, (int, float)) else default


def _texts(body: Mapping[str, object]) -> list[str]:
    if body.get("raw") and (body.get("system") or body.get("template") or body.get("context")):
        raise Refusal(400, "raw mode does not support template, system, or context")
    return [str(body.get(key) or "") for key in ("system", "prompt")]


def _opening(texts: Sequence[str]) -> str:
    words = (word for text in texts for word in text.split(maxsplit=NONCE_WORDS))
    return " ".join(islice(words, NONCE_WORDS))


def _messages(body: Mapping[str, object]) -> list[str]:
    messages = body.get("messages") or []
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise Refusal(400, "json: cannot unmarshal messages into a list of objects")
    return [str(message.get("content") or "") for message in messages]
