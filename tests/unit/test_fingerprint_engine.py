"""What the engine, its process and its log tell; the log of a Mac is invented here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet.errors import EngineUnreachable
from fleet.fingerprint import assemble
from fleet.fingerprint.engine import LOG_LINES, LOGS, EngineProbe
from fleet.model.machine import EngineFacts, FactValue, Proofs
from tests.builders_commands import Recorded

HOME = Path("/home/invented")
GREP = " ".join(["grep", "-ahsE", LOG_LINES, *(log.format(home=HOME) for log in LOGS)])
SYSCTL = "sysctl hw.memsize kern.osproductversion"
PROOFS = Proofs(exact_counts=True, server_clock=True, cache_off=False, placement=True)


def engine(version: str = "0.40.1", **environment: str) -> EngineFacts:
    return EngineFacts(kind="ollama", version=version, proofs=PROOFS, environment=environment)


def log(total: str = "78.0 GiB", *, version: str = "0.40.1", more: str = "") -> str:
    return (
        'time=1 msg="server config" env="map[OLLAMA_FLASH_ATTENTION:false OLLAMA_KV_CACHE_TYPE:q8_0'
        ' OLLAMA_HOST:http://127.0.0.1:11434 OLLAMA_ORIGINS:[http://secret]]"\n'
        f'time=2 msg="Listening on 127.0.0.1:11434 (version {version})"\n'
        'time=3 msg="inference compute" library=Metal name=MTL0 description="Apple M9 Max" '
        f'type=iGPU total="{total}" available="{total}"\n{more}'
    )


def mac(text: str, version: str = "26.3") -> Recorded:
    told = f"hw.memsize: {96 * 2**30}\nkern.osproductversion: {version}\n"
    return Recorded({GREP: text, SYSCTL: told})


def look(machine: Recorded, told: EngineFacts | None, system: str) -> dict[str, FactValue]:
    def ask() -> EngineFacts:
        if told is None:
            raise EngineUnreachable("no Ollama answers", "ollama serve")
        return told

    def is_its(environment: Mapping[str, str]) -> bool:
        return environment.get("OLLAMA_HOST") == "127.0.0.1:44"

    probe = EngineProbe(machine, ask, is_its=is_its, home=HOME, system=system)
    found = assemble.assembled(probe.collect())
    return {
        fact.name: fact.value if fact.value is not None else fact.source for fact in found.facts
    }


def test_no_engine_is_a_reason_and_no_failure() -> None:
    assert look(Recorded(), None, "linux")["engine_version"] == "engine: no Ollama answers"


def test_the_limit_of_a_mac_does_not_change_by_loading_a_model() -> None:
    exact = "ggml_metal_device_init: recommendedMaxWorkingSetSize  = 60129.54 MB\n"
    family = "ggml_metal_device_init: GPU family: MTLGPUFamilyMetal4  (5002)\n"
    before = look(mac(log("56.0 GiB")), engine(), "darwin")
    after = look(mac(log("56.0 GiB", more=family + exact)), engine(), "darwin")
    assert before["gpu_limit_mb"] == after["gpu_limit_mb"] == 57344
    assert (before["metal_version"], after["metal_version"]) == (
        *("Ollama's log: no model loaded yet", 4),
    )


def test_mlx_tells_its_version_device_and_kernels_once_a_model_has_run_on_it() -> None:
    """As Ollama 0.32 and 0.34 log it; the library's folder is named where it is loaded from."""
    mlx = (
        'msg="MLX library" path=/Applications/Ollama.app/lib/ollama/mlx_metal_v4/libmlxc.dylib\n'
        'msg="MLX engine initialized" "MLX version"=0.32.2 device=gpu\n'
        'msg="speculative decode stats" iterations=20 drafted=40 accepted=30\n'
    )
    names = ("mlx_version", "mlx_device", "mlx_library", "draft_acceptance")
    before = look(mac(log("56.0 GiB")), engine(), "darwin")
    after = look(mac(log("56.0 GiB", more=mlx)), engine(), "darwin")
    assert [before[name] for name in names] == ["Ollama's log: no model ran on MLX yet"] * 4
    assert [after[name] for name in names] == ["0.32.2", "gpu", "mlx_metal_v4", 0.75]


@pytest.mark.parametrize(
    ("total", "limit_mb"),
    [
        ("77.8 GiB", 79626),  # the default of 96 GB, rounded to a tenth
        ("80.0 GiB", 81920),  # another limit: as rounded
        ("0 B", "Ollama's log, to 52 MiB: it tells no GPU"),
    ],
)
def test_a_rounded_limit_is_the_default_only_where_it_agrees(total: str, limit_mb: object) -> None:
    assert look(mac(log(total)), engine(), "darwin")["gpu_limit_mb"] == limit_mb


def test_the_log_of_another_ollama_is_not_believed() -> None:
    found = look(mac(log(version="0.39.0")), engine(), "darwin")
    assert found["gpu_limit_mb"] == "Ollama's log: no log of the Ollama that answers"


def test_the_environment_of_a_mac_comes_from_the_log_without_defaults_and_secrets() -> None:
    found = look(mac(log()), engine(), "darwin")
    assert found["engine_environment"] == "OLLAMA_KV_CACHE_TYPE=q8_0"


def linux(*servers: str, argv: str = "/usr/bin/ollama\0serve\0") -> Recorded:
    pids = [str(number) for number in range(7, 7 + len(servers))]
    files = {f"/proc/{pid}/environ": text for pid, text in zip(pids, servers, strict=True)}
    return Recorded(
        {"pgrep -x ollama": "\n".join(pids)},
        files | {f"/proc/{pid}/cmdline": argv for pid in pids},
    )


OURS = "OLLAMA_HOST=127.0.0.1:44\0OLLAMA_FLASH_ATTENTION=1\0API_KEY=secret\0LLAMA_ARG_FIT=off\0"


def test_of_several_servers_the_one_that_is_asked_tells_its_environment() -> None:
    other = "OLLAMA_HOST=127.0.0.1:45\0OLLAMA_FLASH_ATTENTION=0\0"
    found = look(linux(other, OURS), engine(), "linux")
    assert found["engine_environment"] == "LLAMA_ARG_FIT=off OLLAMA_FLASH_ATTENTION=1"


@pytest.mark.parametrize(
    "machine", [Recorded(), linux(OURS, argv="ollama\0run\0"), linux("OLLAMA_HOST=else\0")]
)
def test_an_environment_that_cannot_be_read_is_unknown(machine: Recorded) -> None:
    assert "can be read by this user" in str(look(machine, engine(), "linux")["engine_environment"])


def test_what_the_engine_itself_tells_comes_first() -> None:
    found = look(linux(OURS), engine(OLLAMA_NUM_PARALLEL="2", PATH="/bin"), "linux")
    assert found["engine_environment"] == "OLLAMA_NUM_PARALLEL=2"


def test_another_version_or_environment_is_other_software_on_the_same_hardware() -> None:
    def ids(told: EngineFacts) -> tuple[str, str]:
        probe = EngineProbe(Recorded(), lambda: told, is_its=bool, home=HOME, system="linux")
        found = assemble.assembled(probe.collect())
        return found.hardware_id, found.software_id

    one, newer, other = ids(engine()), ids(engine("0.41.0")), ids(engine(OLLAMA_NUM_PARALLEL="2"))
    assert one[0] == newer[0] == other[0]
    assert len({one[1], newer[1], other[1]}) == 3
