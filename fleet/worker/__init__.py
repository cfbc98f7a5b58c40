"""Run on a node: look at the machine, prepare models, take attempts through their phases.

The local dispatcher starts a worker as a process of its own (`python -m fleet.worker`), the Ray
dispatcher as an actor. A worker imports no duckdb, typer, rich or altair.
"""

from fleet.worker.node_worker import NodeWorker

__all__ = ["NodeWorker"]
