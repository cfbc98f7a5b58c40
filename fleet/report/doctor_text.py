"""What `fleet doctor` prints: a line for each check, its hint, and the verdict."""

from __future__ import annotations

from fleet.doctor.diagnosis import MachineDiagnosis
from fleet.report.tables import described
from fleet.units import show_count


def doctor_lines(diagnosis: MachineDiagnosis, width: int | None = None) -> list[str]:
    """Return a line for each check, with the hint below it; at the end the verdict."""
    rows: list[tuple[str, str, str]] = []
    for check in diagnosis.checks:
        rows.append((check.state, check.name, check.finding))
        if check.hint:
            rows.append(("", "", f"  {check.hint}"))
    return [*described(rows, width), "", verdict(diagnosis)]


def verdict(diagnosis: MachineDiagnosis) -> str:
    """Say whether the machine is fit, and how much is unknown."""
    unfit = [check.name for check in diagnosis.checks if check.state == "unfit"]
    unknown = sum(check.state == "cannot tell" for check in diagnosis.checks)
    open_ends = f" ({show_count(unknown, 'check')} could not be made)" if unknown else ""
    if unfit:
        return f"{diagnosis.name} is unfit: {', '.join(unfit)}{open_ends}"
    return f"{diagnosis.name} is fit to be measured{open_ends}"
