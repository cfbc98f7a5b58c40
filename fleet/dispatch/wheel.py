"""Make a wheel of the running code, without a build backend.

A head gives new machines exactly the code that it runs itself, whether that came from a clone, a
wheel or a Git address, and without a network. So the wheel contains the package's own files, the
shipped configs and jobs, and the installer's metadata. The same files give the same bytes, so that
the hash in a line printed yesterday still holds today.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import stat
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import fleet
from fleet import installation

SHIPPED = "fleet/shipped/"
MADE_AT = (2020, 2, 2, 0, 0, 0)
"""Modification time of every file in the wheel, fixed so that the bytes are equal."""
WHEEL = """\
Wheel-Version: 1.0
Generator: fleet
Root-Is-Purelib: true
Tag: py3-none-any
"""
ENTRY_POINTS = """\
[console_scripts]
fleet = fleet.cli.main:main
"""
GIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file: the name that installers read, and the bytes."""

    name: str
    content: bytes


def build_wheel(shipped: Mapping[str, Path]) -> Wheel:
    """Make the wheel. `shipped`: the folders `configs` and `jobs`, which a checkout has outside."""
    files = {**_package_files(), **_shipped_files(shipped)}
    content = {name: path.read_bytes() for name, path in files.items()}
    modes = {name: path.stat().st_mode for name, path in files.items()}
    return wheel_of(content | _notes(), modes)


def wheel_of(content: Mapping[str, bytes], modes: Mapping[str, int]) -> Wheel:
    """Return the archive of these files with their RECORD; files without a mode are plain."""
    record = f"{_info()}/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(content.items())]
    everything = {**content, record: "\n".join([*lines, f"{record},,", ""]).encode()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in sorted(everything.items(), key=lambda item: (_is_note(item[0]), item[0])):
            entry = zipfile.ZipInfo(name, MADE_AT)
            executable = modes.get(name, 0) & stat.S_IXUSR
            entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            zipped.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return Wheel(f"ollama_fleet-{fleet.__version__}-py3-none-any.whl", archive.getvalue())


def code_digest() -> str:
    """Return a short hash of the package's files, equal on all machines of a fleet.

    It leaves out the shipped configs and jobs, which only the submitting machine reads.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_package_files().items()):
        if not name.startswith(SHIPPED):
            digest.update(f"{name} {_digest(path.read_bytes())}\n".encode())
    return digest.hexdigest()[:12]


def _package_files() -> dict[str, Path]:
    package = Path(fleet.__file__).parent
    files = {}
    for path in package.rglob("*"):
        parts = path.relative_to(package).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden:
            files["/".join(("fleet", *parts))] = path
    return files


def _shipped_files(folders: Mapping[str, Path]) -> dict[str, Path]:
    """Return the shipped files of a checkout; an installed package holds them already."""
    package = Path(fleet.__file__).parent
    return {
        f"{SHIPPED}{kind}/{path.relative_to(folder).as_posix()}": path
        for kind, folder in folders.items()
        if package not in folder.parents
        for path in _known_to_git(folder)
    }


def _known_to_git(folder: Path) -> list[Path]:
    """Return the files of a folder that Git tracks: others are the user's own."""
    argv = ["git", "-C", str(folder), "ls-files", "-z"]
    try:
        listing = subprocess.run(argv, capture_output=True, text=True, timeout=GIT_S)
        names = [name for name in listing.stdout.split("\0") if name]
    except (OSError, subprocess.TimeoutExpired):
        names = []
    paths = [folder / name for name in names] or list(folder.rglob("*"))
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]


def _notes() -> dict[str, bytes]:
    """Return the `.dist-info` files of the installer, with the version of the running code."""
    installed = installation.distribution()
    texts = {"WHEEL": WHEEL, "entry_points.txt": ENTRY_POINTS, "METADATA": _metadata(installed)}
    for path in (installed.files if installed else None) or ():
        name = f"licenses/{path.name}"
        if installed and "licenses" in path.parts and (text := installed.read_text(name)):
            texts[name] = text
    return {f"{_info()}/{name}": text.encode() for name, text in texts.items()}


def _metadata(installed: metadata.Distribution | None) -> str:
    text = installed.read_text("METADATA") if installed else None
    if text is None:
        return f"Metadata-Version: 2.1\nName: {installation.NAME}\nVersion: {fleet.__version__}\n"
    return re.sub(r"^Version: .*$", f"Version: {fleet.__version__}", text, count=1, flags=re.M)


def _info() -> str:
    return f"ollama_fleet-{fleet.__version__}.dist-info"


def _is_note(name: str) -> bool:
    """Return whether a file belongs to the metadata, which comes last in the archive."""
    return name.startswith(_info())


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
