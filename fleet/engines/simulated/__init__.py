"""A server with Ollama's protocol whose speeds and faults are scripted, and the engine on it."""

from fleet.engines.simulated.engine import Simulated
from fleet.engines.simulated.server import SimulatedServer, serve

__all__ = ["Simulated", "SimulatedServer", "serve"]
