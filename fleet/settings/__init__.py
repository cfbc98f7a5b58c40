"""Settings of the system and the engine: applied for one trial, verified, and always put back."""
