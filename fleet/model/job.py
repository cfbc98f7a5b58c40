"""A job: one workload, made of points; what is asked of an engine and how much of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fleet.model.checks import Check
from fleet.model.noun import Noun

Think = bool | Literal["low", "medium", "high", "max"]

SHORTEST_PROMPT_TOKENS = 16
"""A prompt of exact length has at least this many tokens: BOS, the nonce and one word more."""

CONTEXT_STEP = 256
"""llama.cpp rounds the context up to a multiple of this, so fleet only asks for multiples."""


class Point(Noun):
    """One thing a job measures; speeds are compared point by point."""

    prompt_tokens: int | None = Field(default=None, ge=SHORTEST_PROMPT_TOKENS)
    """Exact prompt length in tokens, BOS included. Left out: the job's own prompt text."""
    output_tokens: int = Field(default=512, ge=1)
    """Exact number of tokens to generate; a shorter answer is flagged, never averaged in."""
    depth_tokens: int = Field(default=0, ge=0)
    """Tokens already in the context before generation starts (`@d8192` of llama-bench)."""
    label: str | None = None
    """Name in tables. Left out: pp512, tg128, tg128@d8192, or the job's name."""

    def name(self, job: str) -> str:
        """The label users of llama-bench know, or the job's name for a text of its own."""
        if self.label:
            return self.label
        depth = f"@d{self.depth_tokens}" if self.depth_tokens else ""
        if self.prompt_tokens is not None and self.output_tokens == 1:
            return f"pp{self.prompt_tokens}{depth}"
        if self.prompt_tokens is not None or depth:
            return f"tg{self.output_tokens}{depth}"
        return job

    def prompt_length(self) -> int | None:
        """Exact tokens to send, depth included; None where the text decides."""
        if self.prompt_tokens is None and not self.depth_tokens:
            return None
        return self.depth_tokens + (self.prompt_tokens or 0)


class Job(Noun):
    """One workload (`jobs/*.yaml`). A trial loads the model once and runs every point."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name used by experiments, on the command line and in the results."""
    why: str = ""
    """What this workload tells; not part of its identity."""
    api: Literal["chat", "generate"] = "chat"
    """chat goes through the model's template; generate sends the prompt raw, without one."""
    prompt: str | None = None
    """The text asked. Needed by every point that gives no prompt_tokens."""
    prompt_file: str | None = None
    """A text file beside this one that holds the prompt."""
    points: tuple[Point, ...] = Field(default=(Point(),), min_length=1)
    """What is measured, each in every trial."""
    requests: int = Field(default=3, ge=1, le=1000)
    """Measured requests per point and trial."""
    warmup: int = Field(default=1, ge=0, le=100)
    """Requests before the first measured one, left out of every speed."""
    load: Literal["trial", "request"] = "trial"
    """trial: load the model once per trial. request: unload and load before each request."""
    think: Think | None = None
    """Thinking as the engine names it; left out: sent as the model's own default."""
    keep_text: bool = False
    """Keep the answers in the answers table."""
    fixed_prompt: bool = False
    """Send the prompt alone, word for word the same each time, so that answers can be compared;
    needs load: request, since an engine knows a prompt that it was asked before."""
    checks: tuple[Check, ...] = ()
    """Looked at by `fleet answers`; they change nothing measured, so they are no part of the
    job's identity."""

    @model_validator(mode="after")
    def _has_something_to_ask(self) -> Job:
        own_text = self.prompt is not None or self.prompt_file is not None
        if not own_text and any(point.prompt_length() is None for point in self.points):
            raise ValueError("needs prompt, prompt_file, or points with prompt_tokens")
        exact = any(point.prompt_length() is not None for point in self.points)
        if exact and self.api == "chat":
            raise ValueError("points with exact prompt_tokens need api: generate")
        if self.fixed_prompt and (exact or self.load != "request"):
            raise ValueError("fixed_prompt needs a prompt of its own and load: request")
        names = [point.name(self.name) for point in self.points]
        if len(set(names)) < len(names):
            raise ValueError("two points have the same name: give each a label")
        return self

    def content(self) -> dict[str, object]:
        """What identifies this job: everything but `why` and checks, defaults left out."""
        not_asked = {"why", "prompt_file", "checks"}
        return self.model_dump(exclude_defaults=True, exclude=not_asked, mode="json")
