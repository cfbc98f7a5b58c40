"""The axis by which a plan compares."""

from __future__ import annotations

from fleet.compare.axes import check_axis
from fleet.plan.expand import Plan
from fleet.plan.stopping import axis


def contrast_axis(plan: Plan) -> str:
    """Return the axis, empty if nothing varies; raise UserError for one that cannot be compared."""
    by = axis(plan.request, [planned.machine for planned in plan.machines])
    return check_axis(by) if by else ""
