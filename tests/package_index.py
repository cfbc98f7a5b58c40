"""A package index for machines that reach no other: the packages of a joined machine, over HTTP.

The wheels come once from the index that this machine uses, and are kept in the cache of the tests.
A machine of tests/namespaces.py is pointed to the index as its owner would do it, by pip's and
uv's own variables.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "fleet/dispatch/node-requirements.txt"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "fleet-tests"


@contextmanager
def package_index(ip: str, packages: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a machine that uses the index; it is served while the block lasts."""
    folder = tempfile.mkdtemp(prefix="index-")
    try:
        _lay_out(packages, Path(folder))
        server = ThreadingHTTPServer((ip, 0), partial(_Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{ip}:{server.server_address[1]}/simple"
        yield {"PIP_INDEX_URL": url, "PIP_TRUSTED_HOST": ip, "UV_DEFAULT_INDEX": url}
        server.shutdown()
        server.server_close()
    finally:
        shutil.rmtree(folder)


def wheels() -> Path:
    """The folder of the packages, fetched where it is not there yet; some 190 MB.

    Raises subprocess.CalledProcessError where they cannot be had.
    """
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"packages-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            for old in CACHE.glob("packages-*"):
                shutil.rmtree(old)
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """Under another name first: a folder of this name is whole."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as fresh:
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        argv += ["--only-binary", ":all:", "--dest", f"{fresh}/packages", "-r", str(REQUIREMENTS)]
        subprocess.run(argv, check=True, capture_output=True, text=True)
        (Path(fresh) / "packages").rename(folder)


def _lay_out(packages: Path, folder: Path) -> None:
    """One folder per project, as the simple repository API wants it; the files are links."""
    for path in packages.iterdir():
        project = re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        page = folder / "simple" / project
        page.mkdir(parents=True, exist_ok=True)
        (page / path.name).symlink_to(path)
        (page / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>')


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is not the index's."""
