"""What was seen of one run, ours or somebody else's; everything may be unknown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.advisor.machines_kind import Box
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import Rate, decode_rate, prefill_rate
from fleet.advisor.work import EngineAge, age_of, muscle_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One run. Rates are tokens per second; None means that nobody looked."""

    shape: ModelShape
    box: Box
    context: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    decode: float | None = None
    prefill: float | None = None
    gpu_percent: float | None = None
    cpu_percent: float | None = None
    memory_used_bytes: float | None = None
    """Of the whole machine."""
    process_bytes: float | None = None
    size_bytes: float | None = None
    gpu_bytes: float | None = None
    """As `/api/ps` gives them: `size` and `size_vram`."""
    swap_in_bytes_s: float | None = None
    memory_pressure: str | None = None
    wired_limit_mib: int | None = None
    """The setting; 0 is the default."""
    flash_attention: bool | None = None
    cache_type: str = "f16"
    slots: int = 1
    engine_kind: str = "ollama"
    engine_version: str = ""
    low_power: bool | None = None
    thermal_class: str | None = None
    residents: tuple[str, ...] = ()
    """Other models in memory."""

    @property
    def age(self) -> EngineAge:
        return age_of(self.engine_kind, self.engine_version)

    @property
    def before_fit(self) -> bool | None:
        """Whether the engine plans by itself, as Ollama did before v0.30; None if unknown."""
        words = self.engine_version.lstrip("v").split(".")
        if self.engine_kind != "ollama":
            return False
        if len(words) < 2 or not words[0].isdigit() or not words[1].isdigit():
            return None
        version = int(words[0]), int(words[1])
        return None if version == (0, 0) else version < (0, 30)

    def depth(self) -> int:
        """Tokens that stand before the middle of the answer."""
        return (self.prompt_tokens or 0) + (self.output_tokens or 0) // 2

    def setup(self) -> Setup:
        """Return the setup in which it ran, as far as it is known."""
        runner = Runner.MLX if self.shape.format == "safetensors" else Runner.LLAMA_SERVER
        current = None if self.before_fit is None else not self.before_fit
        tokens = (self.prompt_tokens or 0) + (self.output_tokens or 0)
        usual = min(self.shape.trained_context or 131072, 131072)
        context = self.context or max(usual, tokens, 256)
        return Setup(
            context=context,
            slots=self.slots,
            cache_type=self.cache_type,
            flash_attention=True if self.flash_attention is None else self.flash_attention,
            runner=runner,
            current=current,
            devices=self.box.devices,
        )

    def expected_decode(self) -> Rate | None:
        muscle = muscle_of(self.box, self.age)
        return decode_rate(self.shape, muscle, self.depth(), self.cache_type)

    def expected_prefill(self) -> Rate | None:
        tokens = (self.prompt_tokens or 0) - (self.cached_tokens or 0)
        if tokens < 1:
            return None
        return prefill_rate(self.shape, muscle_of(self.box, self.age), tokens)


class Sign(StrEnum):
    """A sign that a model did not run on the GPU alone."""

    PARTLY_ON_CPU = "the engine says that a part is on the CPU"
    SLOW_AND_IDLE = "less than 0.4 of the expected rate, and the GPU less than half busy"
    SWAPS = "more than 50 MB/s are swapped in while tokens are written"
    PREFILL_BELOW_DECODE = "the prompt was read more slowly than the answer was written"


NOT_WHOLE = 0.98
FAR_BELOW, HALF_BUSY = 0.4, 50.0
SWAP_BYTES_S = 50e6
SHORT_PROMPT = 50


def signs(seen: Observation) -> tuple[Sign, ...]:
    """Return the signs that this run shows.

    The last one alone proves nothing, since a short prompt pays for the first read of the weights.
    """
    result = []
    placed = seen.size_bytes is not None and seen.gpu_bytes is not None
    if placed and (seen.gpu_bytes or 0) < NOT_WHOLE * (seen.size_bytes or 0):
        result.append(Sign.PARTLY_ON_CPU)
    expected = seen.expected_decode()
    if seen.decode and expected and seen.gpu_percent is not None:
        slow = seen.decode < FAR_BELOW * expected.expected.value
        if slow and seen.gpu_percent < HALF_BUSY:
            result.append(Sign.SLOW_AND_IDLE)
    if seen.swap_in_bytes_s is not None and seen.swap_in_bytes_s > SWAP_BYTES_S:
        result.append(Sign.SWAPS)
    evaluated = (seen.prompt_tokens or 0) - (seen.cached_tokens or 0)
    if seen.prefill and seen.decode and evaluated > SHORT_PROMPT and seen.prefill < seen.decode:
        result.append(Sign.PREFILL_BELOW_DECODE)
    return tuple(result)
