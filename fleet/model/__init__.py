"""The nouns of fleet: frozen and pure, with the same words as in YAML, Parquet and SQL."""
