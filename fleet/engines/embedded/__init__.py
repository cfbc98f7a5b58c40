"""llama.cpp inside this process, as an engine of fleet: `Embedded`."""

from fleet.engines.embedded.engine import Embedded

__all__ = ["Embedded"]
