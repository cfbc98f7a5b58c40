"""Tiny models with real mathematics: a few megabytes, made on the spot, no download.

The weights are random, the layers are really computed, so timings are real; the text is a fixed
walk through pseudo words that never ends by accident, so N tokens asked for are N tokens.
"""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

from fleet import durable
from fleet.engines.tiny.sizes import RECIPE, SIZES, Kind, Sizes
from fleet.installation import optional

__all__ = ["KINDS", "Kind", "Sizes", "file_name", "make"]

KINDS: tuple[Kind, ...] = ("gpt-oss", "llama")


def make(kind: Kind, folder: Path, **sizes: int) -> Path:
    """Return the model's file in `folder`, written once; `sizes` are fields of Sizes.

    Same arguments, same bytes. Raises UserError where the extra `embedded` is missing.
    """
    chosen = replace(SIZES[kind], **sizes)
    path = folder / file_name(kind, chosen)
    if not path.exists():
        _write(kind, chosen, path)
    return path


def file_name(kind: Kind, sizes: Sizes | None = None) -> str:
    """`tiny-llama.r1.gguf`, and every size that is not the kind's own: `...r1-layers2.gguf`."""
    usual = SIZES[kind]
    given = sizes or usual
    other = "".join(
        f"-{field.name}{getattr(given, field.name)}"
        for field in fields(Sizes)
        if getattr(given, field.name) != getattr(usual, field.name)
    )
    return f"tiny-{kind}.r{RECIPE}{other}.gguf"


def _write(kind: Kind, sizes: Sizes, path: Path) -> None:
    """Under another name first: who sees the file sees it whole, whoever else writes it too."""
    writer = optional("fleet.engines.tiny.writer", "making a tiny model", "embedded")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        writer.write(kind, sizes, draft)
        durable.replace_by(path, draft)
    finally:
        draft.unlink(missing_ok=True)
