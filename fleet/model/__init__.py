"""Nouns only: frozen, pure, the same words as in YAML, Parquet and SQL."""
