"""How often fleet's verdicts are wrong, and how often they find what is there, by simulation.

Every data set goes the way of a real one from the trials' medians on: sides, the choice of the
test, the estimate, Holm's procedure, the stop rule. Trials scatter by 2 %, the requests of one
follow one another as an AR(1) process (1 %, 0.6), 4 % of them are 5 to 20 % slow. Textbook power
is that of the same test on normal data: of pairs by the noncentral t distribution, of Welch's,
which has no closed form, by scipy on 100,000 samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import _table
import numpy as np
import scipy.stats
from _table import Table
from numpy.random import Generator

from fleet.stats import ratios as estimates
from tests import builders_null as null

BLOCKS = (3, 5, 10)
FAMILY = 20
MOST, LEAST = 6.0, 3.5
EFFECTS = {3: 0.10, 5: 0.05, 10: 0.03}
"""By blocks: a difference that is found about half of the time or more often."""

POWER_POINTS = 3.0
SAMPLES = 100_000
HOPELESS = 20.0


def fill(table: Table, quick: bool) -> None:
    sets = 1_000 if quick else 5_000
    chance = np.random.default_rng(20261125)
    false_alarms(table, chance, sets)
    families(table, chance, sets)
    power(table, chance, sets)
    stopping(table, chance, sets)
    sequential(table, chance, sets)


def false_alarms(table: Table, chance: Generator, sets: int) -> None:
    for name, drift in null.SCENARIOS.items():
        for k in BLOCKS:
            _table.note(f"false alarms, {name}, k = {k} ...")
            one = null.in_blocks(chance, sets, k, drift=drift)
            level(table, f"one machine, {name}, k = {k}", null.alarms(null.contrasts(one)), drift)
            two = null.on_two_machines(chance, sets, k, drift=drift)
            found = null.alarms(null.contrasts(two, machines=2))
            level(table, f"two machines, {name}, k = {k}", found, drift)


def level(table: Table, what: str, share: float, drift: float) -> None:
    percent = 100 * share
    what = f"false alarms, {what}"
    if drift:
        table.at_most(what, MOST, percent, "%")
    else:
        met = LEAST <= percent <= MOST
        table.holds(what, f"{LEAST:g} to {MOST:g} %", f"{percent:.2f} %", met)


def families(table: Table, chance: Generator, sets: int) -> None:
    """Twenty settings against one baseline, and twenty cells that have nothing in common."""
    _table.note("families of 20 ...")
    k = 5
    own, shared = Counter[str](), Counter[str]()
    for _ in range(sets):
        cells = null.in_blocks(chance, FAMILY, k)
        own.update(family_alarms(null.contrasts(cells)))
        rates = 100 * np.exp(np.median(null.trials(chance, FAMILY + 1, k), axis=2))
        against = null.Session(np.repeat(rates[:1], FAMILY, axis=0), rates[1:], cells.requests)
        shared.update(family_alarms(null.contrasts(against)))
    for name, counts in (("of 20 cells", own), ("of 20 settings, one baseline", shared)):
        table.beside(f"any false alarm {name}, each at 5 %", 100 * counts["bare"] / sets, "%")
        table.at_most(f"any false alarm {name}, Holm", MOST, 100 * counts["holm"] / sets, "%")


def family_alarms(found: Iterator[null.Contrast]) -> list[str]:
    p = [c.estimate.p for c in found if c.estimate is not None]
    raised = {"bare": min(p) <= 0.05, "holm": min(estimates.holm(p)) <= 0.05}
    return [name for name, alarm in raised.items() if alarm]


def power(table: Table, chance: Generator, sets: int) -> None:
    sd = null.spread()
    for k in BLOCKS:
        effect = EFFECTS[k]
        one = null.in_blocks(chance, sets, k, effect=effect)
        two = null.on_two_machines(chance, sets, k, effect=effect)
        for name, expected, found in (
            ("one machine", power_of_pairs(k, effect, sd), null.contrasts(one)),
            ("two machines", power_of_welch(k, effect, sd), null.contrasts(two, machines=2)),
        ):
            textbook, ours = 100 * expected, 100 * null.alarms(found)
            met = abs(ours - textbook) <= POWER_POINTS
            what = f"power, {name}, {effect:.0%} faster, k = {k}"
            table.holds(what, f"{textbook:.1f} +- 3 %", f"{ours:.1f} %", met)


def power_of_pairs(k: int, effect: float, sd: float) -> float:
    reach = scipy.stats.t.ppf(0.975, k - 1)
    t = scipy.stats.nct(k - 1, np.log1p(effect) / (sd * np.sqrt(2 / k)))
    return float(t.sf(reach) + t.cdf(-reach))


def power_of_welch(k: int, effect: float, sd: float) -> float:
    chance = np.random.default_rng(1)
    a, b = (chance.normal(mean, sd, (SAMPLES, k)) for mean in (0.0, np.log1p(effect)))
    return float(np.mean(scipy.stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue <= 0.05))


def stopping(table: Table, chance: Generator, sets: int) -> None:
    """The real stop rule after each block: 5 to 12, until the ratio is known within 3 %."""
    _table.note("stopping on width ...")
    for name, drift in null.SCENARIOS.items():
        session = null.in_blocks(chance, sets, null.REPEATS.most, drift=drift)
        told, blocks = zip(*null.until_known(session), strict=True)
        level(table, f"one machine, {name}, stopped on width", sum(told) / sets, drift)
        table.beside(f"blocks until then, {name}", float(np.mean(blocks)))


def sequential(table: Table, chance: Generator, sets: int) -> None:
    """The same trials, all of A and then all of B: no test saves this order."""
    for k in BLOCKS:
        session = null.one_after_the_other(chance, sets, k, drift=null.DRIFT)
        found = 100 * null.alarms(null.contrasts(session, in_turn=False))
        what = f"false alarms, one after the other, 4% drift, k = {k}"
        table.holds(what, f"fails: > {MOST:g} %", f"{found:.1f} %", found > MOST)
    pooled = null.in_blocks(chance, sets, 5)
    logs = [side.reshape(sets, -1) for side in pooled.requests]
    p = scipy.stats.mannwhitneyu(logs[0], logs[1], axis=1, method="asymptotic").pvalue
    share = 100 * float(np.mean(p <= 0.05))
    table.beside("for comparison, not fleet's: a rank test over requests, k = 5", share, "%")


if __name__ == "__main__":
    _table.run("How often a verdict is wrong", fill, __doc__)
