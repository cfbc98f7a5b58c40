"""Draw the picture of the README: `python -m docs.picture`.

The real program compares a small store whose speeds are invented, on a terminal with colours; what
it prints is drawn as `docs/picture.svg`. A test draws it again and compares.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.builders_documents import FITS, two_macs

PICTURE = Path(__file__).with_name("picture.svg")

COLUMNS = 104
COMMAND = "compare memory-96-vs-128 --by memory_gb --baseline 96 --metric decode"
THEME = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        *((36, 41, 47), (179, 29, 40), (17, 99, 41), (149, 104, 0)),
        *((5, 80, 174), (130, 80, 223), (27, 124, 131), (110, 119, 129)),
    ],
)
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>What fleet compare prints</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" \
height="{terminal_height}"/></clipPath>
{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#ffffff" stroke="#d0d7de"/>
<text x="50%" y="27" text-anchor="middle" fill="#6e7781" \
font-family="ui-sans-serif, sans-serif" font-size="18">A comparison by fleet; the speeds are \
invented</text>
<g transform="translate({terminal_x}, {terminal_y})" \
clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">
{matrix}</g></g>
</svg>
"""


def draw() -> str:
    """Return the picture as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        two_macs(Path(folder), "gpt-oss:20b", FITS)
        printed = _on_a_terminal(Path(folder))
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(f"$ fleet {COMMAND}\n{printed}".rstrip()))
    svg = console.export_svg(title="fleet compare", theme=THEME, code_format=FRAME, unique_id="f")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _on_a_terminal(home: Path) -> str:
    """Return what the command prints where its standard output is a terminal."""
    own = {"FLEET_HOME": str(home), "FLEET_STATE": str(home / "state"), "HOME": str(home)}
    terminal = {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "TZ": "UTC"}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "fleet", *COMMAND.split()]
    running = subprocess.Popen(command, stdout=inner, env={**environment, **own, **terminal})
    os.close(inner)
    text = b""
    with suppress(OSError):  # on Linux the end of a terminal is an error
        while part := os.read(outer, 65536):
            text += part
    os.close(outer)
    if running.wait() > 1:
        raise RuntimeError(f"fleet {COMMAND} ended with {running.returncode}")
    return text.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    PICTURE.write_text(draw())
