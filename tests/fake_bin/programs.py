"""The programs of a fake Mac, one function each: `programs.py NAME ARGUMENT...`.

State lies in the folder FAKE_MAC: `kernel.json` (what sysctl reads and sets), `sudoers` (files that
may be run as root), `launchd.json`, `owner.json` (how the owner keeps Ollama, where it listens) and
`owner.pid`. `faults.json` says what goes wrong:

    {"set": "ignored" | "refused" | "hangs", "read": "garbage" | "fails",
     "password": "wrong", "ollama": "ends" | "silent" | "cpu" | "stale",
     "restart": "ignored" | "ends" | "newer",
     "kill": {"step": 3, "when": "before" | "after"}}

Each thing that concerns the wired limit is a step, noted in `steps`; `kill` sends SIGKILL to the
process of `life.pid` when that step is reached, before or after it has had its effect.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

FOLDER = Path(os.environ.get("FAKE_MAC", ""))
KEY = "iogpu.wired_limit_mb"
UNIT, LABEL = "ollama.service", "homebrew.mxcl.ollama"
DEFAULT_LIMIT_MB = 73_728
OPTIONS = ("-o", "-g", "-m")
GPU = """\
+-o AGXAcceleratorG99X  <class AGXAcceleratorG99X, id 0x1>
    {
      "gpu-core-count" = 44
      "model" = "Apple M9 Max"
    }
"""
DEVICE = """\
+-o J999AP  <class IOPlatformExpertDevice, id 0x1>
    {
      "IOPlatformUUID" = "01234567-89AB-CDEF-0123-456789ABCDEF"
    }
"""


def put(path: Path, text: str) -> None:
    """Write a file that another process may read at the same time: it is whole or the old one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def kernel() -> dict[str, str]:
    return dict(json.loads((FOLDER / "kernel.json").read_text()))


def fault(name: str) -> object:
    return json.loads((FOLDER / "faults.json").read_text()).get(name)


class Step:
    """`with Step(name):` is one step; its number is its line in the file."""

    def __init__(self, name: str) -> None:
        with (FOLDER / "steps").open("a") as file:
            file.write(f"{name}\n")
            file.flush()
            end = file.tell()  # whatever another process has added since then is behind it
        self.number = (FOLDER / "steps").read_bytes()[:end].count(b"\n")

    def _kill(self, when: str) -> bool:
        wanted = fault("kill")
        if not isinstance(wanted, dict) or (wanted["step"], wanted["when"]) != (self.number, when):
            return False
        os.kill(int((FOLDER / "life.pid").read_text()), signal.SIGKILL)
        return True

    def __enter__(self) -> None:
        if self._kill("before"):
            sys.exit(137)

    def __exit__(self, *_: object) -> None:
        self._kill("after")


def uname(words: list[str]) -> int:
    system = kernel().get("uname", "Darwin")
    print({"-m": "arm64"}.get(words[0] if words else "", system))
    return 0


def sw_vers(words: list[str]) -> int:
    print(f"ProductName:\tmacOS\nProductVersion:\t{kernel()['kern.osproductversion']}")
    return 0


def sysctl(words: list[str]) -> int:
    bare = words[:1] == ["-n"]
    if bare:
        words = words[1:]
    if any(word.split("=")[0] == KEY for word in words):
        with Step(f"sysctl {' '.join(words)}"):
            return _limit(words[0], bare)
    return _print(words, bare)


def _limit(word: str, bare: bool) -> int:
    if "=" in word:
        return _set(word.partition("=")[2])
    if fault("read") == "fails":
        print(f"sysctl: unknown oid '{KEY}'", file=sys.stderr)
        return 1
    if fault("read") == "garbage":
        print("lots" if bare else f"{KEY}: lots")
        return 0
    return _print([KEY], bare)


def _set(value: str) -> int:
    if os.environ.get("FAKE_ROOT") != "1" or fault("set") == "refused":
        print(f"sysctl: {KEY}: Operation not permitted", file=sys.stderr)
        return 1
    while fault("set") == "hangs":
        time.sleep(0.02)
    values = kernel()
    print(f"{KEY}: {values[KEY]} -> {value}")
    if fault("set") != "ignored":
        put(FOLDER / "kernel.json", json.dumps({**values, KEY: value}))
    return 0


def _print(words: list[str], bare: bool) -> int:
    code = 0
    for word in words:
        found = [(k, v) for k, v in kernel().items() if k == word or k.startswith(f"{word}.")]
        for key, value in found:
            print(value if bare else f"{key}: {value}")
        if not found:
            print(f"sysctl: unknown oid '{word}'", file=sys.stderr)
            code = 1
    return code


def ioreg(words: list[str]) -> int:
    print(GPU if "IOAccelerator" in words else DEVICE)
    return 0


def pmset(words: list[str]) -> int:
    if "batt" in words:
        print("Now drawing from 'AC Power'")
    elif "custom" in words:
        print("AC Power:\n powermode            0")
    else:
        print("Note: No thermal warning level has been recorded")
    return 0


def notifyutil(words: list[str]) -> int:
    print(f"{words[-1]} 0")
    return 0


def launchctl(words: list[str]) -> int:
    """`list`, `kickstart`; `setenv`, `getenv`, `unsetenv`, for what launchd starts from now on."""
    if words[0] == "list":
        print("PID\tStatus\tLabel\n-\t0\tcom.apple.something")
        if owner()["kind"] == "launchd":
            print(f"{_owners_pid()}\t0\t{LABEL}")
        return 0
    if words[0] == "kickstart":
        if words[1:] != ["-k", f"gui/{os.getuid()}/{LABEL}"] or owner()["kind"] != "launchd":
            print("Could not find service", file=sys.stderr)
            return 113
        return _restart()
    path = FOLDER / "launchd.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if words[0] == "getenv":
        print(known.get(words[1], ""))
        return 0
    if words[0] == "setenv":
        known[words[1]] = words[2]
    elif words[0] == "unsetenv":
        known.pop(words[1], None)
    put(path, json.dumps(known))
    return 0


def systemctl(words: list[str]) -> int:
    """`show` and `restart` of one unit, of the system or of the user."""
    kind = "systemd user" if words[0] == "--user" else "systemd"
    verb, *rest = words[1:] if words[0] == "--user" else words
    names = [word for word in rest if not word.startswith("--")]
    mine = [name for name in names if name == UNIT and owner()["kind"] == kind]
    if verb == "show":
        blocks = [
            f"MainPID={_owners_pid()}\nId={name}\nEnvironment={_shown()}\nActiveState=active"
            if name in mine
            else f"MainPID=0\nId={name}\nEnvironment=\nActiveState=inactive"
            for name in names
        ]
        print("\n\n".join(blocks))
        return 0
    if not mine:
        print(f"Failed to restart {names[0]}: Unit {names[0]} not found.", file=sys.stderr)
        return 5
    if kind == "systemd" and os.getuid() != 0 and os.environ.get("FAKE_ROOT") != "1":
        print("Access denied", file=sys.stderr)
        return 4
    return _restart()


def _shown() -> str:
    return f'"OLLAMA_HOST={owner()["host"]}" PATH=/usr/bin'


def osascript(words: list[str]) -> int:
    """`-e 'quit app "Ollama"'`: returns when the app has heard it, not when it is gone."""
    if words != ["-e", 'quit app "Ollama"'] or owner()["kind"] != "app":
        print("execution error: (-1728)", file=sys.stderr)
        return 1
    with Step("quit"):
        if fault("restart") != "ignored":
            _end_owners()
    return 0


def open(words: list[str]) -> int:
    if words != ["-g", "-j", "-a", "Ollama"] or _owners_pid():
        print("Unable to find application, or it is there", file=sys.stderr)
        return 1
    with Step("open"):
        return 0 if fault("restart") == "ends" else _start_owners()


def pgrep(words: list[str]) -> int:
    pid = _owners_pid() if words == ["-x", "ollama"] else None
    print(pid or "", end="\n" if pid else "")
    return 0 if pid else 1


def lsof(words: list[str]) -> int:
    pid, port = _owners_pid(), owner()["host"].rpartition(":")[2]
    if not pid or f"-iTCP:{port}" not in words:
        return 1
    print(f"p{pid}\nf3")
    return 0


def owner() -> dict[str, str]:
    path = FOLDER / "owner.json"
    nobody = {"kind": "", "host": ""}
    return dict(json.loads(path.read_text())) if path.exists() else nobody


def begin(words: list[str]) -> int:
    """The owner's Ollama is started for the first time, as `owner.json` says."""
    return _start_owners()


def end(words: list[str]) -> int:
    _end_owners()
    return 0


def _owners_pid() -> int | None:
    path = FOLDER / "owner.pid"
    if not path.exists():
        return None
    pid = int(path.read_text())
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return None if state == "Z" else pid


def _restart() -> int:
    with Step("restart"):
        if fault("restart") == "ignored":
            return 0
        _end_owners()
        return 0 if fault("restart") == "ends" else _start_owners()


def _end_owners() -> None:
    while pid := _owners_pid():
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.02)


def _start_owners() -> int:
    """A program of its own, under the app where the app keeps it; up when this returns."""
    told = owner()
    program = [str(FOLDER / "bin" / "ollama"), "serve"]
    if told["kind"] == "app":
        program = ["/bin/sh", str(FOLDER / "Ollama.app" / "Contents" / "MacOS" / "Ollama")]
    quiet = subprocess.DEVNULL
    environment = {**os.environ, "OLLAMA_HOST": told["host"], "FAKE_OWNER": "1"}
    (FOLDER / "owner.pid").unlink(missing_ok=True)
    started = subprocess.Popen(
        program, env=environment, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    while not _owners_pid():
        if started.poll() is not None:
            return 1
        time.sleep(0.02)
    return 0


def powermetrics(words: list[str]) -> int:
    if os.environ.get("FAKE_ROOT") != "1":
        print("powermetrics must be invoked as the superuser", file=sys.stderr)
        return 1
    return 0


def sudo(words: list[str]) -> int:
    """With `-n` a rule is needed; without it an administrator gives the password."""
    if words[0] != "-n":
        if fault("password") == "wrong":
            print("sudo: 3 incorrect password attempts", file=sys.stderr)
            return 1
        return globals()[words[0]](words[1:])
    asks = words[1] == "-l"
    program, *more = words[2:] if asks else words[1:]
    if program == "systemctl":
        return _sudo_systemctl(more, asks)
    if f"#{os.getuid()} ALL=(root) NOPASSWD: {program}" not in _rules():
        print("sudo: a password is required", file=sys.stderr)
        return 1
    if asks:
        print(program)
        return 0
    text = Path(program).read_text().replace("/usr/sbin/sysctl", str(FOLDER / "bin" / "sysctl"))
    with Step(f"sudo {' '.join(more)}"):
        argv, root = ["/bin/sh", "-c", text, program, *more], {**os.environ, "FAKE_ROOT": "1"}
        return subprocess.run(argv, env=root, check=False).returncode


def _sudo_systemctl(words: list[str], asks: bool) -> int:
    rule = f"#{os.getuid()} ALL=(root) NOPASSWD: {FOLDER}/bin/systemctl {' '.join(words)}"
    if rule not in _rules():
        print("sudo: a password is required", file=sys.stderr)
        return 1
    os.environ["FAKE_ROOT"] = "1"
    return 0 if asks else systemctl(words)


def _rules() -> list[str]:
    path = FOLDER / "sudoers"
    return path.read_text().splitlines() if path.exists() else []


def visudo(words: list[str]) -> int:
    lines = Path(words[-1]).read_text().splitlines()
    return 0 if lines and all(" NOPASSWD: /" in line for line in lines) else 1


def install(words: list[str]) -> int:
    """`-o`, `-g` and `-m` each take a word; who owns what is not played."""
    mode = int(words[words.index("-m") + 1], 8)
    names = [w for at, w in enumerate(words) if w[0] != "-" and words[at - 1][:2] not in OPTIONS]
    if "-d" in words:
        Path(names[0]).mkdir(parents=True, exist_ok=True)
        return 0
    target = Path(names[1])
    put(target, Path(names[0]).read_text())
    target.chmod(mode)
    return 0


def rm(words: list[str]) -> int:
    for word in words[1:]:
        Path(word).unlink(missing_ok=True)
    return 0


def ollama(words: list[str]) -> int:
    """`ollama serve`: looks at the limit once, logs it, and answers until it is ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    from fleet.engines.simulated.server import SimulatedServer
    from fleet.model.script import MachineScript

    if fault("ollama") == "ends":
        print("Error: listen tcp 127.0.0.1: bind: address already in use", file=sys.stderr)
        return 1
    limit_mb = int(kernel()[KEY]) or DEFAULT_LIMIT_MB
    if fault("ollama") == "stale":
        limit_mb = DEFAULT_LIMIT_MB
    script = json.loads((FOLDER / "machine.json").read_text())
    if fault("restart") == "newer":
        script["engine_version"] = "0.40.0"
    port = int(os.environ["OLLAMA_HOST"].rpartition(":")[2])
    owners = os.environ.get("FAKE_OWNER") == "1"
    with nullcontext() if owners else Step("ollama serve"):
        _log("server config", env=f'"map[{_environment()}]"')
        print(f"Listening on 127.0.0.1:{port} (version 0.32.15)", file=sys.stderr)
        if fault("ollama") == "cpu":
            _log("inference compute", id="cpu", library="cpu", total='"96.0 GiB"')
        elif fault("ollama") != "silent":
            _log("inference compute", id="0", library="Metal", total=f'"{limit_mb / 1024:.1f} GiB"')
        sys.stderr.flush()
        server = SimulatedServer(
            MachineScript.model_validate({**script, "gpu_memory_mb": limit_mb}), port=port
        )
        server.start()
        if owners:
            put(FOLDER / "owner.pid", str(os.getpid()))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # whoever is still connected does not hold it


def _environment() -> str:
    """Go's print of a map; Ollama lists its own variables, and reads some as yes or no."""
    shown = {"OLLAMA_FLASH_ATTENTION": {"1": "true", "0": "false"}}
    names = sorted(name for name in os.environ if name.startswith("OLLAMA_"))
    values = {name: os.environ[name] for name in names}
    return " ".join(f"{n}:{shown.get(n, {}).get(v, v)}" for n, v in values.items())


def _log(message: str, **fields: str) -> None:
    told = " ".join(f"{name}={value}" for name, value in fields.items())
    print(f'time=now level=INFO source=fake.go:1 msg="{message}" {told}', file=sys.stderr)


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](sys.argv[2:]))
