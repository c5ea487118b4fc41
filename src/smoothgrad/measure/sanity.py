"""Sanity: does a map change when the network loses what it learned, or when another class is asked for?

A map that stays the same when the weights are random shows the picture and not the network, however good it looks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import called, network_in, output_of, outputs
from smoothgrad.core.noise import salted, uniform
from smoothgrad.errors import BadInput, BadMethod, NonFinite
from smoothgrad.measure.case import Case, Curve, Judged, first_reason, judged
from smoothgrad.measure.entry import Entry
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.places import at_places, unranked
from smoothgrad.measure.randomise import open_copy, randomise, restore, rows_by_layers
from smoothgrad.measure.similarity import Similarity, Spearman


class Randomised(Measure):
    """What the measures share that compare a map with those of networks whose layers have been randomised."""

    similarity: Similarity
    stages: int | None

    better = "lower"
    unit = "similarity"
    needs_method = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_stages(self, self.stages)

    def check(self, case: Case) -> None:
        self.similarity.check(case.query)

    def judge(self, case: Case) -> Judged:
        return _by_layers(case, self, self._judge)

    def _judge(self, case: Case, layers: Sequence[str]) -> Judged:
        return _over_networks(case, self.similarity, self.networks(case, layers))

    @abstractmethod
    def networks(self, case: Case, layers: Sequence[str]) -> Iterator[Stage]:
        """The networks to be asked, one after the other; each may be changed once the next is asked for."""


@final
@dataclass(frozen=True, repr=False)
class CascadingRandomisation(Randomised):
    """How alike the map stays while layer after layer, from the output down, is randomised:  mean_k s(map, map_k).

    map_k explains the same target of the network whose k topmost layers have lost what they learned (`randomise`): fresh numbers
    from each layer's own initialiser, running statistics of norms reset. Maps are compared by a `Similarity` s, whose range the
    score has: 1 for a map that knows nothing of the network, such as edges of the picture. Lower is better; but absolute values,
    which a method has that ends in `.then(Absolute())`, stay more alike than signed ones, and so does a map times the input.

    At most `stages` networks are asked, evenly spread from the topmost layer alone to all of them; None asks all. The curve has the
    similarity at each, named by the layer that was the last to go. The layers are those that the row's own score depends on; where
    a network leads rows of a batch through different ones, there is no curve. The random networks depend on the seed and are the
    same for all rows of the same layers. NaN where the map, or one of its twins, is constant or not finite. Adebayo et al. 2018,
    "Sanity Checks".

    >>> import smoothgrad as sg
    >>> from smoothgrad.core.query import Query
    >>> net = sg.load("digits")
    >>> query = Query.of(net.samples(2), target=0)
    >>> maps = sg.explain(net, query.x, method=sg.gradient(), target=0).maps
    >>> bool((CascadingRandomisation(stages=2)(net, query, maps, method=sg.gradient()) < 0.9).all())
    True
    """

    similarity: Similarity = Spearman()  # noqa: RUF009
    stages: int | None = 10

    def networks(self, case: Case, layers: Sequence[str]) -> Iterator[Stage]:
        twin = open_copy(case.network, self)
        asked = _spread(len(layers), self.stages)
        for number, layer in enumerate(layers, start=1):
            randomise(twin, layer, case.query.seed)
            if number in asked:
                yield Stage(number, _label(twin, layer), twin)


@final
@dataclass(frozen=True, repr=False)
class IndependentRandomisation(Randomised):
    """How alike the map stays when one layer alone is randomised, for each layer in turn:  mean_k s(map, map_k).

    As `CascadingRandomisation`, but every other layer keeps what it learned; the curve goes from the topmost layer down to the
    lowest. Range, direction and NaN are the same. Adebayo et al. 2018.
    """

    similarity: Similarity = Spearman()  # noqa: RUF009
    stages: int | None = 10

    def networks(self, case: Case, layers: Sequence[str]) -> Iterator[Stage]:
        twin = open_copy(case.network, self)
        for number in _spread(len(layers), self.stages):
            layer = layers[number - 1]
            randomise(twin, layer, case.query.seed)
            yield Stage(number, _label(twin, layer), twin)
            restore(twin, case.network, layer)


@final
@dataclass(frozen=True, repr=False)
class ComplexityRise(Measure):
    """How much more complex the map becomes when every layer is random:  (H(map_random) - H(map)) / H(map).

    H is the entropy of a histogram of the map's values at places: `bins` bins over each map's own range. It asks a single random
    network and needs no similarity. Higher is better: what was learned makes a map simpler than chance does, and the loss shows.
    0 for a map that knows nothing of the network. The random network depends on the seed and is the same for all rows (of the same
    layers, where they differ). NaN where
    one of the two maps is constant or not finite. It asks something else than a similarity does: on a CIFAR-10 ResNet-20 guided
    backprop, which fails `CascadingRandomisation`, rises more than the gradient (0.34 and 0.12). Hedström et al. 2023, "efficient
    MPRT"; theirs takes the number of bins from all rows together, here a row's score does not depend on the others.
    """

    bins: int = 100  # where the paper's rule finds none

    unit = "relative rise of entropy"
    needs_method = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 2:
            raise BadMethod(f"ComplexityRise needs 2 bins or more, got {self.bins}")

    def judge(self, case: Case) -> Judged:
        return _by_layers(case, self, self._judge)

    def _judge(self, case: Case, layers: Sequence[str]) -> Judged:
        twin = open_copy(case.network, self)
        for layer in layers:
            randomise(twin, layer, case.query.seed)
        values = at_places(case.maps, case.query)
        rises: list[Tensor] = []
        reasons: list[str] = []
        for part, maps, why in _in_parts(case, twin, "once every layer is random"):
            rises.append(histogram_entropy(at_places(maps, part.query), self.bins))
            reasons += why
        before = histogram_entropy(values, self.bins)
        return judged((torch.cat(rises) - before) / before, first_reason(unranked(values), reasons))


def histogram_entropy(values: Tensor, bins: int) -> Tensor:
    """The entropy in nats of a histogram of each row's values (N, P), bins of equal width from its least to its largest: (N,)."""
    low, high = values.aminmax(dim=1, keepdim=True)
    share = (values - low) / (high - low).where(high > low, torch.ones_like(high))
    place = (share * bins).long().clamp_max(bins - 1)
    counts = values.new_zeros(len(values), bins).scatter_add_(1, place, torch.ones_like(values))
    entropy: Tensor = torch.special.entr(counts / values.shape[1]).sum(1)
    return entropy


@final
@dataclass(frozen=True, repr=False)
class RandomLogit(Measure):
    """How alike the map is to that of another class, drawn by the row's key:  s(map_c, map_d),  d != c.

    A map that is the same for every class does not explain this one. Compared by a `Similarity` s, whose range the score has; 1
    for a map that does not depend on the class. Lower is better. Every other class is as likely. NaN where one of the two
    maps is constant or not finite. Raises `BadInput` for networks with a single class. Sixt et al. 2020, section 5.
    """

    similarity: Similarity = Spearman()  # noqa: RUF009

    better = "lower"
    unit = "similarity"
    needs_method = True
    needs_classes = True

    def check(self, case: Case) -> None:
        self.similarity.check(case.query)
        with torch.no_grad():
            shape = output_of(case.model, case.query.rows(slice(0, 1))).shape
        if len(shape) != 2 or shape[1] < 2:
            raise BadInput(
                f"{self!r} compares the maps of two classes, and the output for a row has shape {tuple(shape[1:])}; it takes "
                "networks with scores of two classes or more"
            )

    def judge(self, case: Case) -> Judged:
        classes = outputs(case.model, case.query.rows(slice(0, 1)), case.schedule).shape[1]
        other = other_class(case.query.target, case.query.key, classes)
        asked = replace(case, query=replace(case.query, target=other))
        value, reasons = _alike(asked, self.similarity, None, "for the other class")
        return judged(value, first_reason(unranked(at_places(case.maps, case.query)), reasons))


def other_class(target: Tensor, key: Tensor, classes: int) -> Tensor:
    """For each row (N,) one of the classes that it does not ask for, all as likely, by its key."""
    chance = uniform(salted(key, "logit"), range(1), torch.Size([1]))[0, :, 0].to(target.device)
    drawn = (chance.double() * (classes - 1)).long()  # 0 .. classes - 2: the target is stepped over
    return drawn + (drawn >= target)


def _by_layers(case: Case, measure: Measure, ask: Callable[[Case, Sequence[str]], Judged]) -> Judged:
    """What is said of rows with the layers that each depends on. Rows of different layers have no curve that they share."""
    groups = rows_by_layers(open_copy(case.network, measure), case.query)
    if len(groups) == 1:
        (layers,) = groups
        return ask(case, layers)
    value = torch.full((len(case),), torch.nan, dtype=torch.float64, device="cpu")
    reasons = [""] * len(case)
    for layers, rows in groups.items():
        found = ask(case.rows(torch.tensor(rows, device=case.maps.device)), layers)
        value[rows] = found.value
        for row, reason in zip(rows, found.reasons, strict=True):
            reasons[row] = reason
    return Judged(value, tuple(reasons))


class Stage(NamedTuple):
    """A network of which some layers are random."""

    number: int  # of the layer that was randomised last, from the top, beginning with 1
    layer: str
    model: nn.Module


def _over_networks(case: Case, similarity: Similarity, networks: Iterator[Stage]) -> Judged:
    """The mean similarity of the case's maps with those of the same rows in each network, and the curve of them."""
    numbers: list[int] = []
    layers: list[str] = []
    found: list[Tensor] = []
    reasons = unranked(at_places(case.maps, case.query))
    for number, layer, model in networks:
        values, why = _alike(case, similarity, model, f"once {layer} is random")
        numbers.append(number)
        layers.append(layer)
        found.append(values)
        reasons = first_reason(reasons, why)
    y = torch.stack(found, dim=1)  # (N, stages)
    x = torch.tensor(numbers, dtype=torch.float64, device="cpu")
    curve = Curve(x, y, "layers from the top", similarity.unit, tuple(layers))
    return judged(y.mean(1), reasons, curve=curve)


def _alike(case: Case, similarity: Similarity, model: nn.Module | None, when: str) -> tuple[Tensor, tuple[str, ...]]:
    """How alike the case's maps are to those that its query gets from the model: (N,), and why a row has no answer, else ""."""
    values: list[Tensor] = []
    reasons: list[str] = []
    for part, maps, why in _in_parts(case, model, when):
        found = similarity.of(part.maps, maps, part.query)
        none = [f"{similarity!r} has no answer {when}" if one else "" for one in found.isnan().tolist()]
        values.append(found)
        reasons += first_reason(why, none)
    return torch.cat(values), tuple(reasons)


def _in_parts(case: Case, model: nn.Module | None, when: str) -> Iterator[tuple[Case, Tensor, tuple[str, ...]]]:
    """A chunk of rows at a time, the maps that its query gets from the model, and why one is of no use, else ""."""
    start = 0
    while start < len(case):
        part = case.rows(slice(start, start + case.schedule.chunk))
        maps, why = _maps(part, model, when)
        constant = [f"the map is constant {when}" if one else "" for one in unranked(at_places(maps, part.query))]
        yield part, maps, first_reason(why, constant)
        start += len(part)


def _maps(case: Case, model: nn.Module | None, when: str) -> tuple[Tensor, tuple[str, ...]]:
    """The maps that the case's query gets from a model, and for rows whose map is not finite the reason, and zeros."""
    try:
        maps = case.explained(case.query, model)
    except NonFinite:
        if len(case) > 1:  # which of the rows was it?
            parts = [_maps(case.rows(slice(row, row + 1)), model, when) for row in range(len(case))]
            return torch.cat([maps for maps, _ in parts]), tuple(why for _, (why,) in parts)
        maps = torch.full_like(case.maps, torch.nan)
    finite = maps.flatten(1).isfinite().all(1)
    reasons = tuple("" if one else f"the map holds NaN or infinity {when}" for one in finite.tolist())
    return maps.where(finite.view(-1, *[1] * (maps.ndim - 1)), torch.zeros_like(maps)), reasons


def _spread(layers: int, stages: int | None) -> list[int]:
    """At most so many of the numbers 1 .. layers, evenly spread, with both ends; of one stage, the last."""
    if stages is None or stages >= layers:
        return list(range(1, layers + 1))
    if stages == 1:
        return [layers]
    return [1 + round(stage * (layers - 1) / (stages - 1)) for stage in range(stages)]


def _label(twin: nn.Module, layer: str) -> str:
    return layer or called(network_in(twin))


def _check_stages(measure: Measure, stages: int | None) -> None:
    if stages is not None and stages < 1:
        raise BadMethod(f"{type(measure).__name__} needs stages >= 1, or None for every layer, got {stages}")


ROWS: tuple[Entry, ...] = (
    Entry(CascadingRandomisation, "mean_k s(map, map of f with its k topmost layers random)", ("adebayo2018checks",)),
    Entry(IndependentRandomisation, "mean_k s(map, map of f with layer k random)", ("adebayo2018checks",)),
    Entry(ComplexityRise, "(H(map of f with all layers random) − H(map)) / H(map)", ("hedstrom2023",)),
    Entry(RandomLogit, "s(map_c, map_d), d ≠ c", ("sixt2020",)),
)
