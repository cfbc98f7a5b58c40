"""fleet: measure local language models on several machines and compare them honestly."""

__version__ = "0.1.0"
