"""The dispatcher that fits a request: a Ray cluster, or worker processes on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleet import folders, wiring
from fleet.app.options import Options
from fleet.dispatch_ports import Dispatcher
from fleet.errors import UserError
from fleet.model.experiment import OllamaEngine, Request, SimulatedEngine
from fleet.worker import NodeWorker

if TYPE_CHECKING:
    from fleet.dispatch.nodes import NodeSlot


def open_dispatcher(request: Request, options: Options) -> Dispatcher:
    """Ray where this is the head of a fleet, else one worker process per machine here."""
    experiment = request.experiment
    engine = experiment.engine
    if options.ray_address is not None:
        sender = folders.home_id(options.home)
        return _ray_dispatcher(engine, experiment.name, options.ray_address, sender)
    from fleet.dispatch.local import LocalDispatcher

    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else [wiring.host_name()]
    specs = {
        name: wiring.WorkerSpec(engine=engine, name=name, state=str(options.home)) for name in names
    }
    return LocalDispatcher({**specs, **_endpoints(engine, options, names)}, experiment.name)


def _endpoints(
    engine: wiring.EngineSpec, options: Options, here: Sequence[str]
) -> dict[str, wiring.WorkerSpec]:
    """Return a worker for each endpoint; a scripted experiment has the machines of its script."""
    if isinstance(engine, SimulatedEngine):
        return {}
    for name, url in options.endpoints.items():
        _check_endpoint(engine, name, url, here)
    return {
        name: wiring.WorkerSpec(
            engine=engine,
            name=name,
            state=str(options.home),
            endpoint=url,
            declared=options.declared.get(name, {}),
        )
        for name, url in options.endpoints.items()
    }


def _check_endpoint(engine: wiring.EngineSpec, name: str, url: str, here: Sequence[str]) -> None:
    """Raise UserError for an endpoint that is this machine, or that this engine cannot be."""
    from fleet.wiring.real import ollama_address

    if not isinstance(engine, OllamaEngine):
        raise UserError(
            f"{name} is an endpoint and runs Ollama; this experiment measures with {engine.kind}",
            "omit the endpoint, or --engine",
        )
    if url == ollama_address(engine)[0]:
        raise UserError(
            f"{name} is the address of this machine's own Ollama: {url}",
            f"omit it: {', '.join(here)} is measured without",
        )
    if name in here:
        raise UserError(
            f"{name} is this machine, and cannot be the name of an endpoint",
            f"such as {name}-2={url}",
        )


def _ray_dispatcher(
    engine: wiring.EngineSpec, experiment: str, address: str, sender: str
) -> Dispatcher:
    from fleet.dispatch.access import token_file
    from fleet.dispatch.actors import RayDispatcher

    def spec_of(slot: NodeSlot) -> wiring.WorkerSpec:
        return wiring.WorkerSpec(
            engine=engine,
            name=slot.name,
            join_name=slot.join_name,
            state=wiring.OWN_HOME,
            sender=sender,
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
