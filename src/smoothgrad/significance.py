"""Which values of a map differ from zero, and within what bounds they lie: Student's t and Benjamini-Hochberg.

A map that is a mean over n independent blocks of draws has a standard error with n - 1 degrees of freedom. Where the mean is zero,

    t = value / stderr

follows Student's t distribution with that freedom: exactly where the means of blocks are normally distributed, and nearly so for
others once there are some tens of blocks. A map has as many tests as values, so that a fixed p-value would let thousands of pixels
through by chance; the false-discovery rate counts what matters, the part of chance among the values that are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from smoothgrad.errors import BadInput, BadMethod

FEWEST = 3  # blocks of draws: a spread taken from two of them is little more than a guess


@final
@dataclass(frozen=True, eq=False)
class Chance:
    """What is known of chance in the maps of a method, for saying what cannot be said."""

    recipe: str
    several: bool  # are there several maps per row?
    unsigned: bool  # can the maps never be negative?
    has_error: bool
    freedom: Tensor | None  # (N,)

    @property
    def no_error(self) -> str:
        """Why there is no standard error with known degrees of freedom, or ""."""
        if self.several:
            return f"{self.recipe} gives several maps per row; take one of .parts()"
        if not self.has_error:
            return (
                f"{self.recipe} gives no standard error, so that nothing is known of chance; choose a mean over random draws, "
                "such as smoothgrad(), smooth_integrated_gradients() or method.over(Gaussian(samples=50))"
            )
        if self.freedom is None:
            return (
                f"how many independent blocks of draws stand behind this map of {self.recipe} is not known; "
                "explain again by this method alone"
            )
        return ""

    @property
    def no_test(self) -> str:
        """Why the maps cannot be tested against zero, or ""."""
        if self.unsigned:
            return (
                f"maps of {self.recipe} can never be negative, so that their mean is not zero and a test against it says nothing; "
                "test a signed map, such as that of smoothgrad()"
            )
        if not self.no_error and self.freedom is not None and bool((self.freedom < FEWEST - 1).any()):
            blocks = int(self.freedom.min()) + 1
            return (
                f"{blocks} independent blocks of draws are too few to test a map by; give samples for {FEWEST} or more, "
                "such as 50"
            )
        return self.no_error


def p_values(value: Tensor, stderr: Tensor, freedom: Tensor) -> Tensor:
    """Two-sided p-values of Student's t test that a mean is zero: P(|T| >= |value / stderr|), T with `freedom` (N,).

    value, stderr: (N, *S). Gives float64 (N, *S) in [0, 1]; without error 0 for any value but zero, and 1 for zero itself;
    NaN where value or error is. Raises `BadInput` for shapes that do not go together. Student 1908.

    >>> zero, two = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, -2.0]])
    >>> p_values(two, torch.ones(1, 2), torch.tensor([10])).round(decimals=4)
    tensor([[0.0734, 0.0734]], dtype=torch.float64)
    >>> p_values(zero, zero, torch.tensor([10])), p_values(two, zero, torch.tensor([10]))
    (tensor([[1., 1.]], dtype=torch.float64), tensor([[0., 0.]], dtype=torch.float64))
    """
    from scipy.special import stdtr  # here, so that importing smoothgrad stays light

    mean, error, free = _same_rows(value, stderr, freedom)
    certain = error == 0
    t = mean / error.masked_fill(certain, 1.0)
    p = 2 * torch.from_numpy(stdtr(free.numpy(), -t.abs().numpy()))
    known = torch.where(certain, (mean == 0).double(), p)
    return known.masked_fill(mean.isnan() | error.isnan(), torch.nan)


def discoveries(p: Tensor, fdr: float) -> Tensor:
    """Which of the tests of each row, p (N, *S), are discoveries at a false-discovery rate: bool (N, *S).

    With p_(1) <= ... <= p_(m) all p-values of a row in order, these are

        p_(1), ..., p_(k),    k the largest i with  p_(i) <= fdr i / m.

    Of the discoveries, a part of at most fdr (times the share of true zeros) is wrong on average, where tests are independent
    or depend on each other positively (Benjamini and Yekutieli 2001), as neighbouring pixels mostly do. Equal p-values share
    their fate; NaN is no discovery. Raises `BadMethod` for a rate outside (0, 1). Benjamini and Hochberg 1995.

    >>> discoveries(torch.tensor([[0.01, 0.04, 0.03, 0.9]]), fdr=0.06)
    tensor([[ True,  True,  True, False]])
    """
    check_fdr(fdr)
    flat = p.detach().cpu().double().flatten(1)
    if not flat.numel():
        return torch.zeros(p.shape, dtype=torch.bool)
    flat = torch.where(
        flat.isnan(), torch.full_like(flat, torch.inf), flat
    )  # counts as a test, and is none that succeeds
    ordered = flat.sort(dim=1).values
    tests = flat.shape[1]
    below = ordered <= fdr * torch.arange(1, tests + 1, dtype=torch.float64) / tests
    last = torch.where(below, ordered, torch.full_like(ordered, -torch.inf)).amax(1, keepdim=True)
    return (flat <= last).view(p.shape)


def interval(value: Tensor, stderr: Tensor, freedom: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """value -+ t * stderr, t the (1 + confidence) / 2 quantile of Student's t with `freedom` (N,): the bounds (N, *S) twice.

    Each covers its value's limit with this probability; nothing is said of all values at once. Raises `BadMethod` for a confidence
    outside (0, 1), and `BadInput` for shapes that do not go together.

    >>> low, high = interval(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([9]), confidence=0.95)
    >>> round(float(high), 3)
    2.262
    """
    from scipy.special import stdtrit

    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise BadMethod(f"the confidence is {confidence!r}; give a probability above 0 and below 1, such as 0.95")
    mean, error, free = _same_rows(value, stderr, freedom)
    reach = torch.from_numpy(stdtrit(free.numpy(), (1 + confidence) / 2)) * error
    return (mean - reach).to(value.dtype), (mean + reach).to(value.dtype)


def check_fdr(fdr: object) -> None:
    """Raises `BadMethod` for anything but a number above 0 and below 1."""
    if isinstance(fdr, bool) or not isinstance(fdr, int | float) or not 0 < fdr < 1:
        raise BadMethod(f"the false-discovery rate is {fdr!r}; give a share above 0 and below 1, such as 0.05")


@final
@dataclass(frozen=True, eq=False)
class ZeroTest:
    """Of the map of one row: what it takes to say which of its values differ from zero.

    >>> ZeroTest(torch.tensor([0.1, -5.0]), torch.ones(2), freedom=9).differs(fdr=0.05)
    tensor([False,  True])
    """

    value: Tensor  # (*S)
    stderr: Tensor  # (*S)
    freedom: float

    @cached_property
    def p(self) -> Tensor:
        """The p-value of each value (*S)."""
        return p_values(self.value[None], self.stderr[None], torch.tensor([self.freedom]))[0]

    def differs(self, fdr: float) -> Tensor:
        """Which values are discoveries at this rate, among all values of the row: bool (*S)."""
        return discoveries(self.p[None], fdr)[0]


def _same_rows(value: Tensor, stderr: Tensor, freedom: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """In float64 on the CPU, the freedom (N, 1, ...) beside (N, *S)."""
    if value.shape != stderr.shape or freedom.shape != value.shape[:1]:
        raise BadInput(
            f"value {tuple(value.shape)}, standard error {tuple(stderr.shape)} and degrees of freedom "
            f"{tuple(freedom.shape)} do not go together; give two of one shape (N, *S), and one number for each of the N rows"
        )
    mean, error, free = (part.detach().cpu().double() for part in (value, stderr, freedom))
    return mean, error, free.view(-1, *[1] * (value.ndim - 1))
