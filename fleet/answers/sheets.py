"""Sets kept texts and references side by side as sheets, one for each question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.answers.agreement import agreements
from fleet.answers.columns import columns_of
from fleet.answers.nouns import Agreement, AnswerColumn, Reference, Sheet, TextContrast
from fleet.answers.text_diff import text_contrast
from fleet.errors import ConfigError, Mistake, nearest
from fleet.model.checks import Check
from fleet.names import known, natural
from fleet.query.answers import (
    AnswerScope,
    KeptAnswer,
    QuestionKey,
    jobs_with_texts,
    kept_answers,
    measured_names,
)
from fleet.query.open_store import Connection

TABLES = ("trials", "requests", "answers")
"""The tables that `open_store` must read for these questions."""

NOT_KEPT = "no text of these answers was kept: `keep_text: true` in the job keeps it"
PROMPT_LETTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersRequest:
    """What is to be set side by side; where nothing is named, everything is."""

    experiment: str | None = None
    job: str | None = None
    models: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    checks: tuple[Check, ...] = ()
    """For every job, beside those that the job itself declares."""
    contrasts: bool = False
    """Each answer against the first, word by word."""

    @property
    def scope(self) -> AnswerScope:
        return AnswerScope(self.experiment, self.job)


def jobs_with_answers(con: Connection, request: AnswersRequest) -> list[str]:
    """Return the jobs of which texts were kept. Raises UnknownName for a name nobody has."""
    measured, hint = measured_names(con), "what there is: fleet results"
    for what, names in (
        ("experiment", filter(None, (request.experiment,))),
        ("job", filter(None, (request.job,))),
        ("model", request.models),
        ("machine", request.machines),
    ):
        own = {str(getattr(each, what)) for each in measured}
        for name in names:
            known(name, own, f"{what} in these results", hint)
    return jobs_with_texts(con, request.scope)


def sheets(
    con: Connection, request: AnswersRequest, checks: Mapping[str, Sequence[Check]]
) -> list[Sheet]:
    """Make a sheet for each question, with the `checks` of its job.

    Raises ConfigError for a reference that belongs to no job here.
    """
    wanted = [each for each in kept_answers(con, request.scope) if _is_wanted(each, request)]
    columns = _by_question(wanted, request.job)
    references = _of_questions(request, sorted(columns, key=lambda key: list(map(natural, key))))
    compared = agreements(con, request.scope, request.models, request.machines)
    every = _worth_reading(compared) if columns and request.job is None else list(compared)
    every = sorted({*columns, *every}, key=lambda key: [natural(part) for part in key])
    answers = {
        key: columns_of(kept, references.get(key, ()), _checks(checks, key))
        for key, kept in columns.items()
    }
    return [_sheet(key, answers.get(key, ()), compared.get(key, ()), request) for key in every]


def _checks(checks: Mapping[str, Sequence[Check]], question: QuestionKey) -> list[Check]:
    job, point, _ = question
    return [check for check in checks.get(job, ()) if check.point in (None, point)]


def _by_question(
    kept: Sequence[KeptAnswer], job: str | None
) -> dict[QuestionKey, list[KeptAnswer]]:
    """Group answers; an imported one stands beside those to the same prompt, of any job."""
    groups: dict[QuestionKey, list[KeptAnswer]] = {}
    for each in kept:
        if not each.imported:
            groups.setdefault(each.question, []).append(each)
    measured = list(groups)
    for each in kept:
        if each.imported:
            same = [key for key in measured if key[2] and _words(key[2]) == _words(each.prompt)]
            own = [each.question] if job in (None, each.job) else []
            for key in same or own:
                groups.setdefault(key, []).append(each)
    return groups


def _words(prompt: object) -> list[str]:
    return str(prompt).split()


def _worth_reading(compared: Mapping[QuestionKey, Sequence[Agreement]]) -> list[QuestionKey]:
    """Keep the questions worth showing: outputs without text matter only where they differ."""
    return [key for key, own in compared.items() if any(each.disagreements for each in own)]


def _is_wanted(kept: KeptAnswer, request: AnswersRequest) -> bool:
    return (not request.models or kept.model in request.models) and (
        not request.machines or kept.machine in request.machines
    )


def _sheet(
    key: QuestionKey,
    answers: Sequence[AnswerColumn],
    compared: Iterable[Agreement],
    request: AnswersRequest,
) -> Sheet:
    job, point, prompt = key
    in_order = sorted(
        answers,
        key=lambda each: (_place(each, request.models), natural(each.name), natural(each.details)),
    )
    return Sheet(
        job=job,
        point=point,
        prompt=prompt,
        answers=tuple(in_order),
        contrasts=tuple(_contrasts(in_order)) if request.contrasts else (),
        agreements=tuple(compared),
        notes=() if answers else (NOT_KEPT,),
    )


def _place(answer: AnswerColumn, models: Sequence[str]) -> int:
    """Return the place of an answer: models as they were named, references last."""
    if answer.is_reference:
        return len(models) + 1
    return models.index(answer.name) if models else 0


def _contrasts(answers: Sequence[AnswerColumn]) -> Iterable[TextContrast]:
    """Set each against the first reference where there is one, else against the first answer."""
    first = next((each for each in answers if each.is_reference), answers[0] if answers else None)
    for other in answers:
        if first is not None and other is not first:
            yield text_contrast(first.title, other.title, ("", first.text), ("", other.text))


def _of_questions(
    request: AnswersRequest, questions: Sequence[QuestionKey]
) -> dict[QuestionKey, list[Reference]]:
    """Put each reference beside the answers to its own question.

    Raises ConfigError with every reference that answers another one, or does not say which.
    """
    of_question: dict[QuestionKey, list[Reference]] = {}
    mistakes: list[Mistake] = []
    for each in request.references if questions else ():
        of_job = _of_job(each, request, questions)
        of_prompt = [key for key in of_job if _answers_it(each, key)]
        if not of_job:
            jobs = sorted({job for job, _, _ in questions})
            mistakes.append(Mistake(each.file, each.line, 1, "job", _which(each.job, jobs)))
        elif not of_prompt or (each.prompt is None and len(of_prompt) > 1):
            what = _which_prompt(each.prompt, of_job)
            mistakes.append(Mistake(each.file, each.prompt_line, 1, "prompt", what))
        else:
            for key in of_prompt:
                of_question.setdefault(key, []).append(each)
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return of_question


def _of_job(
    reference: Reference, request: AnswersRequest, questions: Sequence[QuestionKey]
) -> list[QuestionKey]:
    """Return the questions of a reference's job; without a job its prompt decides."""
    job = reference.job or request.job
    if job is None and reference.prompt is None and len({key[0] for key in questions}) > 1:
        return []
    return [key for key in questions if job in (None, key[0])]


def _answers_it(reference: Reference, question: QuestionKey) -> bool:
    """Compare prompts without regard to white space and case: they were pasted."""
    _, point, prompt = question
    if reference.prompt is None:
        return True
    wanted = reference.prompt.casefold().split()
    return wanted in (point.casefold().split(), (prompt or "").casefold().split())


def _which_prompt(prompt: str | None, questions: Sequence[QuestionKey]) -> str:
    points = [point for _, point, _ in questions]
    if prompt is None:
        return (
            f"say in the head which it answers: prompt: {points[0]}    (or {', '.join(points[1:])})"
        )
    prompts = "; ".join(f"{point} asks '{_short(text)}'" for _, point, text in questions)
    return f"is none that was asked here: {prompts}"


def _short(text: str | None) -> str:
    words = " ".join((text or "a prompt made to a length").split())
    return words if len(words) <= PROMPT_LETTERS else f"{words[: PROMPT_LETTERS - 3]}..."


def _which(job: str | None, jobs: Sequence[str]) -> str:
    names = ", ".join(jobs)
    if job is None:
        return f"say which it answers, in the head or with --job: {names}"
    near = nearest(job, jobs)
    hint = f"did you mean {near}?" if near else f"there is {names}"
    return f"no answers of {job} were kept here ({hint})"
