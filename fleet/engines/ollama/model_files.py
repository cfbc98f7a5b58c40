"""Where an Ollama on this machine keeps its models, and which files hold the weights of one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from fleet.engines.incoming import json_of, text
from fleet.model.machine import ModelFacts

MODEL_FOLDERS = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
"""Of the owner's own Ollama; of the one that Ollama's installer makes a systemd service."""
MANIFESTS = ("manifests-v2", "manifests")
"""Since 0.40, and before it."""
LARGEST_MANIFEST_BYTES = 4 * 2**20
"""A model for MLX has a layer for each of its tensors."""


def models_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of models that can be read here; None: there is none."""
    named = environment.get("OLLAMA_MODELS")
    home = environment.get("HOME", "~")
    usual = [folder.replace("~", home, 1) for folder in MODEL_FOLDERS]
    for folder in [named] if named else usual:
        path = Path(folder)
        if any(os.access(path / each, os.R_OK | os.X_OK) for each in MANIFESTS):
            return path
    return None


def files_of(model: ModelFacts, environment: Mapping[str, str]) -> list[str]:
    """Return the files that hold a model's weights; none where they are not known.

    Ollama names the file of a GGUF. A model for MLX has many, which its manifest names: the digest
    of a model is that of its manifest, so no other model's files are taken for it.
    """
    if model.file is not None:
        return [model.file]
    folder = models_folder(environment)
    if folder is None:
        return []
    manifests = (each for each in _manifests(folder) if _sha256(each) == model.digest)
    return [str(folder / "blobs" / name) for name in _layers(next(manifests, b""))]


def _manifests(folder: Path) -> Iterator[bytes]:
    paths = (path for layout in MANIFESTS for path in (folder / layout).rglob("*"))
    for path in paths:
        with suppress(OSError):
            if path.is_file() and path.stat().st_size <= LARGEST_MANIFEST_BYTES:
                yield path.read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _layers(manifest: bytes) -> list[str]:
    """Return the names of the blobs that a manifest lists; none where one cannot be understood."""
    try:
        content = json_of(manifest)
    except ValueError:
        return []
    layers = content.get("layers") if isinstance(content, dict) else None
    digests = [
        text(layer.get("digest")) if isinstance(layer, dict) else ""
        for layer in (layers if isinstance(layers, list) else ())
    ]
    known = all(_is_digest(digest) for digest in digests)
    return [digest.replace(":", "-") for digest in digests] if known else []


def _is_digest(word: str) -> bool:
    kind, _, letters = word.partition(":")
    return kind == "sha256" and len(letters) == 64 and letters.isalnum()
