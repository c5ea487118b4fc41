"""Numbers and judgements in words: how sure a map is, whether it is complete, what it explains."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Sampler
from smoothgrad.core.value import Value, fields_of
from smoothgrad.errors import BadRecipe
from smoothgrad.result import Attribution, Completeness
from smoothgrad.samplers.baseline import Baseline
from smoothgrad.view.scales import number

SETTLED = 0.1  # the relative error that `Until` aims at
CORRELATES = "a fresh seed would correlate"
PEDESTAL = 0.3  # by how much the agreement must fall short of what the error promises, to decide
HARDLY = 0.5  # a gap from which relevance is hardly that of the score any more
COMPLETE = 0.05  # Sundararajan et al. 2017 aim at a gap under 5 %


class Sure(NamedTuple):
    """How sure a map is, for a reader who has not met standard errors."""

    level: str  # "settled", ..., "unknown": also the name of its style on the page
    error: str  # the relative error as a number, or ""
    agreement: float | None  # in [0, 1], with the map of a fresh seed: what is meant stands in `measured`
    meaning: str  # one or two sentences
    measured: str = "agreement with another seed about"  # the words before the agreement


# Up to which relative error: the level, and what a fresh seed would do. The words follow the expected agreement,
# 1 - r^2: 0.99, 0.91, 0.64, 0.19.
_LEVELS = (
    (SETTLED, "settled", "A fresh seed would give nearly the same map."),
    (0.3, "nearly settled", "A fresh seed would give the same map but for details."),
    (0.6, "unsettled", "A fresh seed would give a visibly different map: trust the strong parts, not the texture."),
    (0.9, "very unsettled", "A fresh seed would keep little more than the strongest parts of this map."),
    (math.inf, "mostly chance", "A fresh seed would give another map: do not read this one."),
)


def sure(result: Attribution) -> Sure:
    """How sure the map of a result of one row is.

    With r the relative error, ||stderr|| / ||map||, two maps of different seeds have on average the cosine

        agreement = 1 - r^2,

    since ||map||^2 is on average ||limit||^2 + ||stderr||^2. It falls as 1 / draws, which also says how many draws would do.
    Where the result knows its reproducibility, the expected correlation taken from its own draws, that is told instead.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> sure(sg.explain(net, net.samples(1), method=sg.gradient())).level
    'deterministic'
    """
    if result.relative_error is not None:
        found = of_error(float(result.relative_error[0]), int(result.draws[0]))
        again = math.nan if result.reproducibility is None else float(result.reproducibility[0])
        return found if math.isnan(again) else _with_agreement(found, again, int(result.draws[0]))
    method = method_of(result)
    if method is None:
        return Sure("unknown", "", None, "This method does not tell how large a part chance has in its map.")
    if has_chance(method):
        reason = "it is made of one draw" if int(result.draws[0]) == 1 else "this method does not tell it"
        return Sure("unknown", "", None, f"Chance has a part in this map. How large a part is not known: {reason}.")
    return Sure("deterministic", "", None, "No randomness is involved: every seed gives this map.")


def _with_agreement(found: Sure, again: float, draws: int) -> Sure:
    """What a fresh seed would do is known. A map on a pedestal, such as RISE's, has a small error beside its size, and yet another
    pattern with every seed: then the agreement decides.

    >>> _with_agreement(of_error(0.05, draws=50), 0.1, draws=50).level
    'mostly chance'
    """
    promised, found = found.agreement, found._replace(agreement=again, measured=CORRELATES)
    if promised is None or again >= promised - PEDESTAL:
        return found
    worse = of_error(math.sqrt(1 - again), draws)
    meaning = "Another seed would give another pattern: the error is small only beside the level that the whole map stands on."
    return found._replace(level=worse.level, meaning=meaning)


def method_of(result: Attribution) -> Explainer | None:
    """The method that made a result; None for one with pieces that a recipe cannot name, such as your own."""
    try:
        return result.method()
    except BadRecipe:
        return None


def of_error(error: float, draws: int) -> Sure:
    """The same from a relative error and the number of draws behind it.

    >>> of_error(0.2, draws=50).meaning
    'A fresh seed would give the same map but for details. About 210 draws would settle it.'
    >>> of_error(0.5, draws=50).agreement
    0.75
    """
    if not math.isfinite(error):
        return Sure("unknown", "undefined", None, "The map is zero, so that its error has no size to be compared with.")
    error = round(error, 4) if error >= 0.005 else error  # no one shall read 0.10000002, which is called unsettled
    level, meaning = next((level, meaning) for most, level, meaning in _LEVELS if error <= most)
    if SETTLED < error <= 0.9:  # past that the map says too little about the limit's size
        meaning += f" About {_draws_to_settle(error, draws):,} draws would settle it."
    return Sure(level, _error_in_digits(error), max(0.0, 1 - error**2), meaning)


def _error_in_digits(error: float) -> str:
    """An error of at most four decimals, in two, or in more where two would put it on the other side of a level's bound.

    >>> _error_in_digits(0.0987), _error_in_digits(0.103), _error_in_digits(0.1004), _error_in_digits(0.0012)
    ('0.10', '0.103', '0.1004', '0.0012')
    """
    if 0 < error < 0.005:
        return number(error)
    bounds = [most for most, *_ in _LEVELS]
    fine = (f"{error:.{digits}f}" for digits in range(2, 5))
    return next(said for said in fine if all((float(said) <= most) == (error <= most) for most in bounds))


def _draws_to_settle(error: float, draws: int) -> int:
    """Draws until r = `SETTLED`: n r^2 / (1 - r^2), the error relative to the limit, stays the same. Two digits, rounded up."""
    need = draws * (error**2 / (1 - error**2)) / (SETTLED**2 / (1 - SETTLED**2))
    step: int = 10 ** max(0, len(str(int(need))) - 2)
    return int(math.ceil(need / step) * step)


def has_chance(piece: object) -> bool:
    """Would a fresh seed change the maps of this method?

    >>> from smoothgrad import integrated_gradients, vargrad, Noise
    >>> [has_chance(method) for method in (vargrad(), integrated_gradients(), integrated_gradients(baseline=Noise()))]
    [True, False, True]
    """
    if isinstance(piece, tuple):
        return any(map(has_chance, piece))
    if isinstance(piece, Baseline | Sampler | Explainer) and piece.random:
        return True
    return isinstance(piece, Value) and any(has_chance(held) for _, held in fields_of(piece))


class Complete(NamedTuple):
    """Whether a map sums to what its method promises, in words."""

    verdict: str  # "complete", "incomplete", or of relevance "conserved in part"
    level: str  # the name of its style on the page
    gap: str  # relative to what is promised, such as "1.2 %"
    meaning: str


def complete(completeness: Completeness, *, absorbs: bool = False) -> Complete:
    """The completeness of a result of one row; of relevance, constants of the network may keep a part.

    >>> complete(Completeness(torch.tensor([4.1]), torch.tensor([4.0]))).meaning
    'The map sums to 4.10, and its method promises 4.00.'
    """
    total, change, error = float(completeness.total[0]), float(completeness.change[0]), float(completeness.error[0])
    gap = f"{number(100 * error)} %" if math.isfinite(error) else "∞"
    if absorbs:
        said = f"The map sums to {decimal(total)} of {decimal(change)}; biases and other constants of the network keep the rest."
        if error > HARDLY:
            return Complete("hardly conserved", "unsettled", gap, said)
        return Complete("conserved" if error <= COMPLETE else "conserved in part", "deterministic", gap, said)
    verdict, level = ("complete", "settled") if error <= COMPLETE else ("incomplete", "unsettled")
    return Complete(
        verdict, level, gap, f"The map sums to {decimal(total)}, and its method promises {decimal(change)}."
    )


class Question(NamedTuple):
    """What a map explains."""

    words: str  # "tabby", "cat rather than dog", "the probability of tabby"
    score: str
    said: str  # the score with its name, where `words` does not name it already
    code: str  # the `target=` that asks it again


def question(result: Attribution) -> Question:
    """What a result of one row explains, in words and in code: the classes that were found, so that it asks the same again."""
    target, words, said = result.target[0], result.target_name(), decimal(float(result.score[0]))
    match result.kind:
        case "contrast":
            this, that = target.tolist()
            return Question(words, said, f"score {said}", f"sg.Contrast(sg.Class({this}), sg.Class({that}))")
        case "probability":
            return Question(f"the probability of {words}", said, said, f"sg.Probability(sg.Class({int(target)}))")
        case "log probability":
            return Question(
                f"the log probability of {words}", said, said, f"sg.Probability(sg.Class({int(target)}), log=True)"
            )
        case _:
            return Question(words, said, f"score {said}", "..." if target.ndim or int(target) < 0 else str(int(target)))


def decimal(value: float) -> str:
    """Two decimals where they say something, two significant digits elsewhere; a real minus sign.

    >>> decimal(9.127), decimal(-0.31), decimal(0.00123), decimal(12345.6)
    ('9.13', '−0.31', '0.0012', '12,346')
    """
    if not math.isfinite(value):
        return number(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−") if abs(value) < 1e6 else number(value)
    return f"{value:.2f}".replace("-", "−") if abs(value) >= 0.1 or value == 0 else number(value)


def percent(share: float) -> str:
    """A share of one as a percentage that never claims certainty.

    >>> percent(0.914), percent(0.99996), percent(0.00001)
    ('91.4 %', '> 99.9 %', '< 0.1 %')
    """
    if share > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def times(shape: torch.Size | tuple[int, ...]) -> str:
    """
    >>> times((3, 224, 224))
    '3 × 224 × 224'
    """
    return " × ".join(map(str, shape))
