"""A machine on which only Ollama runs, as a worker elsewhere sees it."""

from __future__ import annotations

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.failures import Place
from fleet.fingerprint import assemble
from fleet.fingerprint.endpoint import EndpointProbe
from fleet.folders import settings_folder
from fleet.identity import content_id
from fleet.settings.journal import Journal
from fleet.settings.life import TrialSettings
from fleet.wiring.node import Node, WorkerSpec


def endpoint_node(spec: WorkerSpec) -> Node:
    """Return the machine behind an address, whose name alone tells it from others."""
    clock = SystemClock()
    machine_id = assemble.machine_id(f"endpoint {spec.name}", None)

    place = Place(
        spec.endpoint,
        start=f"OLLAMA_HOST=0.0.0.0 ollama serve, on {spec.name}",
        named_by=f"--endpoint {spec.name}=URL, or configs/fleet.yaml",
    )

    def make_engine() -> Ollama:
        return Ollama(place, clock=clock)

    probe = EndpointProbe(spec.declared, lambda: make_engine().facts(), clock)
    return Node(
        machine_id=machine_id,
        lock_id=content_id("endpoint", [spec.endpoint]),
        name=spec.name,
        look=lambda: assemble.fingerprint([probe]),
        make_engine=make_engine,
        telemetry=lambda _: (),
        settings=TrialSettings(
            limit=None,
            host=None,
            journal=Journal(settings_folder(), machine_id),
            boot_unix_s=lambda: None,
        ),
        is_here=False,
    )
