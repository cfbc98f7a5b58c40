"""Python looks for this name when it starts: on a fake Mac the helper lies in the Mac's folder."""

import os
from pathlib import Path

if folder := os.environ.get("FAKE_MAC"):
    from fleet.settings import wired_limit

    wired_limit.HELPER = Path(folder) / "Library" / "fleet-wired-limit"
    wired_limit.ROOT = os.getuid()
