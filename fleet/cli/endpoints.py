"""Machines on which only Ollama runs, as the command line and `configs/fleet.yaml` name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.cli import output
from fleet.errors import UserError
from fleet.model.declared import DeclaredMachine
from fleet.model.experiment import Engine
from fleet.model.noun import label_mistake
from fleet.terminal import plain

EXAMPLE = "such as --endpoint gpu-box=http://gpu-box:11434"


def endpoints(
    words: Sequence[str],
    machines: Mapping[str, DeclaredMachine],
    engine: Engine,
    *,
    with_head: bool,
) -> dict[str, str]:
    """Return the endpoints of `configs/fleet.yaml` and of the command line: name to base URL.

    `machines`: those that the file declares; they are left out where none can be measured. Raises
    UserError for one that cannot be read, and for two of one name or one address.
    """
    named = [(name, url, "--endpoint") for name, url in map(_name_and_url, words)]
    urls: dict[str, str] = {}
    declared = _declared_endpoints(machines, _why_not(engine, with_head=with_head))
    for name, text, source in [*declared, *named]:
        if mistake := label_mistake(name):
            raise UserError(f"{source}: {mistake}", EXAMPLE)
        url = _base_url(text, source)
        other = next((n for n, known in urls.items() if known == url and n != name), None)
        if other is not None:
            raise UserError(f"{source}: {other} and {name} have one address", "keep one of them")
        if urls.setdefault(name, url) != url:
            raise UserError(f"{source}: {name} has two addresses", "give each machine its own name")
    if urls and with_head:
        raise UserError(
            "endpoints are measured from the machine where you type, and a head does this work",
            "omit --endpoint; without a head: fleet leave",
        )
    return urls


def _base_url(text: str, source: str) -> str:
    """Return the base URL; the engine's modules are loaded only where there is an endpoint."""
    from fleet.engines.ollama.address import parse

    return parse(text, {}, source=source).url


def _why_not(engine: Engine, *, with_head: bool) -> str:
    """Return why this experiment measures no endpoint; empty: it does."""
    if with_head:
        return "an endpoint is not measured through a head"
    if engine.kind == "embedded":
        return "an endpoint runs Ollama, and this experiment measures with embedded"
    return ""


def _declared_endpoints(
    machines: Mapping[str, DeclaredMachine], why_not: str
) -> list[tuple[str, str, str]]:
    """Return the endpoints of `configs/fleet.yaml`, or none, and say why they are left out."""
    known = [(name, each.endpoint) for name, each in machines.items() if each.endpoint]
    if known and why_not:
        output.say(f"{', '.join(name for name, _ in known)}: left out, since {why_not}")
        return []
    return [(name, url, "configs/fleet.yaml") for name, url in known]


def _name_and_url(word: str) -> tuple[str, str]:
    name, equals, url = word.partition("=")
    if not equals or not name or not url.startswith(("http://", "https://")):
        raise UserError(f"--endpoint: '{plain(word)}' is not NAME=URL", EXAMPLE)
    return name, url
