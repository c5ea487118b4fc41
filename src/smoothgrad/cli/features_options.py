"""From the texts of `smoothgrad features` to an objective and a search. All is checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from smoothgrad.cli.inputs import find_pictures, from_files, read_target
from smoothgrad.cli.options import NetworkOptions, choice, read_count, read_number, read_whole
from smoothgrad.errors import BadOption

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.features import ActivationMaximization, Objective, Penalty, Space, Start
    from smoothgrad.models.network import Network

SPACES = {word: word for word in ("pixels", "fourier", "code")}


@final
@dataclass(frozen=True)
class Wish:
    """What is to become large."""

    targets: tuple[str, ...]
    layer: str | None
    channel: int | None
    place: tuple[int, ...] | None
    dim: int

    @staticmethod
    def read(
        targets: Sequence[str] | None, layer: str | None, channel: str | None, position: str | None, dim: str
    ) -> Wish:
        """Raises `BadOption` for what does not go together."""
        number = None if channel is None else read_whole("--channel", channel)
        place = Wish.position(position)
        if bool(targets) == (layer is not None):
            what = "both are" if targets else "neither is"
            raise BadOption(f"give either --target CLASS or --layer LAYER for what is to become large; {what} given")
        if layer is None and number is not None:
            raise BadOption("--channel is one of a layer's; name the layer with --layer")
        if place is not None and number is None:
            raise BadOption("--position is a place in a channel; give its number with --channel")
        return Wish(tuple(targets or ()), layer, number, place, read_whole("--dim", dim))

    @staticmethod
    def position(text: str | None) -> tuple[int, ...] | None:
        """
        >>> Wish.position("3,4"), Wish.position(None)
        ((3, 4), None)
        """
        return None if text is None else tuple(read_whole("--position", part) for part in text.split(","))

    def objective(self, net: Network) -> tuple[Objective, int, str]:
        """With the number of pictures that it takes, and a word for their file."""
        from smoothgrad.features import Channel, Layer, ScoreOf, Unit
        from smoothgrad.targets import Class, Classes

        if self.layer is None:
            found = [read_target(text, net.classes) for text in self.targets]
            if len(found) == 1:
                return ScoreOf(found[0]), 1, self.targets[0]
            indices = [target.index for target in found if isinstance(target, Class)]
            if len(indices) < len(found):
                raise BadOption("several targets are classes, by number or name; ask anything else alone")
            return ScoreOf(Classes(tuple(indices))), len(indices), "-".join(self.targets)
        if self.channel is None:
            return Layer(self.layer), 1, self.layer
        if self.place is None:
            return Channel(self.layer, self.channel, self.dim), 1, f"{self.layer}-{self.channel}"
        word = "-".join(map(str, (self.layer, self.channel, *self.place)))
        return Unit(self.layer, self.channel, self.place, self.dim), 1, word

    def labels(self, net: Network) -> tuple[int, ...]:
        """The classes that are meant, one for each picture; none where something else is."""
        from smoothgrad.features import ScoreOf
        from smoothgrad.targets import Class, Classes

        objective, _, _ = self.objective(net)
        target = objective.target if isinstance(objective, ScoreOf) else None
        if isinstance(target, Classes):
            return target.indices
        return (target.index,) if isinstance(target, Class) else ()


@final
@dataclass(frozen=True)
class Climb:
    """How `maximize` looks for its picture."""

    space: str
    generator: str
    start: str
    data: Path | None
    steps: int
    rate: float
    jitter: int
    l2: float
    tv: float
    rbm: float

    @staticmethod
    def read(
        space: str,
        generator: str,
        start: str,
        data: Path | None,
        steps: str,
        rate: str,
        jitter: str,
        weights: tuple[str, str, str],
    ) -> Climb:
        """Raises `BadOption` for what means nothing."""
        l2, tv, rbm = (
            read_number(name, text, "a weight of at least 0, such as 0.01")
            for name, text in zip(("--l2", "--tv", "--rbm"), weights, strict=True)
        )
        learning = read_number("--learning-rate", rate, "a number above 0, such as 0.05")
        counts = read_count("--steps", steps), read_whole("--jitter", jitter)
        return Climb(
            choice("--space", space, SPACES), generator, start, data, counts[0], learning, counts[1], l2, tv, rbm
        )

    def search(self, net: Network, model: str, objective: Objective, labels: tuple[int, ...]) -> ActivationMaximization:
        """The search itself. Pictures stay between black and white, as the network's preprocessing has them."""
        from smoothgrad.features import ActivationMaximization, Adam

        return ActivationMaximization(
            objective,
            self._space(net),
            self._start(net, model, labels),
            Adam(self.rate),
            self.steps,
            self.jitter,
            self._penalties(net, model),
        )

    def _space(self, net: Network) -> Space:
        from smoothgrad.features import Bounded, CodeSpace, Fourier, Pixels, load_generator
        from smoothgrad.models.factory import from_factory, names_factory

        if self.space != "code":
            return Bounded.to(net, Pixels() if self.space == "pixels" else Fourier())
        if not names_factory(self.generator):
            found = load_generator(self.generator)
            return CodeSpace(found, found.code_shape)
        own = from_factory(self.generator, None).net
        shape = getattr(own, "code_shape", None)
        if not isinstance(shape, tuple):
            raise BadOption(
                f"{self.generator} does not say what its codes are; give the module an attribute code_shape = (100,)"
            )
        return CodeSpace(own, shape)

    def _start(self, net: Network, model: str, wished: tuple[int, ...]) -> Start:
        from smoothgrad.features import FromNoise, FromPicture, FromZero

        if self.start == "zero":
            return FromZero()
        if self.start == "noise":
            # A climb from codes far out is easily stuck there; pictures begin near grey.
            return FromNoise(0.1 if self.space == "code" else 0.01)
        if self.start == "mean":
            import torch

            x, labels = self._learned(net, model)
            if labels is None or not wished:
                return FromPicture.mean(x)
            # Of each class, in the order of the pictures that are looked for.
            return FromPicture(torch.stack([x[labels == label].mean(0) for label in wished]))
        if not Path(self.start).is_file():
            raise BadOption(f"--start is {self.start!r}; give zero, noise, mean, or the file of a picture")
        return FromPicture(net.read(self.start))

    def _penalties(self, net: Network, model: str) -> tuple[Penalty, ...]:
        from smoothgrad.features import L2, RBMPrior, TotalVariation

        costs: list[Penalty] = []
        if self.l2:
            costs.append(L2(self.l2))
        if self.tv:
            costs.append(TotalVariation(self.tv))
        if self.rbm:
            costs.append(RBMPrior.fit(self._learned(net, model)[0], weight=self.rbm))
        return tuple(costs)

    def _learned(self, net: Network, model: str) -> tuple[Tensor, Tensor | None]:
        """The pictures to begin at the mean of, or to learn from, with their classes where these are known."""
        if self.data is not None:
            return pictures_of(net, find_pictures([self.data]))[0], None
        if model != "digits":
            raise BadOption("--start mean and --rbm need pictures; name a folder of them with --data")
        from smoothgrad.models.digits import scans

        found = scans()
        return found.x[found.train], found.labels[found.train]


def on_its_device(network: NetworkOptions, device: str | None) -> Network:
    """The network, on the device that was asked for."""
    from smoothgrad.checks import on_device
    from smoothgrad.models.network import Network

    moved = on_device(network.load(), device)
    assert isinstance(moved, Network), "a copy is of the same class"
    return moved


def channels_kept(text: str) -> int | tuple[int, ...]:
    """How many channels, or which.

    >>> channels_kept("8"), channels_kept("3,5")
    (8, (3, 5))
    """
    if "," in text:
        return tuple(read_whole("--keep", part) for part in text.split(","))
    return read_count("--keep", text)


def pictures_of(net: Network, files: Sequence[Path]) -> tuple[Tensor, list[str]]:
    """All pictures as one batch, with their names. Raises `BadOption` where they differ in size."""
    import torch

    sources = from_files(net, files)
    rows = [source.read() for source in sources]
    shapes = sorted({tuple(row.shape[1:]) for row in rows})
    if len(shapes) > 1:
        raise BadOption(f"the pictures differ in size: {', '.join(map(str, shapes))}; give --size")
    return torch.cat(rows), [source.name for source in sources]
