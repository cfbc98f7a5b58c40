"""The page of answers: whatever a model wrote is text on it, and nothing is fetched or run."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fleet.answers.nouns import (
    Agreement,
    AnswerColumn,
    Disagreement,
    Score,
    Sheet,
    Timed,
)
from fleet.answers.text_diff import text_contrast
from fleet.report.answers_page import answers_page
from fleet.report.answers_words import HASHES_ONLY
from fleet.report.page import STYLE, tag, text

S = 10**9
HOSTILE = (
    "<script>alert(1)</script> </div><img src=x onerror=alert(1)> &lt;b&gt; \"'` "
    "# Title **bold** [link](javascript:alert(1)) ]]> --> <style>*{display:none}</style>"
)
TAGS = set(
    "html head meta title style body h1 h2 h3 h4 section article div p table tbody tr th td "
    "details summary span del ins b".split()
)


class Page(HTMLParser):
    """Every tag and attribute, and the text of the elements of class `words`."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.metas: dict[str, str] = {}
        self.text: list[str] = []
        self.opened: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        given = dict(attrs)
        if name == "meta":
            self.metas[given.get("http-equiv") or given.get("name") or ""] = (
                given.get("content") or ""
            )
        else:
            self.attributes |= set(given)
            self.opened.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.opened.pop() == name

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def says(self) -> str:
        return "".join(self.text)


def answer(words: str = "gold", **changes: object) -> AnswerColumn:
    plain: dict[str, object] = {
        "name": "tiny",
        "title": "tiny",
        "text": words,
        "words": len(words.split()),
        "characters": len(words),
        "timed": (Timed(machine="alpha", total_ns=2 * S),),
    }
    return AnswerColumn(**{**plain, **changes})  # type: ignore[arg-type]


def hostile_sheet(words: str) -> Sheet:
    everywhere = text_contrast(words, words, ("", f"{words} a"), ("", f"{words} b"))
    pair = Disagreement(
        left=words, right="beta", compared=1, differing=1, also=words, contrast=everywhere
    )
    return Sheet(
        job=words,
        point=words,
        prompt=words,
        answers=(
            answer(
                words,
                title=words,
                details=words,
                thinking=words,
                ended=words,
                timed=(Timed(machine=words, flags=words),),
                scores=(Score(check=words, note=words),),
            ),
            answer(words, is_reference=True, details=words),
        ),
        contrasts=(everywhere,),
        agreements=(
            Agreement(
                model=words,
                settings=words,
                machines=(words,),
                requests=2,
                questions=1,
                repeated=1,
                disagreements=(pair,),
            ),
        ),
        notes=(words,),
    )


def test_what_a_model_wrote_never_becomes_markup() -> None:
    page = Page(answers_page([hostile_sheet(HOSTILE)]))
    assert page.tags <= TAGS
    assert page.attributes <= {"class", "lang"}
    assert page.opened == []
    assert page.says().count("<script>alert(1)</script>") >= 15


@given(st.text(max_size=80))
def test_any_text_arrives_as_it_is(words: str) -> None:
    page = Page(answers_page([hostile_sheet(words)]))
    assert page.tags <= TAGS
    assert page.attributes <= {"class", "lang"}
    if words.strip():
        assert words.strip().replace("\0", "\ufffd") in page.says()


def test_a_browser_is_told_to_fetch_and_run_nothing() -> None:
    source = answers_page([hostile_sheet("x")])
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = Page(source).metas["Content-Security-Policy"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"https?:|url\(|@import|src=|href=", source)


def test_the_style_serves_light_dark_and_paper() -> None:
    style = STYLE.read_text()
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= set(re.findall(r"(--[\w-]+):", style))
    assert "<" not in style


def test_the_classes_used_are_those_of_the_style() -> None:
    source = answers_page([hostile_sheet("x")])
    used = {name for names in re.findall(r'class="([^"]*)"', source) for name in names.split()}
    styled = set(re.findall(r"\.([a-z]+)", STYLE.read_text()))
    assert used <= styled


def test_figures_checks_and_thinking_stand_under_each_title() -> None:
    timed = Timed(machine="alpha", total_ns=138 * S, first_answer_ns=3 * S, flags="suspended")
    scores = (Score(check="valid JSON", passed=False), Score(check="exact", passed=True))
    found = answer("no", thinking="so so", timed=(timed,), scores=scores)
    found = replace(found, thinking_words=2, output_tokens=7)
    source = answers_page([_one(found)])
    for part in (
        "<summary>thinking, 2 words</summary>",
        '<th>total</th><td class="number">2m18s</td>',
        '<th>first answer token</th><td class="number">3 s</td>',
        '<th>flags</th><td class="number">suspended</td>',
        '<th>tokens</th><td class="number">7</td>',
        '<th>valid JSON</th><td class="no">no</td>',
        '<th>exact</th><td class="yes">yes</td>',
    ):
        assert part in source


def test_differences_are_marked_word_by_word() -> None:
    both = text_contrast("alpha", "beta", ("", "gold is old"), ("", "gold is new"))
    pair = Disagreement(left="alpha", right="beta", compared=2, differing=1, contrast=both)
    hashes = Disagreement(left="alpha", right="alpha", compared=1, differing=1)
    found = Agreement(
        model="tiny",
        settings="",
        machines=("alpha", "beta"),
        requests=4,
        questions=2,
        repeated=2,
        disagreements=(pair, hashes),
    )
    source = answers_page([Sheet(job="gold", point="gold", prompt="p", agreements=(found,))])
    assert "they part after 2 words of the answer" in source
    assert "<span>gold is </span><del>old</del><ins>new</ins>" in source
    assert HASHES_ONLY in Page(source).says()


@pytest.mark.parametrize("words", ["", "  \n"])
def test_an_answer_without_words_says_why(words: str) -> None:
    assert "(an empty answer)" in answers_page([_one(answer(words))])
    thought = answer(words, thinking="so", ended="cut at 9 tokens")
    assert "(no answer: it only thought, cut at 9 tokens)" in answers_page([_one(thought)])


def test_a_page_without_answers_says_so() -> None:
    assert "No answers yet." in answers_page([])


def test_markup_is_made_only_here() -> None:
    assert tag("b", "<i>", Markup("<u>")) == "<b>&lt;i&gt;<u></b>"
    assert text('"') == "&#34;"


def _one(found: AnswerColumn) -> Sheet:
    return Sheet(job="gold", point="gold", prompt=None, answers=(found,))
