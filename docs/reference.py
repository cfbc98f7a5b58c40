"""Write the reference pages from the code: `python -m docs.reference`.

A test compares each page with what this program makes, so no page can lag behind the code.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main
from typer.testing import CliRunner

from docs import shown
from fleet import errors
from fleet.cli.main import build
from fleet.cli.output import CLOSED_PIPE_CODE
from fleet.query.open_store import open_store, rows
from fleet.store.schema import TABLES
from tests.builders_compare import GoldenStore
from tests.house import settings_page

FOLDER = Path(__file__).parent
FLEET = FOLDER.parent / "fleet"
HELP_COLUMNS = 80
GENERATED = "This page is generated from the code; `make docs` writes it anew.\n"

EXIT_CODES: Mapping[int, str] = {
    0: "The command did all that was asked for.",
    1: "The command ran, and its answer is no: a trial has no result, a side is slower, a model "
    "does not fit. The table below says what it means for each command.",
    2: "A file, an option or a name is wrong, or nothing could be judged.",
    3: "The head, or every machine, does not answer.",
    130: "The user stopped the command (Ctrl-C); everything finished is kept.",
    CLOSED_PIPE_CODE: "The program that reads the output ended first, as `head` does.",
}

CODES_NOT_IN_HELP = {
    "fleet submit": "Exit code 1 while any trial asked for has no result.",
    "fleet import": "Exit code 1 where a figure that fleet knows is not stored.",
}

ENVIRONMENT: Mapping[str, str] = {
    "FLEET_HOME": "Folder for results, ledger and spool; `--home` overrides it. "
    "Default: the per-user data folder.",
    "FLEET_HEAD": "SSH destination of the head, as `--head` takes it.",
    "FLEET_STATE": "Folder in which a machine keeps the state of its head, node and settings. "
    "Default: the per-user state folder.",
    "FLEET_LOCKS": "Folder of the machine's locks, which all its users must share. Default: "
    "`/run/lock/fleet` on Linux, `/Users/Shared/fleet` on macOS.",
    "FLEET_TOKEN_FILE": "File that holds the fleet's token. Default: `token` in the per-user "
    "configuration folder.",
    "OLLAMA_HOST": "Address of this machine's Ollama, written as Ollama reads it. An address of "
    "another machine is refused.",
    "OLLAMA_MODELS": "Folder of Ollama's models, for the servers that fleet starts beside yours.",
    "COLUMNS": "Width of the output, where it is not that of the terminal.",
    "NO_COLOR": "Set to anything: no colours.",
}
WITH_OUTPUTS = ("compare.md", "settings.md", "energy.md", "import.md")
"""Pages written by hand but for the outputs in them."""
INTERNAL = {"FLEET_REQUEST", "FLEET_OPTIONS", "FLEET_JOB", "FLEET_PLAN", "FLEET_PYTHON"}
"""Variables that fleet sets for its own processes on a head."""

SCHEMAS = {
    "experiment": "An experiment: a file in `configs/`",
    "job": "A job: a file in `jobs/`",
    "fleet": "The machines: `configs/fleet.yaml`",
}


def pages() -> dict[str, str]:
    """Return the text of each generated page by its path below `docs/`."""
    return {
        "metrics.md": _printed("metrics", "--markdown"),
        "comparability.md": _printed("compare", "--classes", "--format", "markdown"),
        "reference/commands.md": _page("Commands", _commands()),
        "reference/configuration.md": _page("Configuration files", _configuration()),
        "reference/settings.md": settings_page.page(),
        "reference/exit-codes.md": _page("Exit codes", _exit_codes()),
        "reference/environment.md": _page("Environment variables", _environment()),
        "reference/views.md": _page("Views", _views()),
        **{page: shown.refreshed((FOLDER / page).read_text()) for page in WITH_OUTPUTS},
    }


def exit_codes_of_errors() -> set[int]:
    """Return every exit code that an exception of fleet carries."""
    kinds, codes = [errors.FleetError], set()
    while kinds:
        kind = kinds.pop()
        codes.add(kind.exit_code)
        kinds += kind.__subclasses__()
    return codes


def variables_read() -> set[str]:
    """Return the variables of fleet's own that its sources name."""
    sources = [path.read_text() for path in FLEET.rglob("*.py")]
    return {name for text in sources for name in re.findall(r"\"(FLEET_[A-Z_]+)\"", text)}


def _page(title: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", "", GENERATED, *lines]).rstrip() + "\n"


def _printed(*words: str) -> str:
    return CliRunner().invoke(build(), list(words)).output


def _commands() -> Iterator[str]:
    for path, text in help_texts():
        yield from (f"## {path}", "", "```text", text, "```", "")


def help_texts() -> Iterator[tuple[str, str]]:
    """Yield each command as it is typed, and its help at the width of a narrow terminal."""
    waiting = [("fleet", typer.main.get_command(build()))]
    while waiting:
        path, command = waiting.pop(0)
        columns = {"terminal_width": HELP_COLUMNS, "max_content_width": HELP_COLUMNS}
        context = typer.Context(command, info_name=path, **columns)
        with patch.dict(os.environ, {"COLUMNS": str(HELP_COLUMNS)}):
            yield path, command.get_help(context).rstrip()
        inner = getattr(command, "commands", {})
        waiting += [(f"{path} {name}", each) for name, each in inner.items() if not each.hidden]


def _exit_codes() -> Iterator[str]:
    yield from _table(("Code", "Meaning"), ([str(code), EXIT_CODES[code]] for code in EXIT_CODES))
    yield from ("", "## By command", "")
    yield from _table(("Command", "Exit code"), _codes_by_command())


def _codes_by_command() -> Iterator[Sequence[str]]:
    for path, text in help_texts():
        parts = [" ".join(part.split()) for part in text.split("\n\n")]
        sentences = [each for part in parts for each in re.split(r"(?<=\.)\s+(?=[A-Z])", part)]
        own = [each for each in sentences if each.startswith("Exit code ")]
        meaning = " ".join(
            [*own, *([CODES_NOT_IN_HELP[path]] if path in CODES_NOT_IN_HELP else [])]
        )
        if meaning:
            yield f"`{path}`", meaning


def _environment() -> Iterator[str]:
    yield from _table(
        ("Variable", "Meaning"), ([f"`{name}`", ENVIRONMENT[name]] for name in ENVIRONMENT)
    )


def _configuration() -> Iterator[str]:
    yield "A key that is not listed is refused with its line. The YAML files of this repository"
    yield "are examples; `fleet config schema` prints the JSON Schemas for an editor."
    for kind, title in SCHEMAS.items():
        schema = json.loads(_printed("config", "schema", kind))
        yield from ("", f"## {title}", "", *_keys(schema))
        for name, part in schema.get("$defs", {}).items():
            if "properties" in part:
                yield from ("", f"### {name} (in {kind})", "")
                yield from (_sentence(part.get("description", "")), "", *_keys(part))


def _keys(schema: Mapping[str, Any]) -> Iterator[str]:
    needed = set(schema.get("required", ()))
    entries = (
        (f"`{key}`", _kind(part), _default(part, key in needed), _sentence(_meaning(part)))
        for key, part in schema["properties"].items()
    )
    yield from _table(("Key", "Value", "Default", "Meaning"), entries)


def _kind(part: Mapping[str, Any]) -> str:
    if "$ref" in part:
        return part["$ref"].rpartition("/")[2]
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    choices = part.get("anyOf") or part.get("oneOf")
    if choices:
        return " or ".join(
            dict.fromkeys(_kind(each) for each in choices if each != {"type": "null"})
        )
    if part.get("type") == "array":
        return f"list of {_kind(part.get('items', {}))}"
    if part.get("type") == "object" and isinstance(part.get("additionalProperties"), dict):
        return f"map to {_kind(part['additionalProperties'])}"
    return str(part.get("type", "any"))


def _default(part: Mapping[str, Any], needed: bool) -> str:
    if needed:
        return "(needed)"
    value = part.get("default")
    return "" if value is None else f"`{json.dumps(value)}`"


def _meaning(part: Mapping[str, Any]) -> str:
    bounds = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
    limits = [f"{words} {part[name]}" for name, words in bounds if name in part]
    return " ".join([part.get("description", ""), *([f"({', '.join(limits)})"] if limits else [])])


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _views() -> Iterator[str]:
    yield "These are the views of `views.sql` and their columns. Durations are in ns, rates in"
    yield "tokens per second, and unknown values are null. The [metric dictionary](../metrics.md)"
    yield "explains each number."
    text = (FLEET / "query" / "views.sql").read_text()
    pattern = r"((?:^--[^\n]*\n)+)create or replace view (\w+)"
    grains = {name: comment for comment, name in re.findall(pattern, text, re.M)}
    with tempfile.TemporaryDirectory() as folder:
        store = GoldenStore().write(Path(folder) / "results")
        with closing(open_store([store], tuple(TABLES))) as connection:
            for name, comment in sorted(grains.items()):
                yield from (
                    "",
                    f"## {name}",
                    "",
                    _sentence(re.sub(r"^--", "", comment, flags=re.M)),
                )
                columns = rows(connection, f"describe {name}")
                yield from ("", ", ".join(f"`{row['column_name']}`" for row in columns) + ".")


def _table(head: Sequence[str], lines: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for cells in lines:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
