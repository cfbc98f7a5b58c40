"""Of an environment, wherever it is printed, only the listed variables are kept, and no secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.fingerprint.engine import EngineProbe
from fleet.fingerprint.run_as import servers
from fleet.model.machine import EngineFacts
from fleet.ports import Output
from fleet.readers.environment import changes_speed, is_listed, kept
from fleet.readers.ollama_log import parse_environment, parse_serve_log
from fleet.readers.run_as import parse_processes, parse_units
from tests.builders_commands import Recorded
from tests.unit.test_fingerprint_engine import engine

SECRET = "s3cr3t-w0rd"
PROXY = f"http://me:{SECRET}@10.0.0.1:3128"
NAMES = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    *("OLLAMA_API_KEY", "LLAMA_ARG_API_KEY", "LLAMA_ARG_HF_TOKEN", "GGML_AUTH", "TOKEN"),
    *("LLAMA_ARG_MODEL_URL", "AWS_SECRET_ACCESS_KEY", "Some_Mixed_Name", "_underscore"),
)
"""Variables that may hold a secret, or anything at all."""
LISTED = ("OLLAMA_FLASH_ATTENTION", "OLLAMA_KV_CACHE_TYPE", "LLAMA_ARG_N_CPU_MOE", "OLLAMA_HOST")
LISTED += ("MLX_METAL_FAST_SYNCH",)


def go_map(*variables: tuple[str, str]) -> str:
    """As Go prints it: in the order of the names' bytes, capitals first."""
    return f"map[{' '.join(f'{name}:{value}' for name, value in sorted(variables))}]"


def test_a_name_in_small_letters_ends_the_value_before_it() -> None:
    text = go_map(("OLLAMA_SCHED_SPREAD", "false"), ("http_proxy", PROXY), ("no_proxy", ""))
    assert parse_environment(text) == {"OLLAMA_SCHED_SPREAD": "false"}


@pytest.mark.parametrize(
    "proxy", [PROXY, "//me:pass-w0rd@10.0.0.1:3128", "me:pass-w0rd@10.0.0.1", "http://me:a b@c d:1"]
)
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "ftp_proxy"])
def test_a_proxy_ends_a_path_however_it_is_written(name: str, proxy: str) -> None:
    text = go_map(("OLLAMA_MODELS", "/Volumes/My Disk/models"), (name, proxy), ("no_proxy", ""))
    assert parse_environment(text) == {"OLLAMA_MODELS": "/Volumes/My Disk/models"}


def test_a_path_ends_where_the_next_name_begins() -> None:
    text = go_map(("OLLAMA_MODELS", "/Volumes/My Disk/models"), ("http_proxy", PROXY))
    assert parse_environment(text) == {"OLLAMA_MODELS": "/Volumes/My Disk/models"}


def test_brackets_and_paths_may_hold_spaces_and_colons() -> None:
    text = go_map(
        ("OLLAMA_MODELS", "/Volumes/My Disk/models"),
        ("OLLAMA_ORIGINS", "[http://localhost https://localhost:* app://* odd: x:y]"),
        ("OLLAMA_REMOTES", "[ollama.com]"),
        ("https_proxy", PROXY),
    )
    assert parse_environment(text) == {
        "OLLAMA_MODELS": "/Volumes/My Disk/models",
        "OLLAMA_ORIGINS": "[http://localhost https://localhost:* app://* odd: x:y]",
        "OLLAMA_REMOTES": "[ollama.com]",
    }


def test_a_login_in_an_address_is_left_out() -> None:
    told = kept([("OLLAMA_HOST", f"http://me:{SECRET}@box:11434"), ("OLLAMA_ORIGINS", PROXY)])
    assert told == {"OLLAMA_HOST": "http://box:11434", "OLLAMA_ORIGINS": "http://10.0.0.1:3128"}
    assert kept([("OLLAMA_HOST", f"me:{SECRET}@box:1")]) == {"OLLAMA_HOST": "box:1"}
    assert kept([("OLLAMA_HOST", f"http://{SECRET}@box:1")]) == {"OLLAMA_HOST": "http://box:1"}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_listed_is_not_kept(name: str) -> None:
    assert not is_listed(name)
    assert not changes_speed(name)


@pytest.mark.parametrize("name", [*LISTED, "LLAMA_ARG_IMAGE_MAX_TOKENS", "CUDA_VISIBLE_DEVICES"])
def test_what_changes_a_measurement_is_kept(name: str) -> None:
    assert is_listed(name)


variables = st.lists(
    st.tuples(st.sampled_from([*NAMES, *LISTED]), st.sampled_from([PROXY, SECRET, "1", ""])),
    max_size=12,
    unique_by=lambda pair: pair[0],
)


@given(variables, st.integers(0, 2000))
def test_no_environment_however_it_is_cut_leaks_a_secret(
    pairs: list[tuple[str, str]], cut: int
) -> None:
    """Values of listed variables are words of our own here, so a secret can only have leaked."""
    safe = [(name, "1" if name in LISTED else value) for name, value in pairs]
    texts = (go_map(*safe), go_map(*safe)[:cut], go_map(*safe)[cut:])
    for text in texts:
        assert SECRET not in str(parse_environment(text))
        assert SECRET not in str(parse_serve_log(f'time=1 msg="server config" env="{text}"\n'))
    line = " ".join(f'"{name}={value}"' for name, value in safe)
    assert SECRET not in str(
        parse_units(f"Id=a.service\nMainPID=4\nActiveState=active\nEnvironment={line}")
    )


def server_log(proxy: str) -> str:
    environment = go_map(
        ("HTTPS_PROXY", proxy), ("OLLAMA_NUM_PARALLEL", "2"), ("OLLAMA_SCHED_SPREAD", "true"),
        ("http_proxy", proxy), ("no_proxy", ""),
    )  # fmt: skip
    return (
        f'time=1 level=INFO msg="server config" env="{environment}"\n'
        'time=2 msg="Listening on 127.0.0.1:11434 (version 0.40.1)"\n'
    )


class Log(Recorded):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        found = argv[0] == "grep"
        return Output(code=0 if found else None, stdout=self.text if found else "", stderr="")


@pytest.mark.parametrize("old", [False, True])
def test_the_fact_of_a_mac_holds_what_was_set_and_no_proxy(old: bool) -> None:
    text = server_log(PROXY)
    if old:  # as Ollama logged until 2025
        text = text.replace(
            'time=1 level=INFO msg="server config"',
            "2025/05/21 17:21:42 routes.go:1: INFO server config",
        )
    facts = {fact.name: fact for fact in probe(Log(text)).collect()}
    assert facts["engine_environment"].value == "OLLAMA_NUM_PARALLEL=2 OLLAMA_SCHED_SPREAD=true"
    assert SECRET not in str(facts)


def probe(machine: Recorded, told: EngineFacts | None = None) -> EngineProbe:
    return EngineProbe(
        machine, lambda: told or engine(), is_its=bool, home=Path("/Users/me"), system="darwin"
    )


def test_what_the_engine_tells_of_itself_is_held_to_the_same_list() -> None:
    told = engine(LLAMA_ARG_API_KEY=SECRET, OLLAMA_NUM_PARALLEL="2", HTTPS_PROXY=PROXY)
    [fact] = [f for f in probe(Recorded(), told).collect() if f.name == "engine_environment"]
    assert fact.value == "OLLAMA_NUM_PARALLEL=2"


def test_of_a_process_and_its_arguments_no_secret_is_kept() -> None:
    environ = (
        f"OLLAMA_HOST=127.0.0.1:44\0HTTPS_PROXY={PROXY}\0OLLAMA_NUM_PARALLEL=2\0TOKEN={SECRET}\0"
    )
    files = {"/proc/7/cmdline": "/usr/bin/ollama\0serve\0", "/proc/7/environ": environ}
    [server] = servers(Recorded({"pgrep -x ollama": "7\n"}, files))
    assert server.environment == {"OLLAMA_HOST": "127.0.0.1:44", "OLLAMA_NUM_PARALLEL": "2"}
    processes = parse_processes(f"  7  1 /opt/ollama serve --api-key {SECRET}\n")
    assert processes[7].command == "/opt/ollama serve"


def test_a_unit_whose_variables_are_not_understood_is_not_one_without_any() -> None:
    unit = 'Id=ollama.service\nMainPID=44\nActiveState=active\nEnvironment="OLLAMA_HOST=a b'
    [found] = parse_units(unit)
    assert (found.environment, found.environment_known) == ({}, False)
    assert parse_units(unit.partition("Environment")[0])[0].environment_known
