"""Stores whose numbers are invented, for the outputs that the documents show."""

from __future__ import annotations

import datetime
from pathlib import Path

from tests.builders_compare import START, GoldenStore, Row
from tests.builders_energy import Curve, asked, counter, every

STUDIO: Row = {
    "machine": "studio-96",
    "memory_bandwidth_gb_s": 800.0,
    "os_build": "25B78",
}
MAX: Row = {
    "machine": "max-128",
    "machine_id": "machine-max",
    "hardware_id": "hardware-2",
    "chip": "Apple M4 Max",
    "gpu": "Apple M4 Max",
    "gpu_cores": 40,
    "memory_gb": 128,
    "gpu_limit_mb": 110100,
    "memory_bandwidth_gb_s": 546.0,
    "os_build": "25B78",
}
FITS, LARGE = "gpt-oss:120b", "qwen3-coder-next:q8_0"
SPREAD = (0.0, 0.9, -0.7, 0.4, -0.5)
"""Per cent by which the trials of one cell differ."""
SPILLED: Row = {"placement_gpu_bytes": 912}
"""Of 1000 bytes: the rest lies in the memory of the CPU."""


def two_macs(home: Path, *models: str) -> None:
    """Measure decode of these models, all three without names, on 96 and on 128 GB."""
    speeds = {"gpt-oss:20b": (108.0, 107.8), FITS: (69.0, 47.0), LARGE: (34.2, 42.1)}
    store = GoldenStore()
    for model in models or speeds:
        for on, speed in zip((STUDIO, MAX), speeds[model], strict=True):
            spilled = SPILLED if model == LARGE and on is STUDIO else {}
            _cell(store, speed, {"experiment": "memory-96-vs-128", "model": model, **on, **spilled})
    store.write(home / "results")


def two_limits(home: Path) -> None:
    """Measure decode under two wired limits on one Mac, with a control in the same blocks."""
    store = GoldenStore()
    for model, speeds in ((FITS, (69.3, 68.8)), (LARGE, (35.0, 62.0))):
        for limit, speed, mb in zip(("default", "81920"), speeds, (73728, 81920), strict=True):
            spilled = SPILLED if (model, limit) == (LARGE, "default") else {}
            own = {"experiment": "wired-limit", "model": model, **STUDIO, **spilled}
            of_limit = {"wired_limit_mb": limit, "gpu_limit_mb": mb}
            _cell(store, speed, {**own, **of_limit})
            for side in ("a", "b") if limit == "default" else ():
                _cell(store, speed, {**own, **of_limit, "role": "noise", "side": side})
    store.write(home / "results")


def three_boards(home: Path) -> None:
    """Read the energy of two boards, and of a chip that is another part of a machine."""
    store = GoldenStore()
    boards = {"box-4090": (220.0, "gpu_board"), "box-3090": (305.0, "gpu_board")}
    for name, (watts, scope) in {**boards, "studio-96": (120.0, "chip_package")}.items():
        for block, spread in enumerate(SPREAD):
            curve = Curve([0], [watts * (1 + spread / 100)])
            store.trial(
                f"{name}-{block}",
                experiment="joules",
                job="tg513",
                block=block,
                requests=[asked(1, 2, 10)],
                readings=counter(curve, every(0.2, 12), scope),
                machine=name,
                machine_id=name,
                **({} if scope == "chip_package" else BOX),
            )
    store.write(home / "results")


BOX: Row = {
    "chip": "AMD Ryzen 9 7950X",
    "gpu": "NVIDIA GeForce RTX 4090",
    "gpu_cores": None,
    "gpu_limit_mb": None,
    "os": "linux",
    "hardware_id": "hardware-box",
}


def transcript() -> str:
    """Return the three figures that fleet began with, as `ollama run --verbose` prints them."""
    turns = {
        "gpt-oss:20b": (
            ("gold", "1m2.185s", "59.609167ms", (4937, 7.340259833), (2183, 54.776578542)),
            ("L1 and L2", "59.642s", "61.355917ms", (6412, 4.66646625), (2061, 54.906231042)),
        ),
        "gpt-oss:120b": (
            ("L1 and L2", "13m32.356s", "64.004417ms", (84, 69.51778625), (3323, 742.767252458)),
        ),
    }
    lines = []
    for model, of_model in turns.items():
        lines.append(f"studio:~ me$ ollama run --verbose {model}")
        for word, total, load, (prompt, prompt_s), (output, output_s) in of_model:
            lines += [
                f">>> {PROMPTS[word]}",
                "An answer.",
                "",
                f"total duration:       {total}",
                f"load duration:        {load}",
                f"prompt eval count:    {prompt} token(s)",
                f"prompt eval duration: {_duration(prompt_s)}",
                f"prompt eval rate:     {prompt / prompt_s:.2f} tokens/s",
                f"eval count:           {output} token(s)",
                f"eval duration:        {_duration(output_s)}",
                f"eval rate:            {output / output_s:.2f} tokens/s",
            ]
        lines.append(">>> /bye")
    return "\n".join(lines) + "\n"


PROMPTS = {
    "gold": "describe the relativistic effects that result in gold appearing yellowish",
    "L1 and L2": "describe the difference between L1 and L2 regularization - "
    "what are the geometric implications",
}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:.9f}".rstrip("0") + "s"


def _cell(store: GoldenStore, speed: float, columns: Row) -> None:
    """Add the trials of one cell, one in each block; no two cells vary alike."""
    turned = len(store.trials) // len(SPREAD) % len(SPREAD)
    for block, spread in enumerate(SPREAD[turned:] + SPREAD[:turned]):
        store.trial(
            f"{len(store.trials)}",
            decode=speed * (1 + spread / 100),
            job="tg128",
            digest=columns["model"],
            block=block,
            started_at=START + datetime.timedelta(minutes=block),
            **columns,
        )
