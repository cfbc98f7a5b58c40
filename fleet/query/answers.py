"""Reads kept answers and outputs that should be equal, each row as a typed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.query.open_store import Connection, rows
from fleet.query.typed import decode, typed_rows
from fleet.query.views import question

QuestionKey = tuple[str, str, str | None]
"""Job, point and prompt; no prompt where it was made to an exact length."""

TextKey = tuple[str, int, int]
"""Attempt, the folder it lies in, and number of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """One kept answer with the times of its request, as a row of `answers.sql`."""

    job: str
    point: str
    prompt: str | None
    model: str
    digest: str | None
    engine: str | None
    settings: str = ""
    think: str | None
    machine: str
    trial_id: str
    request: int
    output_tokens: int | None
    output_tokens_asked: int | None
    done_reason: str | None
    total_ns: int | None
    load_ns: int | None
    first_token_ns: int | None
    first_answer_token_ns: int | None
    decode_tokens_per_s: float | None
    flags: str = ""
    imported: bool
    source: str | None
    answer: str = ""
    thinking: str = ""

    @property
    def question(self) -> QuestionKey:
        return self.job, self.point, self.prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One output of two that differ although they should be equal."""

    attempt_id: str
    folder: int
    request: int
    engine_version: str | None
    mlx_library: str | None
    drafts: str | None
    has_text: bool

    @property
    def key(self) -> TextKey:
        return self.attempt_id, self.folder, self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPair:
    """Two machines that answered equal questions, as a row of `equal_outputs.sql`."""

    job: str
    point: str
    prompt: str | None
    job_content: str | None
    model: str
    digest: str | None
    engine: str | None
    settings: str = ""
    requests: int
    questions: int
    repeated: int
    machines: list[str]
    left_machine: str = ""
    """Empty where no prompt was asked twice, so that there is no pair."""
    right_machine: str = ""
    compared: int = 0
    differing: int = 0
    examples: tuple[Example, ...] = field(default=())
    """The left and the right output of one question; empty where all are equal."""

    @property
    def question(self) -> QuestionKey:
        return self.job, self.point, self.prompt

    @property
    def work(self) -> tuple[str | None, ...]:
        names = (self.job, self.point, self.job_content, self.model, self.digest, self.engine)
        return (*names, self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptText:
    attempt_id: str
    folder: int
    request: int
    thinking: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredNames:
    """Names that the results hold together."""

    experiment: str | None
    job: str | None
    model: str | None
    machine: str | None


@dataclass(frozen=True, slots=True)
class AnswerScope:
    """The experiment and the job that are looked at; None: all."""

    experiment: str | None = None
    job: str | None = None

    def parameters(self) -> list[object]:
        return [self.experiment, self.job]


def measured_names(con: Connection) -> list[MeasuredNames]:
    sql = "select distinct experiment, job, model, machine from trials"
    return typed_rows(con, MeasuredNames, sql)


def jobs_with_texts(con: Connection, scope: AnswerScope) -> list[str]:
    names = rows(con, question("jobs_with_answers"), scope.parameters())
    return [str(row["job"]) for row in names]


def kept_answers(con: Connection, scope: AnswerScope) -> list[KeptAnswer]:
    sql = question("answers", prompt=question("prompt_text"))
    return typed_rows(con, KeptAnswer, sql, scope.parameters())


def output_pairs(con: Connection, scope: AnswerScope) -> list[OutputPair]:
    sql = question("equal_outputs", prompt=question("prompt_text"))
    pairs = []
    for row in rows(con, sql, scope.parameters()):
        sides = row["example"]
        examples = (
            tuple(decode(Example, sides[side]) for side in ("left", "right"))
            if isinstance(sides, dict)
            else ()
        )
        pairs.append(decode(OutputPair, {**row, "examples": examples}))
    return pairs


def kept_texts(con: Connection, attempts: Sequence[str]) -> dict[TextKey, tuple[str, str]]:
    """Read thinking and answer of some attempts at once: each look opens all files."""
    if not attempts:
        return {}
    texts = typed_rows(con, _KeptText, question("texts_of_attempts"), [list(attempts)])
    return {(t.attempt_id, t.folder, t.request): (t.thinking, t.answer) for t in texts}
