"""A Ray cluster of simulated machines on this one."""

from __future__ import annotations

from pathlib import Path

from fleet import folders
from fleet.app.head import coordinator_environment
from fleet.dispatch.practice import practice_cluster
from fleet.ports import Say, Stop


def serve_practice(home: Path, names: list[str], say: Say, stop: Stop) -> None:
    """Run the simulated machines until stopped."""
    extra = coordinator_environment(home)
    with practice_cluster(names, folders.state_folder(), extra=extra, say=say) as practice:
        joined = practice.joined
        say(f"{len(joined)} practice machines have joined: {', '.join(joined)}")
        submit = folders.with_home("fleet submit configs/practice.yaml", home)
        say(f"in another terminal:  {submit}")
        say("practice stays in the foreground until Ctrl-C or `fleet leave`")
        practice.watch(stop, say)
