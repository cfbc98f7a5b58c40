"""What programs of machines print, in recordings of public reports: read, bounded, no secret."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.readers.nvidia_smi import parse_table
from tests.builders_cases import case, fake_nvidia_smi, printed_by, with_cases
from tests.builders_flow import Fleet

pytestmark = with_cases

ADDRESSES = {
    "0.0.0.0": "http://127.0.0.1:11434",
    ":11434": "http://127.0.0.1:11434",
    "https://x/ollama/": "https://x:443/ollama",
    "[::1]:11434": "http://[::1]:11434",
    "::": "http://[::1]:11434",
    "[::]:11434": "http://[::1]:11434",
    "::1": "http://[::1]:11434",
    "0.0.0.0:": "http://127.0.0.1:11434",
    "http://": "http://127.0.0.1:80",
    "https://": "https://127.0.0.1:443",
    "http://0.0.0.0:80/": "http://127.0.0.1:80",
    "myhost": "http://myhost:11434",
    "HTTP://H:1": "http://H:1",
    "'0.0.0.0:11434'": "http://127.0.0.1:11434",
    "  127.0.0.1 ": "http://127.0.0.1:11434",
    "http://localhost:11434/v1": "http://localhost:11434/v1",
    "ollama.com": "http://ollama.com:11434",
    "fe80::1%eth0": "http://[fe80::1%eth0]:11434",
    "[fe80::1%25eth0]:11434": "http://[fe80::1%eth0]:11434",
    "192.168.1.5:11434/api": "http://192.168.1.5:11434/api",
    "0:11434": "http://0:11434",
    "http//h": "http://http:11434/h",
    "[::]": "http://[::1]:11434",
    "http://[::]": "http://[::1]:80",
    "0.0.0.0/": "http://127.0.0.1:11434",
}
NO_ADDRESSES = {
    "host:99999": "a port that is no number",
    "host:abc": "a port that is no number",
    "http://user:pw@h:11434": "holds a user or a password",
    "tcp://h:2375": "begins with neither",
    "http://h?x=1": "a host with characters",
    "127.0.0.1:11434,::1": "is no IPv6 address",
    "*:11434": "a host with characters",
    "localhost:11434#x": "a port that is no number",
    "http:/h:11434": "a path with characters",
    "\u200b127.0.0.1": "a host with characters",
    "host name": "a host with characters",
}


def test_20_a_macs_log_tells_the_listed_variables_and_no_proxy() -> None:
    lines = printed_by("20")
    assert lines == ["'OLLAMA_NUM_PARALLEL=1' | Ollama's log"] * 2


def test_21_every_spelling_is_an_address_or_one_message() -> None:
    lines = printed_by("21")
    expected = [f"{text!r} -> {url}" for text, url in ADDRESSES.items()]
    assert sorted(line for line in lines if "!!" not in line) == sorted(expected)
    refused = dict(line.split(" !! ") for line in lines if "!!" in line)
    assert sorted(refused) == sorted(map(repr, NO_ADDRESSES))
    for text, why in NO_ADDRESSES.items():
        assert refused[repr(text)].startswith("UserError OLLAMA_HOST is no address of an Ollama")
        assert why in refused[repr(text)]
    assert "pw" not in "".join(refused.values())


def test_23_logs_states_and_documents_are_read() -> None:
    log, beyond, slowed, quiet, amd = printed_by("23")
    assert "version='0.30.2', listens='[::]:11434'" in log
    assert "'OLLAMA_MODELS': 'D:\\\\\\\\Ollama model'" in log
    assert "proxy" not in log.lower()
    assert "name='Radeon 8060S Graphics', total_mb=116224.0, available_mb=2048.0" in log
    assert "default_num_ctx=262144" in log
    assert "'available_mb': 'out of range: 1.75922e+13 MiB'" in beyond
    assert "available_mb=None" in beyond
    assert "cpu_speed_limit_percent=28" in slowed
    assert slowed.endswith(" moderate")
    assert quiet.endswith(" nominal")
    assert "card='card0', name='X'" in amd
    assert "vram_mb=512" in amd


def test_24_the_table_of_driver_610_is_read() -> None:
    [gpu] = parse_table(case("24").read_text())
    assert (gpu.name, gpu.driver, gpu.cuda) == ("NVIDIA GeForce RTX 5070 Ti", "610.47", "13.3")
    assert (gpu.memory_mb, gpu.used_mb) == (16303, 1024)
    assert (gpu.celsius, gpu.busy_percent, gpu.power_limit_w) == (38, 3, 300)


@pytest.mark.parametrize(
    ("name", "memory", "shared"),
    [
        ("NVIDIA N1X", "8128 MiB", True),
        ("Xavier", "31928 MiB", True),
        ("Orin (nvgpu)", "[N/A]", True),
        ("NVIDIA Thor", "Not Supported", True),
        ("NVIDIA GB10", "[N/A]", True),
        ("NVIDIA GeForce RTX 4060 Ti", "16380 MiB", False),
    ],
)
def test_32_shared_memory_is_not_taken_for_own(
    fleet: Fleet, tmp_path: Path, name: str, memory: str, shared: bool
) -> None:
    path = f"{fake_nvidia_smi(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "NV_NAME": name, "NV_MEM": memory}
    facts = fleet("machines", "--here", "--json", env=env).json()["facts"]
    values = {key: fact["value"] for key, fact in facts.items()}
    assert (values["gpu"], values["gpu_driver"]) == (name, "610.57.04")
    assert values.get("gpu_unified_memory") is (True if shared else None)
    assert values["gpu_memory_mb"] == (values["memory_gb"] * 1024 if shared else 16380)
    if shared:
        assert values["gpu_usable_mb"] == values["memory_total_mb"]
        assert facts["gpu_memory_mb"]["source"] == "system memory, which it shares"


def test_24_32_the_table_stands_in_where_no_query_is_answered(fleet: Fleet, tmp_path: Path) -> None:
    path = f"{fake_nvidia_smi(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "NV_NOQUERY": "1"}
    facts = fleet("machines", "--here", "--json", env=env).json()["facts"]
    keys = ("gpu", "gpu_driver", "cuda_version", "gpu_memory_mb")
    assert [facts[key]["value"] for key in keys] == [
        "NVIDIA GeForce RTX 5070 Ti",
        "610.47",
        "13.3",
        16303,
    ]
