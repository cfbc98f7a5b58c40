"""`iogpu.wired_limit_mb` of a Mac: every user can read it, only the privileged helper sets it."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fleet.errors import SettingFailed
from fleet.model.quantities import FACTS
from fleet.ports import Commands, Output
from fleet.readers.sysctl import parse_boot_unix_s

KEY = "iogpu.wired_limit_mb"
HELPER = Path("/Library/PrivilegedHelperTools/fleet-wired-limit")
"""The helper lies in a folder that only root can write to."""
SHIPPED = Path(__file__).parent / "privileged" / "wired_limit_helper.sh"
ROOT = 0
HELPER_DEADLINE_S = 10.0
MOST_MB = 10**7
ALLOW = "fleet join --allow wired-limit"
BY_HAND = f"sudo sysctl {KEY}={{}}"


class WiredLimit:
    """The wired limit of a Mac as a ports.Setting; 0 is the system's default."""

    name = KEY

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._helper = HELPER

    def refusal(self) -> str:
        """Return why the limit cannot be set here, and how to allow it; empty: it can."""
        if why := untrusted(self._helper):
            return f"{why}; to allow it there: {ALLOW}"
        if not self._commands.run(["sudo", "-n", "-l", str(self._helper)]).ok:
            return f"sudo does not let this user run {self._helper}; to allow it there: {ALLOW}"
        return ""

    def current(self) -> int:
        """Return the limit; raises SettingFailed if it cannot be read."""
        output = self._commands.run(["sysctl", "-n", KEY])
        if not output.ok:
            reason = output.stderr.strip() or f"status {output.code}"
            raise SettingFailed(f"{KEY} cannot be read: {reason}", f"try: sysctl {KEY}")
        return _limit(output.stdout.strip())

    def apply(self, value: int) -> None:
        """Set the limit through the helper; raises SettingFailed."""
        done = run_privileged(["sudo", "-n", str(self._helper), str(value)], HELPER_DEADLINE_S)
        if not done.ok:
            reason = done.stderr.strip() or f"status {done.code}"
            raise SettingFailed(f"{KEY} was not set to {value}: {reason}", BY_HAND.format(value))

    def verify(self, value: int) -> None:
        """Raise SettingFailed unless the line that names the key shows the value."""
        line = self._commands.run(["sysctl", KEY]).stdout
        match = re.fullmatch(rf"{re.escape(KEY)}\s*[:=]\s*(\S+)\s*", line)
        now = _limit(match[1]) if match else None
        if now != value:
            raise SettingFailed(f"{KEY} is {now} after it was set to {value}", f"sysctl {KEY}")

    def restore(self, before: int) -> None:
        """Set the limit back."""
        if self.current() != before:
            self.apply(before)


def boot_unix_s(commands: Commands) -> int | None:
    """Return when this system booted; None: not known.

    An impossible time counts as unknown: a limit that a trial has set would else count as undone.
    """
    booted = parse_boot_unix_s(commands.run(["sysctl", "-n", "kern.boottime"]).stdout)
    return None if booted is None or FACTS["boot_unix_s"].problem(booted) else booted


def untrusted(helper: Path) -> str:
    """Return why this helper must not run as root; empty: it may."""
    try:
        file, folder = helper.lstat(), helper.parent.stat()
        text = helper.read_bytes()
    except OSError:
        return "fleet may not set the wired limit"
    others_write = (file.st_mode | folder.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    owners = {file.st_uid, folder.st_uid}
    if not stat.S_ISREG(file.st_mode) or owners != {ROOT} or others_write:
        return f"{helper} is not a file that root alone can write"
    if text != SHIPPED.read_bytes():
        return f"{helper} is of another version of fleet"
    return ""


def run_privileged(argv: Sequence[str], deadline_s: float) -> Output:
    """Run a command as root, and leave it behind at the deadline: a user cannot end it."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as problem:
        return Output(code=None, stdout="", stderr=f"{argv[0]}: {problem.strerror}")
    try:
        out, err = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return Output(code=None, stdout="", stderr=f"no answer within {deadline_s:.0f} s")
    return Output(code=process.returncode, stdout=out, stderr=err)


def _limit(text: str) -> int:
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or int(text) > MOST_MB:
        raise SettingFailed(f"{KEY} reads {text!r}, which is no limit in MiB", f"try: sysctl {KEY}")
    return int(text)
