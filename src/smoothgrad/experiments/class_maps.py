"""The maps of two classes of a picture, each scaled to [0, 1], and their difference: as numbers, and as maps to be drawn."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from smoothgrad.experiments.experiment import Finding
from smoothgrad.result import Attribution

SHARE = "share of the map's largest value"


def scaled(result: Attribution) -> Tensor:
    """Absolute values, summed over channels, as shares of the largest: (1, *places), float64; zero for a map of zeros."""
    size = result.maps.double().abs()
    size = size if size.ndim == 2 else size.sum(1)  # features (1, D) have no channels
    return size / size.max() if size.max() > 0 else size


def drawn_difference(finding: Finding) -> Attribution:
    """The scaled map of the first class less that of the second, to be drawn."""
    first, second = finding.maps["first"], finding.maps["second"]
    return _drawn(first, scaled(first) - scaled(second), f"first − second, each as {SHARE}", unsigned=False)


def drawn_scaled(result: Attribution) -> Attribution:
    """The scaled map, to be drawn."""
    return _drawn(result, scaled(result), SHARE, unsigned=True)


def _drawn(result: Attribution, values: Tensor, unit: str, *, unsigned: bool) -> Attribution:
    """Values (1, *places) in place of the map, with nothing that is known of the map alone."""
    few = result.x.ndim == 2
    return replace(
        result,
        maps=values if few else values[:, None],
        x=result.x if few else result.x.mean(1, keepdim=True),
        unit=unit,
        unsigned=unsigned,
        stderr=None,
        freedom=None,
        reproducibility=None,
        converged=None,
        completeness=None,
        coarse=None,
    )


def classes_of(found: list[Finding | None]) -> tuple[str, str]:
    """What the two classes of a picture are called, of which some finding has maps."""
    some = next(one for one in found if one is not None)
    first, second = (_class(some.maps[name]) for name in ("first", "second"))
    return first, second


def _class(result: Attribution) -> str:
    index = int(result.target[0])
    return result.classes[index] if result.classes else f"class {index}"
