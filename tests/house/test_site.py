"""The README and the pages of `docs/`: their size, their links, and what is generated in them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import picture, reference, shown
from fleet.metrics.words import HEADS
from tests.house.test_documents import BLOCK, DOCUMENTS, ROOT

README_BYTES = 12_000
PICTURE_BYTES = 30_000
PAGES = ROOT / "docs"
MEASURE = (PAGES / "measure.md").read_text()
ANCHOR = re.compile(r"\]\(([^)\s#:]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
FETCHED = re.compile(
    r'(?:<(?:script|img|iframe|source)\b[^>]*\bsrc|<link\b[^>]*\bhref)="(?:https?:)?//'
    r"|(?:url\(|@import)\s*[\"']?(?:https?:)?//"
)
OUTPUT = re.compile(r"\A\$ (fleet [^\n]+)\n.", re.S)
OF_A_RUN = {
    "fleet submit gpt-oss:20b": "test prefill decode first_token trials flags id",
    "fleet submit configs/quickstart.yaml": "machine model test settings prefill decode "
    "first_token trials spread id",
}
"""Outputs of real runs, which no second run repeats, and the head of the table in each."""


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return reference.pages()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


def test_generated_pages_are_what_the_code_generates(generated: dict[str, str]) -> None:
    old = [name for name, text in generated.items() if (PAGES / name).read_text() != text]
    assert old == [], "make docs writes them anew"


def test_the_picture_is_what_the_program_draws() -> None:
    assert picture.PICTURE.read_text() == picture.draw(), "make docs draws it anew"


def test_the_picture_is_small_and_fetches_nothing() -> None:
    text = picture.PICTURE.read_text()
    assert len(text.encode()) <= PICTURE_BYTES
    assert set(re.findall(r"https?://[^\"\s)]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not FETCHED.search(text)


def test_every_output_shown_is_made_anew_or_that_of_a_run() -> None:
    outputs = [
        match[1]
        for document in DOCUMENTS
        for _, text in BLOCK.findall(document.read_text())
        if (match := OUTPUT.match(text))
    ]
    assert set(outputs) == {*shown.SHOWN, *OF_A_RUN}


@pytest.mark.parametrize("command", OF_A_RUN)
def test_the_table_of_a_run_has_heads_that_the_program_prints(command: str) -> None:
    heads = [head.replace("_", " ") for head in OF_A_RUN[command].split()]
    [shown_block] = [text for _, text in BLOCK.findall(MEASURE) if f"$ {command}\n" in text]
    assert heads in [re.split(r"\s{2,}", line) for line in shown_block.splitlines()]
    assert set(heads) <= {word.name for word in HEADS}


def test_a_page_with_a_stale_output_would_be_noticed() -> None:
    page = f"```console\n$ {shown.MEMORY}\n1 000 tokens/s\n```"
    assert "0.681 x" in shown.refreshed(page)


def test_the_reference_has_every_exit_code_and_no_other() -> None:
    codes = {0, *reference.exit_codes_of_errors(), reference.CLOSED_PIPE_CODE}
    assert set(reference.EXIT_CODES) == codes


def test_the_reference_has_every_variable_of_fleet() -> None:
    own = {name for name in reference.ENVIRONMENT if name.startswith("FLEET_")}
    assert own | reference.INTERNAL == reference.variables_read()


def test_every_command_has_its_help_in_the_reference() -> None:
    page = (PAGES / "reference" / "commands.md").read_text()
    paths = [path for path, _ in reference.help_texts()]
    assert len(paths) > 20
    assert [path for path in paths if f"\n## {path}\n" not in page] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_anchor_is_a_heading(document: Path) -> None:
    prose = BLOCK.sub("", document.read_text())
    for page, anchor in ANCHOR.findall(prose):
        target = document.parent / page if page else document
        headings = HEADING.findall(BLOCK.sub("", target.read_text()))
        assert anchor in [slug(heading) for heading in headings], f"{page}#{anchor}"


def slug(heading: str) -> str:
    """Return the anchor of a heading as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the site needs {package}: make docs installs it")
    done = build_site(PAGES, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    files = [*(tmp_path / "site").rglob("*.html"), *(tmp_path / "site").rglob("*.css")]
    assert (tmp_path / "site" / "reference" / "commands.html") in files
    assert [path.name for path in files if FETCHED.search(path.read_text())] == []


def build_site(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet"]
    return subprocess.run(
        [*command, "-d", str(target.parent / "doctrees"), str(source), str(target)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
