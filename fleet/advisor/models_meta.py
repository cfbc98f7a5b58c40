"""The catalogue's models of Meta, Microsoft, IBM, and others of the plain Llama kind."""

from __future__ import annotations

from dataclasses import replace

from fleet.advisor.models_entry import Entry, File
from fleet.advisor.shape import Experts

HF = "config.json of the published weights"
LIBRARY = "config.json of the published weights; size of the file in the Ollama library"

LLAMA_31_8B = Entry(
    name="llama3.1:8b", architecture="llama", blocks=32, width=4096, feed_forward=14336,
    heads=32, kv_heads=8, head=128, vocabulary=128256, context=131072, parameters=8030261248,
    files=(
        File("8b", "Q4_K_M", 4920753328),
        File("8b-instruct-q8_0", "Q8_0"),
        File("8b-instruct-fp16", "F16"),
    ),
    aliases=("llama3.1", "dolphin3:8b", "hermes3:8b"), source=LIBRARY,
)  # fmt: skip
LLAMA_70B = Entry(
    name="llama3.3:70b", architecture="llama", blocks=80, width=8192, feed_forward=28672,
    heads=64, kv_heads=8, head=128, vocabulary=128256, context=131072, parameters=70553706496,
    files=(
        File("70b", "Q4_K_M", 42520413916),
        File("70b-instruct-q8_0", "Q8_0"),
        File("70b-instruct-fp16", "F16"),
    ),
    aliases=("llama3.3", "llama3.1:70b", "deepseek-r1:70b", "llama-3.3-70b"), source=LIBRARY,
)  # fmt: skip
LLAMA2_7B = Entry(
    name="llama2:7b", architecture="llama", blocks=32, width=4096, feed_forward=11008,
    heads=32, kv_heads=32, head=128, vocabulary=32000, context=4096, parameters=6738415616,
    files=(File("7b", "Q4_0", 3826793677), File("7b-chat-q8_0", "Q8_0")),
    aliases=("llama2", "llama2-7b", "llama-2-7b", "llama-7b"), source=LIBRARY,
)  # fmt: skip

META: tuple[Entry, ...] = (
    LLAMA_31_8B,
    replace(
        LLAMA_31_8B, name="llama3:8b", aliases=("llama3", "llama3-8b"), context=8192,
        files=(File("8b", "Q4_0", 4661224676), File("8b-q4_K_M", "Q4_K_M", 4920733824)),
    ),
    LLAMA_70B,
    replace(
        LLAMA_70B, name="llama3:70b", aliases=("llama3-70b",), context=8192,
        files=(File("70b", "Q4_0"), File("70b-q4_K_M", "Q4_K_M", 42520394752)),
    ),
    Entry(
        name="llama3.1:405b", architecture="llama", blocks=126, width=16384, feed_forward=53248,
        heads=128, kv_heads=8, head=128, vocabulary=128256, context=131072,
        parameters=405853388800, files=(File("405b", "Q4_K_M", 243_100_000_000),), source=LIBRARY,
        aliases=("llama3.1-405b",),
    ),
    Entry(
        name="llama3.2:3b", architecture="llama", blocks=28, width=3072, feed_forward=8192,
        heads=24, kv_heads=8, head=128, vocabulary=128256, context=131072, parameters=3212749888,
        tied=True, files=(File("3b", "Q4_K_M", 2019393189), File("3b-instruct-q8_0", "Q8_0")),
        aliases=("llama3.2", "llama3.2-3b"), source=LIBRARY,
    ),
    Entry(
        name="llama3.2:1b", architecture="llama", blocks=16, width=2048, feed_forward=8192,
        heads=32, kv_heads=8, head=64, vocabulary=128256, context=131072, parameters=1235814432,
        tied=True, files=(File("1b", "Q8_0", 1321098329), File("1b-instruct-q4_K_M", "Q4_K_M")),
        aliases=("llama3.2-1b",), source=LIBRARY,
    ),
    Entry(
        name="llama4:scout", architecture="llama4", blocks=48, width=5120, feed_forward=8192,
        heads=40, kv_heads=8, head=128, vocabulary=202048, context=10485760,
        parameters=107_770_000_000, experts=Experts(count=16, used=1, width=8192),
        files=(File("scout", "Q4_K_M"),), aliases=("llama4", "llama4:16x17b"), source=HF,
        confidence="likely", projector_bytes=1_750_000_000,
    ),
    LLAMA2_7B,
    Entry(
        name="llama2:13b", architecture="llama", blocks=40, width=5120, feed_forward=13824,
        heads=40, kv_heads=40, head=128, vocabulary=32000, context=4096, parameters=13015864320,
        files=(File("13b", "Q4_0", 7_365_834_624), File("13b-f16", "F16")), source=LIBRARY,
        aliases=("llama2-13b", "llama-13b", "llama:13b"),
    ),
    Entry(
        name="llama2:70b", architecture="llama", blocks=80, width=8192, feed_forward=28672,
        heads=64, kv_heads=8, head=128, vocabulary=32000, context=4096, parameters=68976648192,
        files=(File("70b", "Q4_0"), File("70b-f16", "F16")), source=HF, aliases=("llama2-70b",),
    ),
    Entry(
        name="llama:65b", architecture="llama", blocks=80, width=8192, feed_forward=22016,
        heads=64, kv_heads=64, head=128, vocabulary=32000, context=2048, parameters=65285660672,
        files=(File("65b", "Q4_0"), File("65b-f16", "F16")), source=HF, aliases=("llama-65b",),
    ),
    Entry(
        name="llama:30b", architecture="llama", blocks=60, width=6656, feed_forward=17920,
        heads=52, kv_heads=52, head=128, vocabulary=32000, context=2048, parameters=32528943616,
        files=(File("30b", "Q4_0"), File("30b-f16", "F16")), source=HF, aliases=("llama-30b",),
    ),
    Entry(
        name="tinyllama:1.1b", architecture="llama", blocks=22, width=2048, feed_forward=5632,
        heads=32, kv_heads=4, head=64, vocabulary=32000, context=2048, parameters=1100048384,
        files=(File("1.1b", "Q4_0", 637699456), File("1.1b-q4_K_M", "Q4_K_M")), source=LIBRARY,
        aliases=("tinyllama", "tinyllama-1.1b"),
    ),
    Entry(
        name="phi4:14b", architecture="phi3", blocks=40, width=5120, feed_forward=17920, heads=40,
        kv_heads=10, head=128, vocabulary=100352, context=16384, parameters=14659507200,
        files=(File("14b", "Q4_K_M", 9053116391), File("14b-q8_0", "Q8_0")),
        aliases=("phi4", "phi4-reasoning:14b", "phi4-14b"), source=LIBRARY,
    ),
    Entry(
        name="phi4-mini:3.8b", architecture="phi3", blocks=32, width=3072, feed_forward=8192,
        heads=24, kv_heads=8, head=128, vocabulary=200064, context=131072, parameters=3836021760,
        tied=True, files=(File("3.8b", "Q4_K_M"),), aliases=("phi4-mini",), source=HF,
    ),
    Entry(
        name="phi3:3.8b", architecture="phi3", blocks=32, width=3072, feed_forward=8192, heads=32,
        kv_heads=32, head=96, vocabulary=32064, context=131072, parameters=3821079552,
        files=(File("3.8b", "Q4_0"),), aliases=("phi3", "phi3:mini"), source=HF,
    ),
    Entry(
        name="granite3.3:8b", architecture="granite", blocks=40, width=4096, feed_forward=12800,
        heads=32, kv_heads=8, head=128, vocabulary=49159, context=131072, parameters=8170848256,
        tied=True, files=(File("8b", "Q4_K_M"),), aliases=("granite3.3",), source=HF,
    ),
    Entry(
        name="granite3.3:2b", architecture="granite", blocks=40, width=2048, feed_forward=8192,
        heads=32, kv_heads=8, head=64, vocabulary=49159, context=131072, parameters=2533531648,
        tied=True, files=(File("2b", "Q4_K_M"),), source=HF,
    ),
    Entry(
        name="smollm2:1.7b", architecture="llama", blocks=24, width=2048, feed_forward=8192,
        heads=32, kv_heads=32, head=64, vocabulary=49152, context=8192, parameters=1711376384,
        tied=True, files=(File("1.7b", "Q8_0"),), aliases=("smollm2",), source=HF,
    ),
    Entry(
        name="olmo-3:7b", architecture="olmo3", blocks=32, width=4096, feed_forward=11008,
        heads=32, kv_heads=32, head=128, vocabulary=100278, context=65536, parameters=7298011136,
        files=(File("7b", "Q4_K_M"),), source=HF, confidence="likely",
    ),
    Entry(
        name="olmo-3:32b", architecture="olmo3", blocks=64, width=5120, feed_forward=27648,
        heads=40, kv_heads=8, head=128, vocabulary=100278, context=65536, parameters=32234279936,
        files=(File("32b", "Q4_K_M"),), source=HF, confidence="likely",
    ),
)  # fmt: skip
