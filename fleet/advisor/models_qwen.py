"""The catalogue's models of the Qwen family, and those distilled into it."""

from __future__ import annotations

from dataclasses import replace

from fleet.advisor.models_entry import Entry, File
from fleet.advisor.models_meta import HF, LIBRARY
from fleet.advisor.shape import Experts

LOGGED = "config.json of the published weights; cache and state as llama.cpp's log prints them"
VL_PROJECTOR = 800_000_000


def _qwen35(
    name: str, dense: tuple[int, int, int], kv: tuple[int, int], parameters: int, value_heads: int
) -> Entry:
    """Return a Qwen 3.5: three layers with a state for each with attention.

    `dense`: layers, width, ff.
    """
    blocks, width, feed_forward = dense
    heads, kv_heads = kv
    return Entry(
        name=name, architecture="qwen35", blocks=blocks, width=width, feed_forward=feed_forward,
        heads=heads, kv_heads=kv_heads, head=256, vocabulary=248320, context=262144,
        parameters=parameters, recurrent_layers=blocks * 3 // 4, inner=value_heads * 128,
        state=128, groups=16, files=(File(name.partition(":")[2], "Q4_K_M"),), source=HF,
        projector_bytes=930_000_000,
    )  # fmt: skip


QWEN25_7B = Entry(
    name="qwen2.5:7b", architecture="qwen2", blocks=28, width=3584, feed_forward=18944, heads=28,
    kv_heads=4, head=128, vocabulary=152064, context=32768, parameters=7615616512,
    files=(File("7b", "Q4_K_M", 4683087332), File("7b-instruct-q8_0", "Q8_0")),
    aliases=("qwen2.5", "qwen2.5-coder:7b", "qwen2.5-coder", "qwen2-7b", "deepseek-r1:7b",
             "qwen2.5-7b", "qwen2:7b", "qwen2.5-coder-7b", "qwen25-7b"),
    source=LIBRARY,
)  # fmt: skip
QWEN3_4B = Entry(
    name="qwen3:4b", architecture="qwen3", blocks=36, width=2560, feed_forward=9728, heads=32,
    kv_heads=8, head=128, vocabulary=151936, context=262144, parameters=4022468096, tied=True,
    files=(File("4b", "Q4_K_M", 2497293931), File("4b-q8_0", "Q8_0")),
    aliases=("qwen3-4b",), source=LIBRARY,
)  # fmt: skip
QWEN3_8B = Entry(
    name="qwen3:8b", architecture="qwen3", blocks=36, width=4096, feed_forward=12288, heads=32,
    kv_heads=8, head=128, vocabulary=151936, context=40960, parameters=8190735360,
    files=(File("8b", "Q4_K_M", 5225388164), File("8b-q8_0", "Q8_0"), File("8b-fp16", "F16")),
    aliases=("qwen3", "deepseek-r1:8b", "deepseek-r1", "qwen3-8b"), source=LIBRARY,
)  # fmt: skip
QWEN3_30B = Entry(
    name="qwen3:30b", architecture="qwen3moe", blocks=48, width=2048, feed_forward=0, heads=32,
    kv_heads=4, head=128, vocabulary=151936, context=262144, parameters=30532122624,
    experts=Experts(count=128, used=8, width=768),
    files=(File("30b", "Q4_K_M", 18556700761), File("30b-a3b-q8_0", "Q8_0")),
    aliases=("qwen3:30b-a3b", "qwen3-coder:30b", "qwen3-coder", "qwen3-30b-a3b"), source=LIBRARY,
)  # fmt: skip
QWEN35_27B = replace(
    _qwen35("qwen3.6:27b", (64, 5120, 17408), (24, 4), 26_896_000_000, 48),
    aliases=("qwen3.6", "qwen3.5:27b", "qwen3.5-27b", "qwen3.6-27b"), source=LOGGED,
    files=(
        File("27b", "Q4_K_M"), File("27b-q8_0", "Q8_0"), File("27b-mlx", "nvfp4"),
        File("27b-nvfp4", "nvfp4"), File("27b-mxfp8", "mxfp8"), File("27b-bf16", "bfloat16"),
    ),
)  # fmt: skip

QWEN: tuple[Entry, ...] = (
    Entry(
        name="qwen2.5:0.5b", architecture="qwen2", blocks=24, width=896, feed_forward=4864,
        heads=14, kv_heads=2, head=64, vocabulary=151936, context=32768, parameters=494032768,
        tied=True, files=(File("0.5b", "Q4_K_M"),), aliases=("qwen2.5-coder:0.5b",), source=HF,
    ),
    Entry(
        name="qwen2.5:1.5b", architecture="qwen2", blocks=28, width=1536, feed_forward=8960,
        heads=12, kv_heads=2, head=128, vocabulary=151936, context=32768, parameters=1543714304,
        tied=True, files=(File("1.5b", "Q4_K_M"),), source=HF,
        aliases=("qwen2.5-coder:1.5b", "deepseek-r1:1.5b", "qwen2.5-1.5b"),
    ),
    Entry(
        name="qwen2.5:3b", architecture="qwen2", blocks=36, width=2048, feed_forward=11008,
        heads=16, kv_heads=2, head=128, vocabulary=151936, context=32768, parameters=3085938688,
        tied=True, files=(File("3b", "Q4_K_M", 1929903584),), source=LIBRARY,
        aliases=("qwen2.5-coder:3b", "qwen2.5-coder:3b-base", "qwen2.5-3b"),
    ),
    QWEN25_7B,
    replace(
        QWEN25_7B, name="qwen2.5vl:7b", aliases=("qwen2.5vl",), context=128000,
        files=(File("7b", "Q4_K_M", 5969245856),), projector_bytes=1_286_000_000,
    ),
    Entry(
        name="qwen2.5:14b", architecture="qwen2", blocks=48, width=5120, feed_forward=13824,
        heads=40, kv_heads=8, head=128, vocabulary=152064, context=32768, parameters=14770033664,
        files=(File("14b", "Q4_K_M", 8988124069),), source=LIBRARY,
        aliases=("qwen2.5-coder:14b", "deepseek-r1:14b", "qwen2.5-14b"),
    ),
    Entry(
        name="qwen2.5:32b", architecture="qwen2", blocks=64, width=5120, feed_forward=27648,
        heads=40, kv_heads=8, head=128, vocabulary=152064, context=32768, parameters=32763876352,
        files=(File("32b", "Q4_K_M", 19_851_349_664),), source=LIBRARY,
        aliases=("qwen2.5-coder:32b", "deepseek-r1:32b", "qwq:32b", "qwq", "qwen2.5-32b"),
    ),
    Entry(
        name="qwen2.5:72b", architecture="qwen2", blocks=80, width=8192, feed_forward=29568,
        heads=64, kv_heads=8, head=128, vocabulary=152064, context=32768, parameters=72706203648,
        files=(File("72b", "Q4_K_M"),), source=HF, aliases=("qwen2.5-72b",),
    ),
    Entry(
        name="qwen3:0.6b", architecture="qwen3", blocks=28, width=1024, feed_forward=3072,
        heads=16, kv_heads=8, head=128, vocabulary=151936, context=40960, parameters=596049920,
        tied=True, files=(File("0.6b", "Q4_K_M"),), source=HF, aliases=("qwen3-0.6b",),
    ),
    Entry(
        name="qwen3:1.7b", architecture="qwen3", blocks=28, width=2048, feed_forward=6144,
        heads=16, kv_heads=8, head=128, vocabulary=151936, context=40960, parameters=1720574976,
        tied=True, files=(File("1.7b", "Q4_K_M"),), source=HF, aliases=("qwen3-1.7b",),
    ),
    QWEN3_4B,
    replace(
        QWEN3_4B, name="qwen3-vl:4b", aliases=(), files=(File("4b", "Q4_K_M", 3_295_000_000),),
        projector_bytes=VL_PROJECTOR,
    ),
    QWEN3_8B,
    replace(
        QWEN3_8B, name="qwen3-vl:8b", aliases=("qwen3-vl",), context=262144,
        files=(File("8b", "Q4_K_M", 6_140_000_000),), projector_bytes=900_000_000,
    ),
    Entry(
        name="qwen3:14b", architecture="qwen3", blocks=40, width=5120, feed_forward=17408,
        heads=40, kv_heads=8, head=128, vocabulary=151936, context=40960, parameters=14768307200,
        files=(File("14b", "Q4_K_M", 9276198565), File("14b-q8_0", "Q8_0")), source=LIBRARY,
        aliases=("qwen3-14b",),
    ),
    Entry(
        name="qwen3:32b", architecture="qwen3", blocks=64, width=5120, feed_forward=25600,
        heads=64, kv_heads=8, head=128, vocabulary=151936, context=40960, parameters=32762123264,
        files=(File("32b", "Q4_K_M", 20201253829), File("32b-q8_0", "Q8_0")), source=LIBRARY,
        aliases=("qwen3-32b", "qwen3-vl:32b"),
    ),
    QWEN3_30B,
    replace(
        QWEN3_30B, name="qwen3-vl:30b", aliases=(), files=(File("30b", "Q4_K_M", 19_600_000_000),),
        projector_bytes=1_050_000_000,
    ),
    Entry(
        name="qwen3:235b", architecture="qwen3moe", blocks=94, width=4096, feed_forward=0,
        heads=64, kv_heads=4, head=128, vocabulary=151936, context=262144,
        parameters=235093634560, experts=Experts(count=128, used=8, width=1536),
        files=(File("235b", "Q4_K_M"),), source=HF, aliases=("qwen3:235b-a22b",),
    ),
    Entry(
        name="qwen3-coder:480b", architecture="qwen3moe", blocks=62, width=6144, feed_forward=0,
        heads=96, kv_heads=8, head=128, vocabulary=151936, context=262144,
        parameters=480154875392, experts=Experts(count=160, used=8, width=2560),
        files=(File("480b", "Q4_K_M"),), source=HF,
    ),
    Entry(
        name="qwen3-next:80b", architecture="qwen3next", blocks=48, width=2048, feed_forward=512,
        heads=16, kv_heads=2, head=256, vocabulary=151936, context=262144, parameters=79674391296,
        experts=Experts(count=512, used=10, width=512), recurrent_layers=36, inner=4096,
        state=128, groups=16, files=(File("80b", "Q4_K_M"), File("80b-iq3_xxs", "Q2_K")),
        aliases=("qwen3-coder-next", "qwen3-next", "qwen3-next-80b-a3b"), source=HF,
    ),
    replace(
        _qwen35("qwen3.5:0.8b", (24, 1024, 3584), (8, 2), 752_000_000, 16), tied=True,
        confidence="likely", projector_bytes=200_000_000,
    ),
    replace(
        _qwen35("qwen3.5:2b", (24, 2048, 6144), (8, 2), 1_880_000_000, 16), tied=True,
        confidence="likely", projector_bytes=660_000_000,
    ),
    replace(
        _qwen35("qwen3.5:4b", (32, 2560, 9216), (16, 4), 4_210_000_000, 32), tied=True,
        confidence="likely", projector_bytes=670_000_000,
    ),
    replace(
        _qwen35("qwen3.5:9b", (32, 4096, 12288), (16, 4), 8_950_000_000, 32),
        aliases=("qwen3.5", "qwen3.5-9b"), confidence="likely",
    ),
    QWEN35_27B,
    replace(
        QWEN35_27B, name="qwen3.8:27b", aliases=("qwen3.8",), confidence="likely",
        source="taken to have the shape of Qwen 3.6 27B, whose size and speed it has",
    ),
    Entry(
        name="qwen3.6:35b", architecture="qwen35moe", blocks=40, width=2048, feed_forward=512,
        heads=16, kv_heads=2, head=256, vocabulary=248320, context=262144, parameters=34660610688,
        experts=Experts(count=256, used=8, width=512), recurrent_layers=30, inner=4096, state=128,
        groups=16, projector_bytes=900_000_000, source=LOGGED,
        files=(
            File("35b", "Q4_K_M"), File("35b-a3b-q8_0", "Q8_0"), File("35b-a3b-mlx", "nvfp4"),
            File("35b-a3b-nvfp4", "nvfp4"), File("35b-a3b-mxfp8", "mxfp8"),
        ),
        aliases=("qwen3.6:35b-a3b", "qwen3.5:35b", "qwen3.5:35b-a3b", "qwen3.6-35b-a3b",
                 "qwen3.5-35b-a3b"),
    ),
    Entry(
        name="qwen3.5:122b", architecture="qwen35moe", blocks=48, width=3072, feed_forward=1024,
        heads=32, kv_heads=2, head=256, vocabulary=248320, context=262144,
        parameters=122_110_000_000, experts=Experts(count=256, used=8, width=1024),
        recurrent_layers=36, inner=8192, state=128, groups=16, files=(File("122b", "Q4_K_M"),),
        aliases=("qwen3.5:122b-a10b", "qwen3.5-122b-a10b"), source=HF, projector_bytes=920_000_000,
    ),
    Entry(
        name="qwen3.5:397b", architecture="qwen35moe", blocks=60, width=4096, feed_forward=1024,
        heads=32, kv_heads=2, head=256, vocabulary=248320, context=262144,
        parameters=396_350_000_000, experts=Experts(count=512, used=10, width=1024),
        recurrent_layers=45, inner=8192, state=128, groups=16, files=(File("397b", "Q4_K_M"),),
        aliases=("qwen3.5:397b-a17b",), source=HF, confidence="likely",
        projector_bytes=920_000_000,
    ),
)  # fmt: skip
