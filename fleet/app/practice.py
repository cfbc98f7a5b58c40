"""A Ray cluster of simulated machines on this one."""

from __future__ import annotations

from fleet import folders
from fleet.app.head import coordinators_world
from fleet.ports import Say, Stop


def serve_practice(names: list[str], say: Say, stop: Stop) -> None:
    """A Ray cluster of simulated machines on this one, until told to stop."""
    from fleet.dispatch.practice import practice_cluster

    state = folders.state_folder()
    extra = coordinators_world()
    with practice_cluster(names, state, extra=extra, say=say) as practice:
        joined = practice.joined
        say(f"{len(joined)} practice machines have joined: {', '.join(joined)}")
        say("in another terminal:  fleet submit configs/practice.yaml")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        practice.watch(stop, say)
