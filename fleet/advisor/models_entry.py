"""One row of the shipped catalogue of models, and the shape that follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from fleet.advisor.amounts import Certainty
from fleet.advisor.architectures import WINDOWS, plain, state_bytes
from fleet.advisor.recipes import HEAD_BYTES, Parts, scaled_to_file, weights_of
from fleet.advisor.shape import Experts, Latent, Layers, ModelShape, WeightFormat, Weights

MLX_FORMATS = ("nvfp4", "mxfp8", "mxfp4", "int4", "int8", "bfloat16")
LIKELY_ERROR = 0.05


@dataclass(frozen=True, slots=True)
class File:
    """One tag of a model with the size of its file, where that is known."""

    tag: str
    quantization: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model as published; sizes are those of its configuration.

    `files` begins with the tag that is pulled by default. `source` says where the figures come
    from; `confidence` is `certain` where the configuration, the number of parameters and the
    size of a file agree, else `likely`.
    """

    name: str
    architecture: str
    blocks: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    context: int
    parameters: int
    files: tuple[File, ...]
    source: str
    aliases: tuple[str, ...] = ()
    confidence: Literal["certain", "likely"] = "certain"
    tied: bool = False
    window: int = 0
    """0: the usual window of the architecture, if it has any."""
    full_kv_heads: int = 0
    full_head: int = 0
    """Of the layers that see every token, where they differ from the windowed ones."""
    attention_layers: int = 0
    """Layers that have a cache, where not all of them have one."""
    experts: Experts | None = None
    expert_layers: int = 0
    expert_matrices: int = 3
    expert_parameters: int = 0
    latent: Latent | None = None
    recurrent_layers: int = 0
    conv_kernel: int = 4
    inner: int = 0
    state: int = 0
    groups: int = 0
    layer_table: int = 0
    """Parameters of tables that stay with the CPU beside the token table."""
    projector_bytes: int = 0
    head_bytes: int = HEAD_BYTES
    """The metadata in front of the weights."""

    def shape(self, tag: str = "") -> ModelShape:
        """Return the shape of one tag; the default one where none is named."""
        file = next((f for f in self.files if f.tag == tag), self.files[0])
        return self.quantized(file.quantization, file.bytes, name=self.name)

    def quantized(
        self, quantization: str, file_bytes: int | None = None, name: str = ""
    ) -> ModelShape:
        form: WeightFormat = "safetensors" if quantization in MLX_FORMATS else "gguf"
        certain = self.confidence == "certain"
        return ModelShape(
            name=name or self.name,
            architecture=plain(self.architecture),
            format=form,
            blocks=self.blocks,
            width=self.width,
            feed_forward=self.feed_forward,
            heads=self.heads,
            attention_width=self.heads * self.head,
            vocabulary=self.vocabulary,
            trained_context=self.context,
            layers=tuple(self._layers()),
            weights=self._weights(quantization, file_bytes),
            experts=self.experts,
            latent=self.latent,
            quantization=quantization,
            certainty=Certainty.REPORTED,
            notes=() if certain else ("the catalogue is not certain of this model's shape",),
        )

    def _layers(self) -> Iterator[Layers]:
        if self.recurrent_layers:
            size = state_bytes(
                conv_kernel=self.conv_kernel, inner=self.inner, state=self.state, groups=self.groups
            )
            yield Layers(kind="recurrent", count=self.recurrent_layers, state_bytes=size)
        if self.latent is not None:
            row, rank = self.latent.kv_rank + self.latent.rope, self.latent.kv_rank
            yield Layers(
                kind="latent", count=self.blocks, kv_heads=1, key_size=row, value_size=rank
            )
            return
        cached = self.attention_layers or self.blocks - self.recurrent_layers
        rule = WINDOWS.get(plain(self.architecture))
        window = self.window or (rule.default_window if rule else 0)
        kinds = Counter(
            "full" if rule is None or not window or rule.is_full(number) else "windowed"
            for number in range(cached)
        )
        plain_layer = Layers(
            kind="windowed",
            count=kinds["windowed"],
            kv_heads=self.kv_heads,
            key_size=self.head,
            value_size=self.head,
            window=window,
        )
        if kinds["windowed"]:
            yield plain_layer
        if kinds["full"]:
            yield replace(
                plain_layer,
                kind="full",
                count=kinds["full"],
                kv_heads=self.full_kv_heads or self.kv_heads,
                key_size=self.full_head or self.head,
                value_size=self.full_head or self.head,
                window=0,
            )

    def _weights(self, quantization: str, file_bytes: int | None) -> Weights:
        table = self.vocabulary * self.width
        parts = Parts(
            total=self.parameters,
            table=table,
            layer_table=self.layer_table,
            output=0 if self.tied else table,
            experts=self.expert_parameters or self._expert_parameters(),
        )
        weights = weights_of(parts, quantization, tied=self.tied)
        weights = replace(weights, projector_bytes=self.projector_bytes)
        if self.confidence == "likely":
            weights = replace(weights, error=max(weights.error, LIKELY_ERROR))
        if file_bytes is None:
            return weights
        return scaled_to_file(weights, file_bytes, self.projector_bytes, self.head_bytes)

    def _expert_parameters(self) -> int:
        if self.experts is None:
            return 0
        each = self.expert_matrices * self.width * self.experts.width
        return self.experts.count * each * (self.expert_layers or self.blocks)
