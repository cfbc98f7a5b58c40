"""Answers side by side as a page."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.model.answers import (
    Agreement,
    Answer,
    Contrast,
    Disagreement,
    Piece,
    Score,
    Sheet,
    Timed,
)
from fleet.report.page import Markup, joined, page, tag
from fleet.units import show_count, show_ns, show_number

TITLE = "Answers side by side"


def answers_page(sheets: Sequence[Sheet]) -> str:
    """The whole file; sheets without anything to read are left out of it."""
    body = joined(map(_sheet, sheets)) if sheets else tag("p", "No answers yet.")
    return page(TITLE, joined((tag("h1", TITLE), body)))


def _sheet(sheet: Sheet) -> Markup:
    name = sheet.job if sheet.point == sheet.job else f"{sheet.job}, {sheet.point}"
    prompt = tag("div", sheet.prompt, css="words prompt") if sheet.prompt is not None else Markup()
    return tag(
        "section",
        tag("h2", name),
        prompt,
        tag("div", joined(map(_answer, sheet.answers)), css="columns"),
        *(tag("p", note, css="faint") for note in sheet.notes),
        *map(_agreement, sheet.agreements),
        *map(_against_the_first, sheet.contrasts),
    )


def _answer(answer: Answer) -> Markup:
    details = " · ".join(filter(None, ("reference" if answer.is_reference else "", answer.details)))
    return tag(
        "article",
        tag("h3", answer.name),
        tag("p", details, css="faint") if details else Markup(),
        _figures(answer),
        _scores(answer.scores),
        _thinking(answer),
        tag("div", answer.text.strip("\n") or _nothing(answer), css="words"),
        css="answer reference" if answer.is_reference else "answer",
    )


def _nothing(answer: Answer) -> str:
    return "(no answer: only thinking)" if answer.thinking else "(an empty answer)"


def _thinking(answer: Answer) -> Markup:
    if not answer.thinking:
        return Markup()
    summary = tag("summary", f"thinking, {show_count(answer.thinking_words, 'word')}")
    return tag("details", summary, tag("div", answer.thinking.strip("\n"), css="words"))


def _figures(answer: Answer) -> Markup:
    tokens = [] if answer.output_tokens is None else [show_count(answer.output_tokens, "token")]
    size = [show_count(answer.words, "word"), show_count(answer.characters, "character")]
    length = ", ".join([*tokens, *size, *filter(None, [answer.ended])])
    rows = [("length", length)]
    for timed in answer.timed:
        rows += [(f"on {timed.machine}", timed.flags or " ")] if timed.machine else []
        rows += _times(timed, answer)
    return _table(rows)


def _times(timed: Timed, answer: Answer) -> list[tuple[str, str]]:
    first_answer_ns = timed.first_answer_ns if answer.thinking else None
    rate = timed.decode_tokens_per_s
    no_rate = "" if answer.is_reference else "too short for a rate"
    named = (
        ("total", _ns(timed.total_ns)),
        ("load", _ns(timed.load_ns)),
        ("first token", _ns(timed.first_token_ns)),
        ("first answer token", _ns(first_answer_ns)),
        ("decode", no_rate if rate is None else f"{show_number(rate)} tokens/s"),
    )
    return [(name, value) for name, value in named if value]


def _ns(duration_ns: int | None) -> str:
    return "" if duration_ns is None else show_ns(duration_ns)


def _table(rows: Sequence[tuple[str, str]]) -> Markup:
    made = (tag("tr", tag("th", name), tag("td", value, css="number")) for name, value in rows)
    return tag("table", tag("tbody", *made))


def _scores(scores: Sequence[Score]) -> Markup:
    if not scores:
        return Markup()
    made = (tag("tr", tag("th", each.check), _verdict(each)) for each in scores)
    return tag("table", tag("tbody", *made))


def _verdict(score: Score) -> Markup:
    value = [] if score.value is None else [f"{score.value:.2f}"]
    rest = ", ".join([*value, *filter(None, [score.note])])
    if score.passed is None:
        return tag("td", rest)
    word = "yes" if score.passed else "no"
    return tag("td", f"{word} ({rest})" if rest else word, css=word)


def _agreement(found: Agreement) -> Markup:
    place = ", ".join(found.machines)
    asked = f"{show_count(found.requests, 'output')} to {show_count(found.questions, 'prompt')}"
    if not found.repeated:
        said = "no prompt was asked twice, nothing to compare"
    elif found.disagreements:
        said = "outputs differ where they should be the same"
    else:
        said = "all the same where the prompt is the same"
    line = tag("p", tag("b", found.model), f", {asked} on {place}: {said}.")
    return joined((line, *map(_disagreement, found.disagreements)))


def _disagreement(pair: Disagreement) -> Markup:
    other = "itself" if pair.left == pair.right else pair.right
    also = f" (also differs: {pair.also})" if pair.also else ""
    counted = f"{pair.left} against {other}: {pair.differing} of "
    title = f"{counted}{show_count(pair.compared, 'prompt')}{also}"
    if pair.contrast is None:
        why = "Only hashes are known: keep_text: true in the job shows where they part."
        return joined((tag("h4", title), tag("p", why, css="faint")))
    return joined((tag("h4", title), _difference(pair.contrast)))


def _against_the_first(found: Contrast) -> Markup:
    title = tag("h4", tag("del", found.left), " against ", tag("ins", found.right))
    return joined((title, _difference(found)))


def _difference(found: Contrast) -> Markup:
    parting = found.parting
    count = show_count(parting.common_words, "word")
    where = f"They part after {count} of the {parting.where}."
    return joined(
        (
            tag("p", where, css="faint"),
            tag("div", joined(map(_piece, found.pieces)), css="words difference"),
        )
    )


def _piece(piece: Piece) -> Markup:
    kind, words = piece
    return tag({"same": "span", "left": "del", "right": "ins"}[kind], words)
