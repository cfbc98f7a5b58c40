"""The rules of the house that a program can check."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from fleet.cli.main import build
from tests.house.figures import figures

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "fleet").rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES = 300, 40
ROOMS = ("cli", "app")
HEAVY = {"duckdb", "pyarrow", "altair", "scipy", "pandas", "ray", "rich", "httpx", "numpy"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_is_too_large(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MOST_LINES
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MOST_FUNCTION_LINES, f"{node.name}: {lines}"


def test_parameters_circles_and_late_imports_are_within_their_goals() -> None:
    missed = {what: places for what, _, goal, places in figures() if goal == 0 and places}
    assert missed == {}


def test_no_room_without_a_purpose() -> None:
    names = {path.stem for path in MODULES} | {path.name for path in (ROOT / "fleet").rglob("*/")}
    assert not names & {"utils", "common", "helpers", "manager", "base", "ray", "duckdb", "typing"}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path in MODULES if path.stat().st_size and not _docstring(path)]
    assert silent == []


PRINTS_WHAT_IT_IMPORTS = {"config", "metrics"}
"""Commands without a use case: they print schemas and the dictionary as they are."""


def test_each_command_is_a_file_of_cli_and_a_file_of_app() -> None:
    names = {name.replace("import", "import_") for name in typer.main.get_command(build()).commands}
    in_cli, in_app = ({p.stem for p in (ROOT / "fleet" / room).glob("*.py")} for room in ROOMS)
    assert names - in_cli == set()
    assert names - in_app == PRINTS_WHAT_IT_IMPORTS


@pytest.mark.parametrize("folder", ["fleet", "configs", "jobs", "tests"])
def test_every_fixed_folder_has_its_door_sign(folder: str) -> None:
    sign = (ROOT / folder / "README.md").read_text()
    assert len(sign) > 200


def test_the_floor_plan_names_every_room() -> None:
    plan = (ROOT / "fleet" / "README.md").read_text()
    rooms = {p.stem for p in (ROOT / "fleet").iterdir() if not p.name.startswith(("_", "."))}
    missing = [room for room in rooms - {"README"} if not re.search(rf"\b{room}\b", plan)]
    assert missing == []


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text()))


def _imported(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split("\n")[-2].split())


def test_help_stays_light() -> None:
    code = "import sys; sys.argv = ['fleet', '--help']\nfrom fleet.cli.main import build\nbuild()"
    assert not _imported(code) & (HEAVY | {"pydantic", "ruamel"})


def test_a_measuring_process_stays_light() -> None:
    loaded = _imported(
        "import fleet.worker.__main__\n"
        "fleet.worker.node_worker.without_command_line_of_httpx()\n"
        "import fleet.engines.ollama, fleet.engines.simulated"
    )
    assert not loaded & {"duckdb", "pyarrow", "altair", "typer", "rich", "scipy", "pandas", "ray"}


def test_reading_needs_no_ray_and_no_charts() -> None:
    loaded = _imported("import fleet.app.results, fleet.app.compare, fleet.compare")
    assert not loaded & {"ray", "altair", "scipy", "pandas"}


CONNECTIONS = {"Client", "AsyncClient", "get", "post", "request", "stream"}
READ_THE_ENVIRONMENT = {"ollama", "requests", "urllib.request", "urllib3", "aiohttp"}
"""Libraries that take proxies and certificates from variables of whoever runs fleet."""
SPEAKS_TO_THE_INTERNET = {ROOT / "fleet" / "app" / "model_heads.py"}
"""It reads the head of a model file from an address that the user names: the proxies and
certificates of the environment are meant for that."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_connection_is_made_of_the_environment(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not imported & READ_THE_ENVIRONMENT
    if path in SPEAKS_TO_THE_INTERNET:
        return
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name in {f"httpx.{each}" for each in CONNECTIONS}:
            given = {key.arg: ast.unparse(key.value) for key in call.keywords}
            assert given.get("trust_env") == "False", f"{path.name}:{call.lineno}"
            assert {"verify", "transport"} & set(given), f"{path.name}:{call.lineno}"


TESTS = sorted((ROOT / "tests").rglob("*.py"))
PRIVATE = re.compile(r"_[A-Za-z]\w*")
NO_PUBLIC_ROAD = {
    ("tests/unit/test_install_ollama.py", "_build"): "the public way compiles for minutes",
    ("tests/unit/test_install_mlx.py", "_assembled"): "the public way compiles for minutes",
    ("tests/unit/test_simulated_schedule.py", "_stream"): "no server is late when a test wants it",
}
"""Private names that a test uses all the same: its file, the name, and the reason."""


def test_no_test_touches_what_is_private_where_a_public_road_exists() -> None:
    used = {
        (str(path.relative_to(ROOT)), name)
        for path in TESTS
        for name in _private_names(ast.parse(path.read_text()))
    }
    assert used == set(NO_PUBLIC_ROAD)


def _private_names(tree: ast.Module) -> Iterator[str]:
    """Names with a leading underscore that a module takes from another one, or from its objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_own(node):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("fleet", "tests")
        ):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            texts = (a.value for a in node.args[:2] if isinstance(a, ast.Constant))
            names = [str(text).rpartition(".")[2] for text in texts]
        else:
            continue
        yield from (name for name in names if PRIVATE.fullmatch(name))


def _is_own(node: ast.Attribute) -> bool:
    """Of the object itself, or a function of the system that is written so."""
    return ast.unparse(node.value) in {"self", "cls"} or ast.unparse(node) == "os._exit"
