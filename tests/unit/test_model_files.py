"""Which files hold a model's weights, found by the digest of its manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fleet.engines.ollama.model_files import files_of
from fleet.model.machine import ModelFacts

DIGESTS = [f"sha256:{letter * 64}" for letter in "abc"]


def model(digest: str, file: str | None = None) -> ModelFacts:
    return ModelFacts(name="m", digest=digest, size_bytes=1, file=file)


def written(folder: Path, layout: str, name: str, manifest: object) -> str:
    """Write a manifest and return its digest."""
    path = folder / layout / "registry.ollama.ai" / "library" / name / "latest"
    path.parent.mkdir(parents=True)
    content = json.dumps(manifest).encode()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("layout", ["manifests", "manifests-v2"])
def test_a_manifest_names_every_blob(tmp_path: Path, layout: str) -> None:
    other = written(tmp_path, layout, "other", {"layers": [{"digest": DIGESTS[2]}]})
    own = written(tmp_path, layout, "own", {"layers": [{"digest": d} for d in DIGESTS[:2]]})
    environment = {"OLLAMA_MODELS": str(tmp_path)}
    blobs = [str(tmp_path / "blobs" / digest.replace(":", "-")) for digest in DIGESTS]
    assert files_of(model(own), environment) == blobs[:2]
    assert files_of(model(other), environment) == blobs[2:]
    assert files_of(model("0" * 64), environment) == []


def test_a_file_that_the_engine_names_is_the_one(tmp_path: Path) -> None:
    assert files_of(model("0" * 64, "/blobs/sha256-aa"), {}) == ["/blobs/sha256-aa"]


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {"layers": None},
        {"layers": [{"digest": DIGESTS[0]}, {"digest": "sha256:../../etc/passwd"}]},
        {"layers": [{"digest": DIGESTS[0]}, "x"]},
    ],
)
def test_a_manifest_that_is_not_understood_names_none(tmp_path: Path, manifest: object) -> None:
    digest = written(tmp_path, "manifests", "own", manifest)
    assert files_of(model(digest), {"OLLAMA_MODELS": str(tmp_path)}) == []


def test_without_a_folder_of_models_no_file_is_known(tmp_path: Path) -> None:
    assert files_of(model("0" * 64), {"HOME": str(tmp_path)}) == []
