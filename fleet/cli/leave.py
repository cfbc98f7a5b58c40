"""fleet leave: end what fleet runs here, and revoke what its owner had allowed."""

from __future__ import annotations

from fleet.cli import output

EPILOG = """\b
    fleet leave
"""


def leave() -> None:
    """End the head, node or practice that runs here.

    What --allow and --hours permitted is revoked.
    """
    from fleet import folders
    from fleet.app import leave as app

    ended = app.leave(folders.state_folder())
    if ended:
        output.emit(["left: what fleet had started here is ended"])
    revoked = app.disallow(output.say)
    output.emit(revoked)
    if not ended and not revoked:
        output.emit(["no part of a fleet runs here"])
