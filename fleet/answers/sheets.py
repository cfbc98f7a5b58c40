"""Answers side by side: kept texts and references as sheets, one for each question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleet.answers.agreement import Question, agreements, question_of
from fleet.answers.checks import score, similarity
from fleet.answers.nouns import Agreement, Answer, Contrast, Reference, Score, Sheet, Timed
from fleet.answers.text_diff import contrast
from fleet.errors import ConfigError, Mistake, nearest
from fleet.model.checks import Check
from fleet.names import known, natural
from fleet.query.open_store import Connection, Row, rows
from fleet.query.views import question

TABLES = ("trials", "requests", "answers")
"""What `open_store` must read for these questions."""

NOT_KEPT = "no text of these answers was kept: `keep_text: true` in the job keeps it"
DIGEST_LETTERS = 12
PROMPT_LETTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be set side by side; nothing named is everything."""

    experiment: str | None = None
    job: str | None = None
    models: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    checks: tuple[Check, ...] = ()
    """For every job, beside those that the job itself declares."""
    contrasts: bool = False
    """Each answer against the first, word by word."""


def jobs_with_answers(con: Connection, asked: Asked) -> list[str]:
    """Names of the jobs of which texts were kept. Raises UnknownName for a name nobody has."""
    there = rows(con, "select distinct experiment, job, model, machine from trials")
    hint = "what there is: fleet results"
    for what, names in (
        ("experiment", filter(None, (asked.experiment,))),
        ("job", filter(None, (asked.job,))),
        ("model", asked.models),
        ("machine", asked.machines),
    ):
        for name in names:
            known(name, {str(row[what]) for row in there}, f"{what} in these results", hint)
    return [str(row["job"]) for row in rows(con, question("jobs_with_answers"), _scope(asked))]


def sheets(con: Connection, asked: Asked, checks: Mapping[str, Sequence[Check]]) -> list[Sheet]:
    """One for each question, `checks` by job. Raises ConfigError for a reference that belongs
    to no job here."""
    kept = question("answers", prompt=question("prompt_text"))
    wanted = [row for row in rows(con, kept, _scope(asked)) if _is_wanted(row, asked)]
    columns = _by_question(wanted, asked.job)
    references = _of_questions(asked, sorted(columns, key=lambda key: list(map(natural, key))))
    compared = agreements(con, _scope(asked), asked.models, asked.machines)
    every = _worth_reading(compared) if columns and asked.job is None else list(compared)
    every = sorted({*columns, *every}, key=lambda key: [natural(part) for part in key])
    answers = {
        key: _answers(found, references.get(key, ()), _checks(checks, key))
        for key, found in columns.items()
    }
    return [_sheet(key, answers.get(key, ()), compared.get(key, ()), asked) for key in every]


def _checks(checks: Mapping[str, Sequence[Check]], question: Question) -> list[Check]:
    job, point, _ = question
    return [check for check in checks.get(job, ()) if check.point in (None, point)]


def _by_question(kept: Sequence[Row], job: str | None) -> dict[Question, list[Any]]:
    """An imported answer stands beside those that were measured with its prompt, of any job."""
    columns: dict[Question, list[Any]] = {}
    for row in kept:
        if not row["imported"]:
            columns.setdefault(question_of(row), []).append(row)
    measured = list(columns)
    for row in kept:
        if row["imported"]:
            same = [key for key in measured if key[2] and _words(key[2]) == _words(row["prompt"])]
            own = [question_of(row)] if job in (None, row["job"]) else []
            for key in same or own:
                columns.setdefault(key, []).append(row)
    return columns


def _words(prompt: object) -> list[str]:
    return str(prompt).split()


def _worth_reading(compared: Mapping[Question, Sequence[Agreement]]) -> list[Question]:
    """Where texts are to be read, outputs without text matter only if they differ."""
    return [key for key, found in compared.items() if any(each.disagreements for each in found)]


def _scope(asked: Asked) -> list[object]:
    return [asked.experiment, asked.job]


def _is_wanted(row: Row, asked: Asked) -> bool:
    return (not asked.models or row["model"] in asked.models) and (
        not asked.machines or row["machine"] in asked.machines
    )


def _sheet(
    key: Question, answers: Sequence[Answer], compared: Iterable[Agreement], asked: Asked
) -> Sheet:
    job, point, prompt = key
    in_order = sorted(
        answers,
        key=lambda each: (_place(each, asked.models), natural(each.name), natural(each.details)),
    )
    return Sheet(
        job=job,
        point=point,
        prompt=prompt,
        answers=tuple(in_order),
        contrasts=tuple(_contrasts(in_order)) if asked.contrasts else (),
        agreements=tuple(compared),
        notes=() if answers else (NOT_KEPT,),
    )


def _place(answer: Answer, models: Sequence[str]) -> int:
    """As they were named, references last."""
    if answer.is_reference:
        return len(models) + 1
    return models.index(answer.name) if models else 0


def _contrasts(answers: Sequence[Answer]) -> Iterable[Contrast]:
    """Against the first reference where there is one, else against the first answer."""
    first = next((each for each in answers if each.is_reference), answers[0] if answers else None)
    for other in answers:
        if first is not None and other is not first:
            yield contrast(first.title, other.title, ("", first.text), ("", other.text))


def _of_questions(asked: Asked, questions: Sequence[Question]) -> dict[Question, list[Reference]]:
    """Each reference beside the answers to its own question. Raises ConfigError with every
    reference that answers another one, or does not say which."""
    found: dict[Question, list[Reference]] = {}
    mistakes: list[Mistake] = []
    for each in asked.references if questions else ():
        of_job = _of_job(each, asked, questions)
        of_prompt = [key for key in of_job if _answers_it(each, key)]
        if not of_job:
            jobs = sorted({job for job, _, _ in questions})
            mistakes.append(Mistake(each.file, each.line, 1, "job", _which(each.job, jobs)))
        elif not of_prompt or (each.prompt is None and len(of_prompt) > 1):
            what = _which_prompt(each.prompt, of_job)
            mistakes.append(Mistake(each.file, each.prompt_line, 1, "prompt", what))
        else:
            for key in of_prompt:
                found.setdefault(key, []).append(each)
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return found


def _of_job(reference: Reference, asked: Asked, questions: Sequence[Question]) -> list[Question]:
    """Without a job the prompt decides, or there is only one job."""
    job = reference.job or asked.job
    if job is None and reference.prompt is None and len({key[0] for key in questions}) > 1:
        return []
    return [key for key in questions if job in (None, key[0])]


def _answers_it(reference: Reference, question: Question) -> bool:
    """White space apart, and in any case: a prompt was pasted."""
    _, point, prompt = question
    if reference.prompt is None:
        return True
    wanted = reference.prompt.casefold().split()
    return wanted in (point.casefold().split(), (prompt or "").casefold().split())


def _which_prompt(prompt: str | None, questions: Sequence[Question]) -> str:
    points = [point for _, point, _ in questions]
    if prompt is None:
        return (
            f"say in the head which it answers: prompt: {points[0]}    (or {', '.join(points[1:])})"
        )
    asked = "; ".join(f"{point} asks '{_short(text)}'" for _, point, text in questions)
    return f"is none that was asked here: {asked}"


def _short(text: str | None) -> str:
    words = " ".join((text or "a prompt made to a length").split())
    return words if len(words) <= PROMPT_LETTERS else f"{words[: PROMPT_LETTERS - 3]}..."


def _which(job: str | None, jobs: Sequence[str]) -> str:
    there = ", ".join(jobs)
    if job is None:
        return f"say which it answers, in the head or with --job: {there}"
    near = nearest(job, jobs)
    hint = f"did you mean {near}?" if near else f"there is {there}"
    return f"no answers of {job} were kept here ({hint})"


def _answers(
    found: Sequence[Row], references: Sequence[Reference], checks: Sequence[Check]
) -> list[Answer]:
    """One column for each output; machines that gave the same one share it."""
    columns: dict[tuple[object, ...], list[Any]] = {}
    for row in found:
        same = ("model", "digest", "engine", "settings", "think", "answer", "thinking")
        columns.setdefault(tuple(row[name] for name in same), []).append(row)
    shared = _shared([_facts(row, found) for row in found])
    measured = [
        _answer(column, " ".join(f for f in _facts(column[0], found) if f not in shared))
        for column in columns.values()
    ]
    every = [*_titled(measured), *map(_reference, references)]
    return [_scored(each, references, checks) for each in every]


def _titled(answers: Sequence[Answer]) -> list[Answer]:
    """Of one model there can be an answer for each combination of settings and machine."""
    titled = []
    for each in answers:
        details = [other.details for other in answers if other.name == each.name]
        place = f"on {', '.join(timed.machine for timed in each.timed)}"
        parts = (
            each.details if len(set(details)) > 1 else "",
            place if details.count(each.details) > 1 else "",
        )
        titled.append(replace(each, title=" ".join(filter(None, (each.name, *parts)))))
    return titled


def _facts(row: Row, found: Sequence[Row]) -> list[str]:
    digests = {str(other["digest"]) for other in found if other["model"] == row["model"]}
    return [
        *str(row["settings"] or "").split(),
        *([f"think={row['think']}"] if row["think"] else []),
        f"engine={row['engine']}",
        *([f"output_tokens={row['output_tokens_asked']}"] if row["output_tokens_asked"] else []),
        *([f"digest={str(row['digest'])[:DIGEST_LETTERS]}"] if len(digests) > 1 else []),
    ]


def _shared(facts: Sequence[Sequence[str]]) -> set[str]:
    return set(facts[0]).intersection(*facts[1:]) if facts else set()


def _answer(column: Sequence[Mapping[str, Any]], details: str) -> Answer:
    row = column[0]
    text, thinking = row["answer"] or "", row["thinking"] or ""
    return Answer(
        name=row["model"],
        title=row["model"],
        details=details,
        text=text,
        thinking=thinking,
        words=len(text.split()),
        characters=len(text),
        thinking_words=len(thinking.split()),
        output_tokens=row["output_tokens"],
        ended=_ended(row),
        timed=tuple(map(_timed, column)),
    )


def _ended(row: Mapping[str, Any]) -> str:
    reason = row["done_reason"]
    if reason == "length":
        return f"cut at {row['output_tokens']} tokens"
    return "" if reason in (None, "stop") else str(reason)


def _timed(row: Mapping[str, Any]) -> Timed:
    return Timed(
        machine=row["machine"],
        trial_id=row["trial_id"],
        request=row["request"],
        total_ns=row["total_ns"],
        load_ns=row["load_ns"],
        first_token_ns=row["first_token_ns"],
        first_answer_ns=row["first_answer_token_ns"],
        decode_tokens_per_s=row["decode_tokens_per_s"],
        flags=row["flags"] or "",
        source=f"imported: {row['source']}" if row["imported"] else "",
    )


def _reference(given: Reference) -> Answer:
    return Answer(
        name=given.name,
        title=f"{given.name} (reference)",
        is_reference=True,
        details=given.source,
        text=given.text,
        words=len(given.text.split()),
        characters=len(given.text),
        output_tokens=given.tokens,
        timed=(Timed(machine="", total_ns=given.time_ns),),
    )


def _scored(answer: Answer, references: Sequence[Reference], checks: Sequence[Check]) -> Answer:
    others = [each for each in references if not (answer.is_reference and each.text == answer.text)]
    scores = [
        score(check, answer.text, others)
        for check in dict.fromkeys(checks)
        if not (answer.is_reference and check.similar_to_reference is not None)
    ]
    asked = any(check.similar_to_reference is not None for check in checks)
    if not (asked and len(references) == 1) and not answer.is_reference:
        scores += [
            Score(check=f"similarity to {each.name}", value=similarity(answer.text, each.text))
            for each in references
        ]
    return replace(answer, scores=tuple(scores))
