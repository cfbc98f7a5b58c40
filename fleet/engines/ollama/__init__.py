"""Ollama as an engine: `Ollama`, and `local_address` for where that of this machine listens."""

from fleet.engines.ollama.address import address
from fleet.engines.ollama.client import Ollama
from fleet.engines.ollama.connection import Patience
from fleet.engines.ollama.this_machine import local_address

__all__ = ["Ollama", "Patience", "address", "local_address"]
