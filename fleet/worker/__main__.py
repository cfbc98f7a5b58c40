"""A worker as a process of its own, for the local dispatcher."""

from __future__ import annotations

import sys
from functools import partial
from multiprocessing.connection import Connection

from fleet.folders import state_folder
from fleet.pipe import serve
from fleet.worker import NodeWorker


def main() -> None:
    """Serve one dispatcher over the file descriptor that it passed, until it hangs up."""
    connection = Connection(int(sys.argv[1]))
    try:
        spec = connection.recv()
    except EOFError:
        return  # the dispatcher has already ended
    serve(connection, partial(NodeWorker, spec), state_folder() / "faults.log")


if __name__ == "__main__":
    main()
