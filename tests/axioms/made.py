"""Networks, and methods that break one axiom each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.ask import gradients
from smoothgrad.core.explainer import Partial
from smoothgrad.core.moments import Estimate


def seeded(make: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make().double().eval()


@final
class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).relu())


@final
class ConvNet(nn.Module):
    """With a batch norm, which can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True)
        self.last = nn.Linear(5, 3)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.uniform_(self.norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(self.norm.running_var, 0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.norm(self.conv(x))).square().mean((2, 3)))


@final
class Series(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv1d(2, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x).tanh().mean(2))


@final
class Saturated(nn.Module):
    """1 - relu(1 - x) of each value, summed: the example of Sundararajan et al. 2017."""

    def forward(self, x: Tensor) -> Tensor:
        f = (1 - (1 - x).relu()).sum(1)
        return torch.stack([f, -f], 1)


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.3


NETS: dict[str, tuple[nn.Module, Tensor]] = {
    "mlp": (seeded(Mlp), rows(2, 6)),
    "conv": (seeded(ConvNet), rows(2, 2, 5, 5)),
    "series": (seeded(Series), rows(2, 2, 7)),
    "saturated": (Saturated().eval(), rows(2, 5) + 1.5),
}


def expected(net: nn.Module, x: Tensor, method: sg.Explainer) -> str:
    """The word for a method that keeps an axiom: a map of zeros, as that of a saturated network, shows nothing about it."""
    return "holds" if bool(sg.explain(net, x, method=method).maps.any()) else "not asked"


# --- finishes that break what stands before them ----------------------------------------------------------------------


@final
@dataclass(frozen=True, repr=False)
class Stretched(sg.Finish):
    def __call__(self, maps: Tensor, query: sg.Query) -> Tensor:
        return 1.2 * maps


@final
@dataclass(frozen=True, repr=False)
class Beheaded(sg.Finish):
    """Without its largest value."""

    def __call__(self, maps: Tensor, query: sg.Query) -> Tensor:
        flat = maps.flatten(1)
        return flat.scatter(1, flat.abs().argmax(1, keepdim=True), 0.0).view(maps.shape)


@final
@dataclass(frozen=True, repr=False)
class WithInput(sg.Finish):
    """A little of the picture shines through."""

    def __call__(self, maps: Tensor, query: sg.Query) -> Tensor:
        return maps + 0.01 * query.x

    def error(self, stderr: Tensor, query: sg.Query) -> Tensor:
        return stderr


@final
@dataclass(frozen=True, repr=False)
class Sloped(sg.Finish):
    """Brighter from place to place."""

    keeps_sign = True

    def __call__(self, maps: Tensor, query: sg.Query) -> Tensor:
        return maps * torch.linspace(1, 2, maps[0].numel(), dtype=maps.dtype).view(maps.shape[1:])

    def error(self, stderr: Tensor, query: sg.Query) -> Tensor:
        return self(stderr, query)


@final
@dataclass(frozen=True, repr=False)
class Nosy(sg.Explainer):
    """The gradient times the number of modules that it finds."""

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return "score"

    def partials(self, model: nn.Module, query: sg.Query, schedule: sg.Schedule) -> Iterator[Partial]:
        maps = gradients(model, query, schedule) * len(list(model.modules()))
        yield Partial(1, 1, lambda: Estimate(maps, None, torch.ones(len(maps), dtype=torch.int64)))


@final
@dataclass(frozen=True, repr=False)
class Fragile(sg.Explainer):
    """The gradient, of the user's own network alone: it fails on every other."""

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return "score"

    @property
    def needs_itself(self) -> bool:
        return True

    def partials(self, model: nn.Module, query: sg.Query, schedule: sg.Schedule) -> Iterator[Partial]:
        if type(model) is not Mlp:
            raise RuntimeError("this is no Mlp")
        maps = gradients(model, query, schedule)
        yield Partial(1, 1, lambda: Estimate(maps, None, torch.ones(len(maps), dtype=torch.int64)))
