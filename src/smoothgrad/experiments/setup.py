"""What an experiment is made on: a network with pictures, or a data set to train networks on; and how it asks them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, final

import torch
from safetensors.torch import save_file
from torch import Tensor

from smoothgrad.checks import device_of
from smoothgrad.core.ask import output_of
from smoothgrad.core.explainer import Explainer
from smoothgrad.core.query import Query
from smoothgrad.core.value import content_digest, content_key
from smoothgrad.errors import BadInput, BadWeights, SmoothGradError
from smoothgrad.explain import Progress, explain, explain_live
from smoothgrad.files import write_aside
from smoothgrad.measure.judging import Measures, judge
from smoothgrad.measure.scores import Scores
from smoothgrad.methods import named
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.network import Network
from smoothgrad.models.weights import fit_weights, read_weights
from smoothgrad.recipe import to_data, to_recipe
from smoothgrad.result import Attribution
from smoothgrad.targets import Target
from smoothgrad.training.data import DataSet, Part
from smoothgrad.training.plan import Plan
from smoothgrad.training.train import Step, Told, train

TRIED = 3  # pictures, of which a method must be able to explain one


class Picture(NamedTuple):
    """A picture as its network takes it, with what is known of it."""

    name: str
    x: Tensor  # (1, *S)
    file: str = ""  # where it was read; "" for inputs that come with a network or a data set
    group: str = ""  # a kind of picture, such as "textured": its folder, or a column of a table
    label: int | None = None  # the true class
    region: Tensor | None = None  # (1, H, W) bool: where the thing is

    @property
    def digest(self) -> str:
        """What names it by its content."""
        return content_digest(self.x)


class Watch(Protocol):
    """Who is told how far an experiment is."""

    def cell(self, name: str, done: int, of: int) -> None:
        """A cell is begun, so many being done."""

    def step(self, name: str, done: float, of: float) -> None:
        """The cell at work makes something by this name, and is so far with it."""


@final
class Unwatched:
    """Nobody."""

    def cell(self, name: str, done: int, of: int) -> None:
        pass

    def step(self, name: str, done: float, of: float) -> None:
        pass


NOBODY = Unwatched()


@final
@dataclass(frozen=True, eq=False)
class Setup:
    """What an experiment is made on. `model` and `dataset` are the names by which network and data were loaded, `regions` that of
    the file or folder that says where things are. `among`: where one picture was chosen by name, of how many that come with the
    network or the data.

    `folder` is where long work is kept, such as trained networks and maps that serve several cells; None keeps nothing.
    """

    network: Network | None = None
    pictures: tuple[Picture, ...] = ()
    model: str = ""
    data: DataSet | None = None
    dataset: str = ""
    regions: str = ""
    among: int = 0
    target: int | Target | None = None
    seed: int = 0
    device: str | None = None
    chunk: int | None = None
    folder: Path | None = None
    watch: Watch = NOBODY

    # --- pictures -------------------------------------------------------------------------------------------------------

    def only(self, picture: Picture) -> Setup:
        """The same with this picture alone."""
        return replace(self, pictures=(picture,))

    @property
    def picture(self) -> Picture:
        """The picture of a cell."""
        (picture,) = self.pictures
        return picture

    def named(self, name: str) -> Picture:
        """The picture of this name."""
        return next(picture for picture in self.pictures if picture.name == name)

    # --- the network ----------------------------------------------------------------------------------------------------

    @property
    def net(self) -> Network:
        """The network. Raises `BadInput` where there is none."""
        if self.network is None:
            raise BadInput("this experiment asks a network, and none is given; load one: load('digits')")
        return self.network

    def asking(self, network: Network) -> Setup:
        """The same about another network, such as one that was trained."""
        return replace(self, network=network)

    def explain(
        self,
        method: Explainer,
        *,
        target: int | Target | None = None,
        seed: int | None = None,
        at: str | None = None,
        name: str | None = None,
    ) -> Attribution:
        """The map of the cell's picture by a method. Without `target` and `seed`: those of the experiment.

        The picture's noise is keyed by its content, so that it does not depend on the other pictures. `name` is what a progress
        bar calls it.
        """
        picture = self.picture
        label = name or named(method)

        def told(progress: Progress) -> None:
            self.watch.step(label, progress.done, progress.total)

        result = explain(
            self.net,
            picture.x,
            method=method,
            target=self.target if target is None else target,
            at=at,
            seed=self.seed if seed is None else seed,
            keys=[content_key(picture.x)],
            chunk=self.chunk,
            device=self.device,
            progress=told,
        )
        assert isinstance(result, Attribution), "a cell explains one input"
        return replace(result, names=(picture.name,))

    def explain_once(
        self, method: Explainer, *, target: int | Target | None = None, seed: int | None = None
    ) -> Attribution:
        """The same for maps that take long and serve several cells: kept in the folder, where there is one."""
        target, seed = self.target if target is None else target, self.seed if seed is None else seed
        if self.folder is None:
            return self.explain(method, target=target, seed=seed)
        does = fingerprint(self.net), answered(self.net, self.picture.x)
        asked = (to_recipe(method), does, self.picture.digest, target, seed, version())
        path = self.folder / "maps" / f"{digest_of(asked)}.safetensors"
        if not path.is_file():
            self.explain(method, target=target, seed=seed).save(path)
        try:
            return replace(Attribution.load(path), names=(self.picture.name,))  # kept for another name, maybe
        except BadInput as error:
            raise BadInput(f"{path} is damaged ({error}); remove it, and it is made again") from error

    def judge(self, results: Mapping[str, Attribution], measures: Measures) -> Scores:
        """Scores of maps of the cell's picture; of its region, where it is known and a measure needs it. None by no measures."""
        if not measures:
            return Scores((), ())
        return judge(
            self.net,
            results,
            measures,
            regions=self.picture.region,
            chunk=self.chunk,
            device=self.device,
            progress=self.watch.step,
        )

    def check_methods(self, methods: Sequence[Explainer], *, at: str | None = None) -> None:
        """One pass with each method: raises what `explain` raises, such as that a layer is missing, and names the method.

        What is wrong with one picture alone, such as that it is constant, is told when its turn comes: a method that explains one
        of the first pictures will do.
        """
        for method in methods:
            faults = [self.only(picture)._fault(method, at) for picture in self.pictures[:TRIED]]
            if faults and all(faults):
                fault = next(fault for fault in faults if fault is not None)
                raise type(fault)(f"{named(method)}: {fault}; or leave this method out") from fault

    def _fault(self, method: Explainer, at: str | None) -> SmoothGradError | None:
        """What the first pass with a method on the picture raises."""
        try:
            next(
                explain_live(
                    self.net,
                    self.picture.x,
                    method=method,
                    target=self.target,
                    at=at,
                    seed=self.seed,
                    chunk=1,  # so that the first map is one of one draw, where there are several
                    device=self.device,
                )
            )
        except SmoothGradError as error:
            return error
        return None

    # --- training -------------------------------------------------------------------------------------------------------

    @property
    def training_data(self) -> DataSet:
        """The data set. Raises `BadInput` where there is none."""
        if self.data is None:
            raise BadInput("this experiment trains networks, and no data is given; read some: data_set('digits')")
        return self.data

    def trained(self, plan: Plan, name: str = "") -> Network:
        """A network trained by the plan, read from the folder where it has been trained before.

        A training that was stopped goes on after the last epoch that it finished. Raises `BadWeights` where a file is damaged.
        """
        data = self.training_data
        asked = (to_data(plan), data.digest, version())
        path = None if self.folder is None else self.folder / "networks" / f"{digest_of(asked)}.safetensors"
        # As a new network in either case: one that has just been trained has another memory format, and so other last digits.
        net = plan.start(data.train.x.shape[1], len(data.classes)).eval()
        if path is not None and path.is_file():
            try:
                fit_weights(net, read_weights(path), path)
            except BadWeights as error:
                raise BadWeights(f"{path} is damaged ({error}); remove it, and it is made again") from error
        else:
            keep = path and path.with_suffix(".training")
            made = train(plan, data, told=self._training(name), keep=keep)
            held = {key: value.contiguous() for key, value in made.state_dict().items()}
            net.load_state_dict(held)
            if path is not None and keep is not None:
                write_aside(path, lambda aside: save_file(held, aside))
                keep.unlink(missing_ok=True)
        net.requires_grad_(False)
        return Network(net, name=name or repr(plan), classes=data.classes, preprocessing=data.preprocessing)

    def _training(self, name: str) -> Told:
        return lambda step: self.watch.step(_words(name, step), step.done, step.of)


def _words(name: str, step: Step) -> str:
    return f"training{f' {name}' if name else ''}, epoch {step.epoch}, loss {step.loss:.3f}"


def pictures_of(part: Part, data: DataSet, count: int) -> tuple[Picture, ...]:
    """The first pictures of a part of a data set."""
    some = part.first(count)
    rows = data.rows(some.x)
    return tuple(
        Picture(name, row[None], label=int(label))
        for name, row, label in zip(some.names, rows, some.labels, strict=True)
    )


def samples_of(network: Network, count: int) -> tuple[Picture, ...]:
    """The first pictures that come with a network."""
    regions = network.sample_regions(count)
    return tuple(
        Picture(name, row[None], label=int(label), region=None if regions is None else regions[place, None])
        for place, (name, row, label) in enumerate(
            zip(network.sample_names(count), network.samples(count), network.sample_labels(count), strict=True)
        )
    )


def answered(network: Network, x: Tensor) -> str:
    """What a network says of a picture (1, *S), as a digest: its scores, each rounded to 3 digits.

    Weights alone do not name a network: the same ones may stand in another, whose ReLUs are softplus now.
    """
    with torch.no_grad():
        try:
            scores = output_of(network, Query.of(x.to(device_of(network, x)), 0))
        except SmoothGradError as error:  # which is said where the network is asked
            return digest_of(str(error))
    return digest_of([f"{score:.2e}" for score in scores.flatten().double().tolist()])


def version() -> str:
    """Of the package: what it computes may differ between versions."""
    from smoothgrad import __version__

    return __version__


def digest_of(asked: object) -> str:
    """What names work by all that it depends on: the first 16 hexadecimal digits of the SHA-256 of its repr."""
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
