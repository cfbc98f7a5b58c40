"""Measured rows in the words of the advisor: each row with what the advisor predicts for it."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.advisor import models
from fleet.advisor.kv import bytes_at, state_traffic
from fleet.advisor.machines_kind import SpeedClass
from fleet.advisor.metadata import from_show
from fleet.advisor.shape import ModelShape
from fleet.advisor.work import (
    DecodeWork,
    Muscle,
    PrefillWork,
    age_of,
    attention_flops,
    is_bf16,
    is_k_quant,
)
from fleet.errors import FleetError

Row = Mapping[str, str]
UNKNOWN_EXPERTS_USED = 8
UNKNOWN_GROUP = 4
"""Query heads for each key head, where the shape of a model is unknown."""

SUFFIX = re.compile(r"-(q8|q8_0|q4|q4_k_m|f16|bf16|ollama|ggml)$")
"""What names of rows add to the name of a model."""


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one file; none where the folder has no such file."""
    path = folder / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(row: Row, column: str) -> float | None:
    """The number of a column, or None where it is empty or none."""
    try:
        value = float(row.get(column) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class Shapes:
    """Shapes by the names of the rows: from the folder's own fixtures, else the catalogue's."""

    def __init__(self, folder: Path) -> None:
        self._fixtures: dict[str, ModelShape] = {}
        self._memo: dict[tuple[str, ...], ModelShape | None] = {}
        self._letters = {_letters(name): entry for name, entry in models.names().items()}
        path = folder / "model_info_fixtures.json"
        if path.is_file():
            for model in json.loads(path.read_text()).get("models", []):
                name = str(model.get("model"))
                try:
                    self._fixtures[name.lower()] = from_show(name, model, model.get("file_bytes"))
                except FleetError:
                    continue

    def find(self, *names: str, quantization: str = "") -> ModelShape | None:
        """The shape of the first name that is known, in this quantization."""
        key = (*names, quantization)
        if key not in self._memo:
            self._memo[key] = self._find(names, quantization)
        return self._memo[key]

    def _find(self, names: tuple[str, ...], quantization: str) -> ModelShape | None:
        for name in filter(None, names):
            plain = models.plain_name(name)
            entry = models.names().get(plain) or self._loosely(plain)
            if entry is not None and quantization:
                return _in_quantization(entry[0], quantization)
            shape = self._fixtures.get(plain) if entry is None else entry[0].shape(entry[1])
            if shape is not None:
                return shape
        return None

    def _loosely(self, name: str) -> tuple[models.Entry, str] | None:
        """`llama31-8b` and `gptoss20-q8` for `llama3.1:8b` and `gpt-oss:20b`."""
        letters = _letters(SUFFIX.sub("", name))
        return self._letters.get(letters) or self._letters.get(f"{letters}b")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _in_quantization(entry: models.Entry, quantization: str) -> ModelShape:
    """The file of this quantization, or its recipe; `Q4_K_M` of a gpt-oss is what it ships in."""
    sizes = {file.quantization: file.bytes for file in entry.files}
    if quantization in sizes:
        return entry.quantized(quantization, sizes[quantization])
    if entry.architecture == "gpt-oss":
        return entry.shape()
    return entry.quantized(quantization)


@dataclass(frozen=True)
class Speed:
    """One measured rate; `seconds` is the time of one token, or of the whole prompt."""

    row: Row
    work: DecodeWork | PrefillWork
    muscle: Muscle
    seconds: float

    @property
    def family(self) -> str:
        """The class by which goals are set: metal, cuda or others."""
        return self.muscle.speed_class.value


def speeds(folder: Path, metric: str, shapes: Shapes) -> Iterator[Speed]:
    """The rows of one metric that ran on the GPU alone and say enough."""
    for row in rows(folder, "speed_ground_truth.csv"):
        rate = number(row, "tokens_per_second")
        if row["metric"] != metric or row["fits"] == "0" or not rate:
            continue
        muscle = _muscle(row)
        if muscle is None:
            continue
        shape = shapes.find(row["model_key"], row["model"])
        if metric == "decode":
            work = _decode(row, shape)
            if work is not None:
                yield Speed(row, work, muscle, 1 / rate)
        else:
            prompt = _prefill(row, shape)
            if prompt is not None:
                yield Speed(row, prompt, muscle, prompt.tokens / rate)


def _muscle(row: Row) -> Muscle | None:
    bandwidth, flops = number(row, "bandwidth_GBps"), number(row, "tflops_half")
    if row["backend"] not in set(SpeedClass) or not bandwidth or not flops:
        return None
    return Muscle(
        speed_class=SpeedClass(row["backend"]),
        bandwidth=bandwidth * 1e9,
        flops=flops * 1e12,
        devices=int(number(row, "n_devices") or 1),
        age=age_of(row["engine"], row["engine_version"]),
    )


def _experts_used(row: Row, shape: ModelShape | None) -> int:
    if row["is_moe"] != "1":
        return 0
    if shape is not None and shape.experts is not None and shape.experts.used:
        return shape.experts.used
    return UNKNOWN_EXPERTS_USED


def _decode(row: Row, shape: ModelShape | None) -> DecodeWork | None:
    weights, layers = number(row, "active_bytes_per_token"), number(row, "n_layers")
    parameters = number(row, "params_active")
    if not weights or not layers or not parameters:
        return None
    depth = int(number(row, "depth") or 0)
    cache = number(row, "kv_bytes_at_depth") or 0.0
    if shape is not None:
        cache = (cache or bytes_at(shape, depth)) + state_traffic(shape)
    return DecodeWork(
        weight_bytes=weights,
        cache_bytes=cache,
        parameters=parameters,
        layers=int(layers),
        experts_used=_experts_used(row, shape),
        latent=bool(shape and shape.has("latent")),
        k_quants=is_k_quant(row["quant"]),
        bf16=is_bf16(row["quant"]),
    )


def _prefill(row: Row, shape: ModelShape | None) -> PrefillWork | None:
    parameters, layers = number(row, "params_active"), number(row, "n_layers")
    tokens = int(number(row, "n_prompt") or 0)
    if not parameters or not layers or not tokens:
        return None
    depth = int(number(row, "depth") or 0)
    batch = min(int(number(row, "n_ubatch") or 512), tokens)
    cache = (number(row, "kv_bytes_at_depth") or 0.0) * (depth + tokens / 2) / max(depth, 1)
    flops = UNKNOWN_GROUP * tokens * cache
    if shape is not None:
        cache = bytes_at(shape, depth + tokens // 2)
        flops = attention_flops(shape, tokens, depth)
    return PrefillWork(
        tokens=tokens,
        batch=batch,
        parameters=parameters,
        attention_flops=flops,
        touched_bytes=_touched(row, shape, batch),
        cache_bytes=cache,
        layers=int(layers),
        experts_used=_experts_used(row, shape),
        k_quants=is_k_quant(row["quant"]),
        bf16=is_bf16(row["quant"]),
    )


def _touched(row: Row, shape: ModelShape | None, batch: int) -> float:
    """Bytes that one batch reads: the row's own bytes, its experts by the share that is used."""
    active = number(row, "active_bytes_per_token") or 0.0
    whole = number(row, "file_bytes") or active
    if row["is_moe"] != "1":
        return active
    share = (number(row, "params_active") or 1) / (number(row, "params_total") or 1)
    if shape is not None and shape.experts is not None and shape.experts.share:
        share = shape.experts.share
    experts = max(whole - active, 0) / (1 - share) if share < 1 else 0.0
    return whole - experts + experts * float(1 - (1 - share) ** batch)
