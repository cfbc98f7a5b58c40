"""A recorded session of an agent: what its user, its tools and the model said, turn by turn.

Each turn sends all of the record before it, so every machine and every model reads the same
prompts, whatever it would have answered itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from fleet.model.noun import Noun

LONGEST_PAUSE_S = 600.0
MOST_TURNS = 200


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn of a conversation."""

    message: str
    answer: str | None = None
    """What the history of the next turn holds as its answer; None: what the model answers."""
    pause_s: float = 0.0
    """Seconds before it."""


class Tool(Noun):
    """A tool that the model is told of."""

    name: Text
    """As the model would call it: `read_file`."""
    description: Text
    """What it does, in the words that the model reads."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Its parameters as JSON Schema."""


class SessionTurn(Noun):
    """What the model is sent in one turn, and what it answered when the session was recorded."""

    user: Text | None = None
    """What the user says."""
    tool: Text | None = None
    """The tool whose result comes back, in place of words of the user."""
    result: Text | None = None
    """What that tool returned."""
    assistant: Text
    """The recorded answer: the history of the next turns holds it, whatever the model says now."""
    pause_s: float = Field(default=0.0, ge=0, le=LONGEST_PAUSE_S)
    """Seconds before this turn, while the tool worked or the user thought."""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> SessionTurn:
        if (self.user is None) == (self.tool is None):
            raise ValueError("needs user, or tool and result")
        if (self.tool is None) != (self.result is None):
            raise ValueError("tool and result belong together")
        return self

    @property
    def message(self) -> str:
        """The message of this turn. A tool's result is sent as text: templates differ in tools."""
        return self.user or f"Result of {self.tool}:\n{self.result}"


class Session(Noun):
    """A recorded session (a file that `session_file` of a job names)."""

    version: Literal[1]
    """Version of this form."""
    why: str = ""
    """Where the session comes from; not sent."""
    system: Text
    """The system prompt."""
    tools: tuple[Tool, ...] = ()
    """The tools, which the system prompt describes as lines of JSON."""
    turns: tuple[SessionTurn, ...] = Field(min_length=1, max_length=MOST_TURNS)
    """The turns in their order; each is measured as a point of its own, @t0, @t1 ..."""

    def system_text(self) -> str:
        """Return the system prompt with the tools."""
        tools = (tool.model_dump(mode="json") for tool in self.tools)
        lines = [json.dumps(tool, ensure_ascii=False) for tool in tools]
        return "\n".join((self.system.rstrip(), *(("Tools:", *lines) if lines else ())))
