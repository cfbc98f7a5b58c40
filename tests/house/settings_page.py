#!/usr/bin/env python3
"""Print the page of settings: each setting of an experiment, as fleet/model/settings.py defines it.

python tests/house/settings_page.py > docs/reference/settings.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from fleet.model.settings import SETTINGS, Runner, SettingDefinition, Settings  # noqa: E402

HEAD = """# Settings

What stands under `settings` in an experiment, or after `--set` on the command line; a list is an
axis. Made by `python tests/house/settings_page.py` from the table in `fleet/model/settings.py`.

| Setting | Values | Default | How it is sent | Works on |
| --- | --- | --- | --- | --- |
"""
SENT_AS = {
    "load option": "option of each request; the model is loaded anew when it changes",
    "request option": "option of each request",
    "system": "`{}` of the system, put back after each trial",
    "program": "the program of an engine that is started for the trial",
    "environment": "`{}` of an engine that is started for the trial",
}


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(map(_row, SETTINGS.values())) + "\n" + "".join(map(_meaning, SETTINGS))


def _row(setting: SettingDefinition) -> str:
    default = "not sent" if setting.default is None else f"`{setting.default}`"
    works_on = [runner for runner in get_args(Runner) if runner in setting.runners]
    cells = (
        f"`{setting.name}`",
        ", ".join(_values(Settings.model_json_schema()["properties"][setting.name])),
        default,
        SENT_AS[setting.kind].format(setting.variable),
        ", ".join(works_on),
    )
    return f"| {' | '.join(cells)} |\n"


def _meaning(name: str) -> str:
    return f"* `{name}`: {SETTINGS[name].meaning}\n"


def _values(schema: dict[str, Any]) -> Iterator[str]:
    """Yield what a single value may be."""
    if schema.get("anyOf"):
        for each in schema["anyOf"]:
            yield from _values(each)
    elif schema.get("type") == "boolean":
        yield "`true`, `false`"
    elif "enum" in schema or "const" in schema:
        yield ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    elif schema.get("type") in ("integer", "number"):
        kind = "whole number" if schema["type"] == "integer" else "number"
        yield f"{kind} from {schema['minimum']}" if "minimum" in schema else kind


if __name__ == "__main__":
    print(page(), end="")
