"""The models of the embedded engine: GGUF files in one folder, and the tiny ones made there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fleet.engines import tiny
from fleet.engines.ollama.weights import bits_per_weight, read_for_each_token
from fleet.errors import ModelMissing, RequestRefused
from fleet.installation import optional
from fleet.model.machine import ModelFacts

THINKING_ARCHITECTURES = frozenset({"gpt-oss"})

TINY: Mapping[str, tiny.Kind] = MappingProxyType({f"tiny-{kind}": kind for kind in tiny.KINDS})


class ModelFiles:
    """Finds, makes and describes; a file is read whole only when it is new or has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[Path, int, int], ModelFacts] = {}

    def names(self) -> Sequence[str]:
        """Return the models that are there, tiny ones under their short name."""
        made = {tiny.file_name(kind): name for name, kind in TINY.items()}
        files = sorted(path for path in self.folder.glob("*.gguf") if path.name[0] != ".")
        return [made.get(path.name, path.stem) for path in files]

    def has(self, model: str) -> bool:
        return self._place(model).is_file()

    def path(self, model: str) -> Path:
        """Return the model's file; raises ModelMissing."""
        path = self._place(model)
        if not path.is_file():
            raise ModelMissing(
                f"{model} is not in {self.folder}",
                f"the embedded engine makes {' and '.join(TINY)}; "
                f"any other model is a .gguf file put into that folder",
            )
        return path

    def make(self, model: str) -> Path:
        """As `path`, after making a tiny model that is not there yet."""
        kind = TINY.get(model.removesuffix(":latest"))
        return self.path(model) if kind is None else tiny.make(kind, self.folder)

    def facts(self, model: str) -> ModelFacts:
        path = self.path(model)
        state = path.stat()
        key = (path, state.st_size, state.st_mtime_ns)
        if key not in self._known:
            self._known[key] = _read(model.removesuffix(":latest"), path)
        return self._known[key]

    def _place(self, model: str) -> Path:
        name = model.removesuffix(":latest")
        file = tiny.file_name(TINY[name]) if name in TINY else f"{name}.gguf"
        return self.folder / Path(file).name  # a name is never a way out of the folder


def _read(name: str, path: Path) -> ModelFacts:
    gguf = optional("gguf", f"reading {path.name}", "embedded")  # slow to import
    try:
        file = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError) as problem:
        raise RequestRefused(f"{path} is no GGUF file: {problem}", "take it away") from problem
    fields = {key: field.contents() for key, field in file.fields.items() if _is_plain(key)}
    architecture = str(fields.get("general.architecture", "")) or None
    context = fields.get(f"{architecture}.context_length")
    experts = (fields.get(f"{architecture}.{k}") for k in ("expert_used_count", "expert_count"))
    sizes = {str(tensor.name): int(tensor.n_bytes) for tensor in file.tensors}
    parameters = sum(int(tensor.n_elements) for tensor in file.tensors)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return ModelFacts(
        name=name,
        digest=digest,
        size_bytes=path.stat().st_size,
        architecture=architecture,
        quantization=_quantization(fields.get("general.file_type")),
        model_format="gguf",
        bits_per_weight=bits_per_weight(sum(sizes.values()), parameters),
        drafts="no",
        parameters=parameters,
        context_length=int(context) if isinstance(context, int) else None,
        tensors_bytes=sum(sizes.values()),
        active_bytes=read_for_each_token(sizes, *experts),
        default_think="medium" if architecture in THINKING_ARCHITECTURES else None,
        file=str(path),
    )


def _is_plain(key: str) -> bool:
    """Tell whether a key is no part of the vocabulary, which has thousands of values."""
    return not key.startswith("tokenizer.")


def _quantization(file_type: object) -> str | None:
    """`MXFP4_MOE`, `F16`: as engines write it."""
    gguf = optional("gguf", "reading a model's file", "embedded")
    names = (str(kind.name) for kind in gguf.LlamaFileType if kind.value == file_type)
    name = next(names, None)
    return None if name is None else name.removeprefix("MOSTLY_").removeprefix("ALL_")
