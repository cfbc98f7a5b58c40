"""Carry trials to machines and events back; the only room that imports Ray."""
