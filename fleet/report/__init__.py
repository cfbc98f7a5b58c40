"""Results as files for people: one self-contained page each."""
