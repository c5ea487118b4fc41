"""What a table of errors against numbers of samples says: how they fall, what a sampling saves, from where the eye is satisfied."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smoothgrad.experiments.limits import DISTANCE
from smoothgrad.experiments.summary import Average, average, chosen, line

if TYPE_CHECKING:
    from pandas import DataFrame

PLAIN = "independent"
ALIKE = 0.9  # of SSIM, from where the eye is said to see no change
CLOSE = 0.1  # of the error, from where the estimate is said to have converged
IN_WORDS = {
    "independent": "plain",
    "antithetic": "antithetic",
    "sobol": "Sobol",
    "stratified": "Latin hypercube (stratified)",
}
ROUNDING = 1e-5  # an error below this is that of float32


def squares(frame: DataFrame, sampling: str) -> dict[str, float]:
    """The squared error of one sample, by picture: the mean over n of n error(n)^2, which by the law is the same at each n; NaN
    where the picture's limit cannot be told from zero."""
    some = chosen(frame, {"quantity": DISTANCE, "sampling": sampling})
    return dict((some["n"] * some["value"] ** 2).groupby(some["picture"], sort=False).mean())


def one_sample(frame: DataFrame, sampling: str) -> Average:
    """The error of one sample, by which error(n) is that over sqrt(n): the mean over pictures whose limit can be told from zero."""
    return Average.of(np.sqrt(np.array([*squares(frame, sampling).values()], dtype=np.float64)))


def saving(frame: DataFrame, sampling: str) -> Average:
    """How many plain samples one of this sampling is worth: the ratio of squared errors, geometric mean over pictures.

    NaN where there is no picture that has both with an error beyond rounding.
    """
    own, plain = squares(frame, sampling), squares(frame, PLAIN)
    some = [one for one in own if one in plain and own[one] > ROUNDING**2 and plain[one] > ROUNDING**2]
    found = Average.of(np.array([math.log(plain[one] / own[one]) for one in some], dtype=np.float64))
    return Average(math.exp(found.mean), math.exp(found.low), math.exp(found.high), found.n)


def first_alike(frame: DataFrame, quantity: str, sampling: str) -> int | None:
    """The smallest n from which on the mean similarity exceeds `ALIKE`; None where it does not."""
    places = sorted(chosen(frame, {"quantity": quantity, "sampling": sampling})["n"].unique())
    found = None
    for n in reversed(places):
        if not average(frame, quantity, {"sampling": sampling, "n": n}).mean > ALIKE:
            break
        found = int(n)
    return found


def fitted_slope(frame: DataFrame, sampling: str) -> float:
    """The slope of log error against log n, by least squares; NaN for fewer than two n, and for errors of zero."""
    points = line(frame, "", "n", DISTANCE, {"sampling": sampling})
    if len(points.x) < 2 or not bool((points.y > ROUNDING).all()):
        return math.nan
    return float(np.polyfit(np.log(points.x), np.log(points.y), 1)[0])


def count(n: float) -> str:
    """A number of samples that is no better known than to two digits."""
    return f"{float(f'{n:.2g}'):,.0f}" if n < 1e7 else f"{n:.1e}"


# --- in words -------------------------------------------------------------------------------------------------------------


def seen(frame: DataFrame, quantity: str, sampling: str, what: str) -> str:
    """From how many samples on the eye is satisfied, by a similarity with something."""
    some = chosen(frame, {"quantity": quantity, "sampling": sampling}).dropna(subset="value")
    if not len(some):
        return f"nothing is known of its likeness to {what}"
    most = int(some["n"].max())
    n = first_alike(frame, quantity, sampling)
    if n is None:
        far = average(frame, quantity, {"sampling": sampling, "n": most})
        return f"the shown map is not like {what} up to n = {most} (SSIM {far})"
    near = average(frame, quantity, {"sampling": sampling, "n": n})
    when = f"already at n = {n}, the fewest tried" if n == int(some["n"].min()) else f"from n = {n} on"
    return f"the shown map is like {what} {when} (SSIM {near}, where {ALIKE:g} is asked for)"


def estimated(frame: DataFrame, sampling: str, last: int, reference: int) -> str:
    """How far the map of the most samples is from the limit, and how many samples it takes to be near."""
    scale = one_sample(frame, sampling)
    pictures = len(squares(frame, sampling))
    lost = (
        f"on {pictures - scale.n} of {pictures} picture{'s' * (pictures != 1)} the limit of {reference} samples cannot be told "
        "from zero, so that nothing is known of the error; take a larger reference"
    )
    if not scale.n:
        return lost
    aside = f" ({lost})" if scale.n < pictures else ""
    error = average(frame, DISTANCE, {"sampling": sampling, "n": last})
    at_last = f"at n = {last} its error is {error} of the limit's norm"
    if scale.mean <= ROUNDING:
        return f"{at_last}: next to nothing{aside}"
    needed, low, high = ((one / CLOSE) ** 2 for one in scale[:3])
    sure = f" ({count(low)} to {count(high)})" if math.isfinite(low) else ""
    how = "extrapolated by the 1/√n law" if needed > last else "by the 1/√n law"
    return f"{at_last}, and a mean error of {CLOSE:g} takes {count(needed)} samples{sure}, {how}{aside}"


def saved(frame: DataFrame, sampling: str) -> str:
    """What a sampling saves."""
    name = f"{IN_WORDS[sampling][0].upper()}{IN_WORDS[sampling][1:]} sampling"
    own, plain = one_sample(frame, sampling).mean, one_sample(frame, PLAIN).mean
    if own <= ROUNDING:
        return f"{name} is exact to rounding here{', as plain sampling is' * (plain <= ROUNDING)}."
    found = saving(frame, sampling)
    if not found.n:
        return (
            f"{name} cannot be compared with plain sampling: on no picture are both errors known and beyond rounding."
        )
    sure = f", which {'clearly differs' if found.side(1) else 'does not clearly differ'} from 1" * math.isfinite(
        found.low
    )
    return (
        f"{name}: one of its samples is worth {found} plain ones (ratio of squared errors, geometric mean over {found.n} "
        f"picture{'s' * (found.n != 1)}){sure}."
    )
