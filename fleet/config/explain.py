"""Turns the findings of the validator into mistakes in plain words, one for each place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fleet.config.document import Document, Steps
from fleet.config.schemas import Kind, Schema, forms_at, json_schema
from fleet.config.shipped import did_you_mean
from fleet.errors import Mistake, nearest
from fleet.model.noun import label_mistake
from fleet.terminal import one_line

READABLE_VERSIONS = (1,)
"""1: first form (2026-11)"""

_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_SHAPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    steps: Steps
    """The part of the location that is in the file."""
    kind: str
    last: str
    """The last part of the location: the name of a missing key."""
    message: str
    given: Any
    context: dict[str, Any]

    @property
    def of_shape(self) -> bool:
        """Whether the value has another type than this branch needs."""
        return self.kind.endswith(("_type", "_parsing")) or self.kind == "literal_error"


def explain(problem: ValidationError, document: Document, kind: Kind) -> list[Mistake]:
    """Return the mistakes of one file in plain words."""
    findings = [
        _Finding(
            document.steps(error["loc"]),
            error["type"],
            str(error["loc"][-1]) if error["loc"] else "",
            error["msg"],
            error["input"],
            error.get("ctx", {}),
        )
        for error in problem.errors(include_url=False)
    ]
    words = _Words(document, json_schema(kind))
    return [words.mistake(finding) for finding in _one_for_each_place(findings)]


def _one_for_each_place(findings: Sequence[_Finding]) -> Iterator[_Finding]:
    """Yield the findings without those of the branches of a union that the value does not mean."""
    shown: set[Steps] = set()
    for finding in findings:
        if finding.kind == "too_short" and any(_is_below(o, finding) for o in findings):
            continue  # a list whose items are wrong counts as one without items
        if finding.of_shape:
            if finding.steps in shown or any(_knows_better(o, finding) for o in findings):
                continue
            shown.add(finding.steps)
        yield finding


def _knows_better(other: _Finding, finding: _Finding) -> bool:
    same_place = other.steps == finding.steps
    return _is_below(other, finding) or (same_place and not other.of_shape)


def _is_below(other: _Finding, finding: _Finding) -> bool:
    deeper = len(other.steps) > len(finding.steps)
    return deeper and other.steps[: len(finding.steps)] == finding.steps


@dataclass(frozen=True, slots=True)
class _Words:
    document: Document
    schema: Schema

    def mistake(self, finding: _Finding) -> Mistake:
        document, steps = self.document, finding.steps
        if finding.kind == "missing":
            return self.missing(steps, finding.last)
        if finding.kind == "union_tag_not_found":
            return self.missing(steps, "kind")
        if finding.kind == "extra_forbidden":
            return document.mistake(steps, self.unknown(steps), of_key=True)
        if finding.kind == "union_tag_invalid":
            tags = re.findall(r"'([^']*)'", finding.context["expected_tags"])
            tag = str(finding.context["tag"])
            what = f"unknown {steps[-1]} {_show(tag)}{did_you_mean(tag, tags)}"
            return document.mistake((*steps, "kind"), what)
        return document.mistake(steps, self.wrong(finding))

    def missing(self, steps: Steps, name: str) -> Mistake:
        """Return the mistake of a missing key, at the key above it."""
        here = self.document.mistake(steps, "is missing", of_key=True)
        field = f"{here.field}.{name}" if here.field else name
        return Mistake(here.file, here.line, here.column, field, here.what)

    def unknown(self, steps: Steps) -> str:
        name, above = str(steps[-1]), steps[:-1]
        word = "unknown setting" if above[-1:] == ("settings",) else "unknown key"
        known = self.keys(above)
        elsewhere = [key for key in known if name in self.keys((*above, key), inside=True)]
        if elsewhere and not nearest(name, known):
            return f"{word} (it belongs under {elsewhere[0]})"
        return word + did_you_mean(name, known)

    def keys(self, steps: Steps, *, inside: bool = False) -> list[str]:
        forms = forms_at(self.schema, self.document.content, steps)
        if inside:
            forms += forms_at(self.schema, self.document.content, (*steps, 0))
        return list(dict.fromkeys(key for form in forms for key in form.get("properties", {})))

    def given(self, finding: _Finding) -> str:
        """Return the value in words; a number as written, since 3.10 is not 3.1 to its author."""
        if isinstance(finding.given, (bool, int, float)):
            return _cut(self.document.written(finding.steps) or _show(finding.given))
        return _show(finding.given)

    def wrong(self, finding: _Finding) -> str:
        given = self.given(finding)
        if finding.steps == ("version",):
            readable = " or ".join(map(str, READABLE_VERSIONS))
            return f"this program reads version {readable}, not {given}"
        if finding.of_shape:
            return self.shape(finding)
        for bound, words in _BOUNDS.items():
            if bound in finding.context:
                return f"must be {words} {_show(finding.context[bound])}, not {given}"
        if finding.kind == "string_pattern_mismatch":
            mistake = label_mistake(str(finding.given))
            return mistake or (
                f"must be letters, digits, dots, dashes and underscores, "
                f"a letter or digit first, not {given}"
            )
        if finding.kind == "string_too_long":
            return f"is longer than {finding.context['max_length']} characters"
        if finding.kind == "too_short":
            return "needs at least one"
        return finding.message.removeprefix("Value error, ")

    def shape(self, finding: _Finding) -> str:
        forms = forms_at(self.schema, self.document.content, finding.steps)
        listed = [word for form in forms for word in _listed(form)]
        shapes = [_SHAPES[form["type"]] for form in forms if _has_shape(form)]
        wanted = _or(list(dict.fromkeys(listed + shapes)))
        if finding.given is None:
            return f"is empty: must be {wanted}"
        hint = _hint(finding.given, self.given(finding), forms, listed)
        return f"must be {wanted}, not {self.given(finding)}{hint}"


def _listed(form: Schema) -> list[str]:
    if form.get("type") == "boolean":
        return ["true", "false"]
    values = [form["const"]] if "const" in form else form.get("enum", [])
    return [str(value) for value in values]


def _has_shape(form: Schema) -> bool:
    return form.get("type") in _SHAPES and not _listed(form)


def _hint(given: Any, words: str, forms: Sequence[Schema], listed: Sequence[str]) -> str:
    """Return what to write instead; `words`: the value as the message shows it."""
    types = {form.get("type") for form in forms if _has_shape(form)}
    if isinstance(given, str):
        close = nearest(given, listed)
        if close:
            return f" (did you mean {close}?)"
        if types & {"integer", "number"} and re.fullmatch(r"[-+]?\d+(\.\d+)?", given):
            return " (without the quotes)"
        if any(form.get("items", {}).get("type") == "string" for form in forms):
            return f" (write [{_cut(given)}])"
    elif "string" in types and isinstance(given, (bool, int, float)):
        return f' (write "{words}")'
    return ""


def _show(given: Any) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        return f"'{_cut(given)}'"
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list):
        return "a list"
    if isinstance(given, float) and given.is_integer():
        return f"{given:g}"
    return "nothing" if given is None else _cut(str(given))


def _cut(text: str) -> str:
    line = one_line(" ".join(text.split()))
    return line if len(line) <= 40 else f"{line[:37]}..."


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "left out"
