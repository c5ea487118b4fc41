"""The patch: which pixels, which value, and what is refused."""

from __future__ import annotations

import pytest
import torch

from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.training.patch import Patch


def test_it_covers_its_square_and_nothing_else() -> None:
    x = torch.rand(2, 3, 6, 7)
    before = x.clone()
    patch = Patch(size=2, top=3, left=4, value=0.5)
    drawn = patch(x)
    assert torch.equal(x, before)
    assert (drawn[:, :, 3:5, 4:6] == 0.5).all()
    outside = ~patch.region(x.shape)
    assert torch.equal(drawn[..., outside], x[..., outside])
    assert int(patch.region(x.shape).sum()) == 4


def test_it_may_touch_the_border_and_not_cross_it() -> None:
    assert int(Patch(size=3, top=3, left=4).region(torch.Size([6, 7])).sum()) == 9
    for patch in (Patch(size=3, top=4, left=4), Patch(size=3, top=3, left=5), Patch(size=8)):
        with pytest.raises(BadInput, match="the picture has 6 x 7 pixels; make it smaller, or move it"):
            patch(torch.zeros(1, 1, 6, 7))


@pytest.mark.parametrize("given", [{"size": 0}, {"top": -1}, {"left": -1}])
def test_a_patch_without_pixels_or_outside(given: dict[str, int]) -> None:
    with pytest.raises(BadMethod, match="a patch has at least one pixel"):
        Patch(**given)


def test_it_is_a_value() -> None:
    assert Patch(size=3, value=1.0) == Patch(3, 0, 0, 1.0)
    assert repr(Patch(size=3, value=1.0)) == "Patch(size=3, top=0, left=0, value=1.0)"
