"""Runs any query on the results in a process of its own that can write nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.errors import UserError
from fleet.query.open_store import generations

HINT = 'see what there is: fleet sql "show tables", fleet sql "describe speeds"'


def sql(
    folders: Sequence[Path], query: str, *, timeout_s: float = 60.0
) -> tuple[list[str], list[list[object]]]:
    """Return column names and rows, times as ISO text. Raises UserError, StoreUnusable."""
    if not query.strip():
        raise UserError("the query is empty", HINT)
    task = {"roots": [str(root) for root in generations(folders)], "query": query}
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "fleet.query.sandbox"],
            input=json.dumps(task),
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"the query ran longer than {timeout_s:g} s and was ended",
            "narrow it (where experiment = '...'), or take --timeout",
        ) from None
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["no word why"])[-1]
        raise UserError(
            f"the query ended its process (code {child.returncode}): {last}",
            "it may have needed more memory than it is given: select less at once",
        )
    answer = json.loads(child.stdout)
    if "error" in answer:
        raise UserError(answer["error"], HINT)
    return answer["columns"], answer["rows"]
