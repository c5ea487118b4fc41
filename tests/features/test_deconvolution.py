"""Deconvolution against W^T e_k, against a deconvnet written out with its unpooling, and against pieces put together by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, BadTarget, ModelInTraining, UnknownName
from smoothgrad.features import deconvolve, reconstruct, strongest, up_to
from smoothgrad.models.fingerprint import fingerprint

X = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return make().eval()


class Pooled(nn.Module):
    """Convolution, ReLU, max-pooling, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.pool2 = nn.MaxPool2d(2)
        self.linear = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(F.relu(self.conv2(x)))
        scores: Tensor = self.linear(x.flatten(1))
        return scores


def slow_deconvnet(net: Pooled, x: Tensor, message: Tensor) -> Tensor:
    """A message at pool2 (1, 6, 2, 2) to pixels, by the layers of Zeiler and Fergus: unpool with switches, rectify, filter."""
    first = F.relu(F.conv2d(x, net.conv1.weight, net.conv1.bias, padding=1))
    pooled, switches1 = F.max_pool2d(first, 2, return_indices=True)
    second = F.relu(F.conv2d(pooled, net.conv2.weight, net.conv2.bias, padding=1))
    _, switches2 = F.max_pool2d(second, 2, return_indices=True)
    up = F.relu(F.max_unpool2d(message, switches2, 2))
    up = F.conv_transpose2d(up, net.conv2.weight, padding=1)
    up = F.relu(F.max_unpool2d(up, switches1, 2))
    return F.conv_transpose2d(up, net.conv1.weight, padding=1).detach()


def linear() -> nn.Sequential:
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)))
    assert isinstance(net, nn.Sequential)
    return net


# --- one feature ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", range(3))
def test_through_linear_layers_it_is_the_transposed_matrix(channel: int) -> None:
    net, x = linear(), torch.randn(2, 5)
    w = (net[1].weight @ net[0].weight).detach()
    found = deconvolve(net, x, "1", channel)
    torch.testing.assert_close(found.maps, w[channel].expand(2, -1))
    torch.testing.assert_close(found.activation, net(x).detach()[:, channel])
    assert found.positions == ((), ())


def test_a_unit_of_the_first_convolution_is_its_filter() -> None:
    net = seeded(Pooled)
    found = deconvolve(net, X[:1], "conv1", 3, (4, 5)).maps[0]
    expected = torch.zeros(2, 8, 8)
    expected[:, 3:6, 4:7] = net.get_submodule("conv1").weight[3].detach()  # type: ignore[index,union-attr]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("channel", range(6))
def test_through_pooling_it_is_the_deconvnet_written_out(channel: int) -> None:
    net = seeded(Pooled)
    assert isinstance(net, Pooled)
    found = deconvolve(net, X, "pool2", channel)
    h = up_to(net, "pool2")(X).detach()
    for row in range(4):
        place = int(h[row, channel].argmax())
        assert found.positions[row] == divmod(place, 2)
        torch.testing.assert_close(found.activation[row], h[row, channel].max())
        message = torch.zeros(1, 6, 2, 2)
        message[0, channel].view(-1)[place] = 1
        torch.testing.assert_close(found.maps[row], slow_deconvnet(net, X[row : row + 1], message)[0])


def test_a_place_is_taken_where_it_is_given() -> None:
    net = seeded(Pooled)
    assert isinstance(net, Pooled)
    found = deconvolve(net, X[:1], "pool2", 2, (1, 0))
    message = torch.zeros(1, 6, 2, 2)
    message[0, 2, 1, 0] = 1
    torch.testing.assert_close(found.maps, slow_deconvnet(net, X[:1], message))
    torch.testing.assert_close(found.activation[0], up_to(net, "pool2")(X[:1]).detach()[0, 2, 1, 0])


def test_it_is_the_deconvnet_of_the_activation_as_a_score() -> None:
    net = sg.load("digits")
    x = net.samples(3)
    found = deconvolve(net, x, "conv3", 7, (1, 2))
    asked = sg.explain(up_to(net, "conv3"), x, method=sg.deconvnet(), target=lambda h: h[:, 7, 1, 2])
    torch.testing.assert_close(found.maps, asked.maps)


def test_channels_of_tokens_are_in_the_last_dimension() -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.Flatten(), nn.Linear(12, 2)))
    found = deconvolve(net, torch.randn(1, 3, 5), "0", 2, (1,), dim=-1)
    expected = torch.zeros(1, 3, 5)
    expected[0, 1] = net.get_submodule("0").weight[2].detach()  # type: ignore[index,union-attr]
    torch.testing.assert_close(found.maps, expected)


# --- the strongest pictures ----------------------------------------------------------------------------------------------


def test_the_strongest_pictures_are_those_of_largest_activation() -> None:
    net = sg.load("digits")
    x = net.samples(150)
    found = strongest(net, x, "conv3", 11, keep=5)
    h = up_to(net, "conv3")(x).detach()[:, 11]
    peaks, order = h.flatten(1).amax(1).sort(descending=True, stable=True)
    assert torch.equal(found.rows, order[:5])
    torch.testing.assert_close(found.activation, peaks[:5])
    assert [float(h[row][place]) for row, place in zip(found.rows, found.positions, strict=True)] == pytest.approx(
        found.activation.tolist()
    )
    assert len(strongest(net, x[:3], "conv3", 11).rows) == 3


# --- reconstruction ---------------------------------------------------------------------------------------------------


def test_without_rectifiers_all_channels_give_wtwx() -> None:
    net, x = linear(), torch.randn(2, 5)
    w = (net[1].weight @ net[0].weight).detach()
    h = net(x).detach()
    found = reconstruct(net, x, "1", keep=(0, 1, 2))
    torch.testing.assert_close(found.parts, h[..., None] * w)  # a_c W_c
    torch.testing.assert_close(found.maps, h @ w)
    torch.testing.assert_close(found.growth[:, 1], h[:, :2] @ w[:2])


def test_each_part_is_the_channel_sent_back_by_itself_and_the_strongest_come_first() -> None:
    net = seeded(Pooled)
    assert isinstance(net, Pooled)
    found = reconstruct(net, X, "pool2", keep=3)
    h = up_to(net, "pool2")(X).detach()
    for row in range(4):
        peaks, order = h[row].flatten(1).amax(1).sort(descending=True, stable=True)
        assert torch.equal(found.channels[row], order[:3])
        torch.testing.assert_close(found.activation[row], peaks[:3])
        for place, channel in enumerate(order[:3].tolist()):
            message = torch.zeros(1, 6, 2, 2)
            message[0, channel] = h[row, channel]
            torch.testing.assert_close(found.parts[row, place], slow_deconvnet(net, X[row : row + 1], message)[0])
    torch.testing.assert_close(found.growth[:, -1], found.maps)
    torch.testing.assert_close(found.growth[:, 1], found.parts[:, 0] + found.parts[:, 1])


def test_unasked_all_of_few_channels_are_kept() -> None:
    assert reconstruct(seeded(Pooled), X[:1], "pool2").parts.shape == (1, 6, 2, 8, 8)


def test_tokens_are_put_together_from_the_last_dimension() -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.Flatten(), nn.Linear(12, 2)))
    x = torch.randn(2, 3, 5)
    w, h = net.get_submodule("0").weight.detach(), up_to(net, "0")(x).detach()  # type: ignore[union-attr,operator]
    torch.testing.assert_close(reconstruct(net, x, "0", keep=(0, 1, 2, 3), dim=-1).maps, h @ w)


# --- properties -------------------------------------------------------------------------------------------------------


def test_rows_do_not_see_each_other() -> None:
    net = seeded(Pooled)
    many = X.repeat(50, 1, 1, 1)  # more than one chunk
    torch.testing.assert_close(deconvolve(net, many, "pool2", 1).maps[100:104], deconvolve(net, X, "pool2", 1).maps)
    torch.testing.assert_close(
        reconstruct(net, many, "pool2", keep=2).maps[:4], reconstruct(net, X, "pool2", keep=2).maps
    )


def test_the_model_is_left_as_it_was_also_under_no_grad() -> None:
    net = seeded(Pooled)
    before = fingerprint(net)
    expected = deconvolve(net, X, "pool2", 1).maps
    with torch.no_grad():
        assert torch.equal(deconvolve(net, X, "pool2", 1).maps, expected)
        reconstruct(net, X, "pool2", keep=2)
    assert fingerprint(net) == before
    assert all(part.grad is None for part in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_figures_show_picture_and_projection(tmp_path: Path) -> None:
    net = sg.load("digits")
    x = net.samples(2)
    found, again = deconvolve(net, x, "conv3", 7), reconstruct(net, x, "conv3", keep=5)
    assert len(found.figure().axes) == 2 * (1 + 2)  # picture, map, bar
    assert len(again.figure(names=["a", "b"]).axes) == 2 * (1 + 2 * 4)  # 1, 2, 4 and 5 channels
    found.figure(names=["a", "b"]).savefig(tmp_path / "projection.png")
    again.figure().savefig(tmp_path / "reconstruction.png")
    assert repr(found) == "<Projection of channel 7 of conv3 to 2 x 1 x 8 x 8>"
    assert repr(again) == "<Reconstruction of 2 x 1 x 8 x 8 from 5 channels of conv3>"
    assert len(deconvolve(net.net, x, "conv3", 7).figure().axes) == 2 * 2  # nobody knows how to show its input


@pytest.mark.parametrize(
    ("ask", "error", "reason"),
    [
        (lambda net: deconvolve(net, X, "pool3", 0), UnknownName, "did you mean 'pool"),
        (lambda net: deconvolve(net, X, "pool2", 6), BadTarget, "6 channels and no channel 6"),
        (lambda net: deconvolve(net, X, "pool2", 0, (2, 0)), BadTarget, r"no position \(2, 0\)"),
        (lambda net: deconvolve(net, X, "pool2", 0, dim=4), BadTarget, "dimension 4"),
        (lambda net: deconvolve(net, X[:, :1], "pool2", 0), BadInput, "cannot take 4 rows"),
        (lambda net: deconvolve(net, X[:, :, :2, :2], "pool2", 0), BadInput, "cannot take 4 rows"),
        (lambda net: deconvolve(net, X.double(), "pool2", 0), BadInput, "float64"),
        (lambda net: deconvolve(net.train(), X, "pool2", 0), ModelInTraining, "eval"),
        (lambda net: reconstruct(net, X, "pool2", keep=0), BadMethod, "how many channels to keep"),
        (lambda net: reconstruct(net, X, "pool2", keep=(1, 6)), BadTarget, "channels 0 to 5"),
        (lambda net: reconstruct(net, X, "pool2", keep=7), BadTarget, "6 channels, of which 7 cannot be kept"),
        (lambda net: reconstruct(net, X, "pool2", keep=(1, 2, 1)), BadTarget, "twice"),
        (lambda net: reconstruct(net, X, "pool2", keep=()), BadTarget, "channels 0 to 5"),
        (lambda net: strongest(net, X, "pool2", 0, keep=0), BadMethod, "how many pictures to keep"),
    ],
)
def test_what_there_is_not_is_said(ask: Callable[[nn.Module], object], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        ask(seeded(Pooled))
