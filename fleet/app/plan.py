"""Plan a request on the machines as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from fleet.app.bookings import chosen_machines
from fleet.app.dispatchers import open_dispatcher
from fleet.app.home import Home
from fleet.app.options import Options
from fleet.app.take_machines import borrow_machines
from fleet.model.experiment import Request
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine
from fleet.plan.expand import Plan, PlanOptions, expand
from fleet.plan.refusals.unfit import no_engine
from fleet.plan.refusals.unlike import unlike


def plan(request: Request, options: Options) -> Plan:
    """Plan what would run on the machines as they are now; change nothing."""
    home = Home(options.home, read_only=True)
    request = home.as_before(request)
    with closing(open_dispatcher(request, options)) as dispatcher:
        machines, absent = borrow_machines(request, options, dispatcher)
        return make_plan(request, options, home, machines, absent)


def make_plan(
    request: Request,
    options: Options,
    home: Home,
    machines: Sequence[Machine],
    absent: Sequence[AbsentMachine] = (),
) -> Plan:
    """Plan the request on these machines, with warnings of what differs between them."""
    chosen = chosen_machines(request, machines, absent)
    if all(machine.engine is None for machine in chosen):
        raise no_engine(chosen)
    planned = expand(
        request,
        chosen,
        PlanOptions(
            past_seconds=home.past_seconds(request),
            session=home.session(request, again=options.again),
            only=options.only,
            repeats=options.repeats,
            skip_unfit=options.skip_unfit,
        ),
        absent,
    )
    present = [machine.machine for machine in planned.machines]
    warnings = unlike(planned.axis, request, present)
    return replace(planned, warnings=(*planned.warnings, *warnings))
