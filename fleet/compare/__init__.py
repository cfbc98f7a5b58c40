"""From Parquet to verdicts: views, estimates, words."""
