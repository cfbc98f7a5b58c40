"""Allow fleet to set the wired limit of this Mac, and revoke that: a helper and a sudo rule.

The rule allows one user to run one file that only root can write. Everything done as root is one
of the commands below; each is printed before it runs.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fleet.errors import UserError
from fleet.ports import Say
from fleet.settings import wired_limit
from fleet.settings.wired_limit import SHIPPED

RULE = Path("/etc/sudoers.d/fleet-wired-limit")
OWNED = ("-o", "root", "-g", "wheel")


def is_allowed() -> bool:
    """Return whether the helper or the rule exists, complete or not."""
    return any(os.path.lexists(path) for path in (wired_limit.HELPER, RULE))


def allow(say: Say) -> None:
    """Install helper and rule; raise UserError without the password of an administrator."""
    helper = wired_limit.HELPER
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / RULE.name
        draft.write_text(rule(os.getuid(), helper))
        _run(["visudo", "-c", "-f", str(draft)], say)
        if not helper.parent.is_dir():
            _run(["sudo", "install", "-d", *OWNED, "-m", "755", str(helper.parent)], say)
        _run(["sudo", "install", *OWNED, "-m", "755", str(SHIPPED), str(helper)], say)
        _run(["sudo", "install", *OWNED, "-m", "440", str(draft), str(RULE)], say)
    if why := wired_limit.untrusted(helper):
        raise UserError(why, f"ls -le {helper}")


def disallow(say: Say) -> None:
    """Remove helper and rule."""
    _run(["sudo", "rm", "-f", str(RULE), str(wired_limit.HELPER)], say)


def rule(user_id: int, helper: Path) -> str:
    """Name the user by number, since sudoers may misread a name."""
    return f"#{user_id} ALL=(root) NOPASSWD: {helper}\n"


def _run(argv: Sequence[str], say: Say) -> None:
    say(" ".join(argv))
    try:
        code = subprocess.run(argv, check=False).returncode
    except OSError as problem:
        raise UserError(f"{argv[0]}: {problem.strerror}", "run it on the Mac itself") from problem
    if code:
        raise UserError(
            f"`{' '.join(argv)}` ended with status {code}",
            "type it on a terminal of that Mac, as a user who may use sudo",
        )
