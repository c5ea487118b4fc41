"""Deconvolution: what in a picture made a feature fire, by projecting its activation back to pixels (Zeiler and Fergus 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_dtype, check_model, check_rows, device_of, refusals, without_history
from smoothgrad.core.ambient import own_arithmetic
from smoothgrad.core.ask import gradients, in_chunks, output_of, views
from smoothgrad.core.query import Query, pick
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import BadMethod, BadTarget, RuleDidNothing
from smoothgrad.features.objective import channel_of, checked_position
from smoothgrad.features.upto import UpTo, up_to
from smoothgrad.models.network import Network
from smoothgrad.rules.relu import Deconv
from smoothgrad.view.look import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNIT, UNIT_SQUARED = "activation per unit of input", "activation² per unit of input"
GROWTH = 6  # stages in a figure
USUAL = 8  # channels that a picture is put together from


@final
@dataclass(frozen=True, eq=False, repr=False)
class Projection:
    """One activation of each of N pictures, projected back to its pixels. Everything is on the CPU."""

    maps: Tensor  # (N, *S) raw and signed, in units of activation per unit of input
    x: Tensor  # (N, *S)
    layer: str
    channel: int
    positions: tuple[tuple[int, ...], ...]  # (N) where in the channel
    activation: Tensor  # (N,) how strong it was
    pictures: Tensor | None = None  # (N, 3, H, W) in [0, 1]: x for the eye, where that is known

    def __len__(self) -> int:
        return len(self.maps)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.maps.shape[1:]))
        return f"<Projection of channel {self.channel} of {self.layer} to {len(self)} x {shape}>"

    def figure(self, look: Look | None = None, names: Sequence[str] = ()) -> Figure:
        """Each picture, called by its name, beside its projection. `look` None: what suits the rows. Raises `MissingPackage`."""
        from smoothgrad.view.figure import figure
        from smoothgrad.view.panels import MapPanel, Panel, PicturePanel

        look = look or Look.default_for(self.x.shape[1:])
        rows: list[list[Panel | None]] = []
        for number, map in enumerate(self.maps):
            seen = [] if self.pictures is None else [PicturePanel(self.pictures[number])]
            rows.append([*seen, MapPanel(map, x=self.x[number], unit=UNIT)])
        heads = [*([] if self.pictures is None else ["input"]), f"{self.layer}, channel {self.channel}"]
        told = [f"{float(a):.3g} at {place}" for a, place in zip(self.activation, self.positions, strict=True)]
        labels = [f"{name}\n{line}" for name, line in zip(names, told, strict=True)] if names else told
        return figure(rows, look, columns=heads, labels=labels)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction:
    """N pictures put together again from some channels of a layer. Everything is on the CPU."""

    parts: Tensor  # (N, K, *S) the projection of each channel, the strongest first
    x: Tensor  # (N, *S)
    layer: str
    channels: Tensor  # (N, K) which channels
    activation: Tensor  # (N, K) the largest activation of each
    pictures: Tensor | None = None  # (N, 3, H, W) in [0, 1]

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.x.shape[1:]))
        return f"<Reconstruction of {len(self)} x {shape} from {self.parts.shape[1]} channels of {self.layer}>"

    @property
    def maps(self) -> Tensor:
        """The sum of all parts, (N, *S)."""
        return self.parts.sum(1)

    @property
    def growth(self) -> Tensor:
        """The sums of the first, the first two, ... of the parts: (N, K, *S)."""
        return self.parts.cumsum(1)

    def figure(self, look: Look | None = None, names: Sequence[str] = ()) -> Figure:
        """Each picture, called by its name, beside what 1, 2, 4, ... channels make of it. `look` None: what suits the rows."""
        from smoothgrad.view.figure import figure
        from smoothgrad.view.panels import MapPanel, Panel, PicturePanel

        look = look or Look.default_for(self.x.shape[1:])
        count = self.parts.shape[1]
        stages = [stage for stage in (2**power for power in range(count.bit_length())) if stage < count][: GROWTH - 1]
        stages += [count]
        rows: list[list[Panel | None]] = []
        for number, grown in enumerate(self.growth):
            seen = [] if self.pictures is None else [PicturePanel(self.pictures[number])]
            rows.append([*seen, *(MapPanel(grown[stage - 1], x=self.x[number], unit=UNIT_SQUARED) for stage in stages)])
        heads = [*([] if self.pictures is None else ["input"]), *(_counted(stage) for stage in stages)]
        return figure(
            rows, look, columns=heads, labels=names, title=f"put together again from channels of {self.layer}"
        )


class Strongest(NamedTuple):
    """The pictures of a data set to which a channel answers most, the strongest first."""

    rows: Tensor  # (K,) their places in the data
    activation: Tensor  # (K,)
    positions: tuple[tuple[int, ...], ...]  # (K) where in the channel


def strongest(model: nn.Module, x: Tensor, layer: str, channel: int, *, keep: int = 9, dim: int = 1) -> Strongest:
    """The `keep` pictures of x (N, *S) with the largest activation of a channel, each counted by its strongest position.

    `dim` is where the layer's output has its channels: see `Channel`. Raises as `deconvolve` does.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> [int(row) % 10 for row in strongest(net, net.samples(100), "conv3", 7, keep=3).rows]
    [...]
    """
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise BadMethod(f"keep is {keep!r}; give how many pictures to keep, at least 1")
    asked = _Asked.checked(model, x, layer)
    with own_arithmetic(asked.query.x.device):
        peaks, shape = asked.peaks(channel, dim)
        order = peaks[:, 0].sort(descending=True, stable=True).indices[:keep].cpu()
        found = peaks.cpu()[order]
    return Strongest(order, found[:, 0].to(x.dtype), tuple(_place(int(flat), shape) for flat in found[:, 1]))


def deconvolve(
    model: nn.Module,
    x: Tensor,
    layer: str,
    channel: int,
    position: tuple[int, ...] | None = None,
    *,
    dim: int = 1,
) -> Projection:
    """What in each picture made a feature fire: all other activations of the layer are set to zero, and this one, as 1, is sent
    back through the transposed layers, rectified at each ReLU, with the switches that max-pooling had for this picture.

        map = J^T e_k   under the rule R <- max(R, 0) at each rectifier                      (Zeiler and Fergus 2013)

    It is the gradient of one activation under `Deconv()`; below a first convolution, where there is no rectifier yet, the gradient
    itself: its filter.

    Args:
        model: a `torch.nn.Module` in eval mode, or a `Network`; it is left as found.
        x: the pictures (N, *S).
        layer: the dotted name of a layer.
        channel: which of its channels.
        position: where in the channel, such as (row, column); None takes the strongest of each picture.
        dim: where the layer's output has its channels: see `Channel`.

    Raises `UnknownName` for a layer and `BadTarget` for a channel or a position that there is not; `BadInput`, `ModelInTraining`.

    >>> net = nn.Sequential(nn.Linear(3, 2)).eval()
    >>> found = deconvolve(net, torch.ones(1, 3), "0", 1)
    >>> torch.equal(found.maps[0], net[0].weight[1])
    True
    """
    asked = _Asked.checked(model, x, layer)
    with own_arithmetic(asked.query.x.device):
        peaks, shape = asked.peaks(channel, dim)
        if position is None:
            places = peaks[:, 1].long()
        else:
            place = _flat(checked_position(tuple(position), shape, layer), shape)
            places = torch.full((len(peaks),), place, device=peaks.device)

        def one(output: Tensor, index: Tensor) -> Tensor:
            return pick(channel_of(output, layer, channel, dim).reshape(len(output), -1), index)

        query = replace(asked.query, target=places, scorer=one)
        activation = asked.each(query, lambda part, output: part.scores(output))
        maps = _projected(asked.view, query)
    positions = tuple(_place(int(flat), shape) for flat in places)
    return Projection(
        maps.cpu(), asked.query.x.cpu(), layer, channel, positions, activation.cpu(), _seen(model, asked.query.x)
    )


def reconstruct(
    model: nn.Module, x: Tensor, layer: str, *, keep: int | tuple[int, ...] | None = None, dim: int = 1
) -> Reconstruction:
    """Put pictures together again from some channels of a layer: each channel's activations are projected back by themselves, all
    others set to zero, and the projections are added:

        map = sum_c J^T (a_c in channel c, 0 elsewhere)   under the rule R <- max(R, 0) at each rectifier

    Args:
        model, x, layer, dim: as for `deconvolve`.
        keep: how many channels of each picture, the strongest by their largest activation; or which channels, in this order. None:
            8 of them, or all where there are fewer.

    Without rectifiers, and with all channels, it is W^T W x. Raises as `deconvolve` does, and `BadTarget` for
    more channels than there are, and for a channel that is named twice.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> reconstruct(net, net.samples(2), "conv2", keep=5).growth.shape
    torch.Size([2, 5, 1, 8, 8])
    """
    asked = _Asked.checked(model, x, layer)
    with own_arithmetic(asked.query.x.device):
        largest = asked.largest(dim)  # (N, C)
        channels = _chosen(largest, keep, layer)  # (N, K)

        def weighted(output: Tensor, index: Tensor) -> Tensor:
            # Its gradient with respect to the layer is the channel itself, and zero in all others.
            rows = torch.arange(len(output), device=output.device)
            channel = output.movedim(dim, 1)[rows, index].reshape(len(output), -1)
            return (channel.detach() * channel).sum(1)

        query = replace(asked.query.for_each(channels), scorer=weighted)
        parts = _projected(asked.view, query).unflatten(0, tuple(channels.shape))  # (N*K, *S) -> (N, K, *S)
    return Reconstruction(
        parts.cpu(),
        asked.query.x.cpu(),
        layer,
        channels.cpu(),
        largest.gather(1, channels).cpu(),
        _seen(model, asked.query.x),
    )


class _Asked(NamedTuple):
    """Pictures and a layer that have passed all checks."""

    view: UpTo
    query: Query
    schedule: Schedule

    @staticmethod
    def checked(model: nn.Module, x: Tensor, layer: str) -> _Asked:
        check_model(model)
        check_rows(x, layer=False)
        check_dtype(model, (x,))
        rows = without_history(x).to(device_of(model, x))
        view = up_to(model, layer)
        query = Query.of(rows, target=0)
        with torch.no_grad(), refusals(model, (x,)):
            output_of(view, query.rows(slice(1)))
        return _Asked(view, query, Schedule.for_rows(x.shape[1:]))

    def each(self, query: Query, read: Callable[[Query, Tensor], Tensor]) -> Tensor:
        """What is read from the layer's output, chunk by chunk: a data set's activations would not fit into memory at once."""
        with torch.no_grad():
            return in_chunks(query, self.schedule, lambda part: read(part, output_of(self.view, part)))

    def peaks(self, channel: int, dim: int) -> tuple[Tensor, torch.Size]:
        """The largest activation of a channel and where it is in the flattened channel, (N, 2) in double; the channel's shape."""
        shapes: list[torch.Size] = []

        def read(_part: Query, output: Tensor) -> Tensor:
            plane = channel_of(output, self.view.name, channel, dim)
            shapes.append(plane.shape[1:])
            largest = plane.reshape(len(plane), -1).max(1)
            return torch.stack([largest.values.double(), largest.indices.double()], 1)

        return self.each(self.query, read), shapes[0]

    def largest(self, dim: int) -> Tensor:
        """The largest activation of each channel, (N, C)."""

        def read(_part: Query, output: Tensor) -> Tensor:
            channel_of(output, self.view.name, 0, dim)
            return output.movedim(dim, 1).flatten(2).amax(2) if output.ndim > 2 else output

        return self.each(self.query, read)


def _projected(view: UpTo, query: Query) -> Tensor:
    """The gradient of each row's score, rectified on its way, (N, *S)."""
    schedule = Schedule.for_rows(query.shape)
    try:
        with Deconv().active(view) as watch:
            return gradients(view, query, schedule, watch)
    except RuleDidNothing:  # no rectifier stands before this layer: nothing is to be rectified
        return gradients(view, query, schedule)


def _chosen(largest: Tensor, keep: int | tuple[int, ...] | None, layer: str) -> Tensor:
    """Which channels of each row, (N, K)."""
    count = largest.shape[1]
    if isinstance(keep, tuple | list):
        wrong = [channel for channel in keep if not 0 <= channel < count]
        if wrong or not keep:
            raise BadTarget(f"layer {layer!r} has channels 0 to {count - 1}; got {tuple(keep)}")
        if len(set(keep)) < len(keep):
            raise BadTarget(f"keep names a channel of layer {layer!r} twice, got {tuple(keep)}; name each once")
        return torch.tensor(keep, device=largest.device).expand(len(largest), -1)
    keep = min(USUAL, count) if keep is None else keep
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise BadMethod(f"keep is {keep!r}; give how many channels to keep, at least 1, or a tuple of them")
    if keep > count:
        raise BadTarget(f"layer {layer!r} has {count} channels, of which {keep} cannot be kept; give up to {count}")
    return largest.sort(dim=1, descending=True, stable=True).indices[:, :keep]


def _flat(position: tuple[int, ...], shape: torch.Size) -> int:
    """The place in a flattened channel."""
    flat = 0
    for at, length in zip(position, shape, strict=True):
        flat = flat * length + at
    return flat


def _place(flat: int, shape: torch.Size) -> tuple[int, ...]:
    """The inverse of `_flat`."""
    place = []
    for length in reversed(shape):
        flat, at = divmod(flat, length)
        place.append(at)
    return tuple(reversed(place))


def _seen(model: nn.Module, x: Tensor) -> Tensor | None:
    network = next((view for view in views(model) if isinstance(view, Network)), None)
    known = network is not None and x.ndim == 4 and x.shape[1] == network.preprocessing.channels
    return network.show(x) if network is not None and known else None


def _counted(stage: int) -> str:
    return "1 channel" if stage == 1 else f"{stage} channels"
