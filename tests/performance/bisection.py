"""Does `fleet bisect` find a version of Ollama that is a tenth slower, among eight?

Eight programs stand for eight versions: a real Ollama, and from one of them on the same behind a
proxy that delays each chunk and lengthens the counters to match. A trial writes twelve answers,
since single ones of a tiny model on shared cores vary by a tenth. Prints where each search ended,
and how many found the step; exit code 1 if one did not. Takes some minutes per search.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests import ollama_server
from tests.builders_flow import Fleet
from tests.ollama_server import RealOllama
from tests.tools.install_ollama import NEWEST
from tests.tools.slowed_ollama import write_slowed

VERSIONS, FACTOR = 8, 1.1
SLOW_FROM = (1, 2, 3, 4, 5, 6, 7, 4, 2, 6)
JOB = {
    "name": "write",
    "api": "generate",
    "points": [{"prompt_tokens": 16, "output_tokens": 512}],
    "requests": 12,
    "warmup": 1,
}
OPTIONS = (
    *("--model", "tiny-llama", "--job", "write", "--set", "num_thread=1", "--set", "num_ctx=1024"),
    *("--repeats", "8", "--gates", "record", "--mine", "--json"),
)


def found(fleet: Fleet, server: RealOllama, slow_from: int) -> bool:
    """Run one search and print where it ended; return whether that is the truth."""
    programs = {
        f"v{number}": write_slowed(
            fleet.folder / f"v{number}",
            server.program,
            FACTOR if number >= slow_from else 1.0,
            f"v{number}",
        )
        for number in range(VERSIONS)
    }
    words = [f"{label}={path}" for label, path in programs.items()]
    fleet("join", "--allow", "engine-binary", *words)
    env = {
        "OLLAMA_HOST": server.base_url.removeprefix("http://"),
        "OLLAMA_MODELS": str(server.log.parent / "models"),
    }
    data = fleet("bisect", *programs, *OPTIONS, env=env, code=None).json()
    end = data["conclusion"]
    right = (end["ending"], end["at"]) == ("step", f"v{slow_from}")
    print(
        f"slow from v{slow_from}: {end['ending']}, {end['after']} to {end['at']}, "
        f"{end['ends']['ratio']:.3f} x, {len(data['looks'])} looks, "
        f"{sum(look['blocks'] for look in data['looks'])} blocks{'' if right else '   WRONG'}",
        flush=True,
    )
    return right


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with ollama_server.real_ollama(root, models={"tiny-llama": "llama"}) as server:
            print(f"Ollama {NEWEST.ollama}, {VERSIONS} versions, {FACTOR - 1:.0%} slower")
            right = 0
            for number, slow_from in enumerate(SLOW_FROM):
                fleet = Fleet(root / f"search-{number}")
                (fleet.folder / "jobs" / "write.yaml").write_text(json.dumps(JOB))
                right += found(fleet, server, slow_from)
    print(f"found: {right} of {len(SLOW_FROM)}")
    return 0 if right == len(SLOW_FROM) else 1


if __name__ == "__main__":
    sys.exit(main())
