"""The use cases: what each command does, without how it looks."""
