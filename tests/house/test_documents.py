"""The documents against the program: every command parses, every file named is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.exceptions import TyperException

from fleet.cli.main import build
from fleet.config.declared import load_declared
from fleet.config.reading import load_request, read_job
from fleet.config.shipped import find_experiment

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".venv", ".git", ".pytest_cache", ".hypothesis", "node_modules", "site"}
DOCUMENTS = sorted(p for p in ROOT.rglob("*.md") if not SKIPPED & set(p.relative_to(ROOT).parts))

COLUMNS = 80
"""Of the narrowest usual terminal."""
YOURS = {"configs/mine.yaml", "configs/batch-size.yaml", "configs/fleet.yaml"}
"""Files that a reader is shown how to write."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
SHIPPED = re.compile(r"(?<![\w/.])(?:configs|jobs)/[\w.-]+\.(?:yaml|json|md)")
COMMAND = re.compile(r"^(?:\$ )?(?:ssh \S+ )?(fleet(?: .*)?)$")


def blocks(document: Path, *languages: str) -> Iterator[str]:
    for language, text in BLOCK.findall(document.read_text()):
        if language in languages:
            yield text


def typed(document: Path) -> list[str]:
    """Command lines in code blocks, those that a shown output proposes among them."""
    found = []
    for text in blocks(document, "", "sh", "bash", "console"):
        for line in text.splitlines():
            proposed = line.partition("next:")[2] or line
            parts = re.split(r"\s{2,}", proposed.strip()) if "next:" in line else [proposed]
            found += [match[1] for part in parts if (match := COMMAND.match(part.strip()))]
    return found


def mentioned(document: Path) -> list[str]:
    """Commands in the running text, which need not be whole."""
    prose = BLOCK.sub("", document.read_text())
    return [match[1] for text in INLINE.findall(prose) if (match := COMMAND.match(text))]


def proposed_by_help() -> list[str]:
    lines = [line for each in commands() for line in (each.epilog or "").splitlines()]
    lines += (program().help or "").splitlines()
    told = (re.split(r"\s{3,}", line.strip())[0] for line in lines)
    return [line for line in told if line.startswith("fleet ")]


def shown_commands() -> dict[str, Any]:
    """Every command by what is typed before its own words, those in a command among them."""
    top = {f"fleet {each.name}": each for each in commands() if not each.hidden}
    inner = {
        f"{path} {name}": each
        for path, room in top.items()
        for name, each in getattr(room, "commands", {}).items()
    }
    return {"fleet": program(), **top, **inner}


def help_of(path: str, command: Any) -> str:
    context = typer.Context(
        command, info_name=path, terminal_width=COLUMNS, max_content_width=COLUMNS
    )
    return str(command.get_help(context))


@cache
def program() -> Any:
    return typer.main.get_command(build())


def commands() -> list[Any]:
    return list(program().commands.values())


def parse(line: str, *, whole: bool = True) -> None:
    """Raises for an unknown command or option, or a value of the wrong kind."""
    words = shlex.split(line, comments=True)[1:]
    command, path = program(), "fleet"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{line}: there is no command {words[0]}"
        path, command = f"{path} {words[0]}", command.commands[words.pop(0)]
    if whole or words:
        command.make_context(path, words, resilient_parsing=not whole)


def test_every_command_typed_in_a_document_parses() -> None:
    lines = {line for document in DOCUMENTS for line in typed(document)}
    assert len(set(typed(ROOT / "README.md"))) >= 10
    for line in sorted(lines):
        parse(line)


def test_every_command_mentioned_in_a_text_exists() -> None:
    lines = {line for document in DOCUMENTS for line in mentioned(document)}
    assert len(lines) >= 10
    for line in sorted(lines):
        parse(line, whole=False)


def test_every_command_that_help_proposes_parses() -> None:
    lines = proposed_by_help()
    assert len(lines) >= 10
    for line in lines:
        parse(line)


@pytest.mark.parametrize("path", shown_commands())
def test_every_help_fits_a_terminal_and_shows_an_example(path: str) -> None:
    lines = help_of(path, shown_commands()[path]).splitlines()
    assert [line for line in lines if len(line) > COLUMNS] == []
    examples = [line.strip() for line in lines if not line.lstrip().startswith("Usage:")]
    assert [line for line in examples if line == path or line.startswith(f"{path} ")]


def test_the_program_has_no_command_that_the_readme_hides() -> None:
    text = (ROOT / "README.md").read_text()
    shown = [name for name, each in program().commands.items() if not each.hidden]
    assert [name for name in shown if f"fleet {name}" not in text] == []


@pytest.mark.parametrize("line", ["fleet submitt x", "fleet submit x --nosuch", "fleet show"])
def test_a_wrong_line_would_be_noticed(line: str) -> None:
    with pytest.raises((AssertionError, TyperException)):
        parse(line)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_named_is_there(document: Path) -> None:
    text = document.read_text()
    named = set(SHIPPED.findall(text)) - YOURS
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []
    links = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_job_and_experiment_in_a_command_is_shipped() -> None:
    lines = [line for document in DOCUMENTS for line in typed(document)] + proposed_by_help()
    for line in lines:
        words = shlex.split(line, comments=True)
        files = [word for word in words if word.endswith(".yaml") and word not in YOURS]
        assert all(find_experiment(word) for word in files), line
        jobs = [words[at + 1] for at, word in enumerate(words) if word == "--job"]
        assert all((ROOT / "jobs" / f"{job}.yaml").is_file() for job in jobs), line


def test_every_example_of_a_file_is_one(tmp_path: Path) -> None:
    examples = [text for document in DOCUMENTS for text in blocks(document, "yaml")]
    assert len(examples) >= 3
    for text in examples:
        if "machines:\n" in text:
            (tmp_path / "fleet.yaml").write_text(text)
            load_declared(tmp_path / "fleet.yaml")
            continue
        name = re.search(r"^name: (\S+)", text, re.M)
        assert name, text
        path = tmp_path / f"{name[1]}.yaml"
        path.write_text(text)
        for prompt in re.findall(r"^prompts?_file: (\S+)", text, re.M):
            (tmp_path / prompt).parent.mkdir(exist_ok=True)
            (tmp_path / prompt).write_text('"the long text"')
        if "version:" in text:
            load_request(path)
        else:
            read = read_job(path)
            assert read.noun is not None, read.mistakes
            assert not read.mistakes


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        document: set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(), re.M))
        for document in DOCUMENTS
    }
    assert {"run", "test", "check", "docs"} <= named[ROOT / "README.md"]
    assert {str(path): names - targets for path, names in named.items() if names - targets} == {}
