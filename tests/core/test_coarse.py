"""Maps coarser than the rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from smoothgrad.core.coarse import fitted, is_coarse, sized

PICTURE = torch.Size([3, 8, 8])


def test_the_sum_over_channels_of_a_fitted_map_is_the_map_upsampled() -> None:
    maps = torch.rand(2, 1, 4, 4)
    want = F.interpolate(maps, size=(8, 8), mode="bilinear")
    torch.testing.assert_close(fitted(maps, PICTURE).sum(1, keepdim=True), want)
    torch.testing.assert_close(sized(maps, PICTURE), want)


def test_a_map_of_the_pictures_size_is_shared_out_unchanged() -> None:
    maps = torch.rand(2, 1, 8, 8)
    assert sized(maps, PICTURE) is maps
    torch.testing.assert_close(fitted(maps, PICTURE), maps.expand(2, 3, 8, 8) / 3)


def test_maps_of_the_rows_own_shape_are_left() -> None:
    for shape in (PICTURE, torch.Size([1, 8, 8]), torch.Size([5]), torch.Size([])):
        maps = torch.rand(2, *shape)
        assert not is_coarse(maps, shape)
        assert fitted(maps, shape) is maps


def test_series_and_volumes() -> None:
    assert fitted(torch.rand(2, 1, 5), torch.Size([4, 20])).shape == (2, 4, 20)
    assert fitted(torch.rand(2, 1, 2, 2, 2), torch.Size([1, 4, 4, 4])).shape == (2, 1, 4, 4, 4)
