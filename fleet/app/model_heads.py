"""Read the head of a model file, without its weights: from a disk, or by HTTP ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fleet.advisor import config_json
from fleet.advisor.metadata import from_metadata
from fleet.advisor.shape import ModelShape
from fleet.errors import FleetUnreachable, UserError
from fleet.model.tensors import Tensor
from fleet.readers import gguf, safetensors
from fleet.readers.gguf import Incomplete

if TYPE_CHECKING:
    import httpx

FIRST_BYTES = 2**20
MOST_HTTP_BYTES = 32 * 2**20
MOST_FILE_BYTES = 512 * 2**20
CONNECT_S, READ_S = 10.0, 30.0
MOST_REDIRECTS = 5

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.(gguf|safetensors)$")

T = TypeVar("T")

Read = Callable[[int, int], bytes]
"""Returns the bytes from one position to another; fewer if the file ends before."""


@dataclass(slots=True)
class Source:
    """One file that can be read piece by piece; `transferred` counts the bytes."""

    name: str
    read: Read
    most: int
    transferred: int = 0

    def parsed(self, parse: Callable[[bytes], T]) -> T:
        """Parse the first bytes; read twice as many each time `parse` needs more."""
        data, target = b"", FIRST_BYTES
        while True:
            target = min(target, self.most)
            piece = self.read(len(data), target)
            self.transferred += len(piece)
            data += piece
            try:
                return parse(data)
            except Incomplete as problem:
                if len(data) < target:
                    raise UserError(
                        f"{self.name}: the file ends inside its head, after {len(data)} bytes",
                        "it is cut off: download it again",
                    ) from problem
                if target >= self.most:
                    raise UserError(
                        f"{self.name}: the head is longer than {self.most // 2**20} MiB",
                        "download the file and name its path",
                    ) from problem
                target = max(2 * target, problem.needed)


def from_path(path: Path) -> ModelShape:
    """Return the shape of a GGUF file, of a safetensors file, or of a folder of them."""
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if path.suffix == ".safetensors":
        return _from_folder(path.parent, only=path)
    parts = _parts(path)
    heads = [_file_source(part).parsed(gguf.parse_head) for part in parts]
    return _of_gguf(path.stem, heads)


def _from_folder(folder: Path, only: Path | None = None) -> ModelShape:
    files = [only] if only else sorted(folder.glob("*.safetensors"))
    ggufs = sorted(folder.glob("*.gguf"))
    if not files and ggufs:
        return from_path(ggufs[0])
    config = folder / "config.json"
    if not files or not config.is_file():
        missing = "no .safetensors or .gguf file" if not files else "no config.json"
        raise UserError(f"{folder}: {missing}", "name the folder of a model")
    tensors = [t for file in files for t in _file_source(file).parsed(safetensors.parse_head)]
    return _of_safetensors(folder.name, _json_object(config.read_bytes(), str(config)), tensors)


def _parts(path: Path) -> list[Path]:
    """Return all files of a model that is split, or its only file."""
    match = _PART.search(path.name)
    if match is None:
        return [path]
    count = int(match[2])
    stem = path.name[: match.start()]
    parts = [
        path.with_name(f"{stem}-{n:05d}-of-{match[2]}.{match[3]}") for n in range(1, count + 1)
    ]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise UserError(f"{path.name} is one of {count} parts; {missing[0]} is missing")
    return parts


def _file_source(path: Path) -> Source:
    def read(start: int, end: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    return Source(name=path.name, read=read, most=MOST_FILE_BYTES)


def from_url(address: str, client: httpx.Client | None = None) -> tuple[ModelShape, int]:
    """Return the shape of the model file at this address, and the bytes transferred.

    At most 32 MiB are requested, by ranges; the connection to a server without ranges is closed
    after that.
    """
    import httpx

    own = client or httpx.Client(
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
        follow_redirects=True,
        max_redirects=MOST_REDIRECTS,
    )
    try:
        return _fetched(address, own)
    except httpx.HTTPError as problem:
        raise FleetUnreachable(
            f"{_host(address)} does not answer: {type(problem).__name__}",
            "check the address, or download the file and name its path",
        ) from problem
    finally:
        if client is None:
            own.close()


def _fetched(address: str, client: httpx.Client) -> tuple[ModelShape, int]:
    name = address.split("?")[0].rsplit("/", 1)[-1]
    source = Source(name=name, read=_ranges(address, client), most=MOST_HTTP_BYTES)
    if name.endswith(".safetensors"):
        tensors = source.parsed(safetensors.parse_head)
        config = client.get(address.split("?")[0].rsplit("/", 1)[0] + "/config.json")
        if config.status_code != 200:
            raise UserError(f"{name}: there is no config.json beside it")
        content = _json_object(config.content, "config.json")
        return _of_safetensors(name, content, tensors), source.transferred
    head = source.parsed(gguf.parse_head)
    match = _PART.search(name)
    if match is not None and int(match[2]) > 1:
        raise UserError(
            f"{name} is one of {int(match[2])} parts", "download them all and name the first"
        )
    return _of_gguf(name.removesuffix(".gguf"), [head]), source.transferred


def _ranges(address: str, client: httpx.Client) -> Read:
    def read(start: int, end: int) -> bytes:
        with client.stream("GET", address, headers={"Range": f"bytes={start}-{end - 1}"}) as reply:
            if reply.status_code == 416:
                return b""
            if reply.status_code not in (200, 206):
                raise UserError(
                    f"{_host(address)} answers {reply.status_code} for {address[-60:]!r}",
                    "check the address; a file that needs a login must be downloaded first",
                )
            skip = start if reply.status_code == 200 else 0
            return _limited(reply.iter_bytes(), skip, end - start)

    return read


def _limited(chunks: Iterable[bytes], skip: int, length: int) -> bytes:
    """Return the bytes after `skip`; stop reading as soon as they are complete."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) >= skip + length:
            break
    return bytes(data[skip : skip + length])


def _host(address: str) -> str:
    """Return the host alone, since an address may hold a token."""
    return address.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1][:80]


def _of_gguf(name: str, heads: Sequence[gguf.GgufHead]) -> ModelShape:
    info = gguf.as_model_info(heads[0])
    tensors = [tensor for head in heads for tensor in head.tensors]
    kind = info.get("general.architecture")
    if kind in ("clip", "mmproj"):
        raise UserError(f"{name}: this file only encodes images", "name the file of the model")
    return from_metadata(name, info, tensors, quantization=_usual_type(tensors))


def _of_safetensors(name: str, config: dict[str, object], tensors: Sequence[Tensor]) -> ModelShape:
    info = config_json.model_info(config)
    kind = _usual_type(tensors)
    return from_metadata(name, info, tensors, form="safetensors", quantization=kind)


def _usual_type(tensors: Iterable[Tensor]) -> str:
    """Return the type that holds most bytes: `Q4_K`, `MXFP4`, `BF16`."""
    sums: dict[str, int] = {}
    for tensor in tensors:
        sums[tensor.type] = sums.get(tensor.type, 0) + (tensor.bytes or 0)
    return max(sums, key=sums.__getitem__, default="")


def _json_object(content: bytes, where: str) -> dict[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"{where}: this is not JSON") from problem
    if not isinstance(value, dict):
        raise UserError(f"{where}: this is not a JSON object")
    return value
