"""One trial's settings on a fake Mac, as a process of its own that a test can kill.

`python -m tests.fake_bin.life WANTED` applies, notes the step `measuring`, and puts back;
without WANTED it only recovers, as a worker does when it starts. Prints JSON, or the error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama, address
from fleet.errors import TrialError
from fleet.settings import wired_limit
from fleet.wiring import real
from tests import builders
from tests.fake_bin.programs import FOLDER, Step, put


def main() -> int:
    put(FOLDER / "life.pid", str(os.getpid()))
    as_on_a_fake_mac()
    machine_id, settings = real.settings_here()
    try:
        if len(sys.argv) == 1:
            print(json.dumps({"recovered": settings.recover(), "machine_id": machine_id}))
            return 0
        asked = json.loads(sys.argv[1])
        attempt = builders.attempt(model="tiny", settings={"num_ctx": 1024, **asked})
        engine = Ollama(address(None, os.environ), clock=SystemClock())
        with settings.applied(attempt, engine, threading.Event()) as in_force, Step("measuring"):
            told = {
                "own": in_force.engine is not engine,
                "wired_limit_mb": in_force.wired_limit_mb,
                "gpu_limit_mb": in_force.gpu_limit_mb,
                "environment": dict(in_force.environment),
            }
    except TrialError as problem:
        print(json.dumps({"error": problem.reason, "what": problem.what, "hint": problem.hint}))
        return 1
    print(json.dumps(told))
    return 0


def as_on_a_fake_mac() -> None:
    """The helper lies in the Mac's folder, which this user owns; what the journal does on disk are
    steps too."""
    wired_limit.HELPER = FOLDER / "Library" / "fleet-wired-limit"
    wired_limit.ROOT = os.getuid()
    wired_limit.HELPER_DEADLINE_S = float(os.environ.get("FAKE_DEADLINE_S", "10"))
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, _stepped(name, getattr(os, name)))


def _stepped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*words: Any, **more: Any) -> Any:
        path = words[0]
        if isinstance(path, int) or "settings" in Path(path).parts:
            with Step(f"journal {name}"):
                return call(*words, **more)
        return call(*words, **more)

    return stepped


if __name__ == "__main__":
    sys.exit(main())
