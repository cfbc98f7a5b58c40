"""The processor's thermometers on Linux: which of the kernel's there are, and what they say."""

from __future__ import annotations

from fleet.model.quantities import CELSIUS
from fleet.readers.text import whole

CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""hwmon drivers of processors."""
CPU_ZONES = ("x86_pkg_temp", "cpu", "soc")
"""How the types of thermal zones on the processor begin."""
PRINT_HEAT = f"""
for sensor in /sys/class/hwmon/hwmon*; do
  read -r name < "$sensor/name" || continue
  case "$name" in {"|".join(CPU_SENSORS)})
    read -r heat < "$sensor/temp1_input" && echo "$heat";;
  esac
done
for zone in /sys/class/thermal/thermal_zone*; do
  read -r kind < "$zone/type" || continue
  case "$kind" in {"|".join(f"{kind}*" for kind in CPU_ZONES)})
    read -r heat < "$zone/temp" && echo "$heat";;
  esac
done
"""
"""Only these are read: others, of disks for one, take long or wake what they measure."""


def parse_heat(text: str) -> float | None:
    """Degrees Celsius of the hottest, of what PRINT_HEAT prints: thousandths, a line each."""
    values = (whole(line.strip()) for line in text.splitlines())
    degrees = (value / 1000 for value in values if value is not None)
    return max((value for value in degrees if not CELSIUS.problem(value)), default=None)
