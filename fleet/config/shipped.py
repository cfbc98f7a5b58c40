"""Where experiments and jobs lie, and the names that are nearest to theirs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import fleet
from fleet.errors import nearest


def shipped_folder(kind: Literal["configs", "jobs"]) -> Path:
    """Return the folder inside an installed package, else the one beside it in a checkout."""
    package = Path(fleet.__file__).parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def names_in(folder: Path) -> list[str]:
    """Return the sorted names of the YAML files of a folder; none if it cannot be read."""
    try:
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".yaml")
    except OSError:
        return []


def find_experiment(word: str) -> Path | None:
    """Return a path that exists, or the file of a shipped experiment: `name`, `configs/name.yaml`.

    A folder that happens to have the name of a shipped experiment does not hide it.
    """
    if os.path.exists(word) and not os.path.isdir(word):
        return Path(word)
    name = word.removeprefix("configs/").removesuffix(".yaml")
    if name in names_in(shipped_folder("configs")):
        return shipped_folder("configs") / f"{name}.yaml"
    return Path(word) if os.path.isdir(word) else None


def is_shipped(word: str) -> bool:
    """Tell whether an experiment of this name comes with fleet."""
    return word in names_in(shipped_folder("configs"))


def job_folders(*first: Path) -> list[Path]:
    """Return the folders in which jobs are looked up, in this order, after those given."""
    return list(dict.fromkeys([*first, Path.cwd() / "jobs", shipped_folder("jobs")]))


def job_names() -> list[str]:
    """Return the names of the jobs that can be measured from the current folder."""
    return sorted({name for folder in job_folders() for name in names_in(folder)})


def find_job(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of a job; a name is no path, so it cannot lead out of the folders."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return None
    paths = (folder / f"{name}.yaml" for folder in folders)
    return next((path for path in paths if os.path.exists(path)), None)


def job_hint(name: str, folders: Sequence[Path]) -> str:
    """Return ` (did you mean chat?)` for the name of a job that no folder has."""
    known = sorted({known for folder in folders for known in names_in(folder)})
    return did_you_mean(Path(name).stem, known)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return ` (did you mean x?)`, or the list of names if none is near."""
    known = list(names)
    close = nearest(word, known)
    if close:
        return f" (did you mean {close}?)"
    return f" (there are {', '.join(known)})" if known else ""
