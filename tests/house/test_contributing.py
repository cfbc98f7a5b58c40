"""The worked examples of CONTRIBUTING.md and of the first change, made on a copy of the tree.

Each example is a heading with blocks: a new file, or the lines around a change of an old one. All
of them are made together; then the tests of each run in the copy.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "docs" / "first-change.md", ROOT / "CONTRIBUTING.md")
COPIED = ("fleet", "configs", "jobs", "tests", "docs")
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.M | re.S)
STEP = re.compile(
    r"^`(?P<path>[\w./-]+)`, (?P<kind>a new file|changed):\n\n"
    r"(?P<blocks>(?:```\w+\n.*?^```\n\n?)+)",
    re.M | re.S,
)
BLOCK = re.compile(r"^```\w+\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Step:
    """One file of an example."""

    path: str
    new: bool
    blocks: Sequence[str]

    def make(self, tree: Path) -> None:
        """Write the new file, or change the old one at the one place that each block shows."""
        file = tree / self.path
        if self.new:
            assert not file.exists(), f"{self.path} is there already"
            file.write_text("".join(self.blocks))
            return
        for block in self.blocks:
            before, after = sides(block)
            text = file.read_text()
            assert text.count(before) == 1, f"{self.path} has not one place like this:\n{before}"
            file.write_text(text.replace(before, after))


def sides(block: str) -> tuple[str, str]:
    """Return the text before and after a change."""
    lines = block.splitlines(keepends=True)
    return (
        "".join(line[1:] or "\n" for line in lines if not line.startswith("+")),
        "".join(line[1:] or "\n" for line in lines if not line.startswith("-")),
    )


def examples() -> Iterator[tuple[str, list[Step]]]:
    """Yield each heading that has steps, and these."""
    for page in PAGES:
        for title, text in SECTION.findall(page.read_text()):
            steps = [
                Step(match["path"], match["kind"] == "a new file", BLOCK.findall(match["blocks"]))
                for match in STEP.finditer(text)
            ]
            if steps:
                yield title, steps


EXAMPLES = dict(examples())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with every example made in it."""
    folder = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "expected")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for steps in EXAMPLES.values():
        for step in steps:
            step.make(folder)
    return folder


@pytest.fixture(scope="module")
def run(tree: Path) -> Callable[..., str]:
    def run(*words: str) -> str:
        """Run a module of Python in the copy, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_example_is_there() -> None:
    assert list(EXAMPLES) == [
        "A new setting",
        "A new question",
        "A probe",
        "An engine",
        "A metric",
    ]


@pytest.mark.parametrize("title", ["A new setting", "A new question"])
def test_a_first_change_is_of_two_files_beside_its_test(title: str) -> None:
    files = [step.path for step in EXAMPLES[title]]
    assert len([path for path in files if not path.startswith("tests/")]) <= 2
    assert len(files) <= 3


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_tests_of_an_example_pass_in_the_copy(title: str, run: Callable[..., str]) -> None:
    tests = [step.path for step in EXAMPLES[title] if step.path.startswith("tests/")]
    assert tests
    assert " passed" in run("pytest", *tests, "-q", "-p", "no:cacheprovider")


def test_the_examples_keep_the_style_and_the_order_of_imports(run: Callable[..., str]) -> None:
    files = [step.path for steps in EXAMPLES.values() for step in steps]
    python = [path for path in files if path.endswith(".py")]
    run("ruff", "check", "--no-cache", *python)
    run("ruff", "format", "--check", "--no-cache", *python)


def test_the_generated_files_follow_the_new_setting(run: Callable[..., str], tree: Path) -> None:
    run("fleet", "config", "schema", "--write", "configs")
    assert '"top_k"' in (tree / "configs" / "fleet.schema.json").read_text()
    run("docs.reference")
    assert "| `top_k` |" in (tree / "docs" / "reference" / "settings.md").read_text()
    assert "EchoEngine" in (tree / "docs" / "reference" / "configuration.md").read_text()


def test_a_change_that_fits_no_place_or_two_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\none\n")
    for block in (" one\n+three\n", " four\n+five\n"):
        with pytest.raises(AssertionError, match="has not one place"):
            Step("a.py", False, [block]).make(tmp_path)
    Step("a.py", False, ["-two\n+three\n"]).make(tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\nthree\none\n"
