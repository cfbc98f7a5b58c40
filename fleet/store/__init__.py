"""Results as Parquet: written once, whole, readable by anyone."""
