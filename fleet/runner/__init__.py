"""One trial on one machine: check, load, warm, ask, restore. Effects only through ports."""

from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import Place

__all__ = ["Place", "run_trial"]
