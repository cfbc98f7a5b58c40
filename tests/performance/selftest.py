"""`fleet selftest --full` as a table of goals: what is reported is what happened.

A simulated engine of known timing, in a process of its own, is measured on the main road: worker,
spool, Parquet, views. The truth is what its server wrote into a file of its own: the moment of each
token, and the faults it injected. Errors are medians over requests; on a machine that does other
work as well they are larger, which the load above the table tells.
"""

from __future__ import annotations

import _table
from _table import Table

from fleet.app.selftest import selftest
from fleet.app.selftest_checks import Accuracy
from fleet.app.selftest_stages import FULL, QUICK


def fill(table: Table, quick: bool) -> None:
    report = selftest(_table.note, QUICK if quick else FULL)
    for each in report.accuracy:
        _accuracy(table, each)
    for line in report.flags:
        goal = f"{line.flag} in all, no other flag, nowhere else"
        others = f", also {' '.join(line.others)}" if line.others else ""
        told = f"{line.raised} of {line.injected}{others}, elsewhere {line.elsewhere}"
        table.holds(f"fault {line.fault}", goal, told, line.ok)
    what = f"flagged of {report.clean_requests:,} requests without a fault"
    table.at_most(what, 0, report.clean_flagged)


def _accuracy(table: Table, each: Accuracy) -> None:
    what = f"{each.metric} at {each.tokens_per_s:,} tokens/s, {each.requests} requests: error"
    scale, unit = (100, "%") if each.relative else (1, each.unit)
    error = float("nan") if each.error is None else each.error
    table.at_most(what, scale * each.allowed, scale * error, unit)


if __name__ == "__main__":
    _table.run("The self-test", fill, __doc__)
