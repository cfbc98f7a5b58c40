"""Settings of the system and of the engine: applied for one trial, verified, always put back."""
