"""GPUs of every kind: cards, parts of a card, GPUs without memory of their own; their bandwidth."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.commands import SystemCommands
from fleet.fingerprint import assemble
from fleet.fingerprint.amd import AmdProbe, amd_facts, joined
from fleet.fingerprint.bandwidth import look_up, variants
from fleet.fingerprint.drm import DRM
from fleet.fingerprint.linux import linux_facts
from fleet.fingerprint.nvidia import gpu_facts
from fleet.fingerprint.virtual import Names, guest_facts
from fleet.model.machine import Fact, FactValue, Fingerprint
from fleet.ports import Output
from fleet.readers.amd import AmdGpu, parse_drm
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.nvidia_smi import Gpu

GIB_KIB = 2**20
NO_LSCPU = parse_lscpu("")


def told(facts: Iterable[Fact]) -> dict[str, FactValue]:
    return {fact.name: fact.value for fact in assemble.assembled(facts).facts}


# NVIDIA


def test_of_a_gpu_cut_into_parts_one_part_is_the_limit() -> None:
    parts = Gpu(name="NVIDIA X", memory_mb=81920, mig=True, mig_parts_mb=(19968, 9856, 9856))
    facts = told(gpu_facts([parts], 64))
    assert (facts["gpu_mig"], facts["gpu_mig_parts"]) == (True, "1 x 19968 MiB + 2 x 9856 MiB")
    assert (facts["gpu_memory_mb"], facts["gpu_limit_mb"]) == (81920, 19968)
    assert facts["gpu_memory_gb"] == 19.5


def test_a_whole_card_has_no_limit_but_its_memory() -> None:
    card = Gpu(name="NVIDIA X", memory_mb=24564, pcie="PCIe 4 x16", users=("/home/a/x", "ollama"))
    facts = told(gpu_facts([card], 64))
    assert (facts["gpu_limit_mb"], facts["gpu_memory_gb"]) == (None, 23.99)
    assert (facts["gpu_pcie"], facts["gpu_users"]) == ("PCIe 4 x16", "x; ollama")


def test_the_slot_and_the_kind_of_board_are_hardware_the_users_and_the_heat_are_not() -> None:
    def hardware(**changes: object) -> str:
        card = Gpu(name="NVIDIA X", memory_mb=24564, **changes)  # type: ignore[arg-type]
        return assemble.assembled(gpu_facts([card], 64)).hardware_id

    assert hardware(pcie="PCIe 4 x16") != hardware(pcie="PCIe 3 x16")
    assert hardware(device="268410DE 1") != hardware(device="268410DE 2")
    assert hardware(slowed=True, users=("a",), busy_percent=50.0, celsius=50.0) == hardware()


# AMD

CARD = AmdGpu(
    card="card1", device="744c 0e3b", vram_mb=24560, gtt_mb=31000, pcie="PCIe 4 x16", vbios="113"
)
STRIX = AmdGpu(card="card1", device="1586 8d1d", vram_mb=512, gtt_mb=122880, busy_percent=3.0)
SMALL = AmdGpu(card="card0", device="164e 8877", vram_mb=512, gtt_mb=31000)


def test_an_amd_card_has_its_own_memory_and_what_it_may_borrow_stands_apart() -> None:
    facts = told(amd_facts([SMALL, CARD], 64 * GIB_KIB))
    assert (facts["gpu"], facts["gpu_count"], facts["gpu_memory_mb"]) == (
        *("AMD GPU 744c", 1, 24560),
    )
    assert (facts["gpu_vram_mb"], facts["gpu_gtt_mb"], facts["gpu_limit_mb"]) == (
        *(24560, 31000, None),
    )
    assert facts["integrated_gpu"] == "AMD GPU 164e"


def test_the_hottest_card_is_told_and_is_no_hardware() -> None:
    cards = [replace(CARD, celsius=41.0), replace(CARD, celsius=52.0)]
    assert told(amd_facts(cards, 64 * GIB_KIB))["gpu_temperature_c"] == 52.0
    assert told(amd_facts([CARD], 64 * GIB_KIB))["gpu_temperature_c"] is None
    boards = [Gpu(name="NVIDIA X", celsius=61.0), Gpu(name="NVIDIA X", celsius=None)]
    assert told(gpu_facts(boards, 64))["gpu_temperature_c"] == 61.0


def test_a_cards_heat_is_among_the_files_that_are_read(tmp_path: Path) -> None:
    """The command itself, over a tree of our own in the place of /sys."""
    device = tmp_path / "class/drm/card1/device"
    (device / "hwmon/hwmon3").mkdir(parents=True)
    for name, text in (("vendor", "0x1002"), ("hwmon/hwmon3/temp1_input", "47000")):
        (device / name).write_text(f"{text}\n")
    printed = SystemCommands().run([*DRM[:2], DRM[2].replace("/sys", str(tmp_path))]).stdout
    [card] = parse_drm(printed.replace(str(tmp_path), "/sys"))
    assert card.celsius == 47


def test_strix_halo_shares_the_machines_memory_up_to_a_limit() -> None:
    """512 MiB are carved out; Linux sees the rest, which reads low."""
    memory_kib = 128 * GIB_KIB - 512 * 1024 - 900_000
    facts = told(
        [
            Fact(name="chip", value="AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", source="t"),
            *amd_facts([STRIX], memory_kib),
        ]
    )
    assert facts["gpu_memory_mb"] == 128 * 1024
    assert (facts["gpu_limit_mb"], facts["gpu_vram_mb"], facts["gpu_gtt_mb"]) == (
        *(512 + 122880, 512, 122880),
    )
    assert facts["foreign_gpu_percent"] == 3.0
    assert facts["memory_bandwidth_gb_s"] == 256.0


def test_another_share_of_the_memory_is_the_same_strix_halo() -> None:
    """The owner can carve out 512 MiB or 96 GiB, and raise what it may borrow: a condition."""

    def look(vram_mb: int, gtt_mb: int) -> Fingerprint:
        gpu = AmdGpu(card="card1", device="1586", vram_mb=vram_mb, gtt_mb=gtt_mb)
        return assemble.assembled(amd_facts([gpu], (128 * 1024 - vram_mb) * 1024 - 500_000))

    small, large = look(512, 63000), look(98304, 16000)
    assert small.hardware_id == large.hardware_id
    assert small.condition_id != large.condition_id


def test_a_processors_small_gpu_is_none_that_models_run_on() -> None:
    facts = told(amd_facts([SMALL], 64 * GIB_KIB))
    assert "gpu" not in facts
    assert facts["integrated_gpu"] == "AMD GPU 164e"


def test_names_of_the_tools_go_to_the_right_gpu() -> None:
    cards = [CARD, SMALL]
    tool = [
        AmdGpu(name="Radeon Graphics", device="164e"),
        AmdGpu(name="Radeon RX 7900 XTX", device="744c"),
    ]
    assert [gpu.name for gpu in joined(cards, tool)] == ["Radeon RX 7900 XTX", "Radeon Graphics"]
    nameless = [AmdGpu(name="only by order"), AmdGpu(name="second")]
    assert [gpu.name for gpu in joined(cards, nameless)] == ["only by order", "second"]
    assert [gpu.name for gpu in joined(cards, nameless[:1])] == [None, None]


class Files:
    """A machine as its files, and one command's output by its words."""

    def __init__(self, files: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        self.files, self.outputs = files, outputs

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        text = self.outputs.get(" ".join(argv))
        return Output(code=None if text is None else 0, stdout=text or "", stderr="")

    def read(self, path: str) -> str | None:
        return self.files.get(path)


def test_the_carved_out_part_belongs_to_the_installed_memory() -> None:
    drm = (
        "/sys/class/drm/card1/device/vendor:0x1002\n"
        "/sys/class/drm/card1/device/device:0x1586\n"
        f"/sys/class/drm/card1/device/mem_info_vram_total:{96 * 2**30}\n"
        "/sys/class/drm/card1/device/mem_info_gtt_total:17179869184\n"
    )
    files = {
        "/proc/meminfo": f"MemTotal: {31 * GIB_KIB} kB\n",
        "/opt/rocm/.info/version": "7.0.1\n",
    }
    machine = Files(files, {" ".join(DRM): drm})
    host = {fact.name: fact.value for fact in linux_facts(machine)}
    assert (host["memory_gb"], host["memory_total_mb"]) == (128, 31 * 1024)
    probe = AmdProbe(machine)
    assert probe.available()
    facts = told(probe.collect())
    assert (facts["gpu_memory_mb"], facts["rocm_version"]) == (128 * 1024, "7.0.1")
    assert facts["gpu_limit_mb"] == 112 * 1024
    assert not AmdProbe(Files({}, {})).available()


# guests


@pytest.mark.parametrize(
    ("vendor", "product", "flagged", "virtual", "hypervisor"),
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", True, True, "kvm"),
        ("VMware, Inc.", "VMware Virtual Platform", True, True, "vmware"),
        ("Microsoft Corporation", "Virtual Machine", True, True, "hyperv"),
        ("Microsoft Corporation", "Surface Laptop", False, False, None),
        ("Google", "Google Compute Engine", True, True, "google"),
        ("Amazon EC2", "m7i.large", True, True, "amazon"),
        ("Amazon EC2", "m7i.metal-24xl", False, False, None),
        ("QEMU", "KVM Virtual Machine", None, True, "kvm"),  # Arm: no flag
        ("NVIDIA", "DGX Spark", None, False, None),
        (None, None, True, True, None),
        (None, None, None, None, None),
    ],
)
def test_guests_by_their_firmware(
    vendor: str | None,
    product: str | None,
    flagged: bool | None,
    virtual: bool | None,
    hypervisor: str | None,
) -> None:
    facts = {f.name: f.value for f in guest_facts(Names(vendor, product), flagged, NO_LSCPU)}
    assert (facts["virtual"], facts["hypervisor"]) == (virtual, hypervisor)


# bandwidth


@pytest.mark.parametrize(
    ("name", "cores", "gb", "gb_s"),
    [
        ("Apple M3 Max", 30, None, 300),
        ("Apple M3 Max", 40, None, 400),
        ("Apple M3 Max", None, None, None),
        ("Apple M3 Max", 38, None, None),
        ("Apple M3", 10, None, 102.4),
        ("Apple M3 Ultra", None, None, 800),  # both of its variants have it
        ("Apple M4 Max (Virtual)", None, None, None),
        ("NVIDIA GeForce RTX 4090", None, 24, 1008),
        ("NVIDIA GeForce RTX 5060 Ti", None, 8, None),
        ("NVIDIA GeForce RTX 5060 Ti", None, 16, 448),
        ("NVIDIA H100 80GB HBM3", None, 80, 3352),
        ("NVIDIA H100 PCIe", None, 80, 2000),
        ("NVIDIA A100-SXM4-80GB", None, 80, 2039),
        ("NVIDIA A100-SXM4-40GB", None, 40, 1555),
        ("NVIDIA GB10", None, None, 273),
        ("AMD Ryzen AI Max+ 395 w/ Radeon 8060S", None, None, 256),
        ("Intel(R) Core(TM) i5-8279U CPU @ 2.40GHz", None, None, None),
    ],
)
def test_bandwidth_by_chip_and_cores(
    name: str, cores: int | None, gb: int | None, gb_s: float | None
) -> None:
    found, why = look_up(name, cores, gb)
    assert (found.gb_s if found else None) == gb_s
    assert bool(why) is (found is None)


def test_a_guest_and_an_unknown_variant_say_why() -> None:
    assert look_up("Apple M3 Max")[1] == (
        "Apple M3 Max without its number of GPU cores is not in the table"
    )


def test_every_row_of_the_table_has_its_source_and_is_found_by_its_own_name() -> None:
    assert len(variants()) > 40
    for row in variants():
        assert row.source
        assert row.gb_s > 0
        if not row.chip.startswith("/"):
            found, why = look_up(
                row.chip, next(iter(row.gpu_cores), None), next(iter(row.memory_gb), None)
            )
            assert found is not None, why
            assert found.gb_s == row.gb_s


def test_two_cards_have_the_bandwidth_of_one() -> None:
    cards = [Gpu(name="NVIDIA GeForce RTX 4090", memory_mb=24564)] * 2
    facts = told(gpu_facts(cards, 64))
    assert (facts["gpu"], facts["memory_bandwidth_gb_s"]) == (
        *("2x NVIDIA GeForce RTX 4090", 1008.0),
    )


def test_a_better_table_changes_no_machine() -> None:
    facts = [Fact(name="chip", value="Apple M3 Ultra", source="t")]
    unknown = [Fact(name="memory_bandwidth_gb_s", value=1.0, source="another table")]
    assert assemble.assembled(facts).get("memory_bandwidth_gb_s") == 800.0
    before, after = assemble.assembled(unknown), assemble.assembled([])
    assert before.hardware_id == after.hardware_id


GATHERED = Path(__file__).resolve().parents[3] / "shared" / "data" / "memory_bandwidth.csv"


@pytest.mark.skipif(not GATHERED.is_file(), reason=f"no gathered figures: {GATHERED} is absent")
def test_the_table_agrees_with_gathered_figures() -> None:
    """Apple's chips by name and cores; two of them were rounded by who wrote them down."""
    compared = 0
    with GATHERED.open() as file:
        rows = [row for row in csv.DictReader(file) if row["vendor"] == "Apple"]
    for row in rows:
        name = f"Apple {row['device'].partition(' (')[0]}"
        for cores in (word for word in row["gpu_cores"].split() if word.isdigit()):
            found, why = look_up(name, int(cores))
            assert found is not None, why
            assert found.gb_s == pytest.approx(float(row["bandwidth_gbs"]), rel=0.03)
            compared += 1
    assert compared > 30
