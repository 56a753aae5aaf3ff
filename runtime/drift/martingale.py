"""A wager against "nothing has changed", whose winnings are the evidence of drift.

The null hypothesis is that a line's values go on as those of calibration, all exchangeable. A new value then falls into
bin b with the chance

    p_b = (a_b + c_b) / Σ (a + c)

given all bins before, with a the bins' weights (`runtime.drift.reference`) and c how many came into each: Pólya's urn,
the predictive distribution of the Dirichlet one. Nothing in it has to be estimated, and that calibration has finitely
many values, which all p-values share, is allowed for. A bet on a bin returns f_b of its stake, Σ p_b f_b = 1, so that
no way of betting wins on average: capital is a martingale that begins at 1, and the chance that it *ever* reaches 1/α
is α at most (Ville, Étude critique de la notion de collectif, 1939).

Bets: f = 1 + ε (u − ½) with the mid-rank u of the bin under p, for some ε of both signs (the simple jumper of Vovk,
Petej, Nouretdinov, Ahlberg, Carlsson and Gammerman, "Retrain or not retrain: conformal test martingales for
change-point detection", COPA 2021, there over conformal p-values), and f = 1 − η + η [b is the outermost bin] / p_b,
for values beyond what calibration saw. A little of each bet's capital goes to the others with each value, since drift
may turn. Where the last bin has *at most* the chance that its weight says (`Reference.at_most`), those bets alone are
made that win when a value falls into it, and capital is a supermartingale: it is bounded alike.

Capital that bets shrinks as long as nothing changes; after a year little would be left. So it begins to bet little by
little: after t values 1 / ln(e + t) of it has not begun. At any time some of it is fresh, which costs ln t and twice
ln ln t of evidence, and no longer wait.
"""

import math
from bisect import bisect_left
from typing import Any

from runtime.drift.reference import Reference
from runtime.errors import InputError

TILTS = (-1.9, -1.0, -0.4, 0.4, 1.0, 1.9)  # ε; beyond ±2 a stake could be lost twice
TAIL_STAKES = (0.01, 0.1)  # η, on either outermost bin
BETS = len(TILTS) + 2 * len(TAIL_STAKES)
JUMP = 0.001  # share of the bets' capital that is dealt out anew with each value
MOST = 1e100  # capital above it is given away, or it would overflow
ALLOWED = 0.01  # winnings with a value, as a logarithm, that luck alone goes on with for long
RECENT = 0.02  # weight of a new value in the running means


class Martingale:
    """Capital that bets on the bins of one kind of values. For one thread at a time."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.count = 0  # values so far that lie in a bin
        self.rise = 0.0  # running mean of u − ½: above 0 where values have risen
        self._counts = [float(weight) for weight in reference.weights]  # with those that came
        last = len(reference.weights) - 1
        self._tilts = tuple(tilt for tilt in TILTS if tilt > 0) if reference.at_most else TILTS
        self._outermost = (last,) if reference.at_most else (0, last)
        self._bets = [0.0] * (len(self._tilts) + len(self._outermost) * len(TAIL_STAKES))
        self._fresh = 1.0  # capital that has not begun to bet
        self._run, self._run_since = 0.0, 1  # the winnings, as a logarithm, since they were last lost, and since when

    @property
    def evidence(self) -> float:
        """The capital, 1 at first."""
        return self._fresh + math.fsum(self._bets)

    @property
    def since(self) -> int:
        """The number of the value with which the winnings at hand began: about when the change did.

        One more than `count` while there are none.
        """
        return self._run_since

    def add(self, value: float) -> None:
        """Bet on one value. One above the ceiling is left out."""
        if value > self.reference.ceiling:
            return
        place, counts, bets = bisect_left(self.reference.edges, value), self._counts, self._bets
        total = math.fsum(counts)
        off = (math.fsum(counts[:place]) + counts[place] / 2) / total - 0.5
        fresh = 1 / math.log(math.e + self.count + 1)
        dealt = (self._fresh - fresh) / len(bets)
        self._fresh = fresh
        staked = [capital + dealt for capital in bets]
        before = math.fsum(staked)
        factors = [1 + tilt * off for tilt in self._tilts]
        for outermost in self._outermost:
            hit = total / counts[place] if place == outermost else 0.0
            factors += [1 - stake + stake * hit for stake in TAIL_STAKES]
        won = [capital * factor for capital, factor in zip(staked, factors, strict=True)]
        after = math.fsum(won)
        dealt = JUMP * after / len(bets)
        scale = min(1.0, MOST / after)
        self._bets = [scale * ((1 - JUMP) * capital + dealt) for capital in won]
        counts[place] += 1
        self.count += 1
        self._follow(after / before)
        self.rise += RECENT * (off - self.rise)

    def _follow(self, factor: float) -> None:
        """Page's cumulative sum of the bets' growth, which says since when they have won."""
        self._run += math.log(factor) - ALLOWED
        if self._run <= 0:
            self._run, self._run_since = 0.0, self.count + 1

    @property
    def document(self) -> dict[str, Any]:
        """All that has to be kept, as plain numbers."""
        arrived = [now - weight for now, weight in zip(self._counts, self.reference.weights, strict=True)]
        return {
            "arrived": [round(each) for each in arrived],
            "rise": self.rise,
            "bets": list(self._bets),
            "fresh": self._fresh,
            "run": self._run,
            "run_since": self._run_since,
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Go on where `document` was taken. Raises `InputError` for one that no martingale of this reference gave."""
        arrived, bets = [int(each) for each in document["arrived"]], [float(each) for each in document["bets"]]
        fresh, run, rise = (float(document[name]) for name in ("fresh", "run", "rise"))
        numbers = (*arrived, *bets, fresh, run)
        others = len(arrived) != len(self._counts) or len(bets) != len(self._bets)
        if others or not all(map(_is_amount, numbers)):
            raise InputError("the martingale has other bins, or numbers that are none")
        if not -0.5 <= rise <= 0.5:
            raise InputError(f"rise is {rise}; expected -0.5 to 0.5")
        self._counts = [weight + each for weight, each in zip(self.reference.weights, arrived, strict=True)]
        self._bets, self._fresh, self._run, self.rise = bets, fresh, run, rise
        self.count, self._run_since = sum(arrived), int(document["run_since"])


def _is_amount(number: float) -> bool:
    return 0 <= number < math.inf
