"""What the owner of a machine allows: permission, hours, how Ollama is run and restarted."""
