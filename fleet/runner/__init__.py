"""One trial on one machine: check, load, warm, ask, restore. Effects only through ports."""
