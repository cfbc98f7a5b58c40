"""From Parquet to verdicts: views, statistics, words."""

from fleet.compare.views import views_sql

__all__ = ["views_sql"]
