"""An experiment as a value: its fields are what it asks, some of them a grid; each point of the grid is an experiment again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, final

from torch import Tensor

from smoothgrad.core.kinds import kind_held, kinds_of
from smoothgrad.core.value import Value
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.result import Attribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smoothgrad.experiments.result import Result

Scalar = str | int | float | bool | None
Row = Mapping[str, Scalar]


class Finding(NamedTuple):
    """What a cell found: rows of the table, each one quantity with its value, and what its figures show."""

    rows: tuple[Row, ...]
    maps: Mapping[str, Attribution] = {}
    arrays: Mapping[str, Tensor] = {}


class Plate(NamedTuple):
    """A figure with its name and what it shows, in a sentence or two."""

    name: str
    caption: str
    figure: Figure


class Experiment(Value, ABC):
    """A question, asked of every point of a grid.

    The fields named in `grid` are tuples; the cells of an experiment are its points, each on one picture where `per_picture`. **A
    cell is the same experiment with one value in each field of the grid**: so its recipe, which stands in its rows, repeats it
    alone. What a cell finds depends on nothing but that recipe, its picture, the network, the target and the seed, and on what
    `depends_on` says.

    Below this class everything is a frozen dataclass that says in its class attributes what it is: see `NoiseLevel`.
    """

    name: ClassVar[str]  # on the command line, such as "noise-level"
    title: ClassVar[str]
    question: ClassVar[str]  # that it answers, in a sentence
    papers: ClassVar[tuple[str, ...]] = ()  # keys of `citations.PAPERS`
    grid: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[
        Mapping[str, str]
    ] = {}  # columns of its own beside the grid, that tell its rows apart: what each holds
    quantities: ClassVar[Mapping[str, str]]  # what is measured, in words, with range and unit; measures have their own
    per_picture: ClassVar[bool] = True
    trains: ClassVar[bool] = False  # networks of its own, on a data set; else it asks a network that is given
    least: ClassVar[int] = 1  # pictures

    def __post_init__(self) -> None:
        for field in self.grid:  # one value stands for a grid of one
            given = getattr(self, field)
            values = tuple(given) if isinstance(given, tuple | list) else (given,)
            # 0 and 0.0 are one point, and must have one recipe.
            exact = kind_held(self.fields()[field]) is float
            object.__setattr__(self, field, tuple(float(v) if exact and type(v) is int else v for v in values))
        super().__post_init__()
        for field in self.grid:
            values = getattr(self, field)
            if not values:
                raise BadMethod(f"{type(self).__name__} takes one or more values of {field}, got none")
            if len(set(values)) < len(values):
                raise BadMethod(f"{type(self).__name__} takes each value of {field} once, got {values!r}")

    @abstractmethod
    def quick(self) -> Self:
        """The same with few values and few draws, by `with_small`: under a minute on the embedded network."""

    def check(self, setup: Setup) -> None:
        """Raises what is wrong with the setup before any long work. An experiment with checks of its own calls this one first."""
        if len(setup.pictures) < self.least:
            raise BadInput(
                f"{self.name} needs {self.least} or more pictures, and there are {len(setup.pictures)}; give more"
            )
        twice = {one.name for one in setup.pictures if sum(one.name == other.name for other in setup.pictures) > 1}
        if twice:
            raise BadInput(f"two pictures are called {min(twice)!r}; give each a name of its own")
        if self.trains:
            setup.training_data  # noqa: B018 (raises where there is none)
        else:
            setup.net  # noqa: B018
        self._check_regions(setup)

    def _check_regions(self, setup: Setup) -> None:
        """Raises `BadInput` for a measure that needs to know where the thing is, where that is not known of a picture.

        An experiment whose own measures need it has an answer of its own to where it is not known.
        """
        lost = next((one.name for one in setup.pictures if one.region is None), None)
        needing = [one for one in getattr(self, "measures", ()) if one.needs_regions]
        if lost is None or not needing or any(one.needs_regions for one in type(self).measures):  # type: ignore[attr-defined]
            return
        how = (
            "their data do not say; take other measures"
            if self.trains
            else "give --regions FILE, or take other measures"
        )
        raise BadInput(f"{needing[0]!r} needs to know where the thing is, and of {lost!r} that is not known: {how}")

    def with_small(self, fields: Mapping[str, Any]) -> Self:
        """The same with these values in those of the fields that hold what they hold by default: what somebody chose stays."""
        usual = type(self)()
        return self.changed(
            {name: value for name, value in fields.items() if getattr(self, name) == getattr(usual, name)}
        )

    def points(self) -> Iterator[Self]:
        """The same experiment at each point of the grid."""
        for values in product(*(getattr(self, field) for field in self.grid)):
            yield self.changed({field: (value,) for field, value in zip(self.grid, values, strict=True)})

    def changed(self, fields: Mapping[str, Any]) -> Self:
        """The same experiment with other values in these fields."""
        return replace(self, **fields)  # type: ignore[type-var]  # all classes below are dataclasses

    def cells(self, setup: Setup) -> tuple[Cell, ...]:
        """All cells, picture by picture."""
        pictures = setup.pictures if self.per_picture else (None,)
        return tuple(Cell(point, picture) for picture in pictures for point in self.points())

    def depends_on(self, setup: Setup) -> tuple[str, ...]:
        """What a cell depends on beside its recipe and its picture, such as the content of files that the recipe names: digests.

        Called on an experiment at one point, as `found` is; a cell that was kept is made anew where the answer has changed. What is
        wrong with such files is no matter here: `found` says it.
        """
        return ()

    @property
    def settings(self) -> dict[str, Scalar]:
        """Of an experiment at one point: where it is."""
        return {field: _plain(value) for field in self.grid for value in getattr(self, field)}

    @abstractmethod
    def found(self, setup: Setup) -> Finding:
        """What a cell finds: called on an experiment at one point, with one picture where `per_picture`, else with all.

        Its rows need not repeat the settings.
        """

    @abstractmethod
    def plates(self, result: Result) -> Iterator[Plate]:
        """The figures of all cells."""

    @abstractmethod
    def lessons(self, result: Result) -> Iterator[str]:
        """What was seen: sentences with numbers that come from the table."""

    @classmethod
    def fields(cls) -> dict[str, Any]:
        """The kind of each field."""
        return kinds_of(cls)


@final
class Cell(NamedTuple):
    """A point of the grid, on a picture or on all."""

    experiment: Experiment
    picture: Picture | None

    @property
    def name(self) -> str:
        """For a progress bar."""
        parts = [] if self.picture is None else [self.picture.name]
        return " · ".join([*parts, *(f"{field} {value}" for field, value in self.experiment.settings.items())])

    def setup(self, setup: Setup) -> Setup:
        """The setup as the cell sees it."""
        return setup if self.picture is None else setup.only(self.picture)


def _plain(value: object) -> Scalar:
    """A value of the grid as the table holds it: a method or a baseline by its recipe."""
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
