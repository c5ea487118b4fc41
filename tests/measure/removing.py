"""What tests of removal share: rows whose best order is known, and a removal written out place by place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.samplers.scale_space import blur
from tests.nets import small_net
from tests.truth import Linear

PLACES = 12


def linear(rows: int = 3) -> tuple[Linear, Query, Tensor]:
    """A linear network of 12 features, rows for its class 0, and the map that tells the truth: w * x."""
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(PLACES, generator=generator, dtype=torch.float64) / 3
    x = torch.randn(rows, PLACES, generator=generator, dtype=torch.float64)
    x[:, 0] = x[:, 0].abs() * w[0].sign() * 6  # so that class 0 is predicted
    net = Linear(w)
    assert (net.f(x) > 0).all()
    return net, Query.of(x, 0), w * x


def pictures(rows: int = 3, seed: int = 0) -> tuple[nn.Sequential, Query, Tensor]:
    """A small network, pictures (rows, 3, 8, 8) with the class that it predicts for each, and maps without ties.

    No blurred picture has its picture's class, nor as much of its probability.
    """
    generator = torch.Generator().manual_seed(seed)
    net = small_net().double()
    x = torch.randn(20 * rows, 3, 8, 8, generator=generator, dtype=torch.float64)
    with torch.no_grad():  # no class is ahead of the others by itself, and pixels decide
        net[-1].weight *= 20
        net[-1].bias -= net(torch.randn(64, 3, 8, 8, generator=generator, dtype=torch.float64)).mean(0)
        whole, blurred = net(x), net(blur(x, 10.0).rows)
        target = whole.argmax(1)
        more = (whole.softmax(1) - blurred.softmax(1)).gather(1, target[:, None])[:, 0]
        chosen = ((more > 0) & (blurred.argmax(1) != target)).nonzero()[:rows, 0]
    assert len(chosen) == rows
    x, target = x[chosen], target[chosen]
    return net, Query.of(x, target), torch.randn(rows, 3, 8, 8, generator=generator, dtype=torch.float64)


def random_maps(query: Query, seed: int) -> Tensor:
    return torch.randn(query.x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_relevance(one: Tensor) -> list[tuple[int, ...]]:
    """The places of one map (C, *places) or (D,), the most relevant first. No ties."""
    flat = one.sum(0) if one.ndim > 1 else one
    every = [tuple(place) for place in (flat == flat).nonzero().tolist()]
    return sorted(every, key=lambda place: -float(flat[place]))


def hidden(x: Tensor, places: Sequence[tuple[int, ...]], instead: Tensor) -> Tensor:
    """One row without some of its places, each of them replaced in all channels."""
    x = x.clone()
    for place in places:
        here = (slice(None), *place) if x.ndim > 1 else place
        x[here] = instead[here]
    return x


def nearest(number: float) -> int:
    return int(number + 0.5)


def asked(net: nn.Module, x: Tensor, read: Callable[[Tensor], Tensor]) -> float:
    """What is read of the output for one row."""
    with torch.no_grad():
        return float(read(net(x[None])[0]))


def trapezoid(x: Sequence[float], y: Sequence[float]) -> float:
    return sum((x[i + 1] - x[i]) * (y[i] + y[i + 1]) / 2 for i in range(len(x) - 1))


class Counting(nn.Module):
    """A network that remembers how many rows it was asked about in each call."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.calls: list[int] = []
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return self.net(x)
