"""Runs one simulated server in the foreground; prints its address.

python -m fleet.engines.simulated SCRIPT.json [--port N] [--seed N]

SCRIPT `-` reads the script from the first line of standard input; the server then ends when
standard input does.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from fleet.engines.simulated.server import serve
from fleet.model.script import MachineScript


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fleet.engines.simulated")
    parser.add_argument("script", help="JSON file of a machine script, or - for standard input")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scripted noise")
    options = parser.parse_args()
    try:
        text = sys.stdin.readline() if options.script == "-" else Path(options.script).read_text()
        script = MachineScript.model_validate_json(text)
        with serve(script, seed=options.seed, port=options.port) as url:
            print(url, flush=True)
            _wait(until_input_ends=options.script == "-")
    except (OSError, ValidationError) as problem:
        print(f"{options.script}: {problem}", file=sys.stderr)
        return 2
    return 0


def _wait(*, until_input_ends: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        if until_input_ends:
            sys.stdin.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
