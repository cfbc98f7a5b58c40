"""What a plan compares by."""

from __future__ import annotations

from fleet.comparability import check_axis
from fleet.plan.expand import Plan
from fleet.plan.stopping import axis


def contrast_axis(plan: Plan) -> str:
    """What the plan compares by, empty where nothing varies; refuses what compare cannot do."""
    by = axis(plan.request, [planned.machine for planned in plan.machines])
    return check_axis(by) if by else ""
