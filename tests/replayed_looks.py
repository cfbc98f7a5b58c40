"""Two looks of the load probe at this very machine, taken once and told again to each who asks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fleet.commands import SystemCommands
from fleet.fingerprint.load import STATS
from fleet.ports import Output

APART_S = 1.0
"""Longer than the probe itself waits: the system counts in hundredths of a second."""


class ReplayedLooks(SystemCommands):
    def __init__(self) -> None:
        first = super().run(STATS)
        threading.Event().wait(APART_S)
        self.texts = (first.stdout, super().run(STATS).stdout)
        self._asked = 0

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        self._asked += 1
        return Output(code=0, stdout=self.texts[(self._asked - 1) % 2], stderr="")
