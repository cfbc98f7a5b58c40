"""A job: one workload made of points, which say what is asked of an engine and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fleet.model.checks import Check
from fleet.model.noun import Label, Name, Noun
from fleet.model.session import LONGEST_PAUSE_S, Exchange, Session, Text

Think = bool | Literal["low", "medium", "high", "max"]

SHORTEST_PROMPT_TOKENS = 16
"""A prompt of exact length has at least this many tokens: BOS, the nonce and one word more."""

MOST_STREAMS = 64

QUICK_ANSWER_S = 3.0
"""The seconds that an answer of a quick look may take."""

PromptTokens = Annotated[int, Field(ge=SHORTEST_PROMPT_TOKENS)]
OutputTokens = Annotated[int, Field(ge=1)]
DepthTokens = Annotated[int, Field(ge=0)]
Streams = Annotated[int, Field(ge=1, le=MOST_STREAMS)]


class Point(Noun):
    """One thing a job measures; speeds are compared point by point."""

    prompt_tokens: PromptTokens | None = None
    """Exact prompt length in tokens, BOS included. Left out: the job's own prompt text."""
    output_tokens: OutputTokens = 512
    """Exact number of tokens to generate; a shorter answer is flagged, never averaged in."""
    depth_tokens: DepthTokens = 0
    """Tokens already in the context; only what follows is timed (`@d8192` of llama-bench)."""
    prompt: Text | None = None
    """The prompt of this point, instead of the job's."""
    concurrency: Streams = 1
    """The number of streams that send requests at once, each stream one after the other."""
    seconds: float | None = Field(default=None, gt=0, le=86_400)
    """Repeat requests for so many seconds, instead of the job's number of requests."""
    burst: int | None = Field(default=None, ge=1, le=1000)
    """So many requests follow each other; then comes a pause of pause_s."""
    pause_s: float = Field(default=0.0, ge=0, le=LONGEST_PAUSE_S)
    """Seconds between two bursts."""
    label: Label | None = None
    """Name in tables. Left out: pp512, tg128, tg128@d8192, tg128@c4, or the job's name."""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Point:
        if self.prompt is not None and self.exact:
            raise ValueError("has a text and an exact length: keep one of them")
        if self.depth_tokens and self.concurrency > 1:
            raise ValueError("depth_tokens is measured with one stream: concurrency must be 1")
        if (self.burst is None) != (self.pause_s == 0):
            raise ValueError("burst and pause_s belong together: so many requests, then a pause")
        return self

    def name(self, job: str) -> str:
        """Return the label as in llama-bench, or the name of the job for a text of its own."""
        if self.label:
            return self.label
        if self.prompt_tokens is not None and self.output_tokens == 1:
            return f"pp{self.prompt_tokens}{self.suffix()}"
        if self.exact:
            return f"tg{self.output_tokens}{self.suffix()}"
        return f"{job}{self.suffix()}"

    def suffix(self) -> str:
        """Return the end of the name: depth and number of streams."""
        depth = f"@d{self.depth_tokens}" if self.depth_tokens else ""
        return f"{depth}@c{self.concurrency}" if self.concurrency > 1 else depth

    @property
    def exact(self) -> bool:
        """Whether the prompt has a length instead of a text."""
        return self.prompt_length() is not None

    def prompt_length(self) -> int | None:
        """Return the exact number of tokens to send, with the depth; None: the text decides."""
        if self.prompt_tokens is None and not self.depth_tokens:
            return None
        return self.depth_tokens + (self.prompt_tokens or 0)


class Grid(Noun):
    """Points as a product: every prompt length with every other value."""

    prompt_tokens: tuple[PromptTokens, ...] = ()
    """Exact prompt lengths; left out: the depths alone."""
    output_tokens: tuple[OutputTokens, ...] = Field(default=(1,), min_length=1)
    """Numbers of tokens to generate; 1 is prefill alone."""
    depth_tokens: tuple[DepthTokens, ...] = Field(default=(0,), min_length=1)
    """Tokens that are in the context before."""
    concurrency: tuple[Streams, ...] = Field(default=(1,), min_length=1)
    """Numbers of streams that send requests at once."""

    @model_validator(mode="after")
    def _unfolds(self) -> Grid:
        for name, values in self:
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: each value only once")
        if not self.prompt_tokens and 0 in self.depth_tokens:
            raise ValueError("needs prompt_tokens, or depth_tokens above 0")
        if max(self.depth_tokens) and max(self.concurrency) > 1:
            raise ValueError("depth_tokens is measured with one stream: concurrency must be 1")
        return self

    def points(self) -> tuple[Point, ...]:
        """Return the points in the order written; a name has both lengths if both are measured."""
        axes = product(
            self.prompt_tokens or (None,), self.output_tokens, self.depth_tokens, self.concurrency
        )
        return tuple(_grid_point(*values) for values in axes)


def _grid_point(prompt: int | None, output: int, depth: int, streams: int) -> Point:
    point = Point(
        prompt_tokens=prompt, output_tokens=output, depth_tokens=depth, concurrency=streams
    )
    if prompt is None or output == 1:
        return point
    return point.model_copy(update={"label": f"pp{prompt}+tg{output}{point.suffix()}"})


class Job(Noun):
    """One workload (`jobs/*.yaml`). A trial loads the model once and runs every point."""

    name: Name
    """Name used by experiments, on the command line and in the results."""
    why: str = ""
    """What this workload shows; not part of its identity."""
    api: Literal["chat", "generate"] = "chat"
    """chat goes through the model's template; generate sends the prompt raw, without one."""
    prompt: str | None = None
    """The text of the prompt. Every point without prompt_tokens needs it."""
    prompt_file: str | None = None
    """A text file beside this one that holds the prompt."""
    prompts_file: str | None = None
    """A file beside this one with many prompts, each of which becomes a point: JSON lines of
    {"prompt": ..., "id": ...} (`.jsonl`), or paragraphs with an empty line between them."""
    turns: tuple[Text, ...] = ()
    """What the user says in a conversation, turn by turn; each turn sends the answers so far."""
    session_file: str | None = None
    """A file beside this one with a recorded session of an agent: its turns are sent one after the
    other, each with all of the record before it."""
    session: Session | None = None
    """The recorded session itself."""
    reuse: bool = True
    """In a conversation the engine may reuse what it evaluated before. false: each turn begins with
    words of its own, so that the whole prompt is evaluated anew."""
    text: Literal["natural", "synthetic"] = "natural"
    """The words of prompts with an exact length: plain English, or common words in any order."""
    points: tuple[Point, ...] = Field(default=(Point(),), min_length=1)
    """What is measured; every trial measures each point."""
    grid: Grid | None = None
    """Points as a product of prompt lengths, output lengths, depths and numbers of streams."""
    requests: int = Field(default=3, ge=1, le=1000)
    """Measured requests per point and trial."""
    warmup: int = Field(default=1, ge=0, le=100)
    """Requests before the first measured one, left out of every speed."""
    load: Literal["trial", "request"] = "trial"
    """trial: load the model once per trial. request: unload and load before each request."""
    page_cache: Literal["keep", "drop"] = "keep"
    """drop: before each load the operating system drops the model's file from its memory, so that
    it is read from the disk. The name of the point ends in @cold if that worked, else in @warm."""
    think: Think | None = None
    """Thinking as the engine names it; left out: the model's own default is sent."""
    keep_text: bool = False
    """Keep the answers in the answers table."""
    fixed_prompt: bool = False
    """Send the prompt alone and the same each time, so that answers can be compared. It needs
    load: request, since an engine remembers an earlier prompt. output_tokens is then a bound: an
    answer ends where the model ends it."""
    answer_s: float | None = Field(default=None, gt=0, le=86_400)
    """Cut answers to what fits in so many seconds: the number of tokens follows from the speed of
    the warm-up. Such requests of a first glance (`fleet submit --quick`) carry the flag `quick`,
    are never pooled with others, and no comparison judges them."""
    checks: tuple[Check, ...] = ()
    """Checks that `fleet answers` applies; they change nothing that is measured, so they are no
    part of the job's identity."""

    @model_validator(mode="after")
    def _holds_together(self) -> Job:
        self._unfold()
        for wrong in (
            *self._nothing_to_ask(),
            *self._of_exact_points(),
            *self._of_conversations(),
            *self._of_loads(),
        ):
            raise ValueError(wrong)
        names = [point.name(self.name) for point in self.points]
        if len(set(names)) < len(names):
            raise ValueError("two points have the same name: give each a label")
        for check in self.checks:
            if check.point is not None and check.point not in names:
                raise ValueError(
                    f"checks: there is no point {check.point!r}, but {', '.join(names)}"
                )
        return self

    def _unfold(self) -> None:
        """Replace the grid by its points: the same points have the same identity."""
        if self.grid is not None:
            written = self.points if "points" in self.model_fields_set else ()
            self.__dict__.update(points=(*written, *self.grid.points()), grid=None)

    def _nothing_to_ask(self) -> Iterator[str]:
        session = self.session or self.session_file
        sources = [self.prompt or self.prompt_file, self.prompts_file, self.turns, session]
        if sum(map(bool, sources)) > 1:
            yield "keep one of prompt, prompts_file, turns and session_file"
        bare = (p for p in self.points if not p.exact and p.prompt is None)
        if not any(sources) and any(bare):
            yield (
                "needs prompt, prompt_file, prompts_file, turns, session_file, grid, or points "
                "with prompt_tokens"
            )
        if self.prompts_file and (len(self.points) > 1 or self.points[0].label):
            yield "prompts_file makes the points: write one without a label, or none"

    def _of_exact_points(self) -> Iterator[str]:
        exact = any(point.exact for point in self.points)
        if exact and self.api == "chat":
            yield "points with exact prompt_tokens need api: generate"
        if exact and self.prompts_file:
            yield "a point has a text and an exact length: keep one of them"
        if self.text == "synthetic" and not exact:
            yield "text is of points with exact prompt_tokens, and there is none"

    def _of_conversations(self) -> Iterator[str]:
        if not self.is_conversation:
            if not self.reuse:
                yield "reuse is of conversations: give turns"
            return
        if self.api != "chat":
            yield "turns need api: chat"
        if any(p.exact or p.prompt is not None or p.seconds or p.burst for p in self.points):
            yield "points of a conversation have output_tokens, concurrency and label only"

    def _of_loads(self) -> Iterator[str]:
        if self.answer_s is not None and not self.warmup:
            yield "answer_s needs a warm-up, whose speed it goes by"
        if self.load == "trial" and self.page_cache == "drop":
            yield "page_cache: drop needs load: request"
        if self.load == "request" and (
            self.is_conversation or any(p.concurrency > 1 for p in self.points)
        ):
            yield "load: request is measured with one stream, and not in a conversation"
        if self.fixed_prompt and (self.load == "trial" or any(p.exact for p in self.points)):
            yield "fixed_prompt needs a prompt of its own and load: request"
        if self.load == "request" and any(p.depth_tokens for p in self.points):
            yield "load: request leaves nothing in the context: depth_tokens must be 0"

    def least_tokens(self, point: Point) -> int:
        """Return the tokens that the context must hold at least: a word has one token or more."""
        length = point.prompt_length()
        if length is not None:
            return length + point.output_tokens
        if self.session is not None:
            texts = [self.session.system_text(), *self._recorded()]
            return sum(len(text.split()) for text in texts) + point.output_tokens
        turns = self.turns or (point.prompt or self.prompt or "",)
        return sum(len(text.split()) + point.output_tokens for text in turns)

    @property
    def is_conversation(self) -> bool:
        """Whether its requests are turns that build on each other."""
        return bool(self.turns or self.session or self.session_file)

    def exchanges(self) -> list[Exchange]:
        """Return the turns of a conversation; empty for other jobs."""
        if self.session is None:
            return [Exchange(message) for message in self.turns]
        return [Exchange(t.message, t.assistant, t.pause_s) for t in self.session.turns]

    def _recorded(self) -> Iterator[str]:
        for exchange in self.exchanges():
            yield exchange.message
            yield exchange.answer or ""

    def content(self) -> dict[str, object]:
        """Return what identifies this job: everything but `why` and checks, without defaults."""
        written = {"why", "prompt_file", "prompts_file", "session_file", "grid", "checks"}
        content = self.model_dump(exclude_defaults=True, exclude=written, mode="json")
        content.get("session", {}).pop("why", None)
        return content
