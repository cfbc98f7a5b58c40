"""AMD GPUs: `rocm-smi --json`, `amd-smi static --json`, and the kernel's own files.

Keys change with every release, so each is looked for in all its forms. Serial numbers and
unique ids stand in the same texts and are never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.model.quantities import MEMORY_BYTES
from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, real, whole
from fleet.readers.tree import as_text, items, mapping, number, parse_json, text_of
from fleet.units import MIB

_ABSENT = re.compile(r"N/A.*|unknown|0x[0-9a-fA-F]+", re.IGNORECASE)
_CARD = re.compile(r"card\d{1,4}", re.ASCII)
_FILE = re.compile(r"/sys/class/drm/(card\d{1,4})/device/(?:hwmon/hwmon\d+/)?(\w+):(.*)", re.ASCII)
_CONNECTOR = re.compile(r"/sys/class/drm/card\d{1,4}-[^/:]+/status:(\w+)", re.ASCII)
_KFD = re.compile(r"/sys/class/kfd/kfd/proc/(\d{1,10})/vram_\d+:(.*)", re.ASCII)
AMD_VENDOR = "0x1002"
_GENERATIONS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
"""PCIe generation by transfers in GT/s."""
LANES = (1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 32.0)
_UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
"""amd-smi writes MB where it means MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdGpu(Record):
    """One GPU; memory in MiB, power in watts, heat in degrees Celsius, use in percent."""

    card: str = ""
    name: str | None = None
    device: str | None = None
    """PCI device and subsystem, `744c 0e3b`."""
    driver: str | None = None
    vbios: str | None = None
    vram_mb: int | None = None
    gtt_mb: int | None = None
    """System memory that the GPU may use beside its own."""
    vram_used_mb: int | None = None
    gtt_used_mb: int | None = None
    """In use by all programs together."""
    power_limit_w: float | None = None
    power_w: float | None = None
    celsius: float | None = None
    busy_percent: float | None = None
    pcie: str | None = None
    """Highest link: `PCIe 4 x16`."""


def parse_rocm_smi(text: str) -> list[AmdGpu]:
    """Every card, in the tool's order."""
    document = mapping(parse_json(text))
    driver = text_of(mapping(document.get("system")).get("Driver version"))
    cards = ((name, mapping(value)) for name, value in document.items() if _CARD.fullmatch(name))
    return [_rocm(name, card, driver) for name, card in cards]


def parse_amd_smi(text: str) -> list[AmdGpu]:
    """Parse `amd-smi static --json`: a bare list, or one under `gpu_data`."""
    document = parse_json(text)
    gpus = items(mapping(document).get("gpu_data")) or items(document)
    return [_amd(mapping(gpu)) for gpu in gpus if mapping(gpu).get("asic")]


def parse_drm(text: str) -> list[AmdGpu]:
    """`grep -H "" FILES` over `/sys/class/drm/card*/device`; other makers' cards are left out."""
    cards: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _FILE.fullmatch(line):
            cards.setdefault(match[1], {}).setdefault(match[2], match[3].strip())
    return [_drm(name, card) for name, card in cards.items() if card.get("vendor") == AMD_VENDOR]


def parse_kfd(text: str) -> dict[int, int]:
    """MiB by process id, over all GPUs, of `grep -H "" /sys/class/kfd/kfd/proc/*/vram_*`.

    It lists the programs that compute by ROCm, those of other users too.
    """
    sizes_mb: dict[int, int] = {}
    for line in text.splitlines():
        match = _KFD.fullmatch(line)
        size_bytes = whole(match[2].strip()) if match else None
        if match and size_bytes is not None and not MEMORY_BYTES.problem(size_bytes):
            sizes_mb[int(match[1])] = sizes_mb.get(int(match[1]), 0) + size_bytes // MIB
    return sizes_mb


def parse_displays(text: str) -> int | None:
    """Count the attached displays.

    None where there is no connector, or where one does not answer and no other has a display.
    """
    states = [match[1] for match in map(_CONNECTOR.fullmatch, text.splitlines()) if match]
    attached = states.count("connected")
    known = attached > 0 or (states != [] and set(states) == {"disconnected"})
    return attached if known else None


def _rocm(name: str, card: Mapping[str, object], driver: str | None) -> AmdGpu:
    printed = {key.lower().rstrip(":"): as_text(value) for key, value in card.items()}
    # Until 6.1 a series could be a bare number, and the device's name is in another key.
    names = (printed.get("card series"), printed.get("device name"), printed.get("card model"))
    gpu = AmdGpu(
        card=name,
        name=next((name for name in map(_present, names) if name and not name.isdigit()), None),
        device=_hex(printed.get("device id") or printed.get("gpu id")),
        driver=_present(driver),
        vbios=_present(printed.get("vbios version")),
        vram_mb=_mib(printed.get("vram total memory (b)")),
        gtt_mb=_mib(printed.get("gtt total memory (b)")),
        vram_used_mb=_mib(printed.get("vram total used memory (b)")),
        gtt_used_mb=_mib(printed.get("gtt total used memory (b)")),
        power_limit_w=real(printed.get("max graphics package power (w)")),
        power_w=_first_real(printed, ("average graphics", "current socket graphics")),
        celsius=_first_real(printed, ("temperature (sensor edge", "temperature (sensor junction")),
        busy_percent=real(printed.get("gpu use (%)")),
        pcie=_rocm_link(printed),
    )
    return bounded(gpu)


def _first_real(values: Mapping[str, str | None], beginnings: tuple[str, ...]) -> float | None:
    numbers = (
        real(value)
        for beginning in beginnings
        for key, value in values.items()
        if key.startswith(beginning)
    )
    return next((value for value in numbers if value is not None), None)


def _rocm_link(values: Mapping[str, str | None]) -> str | None:
    """Return the fastest of the links that it lists as levels `0`, `1`, ..."""
    levels = [value.split() for key, value in values.items() if key.isdigit() and value]
    links = [(real(w[0]), real(w[1][1:])) for w in levels if len(w) > 1 and w[1][:1] == "x"]
    return _link(*max(links, key=lambda link: link[0] or 0.0)) if links else None


def _link(transfers: float | None, lanes: float | None) -> str | None:
    generation = _GENERATIONS.get(transfers or 0.0)
    known = generation is not None and lanes in LANES
    return f"PCIe {generation} x{lanes:.0f}" if known else None


def _amd(gpu: Mapping[str, object]) -> AmdGpu:
    asic, bus = mapping(gpu.get("asic")), mapping(gpu.get("bus"))
    vram, limit = mapping(gpu.get("vram")), mapping(gpu.get("limit"))
    names = (
        text_of(asic.get("market_name")),
        text_of(mapping(gpu.get("board")).get("product_name")),
    )
    size = mapping(vram.get("size"))
    record = AmdGpu(
        card=f"gpu{gpu.get('gpu')}",
        name=next(filter(None, map(_present, names)), None),
        device=_hex(text_of(asic.get("device_id"))),
        driver=_present(text_of(mapping(gpu.get("driver")).get("version"))),
        vbios=_present(text_of(mapping(gpu.get("vbios")).get("version"))),
        vram_mb=_sized(size.get("value"), text_of(size.get("unit"))),
        power_limit_w=_amount(limit.get("max_power")),
        pcie=_link(_amount(bus.get("max_pcie_speed")), _amount(bus.get("max_pcie_width"))),
    )
    return bounded(record)


def _drm(name: str, card: Mapping[str, str]) -> AmdGpu:
    parts = (_hex(card.get(key)) for key in ("device", "subsystem_device"))
    gpu = AmdGpu(
        card=name,
        name=_present(one_space(card.get("product_name"))),
        device=" ".join(filter(None, parts)) or None,
        vbios=one_space(card.get("vbios_version")),
        vram_mb=_mib(card.get("mem_info_vram_total")),
        gtt_mb=_mib(card.get("mem_info_gtt_total")),
        vram_used_mb=_mib(card.get("mem_info_vram_used")),
        gtt_used_mb=_mib(card.get("mem_info_gtt_used")),
        power_limit_w=_scaled(card.get("power1_cap"), 1e6),
        power_w=_scaled(card.get("power1_average") or card.get("power1_input"), 1e6),
        celsius=_scaled(card.get("temp1_input"), 1e3),
        busy_percent=real(card.get("gpu_busy_percent")),
        pcie=_link(real(card.get("max_link_speed")), real(card.get("max_link_width"))),
    )
    return bounded(gpu)


def _present(text: str | None) -> str | None:
    return None if text is None or _ABSENT.fullmatch(text) else text


def _hex(text: str | None) -> str | None:
    match = re.fullmatch(r"0x([0-9a-fA-F]{1,8})", text or "", re.ASCII)
    return match[1].lower() if match else None


def _amount(value: object) -> float | None:
    """Return a number, or one with its unit beside it."""
    amount = mapping(value).get("value") if isinstance(value, dict) else value
    return number(amount) if not isinstance(amount, str) else real(amount)


def _sized(value: object, unit: str | None) -> int | None:
    amount, factor = _amount(value), _UNITS.get((unit or "").upper())
    return None if amount is None or factor is None else int(amount * factor) // MIB


def _mib(text: str | None) -> int | None:
    size_bytes = whole(text)
    return None if size_bytes is None else size_bytes // MIB


def _scaled(text: str | None, divisor: float) -> float | None:
    value = real(text)
    return None if value is None else value / divisor
