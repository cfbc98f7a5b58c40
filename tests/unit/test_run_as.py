"""How the owner's Ollama is run, out of what the system prints; the restart that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleet.fingerprint.run_as import on_darwin, on_linux, servers
from fleet.owner.ownership import OwnersOllama
from fleet.owner.restart import Restart, restart_of, right_to
from fleet.ports import Output
from fleet.readers.run_as import (
    UNIT_PROPERTIES,
    RunAs,
    Unit,
    is_container,
    parse_cgroup,
    parse_processes,
    parse_services,
    parse_units,
    unit_of,
)
from tests.builders_commands import Recorded
from tests.unit.test_readers import CGROUP, LAUNCHD, PROCESSES, UNITS

SHELL = "0::/user.slice/user-1000.slice/session-3.scope\n"
SYSTEM = "0::/system.slice/ollama.service\n"
DOCKER = f"0::/system.slice/docker-{'ab' * 32}.scope\n"
SHOW = f"show ollama.service --property={UNIT_PROPERTIES}"


def its(environment: Mapping[str, str]) -> bool:
    return environment.get("OLLAMA_HOST", "127.0.0.1:11434") == "0.0.0.0:1000"


def box(
    *processes: tuple[str | None, str], own: str = SHELL, **units: str
) -> tuple[Recorded, RunAs]:
    """Processes from 44 on, each with its environment (None: another user's) and its cgroup."""
    files = {"/proc/self/cgroup": own}
    for pid, (environ, cgroup) in enumerate(processes, 44):
        files |= {f"/proc/{pid}/cmdline": "/usr/bin/ollama\0serve\0", f"/proc/{pid}/cgroup": cgroup}
        files |= {} if environ is None else {f"/proc/{pid}/environ": environ}
    pids = "\n".join(str(44 + at) for at in range(len(processes)))
    outputs = {"pgrep -x ollama": pids, **{name: text for name, text in units.items() if text}}
    commands = Recorded(outputs, files)
    return commands, on_linux(commands, servers(commands), its)


MINE, OTHERS = "OLLAMA_HOST=0.0.0.0:1000\0SHELL=/bin/sh\0", "OLLAMA_HOST=0.0.0.0:2000\0"
BY_SYSTEM = {f"systemctl {SHOW}": UNITS}
BY_USER = {f"systemctl --user {SHOW}": UNITS}


def test_what_systemd_tells() -> None:
    [unit] = parse_units(UNITS)
    assert (unit.name, unit.pid) == ("ollama.service", 44)
    assert unit.environment["OLLAMA_HOST"] == "0.0.0.0:1000"
    assert parse_units(UNITS.replace("ollama.service", "a b; reboot")) == []
    assert parse_units(UNITS.replace("=44", "=-1")) == []
    assert parse_units(UNITS.replace("PATH", "'PATH")) == [
        Unit(name="ollama.service", pid=44, environment={})
    ]


def test_where_a_process_stands() -> None:
    assert parse_cgroup(CGROUP) == "/system.slice/ollama.service"
    assert unit_of("/system.slice/ollama.service") == "ollama.service"
    assert unit_of(parse_cgroup(SHELL)) == unit_of("") == ""
    assert is_container(parse_cgroup(DOCKER), parse_cgroup(SHELL))
    assert not is_container(parse_cgroup(DOCKER), parse_cgroup(DOCKER)), "we are in it too"


@pytest.mark.parametrize(
    ("processes", "units", "kind"),
    [
        ([(None, SYSTEM)], BY_SYSTEM, "systemd unit ollama.service"),
        ([(MINE, SYSTEM)], BY_SYSTEM, "systemd unit ollama.service"),
        ([(MINE, SHELL)], BY_USER, "systemd unit ollama.service of the user"),
        ([(MINE, SHELL)], {}, "by hand"),
        ([(MINE, "0::/system.slice/cron.service\n")], {}, "by hand"),
        ([(None, DOCKER)], {}, "container"),
        ([(None, SHELL)], {}, "its process is another user's"),
        ([], {}, "no process of it here"),
        ([(OTHERS, SHELL)], {}, "which of its processes answers"),
        ([(None, SYSTEM), (None, DOCKER)], BY_SYSTEM, "which of its processes answers"),
        ([(OTHERS, SYSTEM), (MINE, SHELL)], BY_SYSTEM, "by hand"),
        ([(OTHERS, SHELL), (None, SHELL)], {}, "its process is another user's"),
    ],
)
def test_a_linux_machine(
    processes: list[tuple[str | None, str]], units: dict[str, str], kind: str
) -> None:
    _, found = box(*processes, **units)
    assert str(found) == kind or kind in found.why
    assert bool(found.kind) != bool(found.why)


def test_a_unit_that_listens_elsewhere_is_not_the_one_that_is_asked() -> None:
    elsewhere = {f"systemctl {SHOW}": UNITS.replace("1000", "2000")}
    assert box((None, SYSTEM), **elsewhere)[1].kind is None


def test_a_unit_of_another_name_is_found_by_the_place_of_the_process() -> None:
    show = f"systemctl show llm.service ollama.service --property={UNIT_PROPERTIES}"
    units = {show: UNITS.replace("ollama.service", "llm.service")}
    assert box((MINE, "0::/system.slice/llm.service\n"), **units)[1].name == "llm.service"


LSOF = "lsof -nP -iTCP:1000 -sTCP:LISTEN -Fp"
PS = "ps -axww -o pid=,ppid=,command="
BREW = "44 1 /opt/homebrew/opt/ollama/bin/ollama serve\n"
TYPED = "30 1 -zsh\n44 30 /Applications/Ollama.app/Contents/Resources/ollama serve\n"


@pytest.mark.parametrize(
    ("listens", "processes", "services", "kind"),
    [
        ("p44\nf3\n", PROCESSES, "", "app"),
        ("p44\nf3\n", BREW, LAUNCHD, "launchd service homebrew.mxcl.ollama"),
        ("p44\nf3\n", TYPED, LAUNCHD.replace("44", "45"), "by hand"),
        ("p1\np44\n", BREW, LAUNCHD, "launchd service homebrew.mxcl.ollama"),
        ("", BREW, LAUNCHD, "no Ollama of this user listens there"),
        ("p9\n", BREW + "9 1 nginx\n", LAUNCHD, "no Ollama of this user listens there"),
    ],
)
def test_a_mac(listens: str, processes: str, services: str, kind: str) -> None:
    commands = Recorded({LSOF: listens, PS: processes, "launchctl list": services})
    found = on_darwin(commands, 1000)
    assert str(found) == kind or kind in found.why


def test_a_mac_without_lsof_says_so() -> None:
    assert on_darwin(Recorded({PS: BREW}), 1000).why == "lsof is not installed"


def test_what_launchd_and_ps_tell() -> None:
    assert parse_services(LAUNCHD) == {44: "homebrew.mxcl.ollama"}
    assert parse_services("44\t0\ta; reboot\n") == {}
    assert parse_processes(PROCESSES)[44].parent == 20


@pytest.mark.parametrize("url", ["http://192.168.1.7:11434", "https://ollama.example:443"])
def test_one_on_another_machine_is_not_looked_for_here(url: str) -> None:
    found = OwnersOllama(url, cast(Any, Recorded()), cast(Any, None)).run_as()
    assert found.kind is None
    assert "not this machine's own loopback" in found.why


@pytest.mark.parametrize(
    ("run_as", "user_id", "typed"),
    [
        (RunAs(kind="systemd", name="o.service"), 0, "systemctl restart o.service"),
        (RunAs(kind="systemd", name="o.service"), 7, "sudo -n systemctl restart o.service"),
        (RunAs(kind="systemd user", name="o.service"), 7, "systemctl --user restart o.service"),
        (RunAs(kind="launchd", name="a.b"), 501, "launchctl kickstart -k gui/501/a.b"),
        (
            RunAs(kind="app", name="Ollama"),
            *(501, "osascript -e 'quit app \"Ollama\"', then open -a Ollama"),
        ),
    ],
)
def test_each_is_restarted_by_what_keeps_it(run_as: RunAs, user_id: int, typed: str) -> None:
    found = restart_of(run_as, user_id, 1000)
    assert (found.words, found.refusal) == (typed, "")
    assert found.argv[0] in ("/bin/sh", typed.split()[0])


@pytest.mark.parametrize(
    ("run_as", "why"),
    [
        (RunAs(kind="by hand"), "started by hand and would lose its terminal"),
        (RunAs(kind="container"), "runs in a container"),
        (RunAs(kind=None, why="no process"), "unknown how it is run: no process"),
    ],
)
def test_what_nobody_keeps_is_not_restarted(run_as: RunAs, why: str) -> None:
    found = restart_of(run_as, 0, 1000)
    assert found.argv == ()
    assert why in found.refusal


@dataclass
class Sudo:
    """Lets some command lines through."""

    lets: Sequence[str] = ()
    asked: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        self.asked.append(" ".join(argv))
        code = 0 if " ".join(argv[3:]) in self.lets else 1
        return Output(code=code, stdout="", stderr="")

    def read(self, path: str) -> str | None:
        return None


def test_a_user_without_the_right_is_told_the_line_that_gives_it() -> None:
    found = restart_of(RunAs(kind="systemd", name="ollama.service"), 1000, 1)
    sudo = Sudo()
    why = right_to(found, sudo, "/usr/bin/systemctl", 1000)
    assert "`systemctl restart ollama.service` without a password" in why
    assert why.endswith(
        "echo '#1000 ALL=(root) NOPASSWD: /usr/bin/systemctl restart ollama.service' "
        "| sudo tee /etc/sudoers.d/fleet-restart-ollama"
    )
    assert sudo.asked == ["sudo -n -l systemctl restart ollama.service"], "asked, not done"
    able = Sudo(lets=["systemctl restart ollama.service"])
    assert right_to(found, able, "/usr/bin/systemctl", 1000) == ""
    user = restart_of(RunAs(kind="launchd", name="a.b"), 501, 1)
    assert right_to(user, sudo, "", 501) == right_to(Restart(refusal="x"), sudo, "", 501) == ""


def test_the_fact_tells_it_or_why_not() -> None:
    from fleet.fingerprint.run_as import run_as_fact

    [known] = run_as_fact(RunAs(kind="app", name="Ollama"))
    [unknown] = run_as_fact(RunAs(kind=None, why="no process of it here"))
    assert (known.name, known.value) == ("ollama_run_as", "app")
    assert unknown.value is None
    assert unknown.source.endswith("no process of it here")


def test_the_engine_s_probe_asks_it_of_an_ollama_alone() -> None:
    from fleet.fingerprint.engine import EngineProbe

    told = SimpleNamespace(kind="embedded", version="1", environment={})

    def asked() -> RunAs:
        told.asked = True
        return RunAs(kind="by hand")

    probe = EngineProbe(
        Recorded(),
        lambda: cast(Any, told),
        is_its=bool,
        home=cast(Any, "/"),
        system="linux",
        run_as=asked,
    )
    probe.collect()
    assert not hasattr(told, "asked")
    told.kind = "ollama"
    assert "by hand" in [fact.value for fact in probe.collect() if fact.name == "ollama_run_as"]


def test_the_process_of_the_server_that_answers_is_the_engines() -> None:
    commands, _ = box((OTHERS, SYSTEM), (MINE, SHELL))
    theirs = cast(Any, commands)
    assert OwnersOllama("http://127.0.0.1:1000", theirs, cast(Any, None)).servers() == [45]
    assert OwnersOllama("http://127.0.0.1:3000", theirs, cast(Any, None)).servers() == []
    assert OwnersOllama("http://10.0.0.7:1000", theirs, cast(Any, None)).servers() == []
