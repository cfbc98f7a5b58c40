"""The use cases, each a straight line: what a command does, without how it looks."""
