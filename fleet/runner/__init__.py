"""One trial on one machine: check, load, warm, ask, restore. Effects only through ports."""

from fleet.runner.place import Place
from fleet.runner.trial import run_trial

__all__ = ["Place", "run_trial"]
