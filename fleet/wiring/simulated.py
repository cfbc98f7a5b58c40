"""A scripted machine as a worker sees it: the host that runs the script is not part of it."""

from __future__ import annotations

from fleet.clock import SystemClock
from fleet.engines.simulated.host import SimulatedHost
from fleet.errors import UserError
from fleet.fingerprint import assemble
from fleet.fingerprint.simulated import HeatProbe, ScriptedProbe
from fleet.folders import settings_folder, state_folder
from fleet.model.experiment import SimulatedEngine
from fleet.model.script import MachineScript
from fleet.ports import FactProbe, TelemetryProbe
from fleet.settings.journal import Journal
from fleet.settings.life import TrialSettings
from fleet.settings.simulated import ScriptedLimit
from fleet.telemetry.replay import Replay, samples
from fleet.telemetry.simulated import ScriptedPower
from fleet.wiring.node import Node


def simulated_node(engine: SimulatedEngine, name: str) -> Node:
    """Return the machine of this name; raise UserError if no script has it."""
    script = engine.machines.get(name)
    if script is None:
        known = ", ".join(engine.machines)
        raise UserError(f"no scripted machine is called {name!r}", f"the scripts are: {known}")
    machine_id = assemble.machine_id(f"simulated {name}", None)
    limit = ScriptedLimit(script, state_folder() / "simulated" / machine_id / "wired_limit_mb")
    host = SimulatedHost(limit.script_now, name, SystemClock())
    probes: list[FactProbe] = [ScriptedProbe(script, limit.reading)]
    if script.throttle is not None:
        probes.append(HeatProbe(host.thermal_class))
    return Node(
        machine_id=machine_id,
        name=name,
        look=lambda: assemble.fingerprint(probes),
        make_engine=host.start_owners,
        telemetry=lambda _: _telemetry(script, host),
        restart=host.restart_owners,
        begin=host.begin,
        settings=TrialSettings(
            limit=limit if script.os == "darwin" else None,
            host=host,
            journal=Journal(settings_folder(), machine_id),
            boot_unix_s=lambda: None,  # its limit is a file, which survives a restart of the system
        ),
    )


def _telemetry(script: MachineScript, host: SimulatedHost) -> list[TelemetryProbe]:
    power = script.power
    meter = [] if power is None else [ScriptedPower(host.power, power.scope)]
    return [*meter, Replay(samples(script.recorded), SystemClock())]
