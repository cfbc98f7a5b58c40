"""Ollama as an engine: `Ollama`, and `address` for where it listens."""

from fleet.engines.ollama.address import address
from fleet.engines.ollama.client import Ollama
from fleet.engines.ollama.connection import Patience

__all__ = ["Ollama", "Patience", "address"]
