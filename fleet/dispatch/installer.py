"""What a head gives to a new machine: a line that installs fleet, and the files for it.

The properties of this scheme:

* The printed line carries the SHA-256 of the script, and the script those of the wheel and of the
  lock file. So a new machine runs only what this head made, although it comes over plain HTTP.
  The lock file carries the hash of each package from the index.
* The path of the three files is derived from the token. Nobody without the line can guess it; the
  path does not reveal the token, and opens nothing but these files.
* The wheel holds the program's code and the shipped files, but no configuration, token or result.
* The head serves files from memory by exact name: no path of a request ever reaches the disk.
"""

from __future__ import annotations

import hashlib
import hmac
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from fleet.dispatch.wheel import Wheel

SCRIPT = "install.sh"
LOCK = "requirements.txt"
LINE = (
    "sh -c 'f=$(mktemp)&&curl -fsSo $f --noproxy \\* --connect-timeout 10 $0&&"
    "(sha256sum $f||shasum -a 256 $f)2>/dev/null|grep -q ^$1&&exec sh $f;"
    "echo nothing was installed;exit 1' {url} {sha256}"
)
"""For any shell on macOS or Linux: fetch the script, check it, and run it in place of the shell."""


@dataclass(frozen=True, slots=True)
class Installer:
    """The line to paste on a new machine, and the files to serve, by path."""

    line: str
    files: Mapping[str, bytes]


def make_installer(wheel: Wheel, *, ip: str, port: int, join: str, token: str) -> Installer:
    """Make the installer of this wheel.

    `ip`, `port`: where the files will be served. `join`: the address for `fleet join`.
    """
    folder = f"/{_folder(token)}"
    lock = _packaged("node-requirements.txt").encode()
    values = {
        "HEAD": f"http://{ip}:{port}{folder}",
        "ADDRESS": join,
        "PYTHON": ".".join(platform.python_version_tuple()[:2]),
        "WHEEL": wheel.name,
        "WHEEL_SHA256": _sha256(wheel.content),
        "LOCK": LOCK,
        "LOCK_SHA256": _sha256(lock),
    }
    script = _filled(_packaged(SCRIPT), values).encode()
    served = {SCRIPT: script, LOCK: lock, wheel.name: wheel.content}
    files = {f"{folder}/{name}": content for name, content in served.items()}
    return Installer(LINE.format(url=f"{values['HEAD']}/{SCRIPT}", sha256=_sha256(script)), files)


def _filled(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _folder(token: str) -> str:
    return hmac.new(token.encode(), b"fleet-install-v1", hashlib.sha256).hexdigest()[:16]


def _packaged(name: str) -> str:
    return (resources.files("fleet.dispatch") / name).read_text()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
