"""Where the experiments and jobs lie that come with fleet, and names that are nearly theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import fleet
from fleet.errors import nearest


def shipped_folder(kind: Literal["configs", "jobs"]) -> Path:
    """Inside an installed package, else beside it in a checkout."""
    package = Path(fleet.__file__).parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def names_in(folder: Path) -> list[str]:
    """Names of the YAML files of a folder, sorted; none where it cannot be read."""
    try:
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".yaml")
    except OSError:
        return []


def find_experiment(word: str) -> Path | None:
    """A folder that happens to have the name of a shipped experiment does not hide it."""
    if os.path.exists(word) and not os.path.isdir(word):
        return Path(word)
    name = word.removeprefix("configs/").removesuffix(".yaml")
    if name in names_in(shipped_folder("configs")):
        return shipped_folder("configs") / f"{name}.yaml"
    return Path(word) if os.path.isdir(word) else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """` (did you mean x?)`, or what there is where nothing is near."""
    known = list(names)
    close = nearest(word, known)
    if close:
        return f" (did you mean {close}?)"
    return f" (there are {', '.join(known)})" if known else ""
