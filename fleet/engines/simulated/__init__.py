"""A server with Ollama's protocol whose speeds and faults are scripted, and the engine on it."""
