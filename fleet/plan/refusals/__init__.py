"""The rules by which a plan refuses work or warns of it: one module each, all pure."""
