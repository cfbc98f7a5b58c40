"""The catalogue's models of Google, OpenAI, Mistral, DeepSeek, Zhipu, NVIDIA and others."""

from __future__ import annotations

from dataclasses import replace

from fleet.advisor.models_entry import Entry, File
from fleet.advisor.models_meta import HF, LIBRARY
from fleet.advisor.shape import Experts, Latent

PIXTRAL_BYTES = 844_000_000
"""The picture reader of Mistral Small 3.1 and newer: 0.42 G parameters in F16."""
SIGLIP_BYTES = 842_000_000
"""The picture reader of Gemma 3: 0.42 G parameters in F16."""

GOOGLE: tuple[Entry, ...] = (
    Entry(
        name="gemma2:2b", architecture="gemma2", blocks=26, width=2304, feed_forward=9216,
        heads=8, kv_heads=4, head=256, vocabulary=256000, context=8192, parameters=2614341888,
        tied=True, files=(File("2b", "Q4_0", 1629518495),), aliases=("gemma2-2b",), source=LIBRARY,
    ),
    Entry(
        name="gemma2:9b", architecture="gemma2", blocks=42, width=3584, feed_forward=14336,
        heads=16, kv_heads=8, head=256, vocabulary=256000, context=8192, parameters=9241705984,
        tied=True, files=(File("9b", "Q4_0"),), aliases=("gemma2",), source=HF,
    ),
    Entry(
        name="gemma2:27b", architecture="gemma2", blocks=46, width=4608, feed_forward=36864,
        heads=32, kv_heads=16, head=128, vocabulary=256000, context=8192, parameters=27227128320,
        tied=True, files=(File("27b", "Q4_0"),), source=HF,
    ),
    Entry(
        name="gemma3:1b", architecture="gemma3", blocks=26, width=1152, feed_forward=6912,
        heads=4, kv_heads=1, head=256, vocabulary=262144, context=32768, parameters=999885952,
        tied=True, window=512, files=(File("1b", "Q4_K_M"),), aliases=("gemma3-1b",), source=HF,
    ),
    Entry(
        name="gemma3:4b", architecture="gemma3", blocks=34, width=2560, feed_forward=10240,
        heads=8, kv_heads=4, head=256, vocabulary=262144, context=131072, parameters=3880099328,
        tied=True, projector_bytes=SIGLIP_BYTES, aliases=("gemma3", "gemma3-4b"), source=LIBRARY,
        files=(File("4b", "Q4_K_M", 3338801804), File("4b-it-qat", "Q4_0")),
    ),
    Entry(
        name="gemma3:12b", architecture="gemma3", blocks=48, width=3840, feed_forward=15360,
        heads=16, kv_heads=8, head=256, vocabulary=262144, context=131072, parameters=11765788416,
        tied=True, projector_bytes=SIGLIP_BYTES, aliases=("gemma3-12b",), source=LIBRARY,
        files=(File("12b", "Q4_K_M", 8149190253), File("12b-it-q8_0", "Q8_0")),
    ),
    Entry(
        name="gemma3:27b", architecture="gemma3", blocks=62, width=5376, feed_forward=21504,
        heads=32, kv_heads=16, head=128, vocabulary=262144, context=131072,
        parameters=27009002240, tied=True, projector_bytes=SIGLIP_BYTES, aliases=("gemma3-27b",),
        files=(File("27b", "Q4_K_M", 17396936941), File("27b-it-q8_0", "Q8_0")), source=LIBRARY,
    ),
    Entry(
        name="gemma4:26b", architecture="gemma4", blocks=30, width=2816, feed_forward=2112,
        heads=16, kv_heads=8, head=256, full_kv_heads=2, full_head=512, vocabulary=262144,
        context=262144, parameters=25_230_000_000, tied=True,
        experts=Experts(count=128, used=8, width=704), projector_bytes=1_190_000_000,
        files=(File("26b", "Q4_K_M"), File("26b-a4b-it-q8_0", "Q8_0"), File("26b-mlx", "nvfp4")),
        aliases=("gemma4", "gemma4:26b-a4b", "gemma4:26b-a4b-it-q4_K_M", "gemma4-26b-a4b"),
        source="config.json of the published weights; cache as llama.cpp allocates it",
    ),
    Entry(
        name="gemma4:31b", architecture="gemma4", blocks=60, width=5376, feed_forward=21504,
        heads=32, kv_heads=16, head=256, full_kv_heads=4, full_head=512, vocabulary=262144,
        context=262144, parameters=30_700_000_000, tied=True, projector_bytes=1_190_000_000,
        files=(File("31b", "Q4_K_M"), File("31b-it-q8_0", "Q8_0"), File("31b-mlx", "nvfp4")),
        aliases=("gemma4-31b",), source="config.json; cache at 262144 tokens: 20.78 GiB",
    ),
)  # fmt: skip

MISTRAL_24B = Entry(
    name="mistral-small:24b", architecture="llama", blocks=40, width=5120, feed_forward=32768,
    heads=32, kv_heads=8, head=128, vocabulary=131072, context=32768, parameters=23572403200,
    files=(File("24b", "Q4_K_M", 14333928010), File("24b-q8_0", "Q8_0")),
    aliases=("mistral-small", "devstral:24b", "devstral", "magistral:24b", "mistral-small-24b"),
    source=LIBRARY,
)  # fmt: skip
MISTRAL: tuple[Entry, ...] = (
    Entry(
        name="mistral:7b", architecture="llama", blocks=32, width=4096, feed_forward=14336,
        heads=32, kv_heads=8, head=128, vocabulary=32768, context=32768, parameters=7248023552,
        files=(File("7b", "Q4_K_M", 4372824384),), aliases=("mistral", "mistral-7b"),
        source=LIBRARY,
    ),
    Entry(
        name="mistral-nemo:12b", architecture="llama", blocks=40, width=5120, feed_forward=14336,
        heads=32, kv_heads=8, head=128, vocabulary=131072, context=131072, parameters=12247782400,
        files=(File("12b", "Q4_0"),), aliases=("mistral-nemo",), source=HF,
    ),
    MISTRAL_24B,
    replace(
        MISTRAL_24B, name="devstral-small-2:24b", aliases=("devstral-24b", "devstral-small-2"),
        context=393216, files=(File("24b", "Q4_K_M", 15177384862),),
        projector_bytes=PIXTRAL_BYTES,
    ),
    replace(
        MISTRAL_24B, name="mistral-small3.2:24b", aliases=("mistral-small3.2", "mistral-small3.1"),
        context=131072, files=(File("24b", "Q4_K_M", 15_177_384_862),),
        projector_bytes=PIXTRAL_BYTES,
    ),
    Entry(
        name="ministral-3:3b", architecture="mistral3", blocks=26, width=3072, feed_forward=9216,
        heads=32, kv_heads=8, head=128, vocabulary=131072, context=262144, parameters=3429006336,
        tied=True, files=(File("3b", "Q4_K_M"),), aliases=("ministral3-3b",), source=HF,
        projector_bytes=838_000_000,
    ),
    Entry(
        name="ministral-3:8b", architecture="mistral3", blocks=34, width=4096, feed_forward=14336,
        heads=32, kv_heads=8, head=128, vocabulary=131072, context=262144,
        parameters=8_490_000_000, files=(File("8b", "Q4_K_M", 6_022_000_000),), source=LIBRARY,
        aliases=("ministral-3", "ministral3-8b"), projector_bytes=838_000_000,
    ),
    Entry(
        name="ministral-3:14b", architecture="mistral3", blocks=40, width=5120,
        feed_forward=16384, heads=32, kv_heads=8, head=128, vocabulary=131072, context=262144,
        parameters=13_510_000_000, files=(File("14b", "Q4_K_M", 9_080_000_000),), source=LIBRARY,
        aliases=("ministral3-14b",), projector_bytes=840_000_000,
    ),
    Entry(
        name="mixtral:8x7b", architecture="llama", blocks=32, width=4096, feed_forward=0,
        heads=32, kv_heads=8, head=128, vocabulary=32000, context=32768, parameters=46702792704,
        experts=Experts(count=8, used=2, width=14336), files=(File("8x7b", "Q4_0"),),
        aliases=("mixtral",), source=HF,
    ),
    Entry(
        name="mistral-large:123b", architecture="llama", blocks=88, width=12288,
        feed_forward=28672, heads=96, kv_heads=8, head=128, vocabulary=32768, context=131072,
        parameters=122610069504, files=(File("123b", "Q4_K_M"),), aliases=("mistral-large",),
        source=HF,
    ),
)  # fmt: skip

GPT_OSS_20B = Entry(
    name="gpt-oss:20b", architecture="gpt-oss", blocks=24, width=2880, feed_forward=0, heads=64,
    kv_heads=8, head=64, vocabulary=201088, context=131072, parameters=20914757184,
    experts=Experts(count=32, used=4, width=2880),
    files=(File("20b", "MXFP4", 13793441244), File("20b-ggml", "MXFP4_MOE", 12_109_000_000)),
    aliases=("gpt-oss", "gpt-oss-20b", "gptoss20-ollama"), head_bytes=13_810_908,
    expert_parameters=32 * 24 * (3 * 2880 * 2880 + 3 * 2880),
    source="config.json; tensors of the file in the Ollama library, exact",
)  # fmt: skip
GPT_OSS_120B = replace(
    GPT_OSS_20B, name="gpt-oss:120b", blocks=36, parameters=116829156672,
    experts=Experts(count=128, used=4, width=2880),
    files=(File("120b", "MXFP4", 65369818941), File("120b-ggml", "MXFP4_MOE", 63_387_000_000)),
    aliases=("gpt-oss-120b", "gptoss120-ollama"), head_bytes=13_824_573,
    expert_parameters=128 * 36 * (3 * 2880 * 2880 + 3 * 2880),
)  # fmt: skip
OTHERS: tuple[Entry, ...] = (
    GPT_OSS_20B,
    GPT_OSS_120B,
    Entry(
        name="deepseek-r1:671b", architecture="deepseek2", blocks=61, width=7168,
        feed_forward=18432, heads=128, kv_heads=1, head=192, vocabulary=129280, context=163840,
        parameters=671026419200, latent=Latent(kv_rank=512, rope=64, nope=128),
        experts=Experts(count=256, used=8, width=2048), expert_layers=58,
        files=(File("671b", "Q4_K_M"),), aliases=("deepseek-v3:671b", "deepseek-v3.1:671b"),
        source=HF,
    ),
    Entry(
        name="glm-4.7-flash:30b", architecture="deepseek2", blocks=47, width=2048,
        feed_forward=10240, heads=20, kv_heads=1, head=256, vocabulary=154880, context=202752,
        parameters=29943390976, latent=Latent(kv_rank=512, rope=64, nope=192),
        experts=Experts(count=64, used=4, width=1536), expert_layers=46,
        files=(File("q4_K_M", "Q4_K_M", 19_019_000_000), File("q8_0", "Q8_0")),
        aliases=("glm-4.7-flash", "glm-4.7-flash:q4_K_M"),
        source="config.json; cache growth as measured",
    ),
    Entry(
        name="glm-4.5-air:106b", architecture="glm4moe", blocks=46, width=4096,
        feed_forward=10944, heads=96, kv_heads=8, head=128, vocabulary=151552, context=131072,
        parameters=106_852_000_000, experts=Experts(count=128, used=8, width=1408),
        expert_layers=45, files=(File("106b", "Q4_K_M"),), aliases=("glm-4.5-air",), source=HF,
    ),
    Entry(
        name="minimax-m2:230b", architecture="minimax-m2", blocks=62, width=3072, feed_forward=0,
        heads=48, kv_heads=8, head=128, vocabulary=200064, context=196608,
        parameters=228_690_000_000, experts=Experts(count=256, used=8, width=1536),
        files=(File("230b", "Q4_K_M"), File("230b-q3_K_S", "Q3_K_S")),
        aliases=("minimax-m2.7", "minimax-m2.5", "minimax-m2"), source=HF,
    ),
    Entry(
        name="nemotron-3-nano:30b", architecture="nemotron_h", blocks=52, width=2688,
        feed_forward=3712, heads=32, kv_heads=2, head=128, vocabulary=131072, context=1048576,
        parameters=31577937344, experts=Experts(count=128, used=6, width=1856), expert_layers=23,
        expert_matrices=2, recurrent_layers=23, attention_layers=6, inner=4096, state=128,
        groups=8, files=(File("30b", "Q4_K_M"),), source=HF, confidence="likely",
    ),
    Entry(
        name="nemotron-3-super:120b", architecture="nemotron_h", blocks=88, width=4096,
        feed_forward=5376, heads=32, kv_heads=2, head=128, vocabulary=131072, context=1048576,
        parameters=120_670_000_000, experts=Experts(count=512, used=22, width=2688),
        expert_parameters=112_700_000_000, expert_layers=40, recurrent_layers=40,
        attention_layers=8, inner=8192, state=128, groups=8, files=(File("120b", "Q4_K_M"),),
        aliases=("nemotron3-super-120b", "nemotron-3-super"), source=HF, confidence="likely",
    ),
    Entry(
        name="lfm2.5:1.2b", architecture="lfm2", blocks=16, width=2048, feed_forward=8192,
        heads=32, kv_heads=8, head=64, vocabulary=65536, context=128000, parameters=1170340608,
        tied=True, recurrent_layers=10, conv_kernel=3, inner=2048, attention_layers=6,
        files=(File("1.2b", "Q4_0"),), aliases=("lfm2.5-1.2b",), source=HF, confidence="likely",
    ),
    Entry(
        name="command-r:35b", architecture="command-r", blocks=40, width=8192,
        feed_forward=24576, heads=64, kv_heads=8, head=128, vocabulary=256000, context=131072,
        parameters=32296476672, tied=True, files=(File("35b", "Q4_0"),), aliases=("command-r",),
        source=HF,
    ),
    Entry(
        name="command-a:111b", architecture="cohere2", blocks=64, width=12288,
        feed_forward=36864, heads=96, kv_heads=8, head=128, vocabulary=256000, context=262144,
        parameters=111057580032, tied=True, files=(File("111b", "Q4_K_M"),),
        aliases=("command-a",), source=HF,
    ),
    Entry(
        name="seed-oss:36b", architecture="seed_oss", blocks=64, width=5120, feed_forward=27648,
        heads=80, kv_heads=8, head=128, vocabulary=155136, context=524288, parameters=36151104512,
        files=(File("36b", "Q4_K_M"),), source=HF,
    ),
)  # fmt: skip
