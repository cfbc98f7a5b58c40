"""The dispatcher that fits a request: a Ray cluster, or worker processes on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet import folders, wiring
from fleet.app.options import Options
from fleet.dispatch_ports import Dispatcher
from fleet.model.experiment import Request, SimulatedEngine
from fleet.worker import NodeWorker

if TYPE_CHECKING:
    from fleet.dispatch.nodes import NodeSlot


def open_dispatcher(request: Request, options: Options) -> Dispatcher:
    """Ray where this is the head of a fleet, else one worker process per machine here."""
    experiment = request.experiment
    engine = experiment.engine
    if options.ray_address is not None:
        return _ray_dispatcher(engine, experiment.name, options.ray_address)
    from fleet.dispatch.local import LocalDispatcher

    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else [wiring.host_name()]
    specs = {
        name: wiring.WorkerSpec(engine=engine, name=name, state=str(options.home)) for name in names
    }
    return LocalDispatcher(specs, experiment.name)


def _ray_dispatcher(engine: wiring.EngineSpec, experiment: str, address: str) -> Dispatcher:
    from fleet.dispatch.access import token_file
    from fleet.dispatch.actors import RayDispatcher

    def spec_of(slot: NodeSlot) -> wiring.WorkerSpec:
        return wiring.WorkerSpec(
            engine=engine, name=slot.name, join_name=slot.join_name, state=wiring.OWN_HOME
        )

    state = folders.state_folder()
    return RayDispatcher(
        NodeWorker,
        spec_of,
        address=address,
        token_file=token_file(state),
        experiment=experiment,
        log=state / "logs" / f"{experiment}.ray.log",
    )
