"""Networks whose ReLUs have round corners."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.models.network import Network
from smoothgrad.models.rounded import Rounded, rounded
from tests.nets import small_net


class Corners(nn.Module):
    """A ReLU in every way that one can write it."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [F.relu(x), torch.relu(x), x.relu(), x.clamp(min=0), x.clamp_min(0), torch.clip(x, 0), nn.ReLU()(x)]
        for in_place in (lambda z: F.relu(z, inplace=True), lambda z: F.relu(z, True), torch.relu_, Tensor.relu_):
            z = x * 1
            in_place(z)
            parts.append(z)
        return torch.stack(parts, -1)


def test_every_relu_is_rounded_and_nothing_else() -> None:
    x = torch.randn(1, 6, requires_grad=True)
    net = Network(Corners().eval(), name="corners")
    out = rounded(net, 5.0)(x)
    want = F.softplus(x, beta=5.0)
    torch.testing.assert_close(out, want[..., None].expand_as(out))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, out.shape[-1] * torch.sigmoid(5 * x))
    torch.testing.assert_close(net(x), x.relu()[..., None].expand_as(out))  # left as it was
    with Rounded(5.0) as mode:
        for same in (x.clamp(min=0.1), x.clamp(0, 1), F.leaky_relu(x), torch.tanh(x)):
            assert same.shape == x.shape
    assert not mode.found


def test_softplus_nears_the_relu_as_beta_grows() -> None:
    net, x = Network(small_net(), name="small"), torch.rand(2, 3, 8, 8)
    gaps = [float((rounded(net, beta)(x) - net(x)).detach().norm()) for beta in (10.0, 100.0, 1e5)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-3
