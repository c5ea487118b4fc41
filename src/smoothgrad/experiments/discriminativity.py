"""Does a map know which of two classes it explains? (Smilkov et al. 2017, figure 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, final

import torch

from smoothgrad.errors import BadInput, BadMethod, BadTarget
from smoothgrad.experiments.class_maps import classes_of, drawn_difference, drawn_scaled, scaled
from smoothgrad.experiments.compared import cosine
from smoothgrad.experiments.drawing import map_figure
from smoothgrad.experiments.experiment import Cell, Experiment, Finding, Plate, Row
from smoothgrad.experiments.methods_as_text import check as check_texts
from smoothgrad.experiments.methods_as_text import each_in_full, is_control, labels, method_of
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.setup import Picture, Setup
from smoothgrad.experiments.summary import Average, average, chosen, dot, row, unit_of
from smoothgrad.experiments.two_objects import GROUP, Scene, embedded, made, separation, share_inside
from smoothgrad.methods.controls import uniform_map
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.view.look import Look
from smoothgrad.view.score_plots import DotPanel, dot_figure

if TYPE_CHECKING:
    from pandas import DataFrame

SCORE, ON_OBJECTS = "separation", "share on the objects"
COSINE, OVERLAP = "cosine of the two maps", "overlap of the two maps"
TRUE = (SCORE, ON_OBJECTS)  # what takes to know where the objects are
GIVEN, KNOWN = 8, 4  # pictures, and scenes, in one figure
PAGES = 2  # pictures, and scenes, that have a figure of their own
LOOK = Look(sign="signed", cap=100, shared=True)


@final
@dataclass(frozen=True, repr=False)
class Discriminativity(Experiment):
    """The maps of two classes of a picture, each scaled to [0, 1], and their difference.

        d_p = a_p / max a - b_p / max b,   a_p = sum over channels of |map of the first class|, b_p of the second

    Of the given pictures the classes are the network's two highest, or `first` and `second`; where each of them stands is not
    known, so that it is only said how alike their maps are. Beside them `scenes` made pictures with two objects of known places are
    asked of the network `scenes`, whatever network is given, since only of that one it is known that it looks at the objects; their
    classes are those of the objects. There each method has a score, with A and B the places of the two objects:

        separation = (sum_A d - sum_B d) / sum_{A and B} |d|

    1 where the difference is nowhere negative on the first object and nowhere positive on the second, -1 the other way round, and 0
    for a map that says the same of both. scenes=0 leaves the scenes out. Methods are names or recipes, as in `MethodGrid`.

    Raises `UnknownName` or `BadRecipe` for a method that is not known, `BadMethod` for one that gives several maps, for a negative
    number, and for one class given twice; before the work `BadInput` for a picture that takes the name or the group of a scene.
    """

    name: ClassVar[str] = "discriminativity"
    title: ClassVar[str] = "Does a map know which class it explains?"
    question: ClassVar[str] = (
        "Where two classes stand in one picture: do their maps differ, and does the difference lie on the right objects?"
    )
    papers: ClassVar[tuple[str, ...]] = ("smilkov2017",)
    grid: ClassVar[tuple[str, ...]] = ("method",)
    keys: ClassVar[Mapping[str, str]] = {
        "network": "the network that was asked: of scenes the embedded one, whatever network is given",
        "weights": "what names its weights; `fingerprint` is that of the network that is given",
        "first": "the class of the first map",
        "second": "the class of the second map",
    }
    quantities: ClassVar[dict[str, str]] = {
        SCORE: "(sum_A d - sum_B d) / sum_{A and B} |d| of the difference d of both maps, A and B the places of the objects, from "
        "-1 to 1: 1 where d tells them apart everywhere, 0 for a map that says the same of both; of scenes only",
        ON_OBJECTS: "sum_{A and B} |d| / sum |d|: how much of the difference lies on the objects at all, 0 to 1; of scenes only",
        COSINE: "cosine of the two maps as they are, signed, from -1 to 1: 1 for a map that does not know its class",
        OVERLAP: "sum min(a, b) / sum max(a, b) of the scaled maps a and b, from 0 for no common place to 1 for the same map",
    }

    method: tuple[str, ...] = (
        "gradient",
        "smoothgrad(noise=0.15, samples=50)",
        "integrated_gradients(steps=50)",
        "guided_backprop",
        "grad_cam",
        "lrp",
        "sobel",
    )
    first: int | None = None
    second: int | None = None
    scenes: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", each_in_full(self.method))
        super().__post_init__()
        check_texts(self.method, self.name)
        for name, number in (("scenes", self.scenes), ("first", self.first), ("second", self.second)):
            if number is not None and number < 0:
                raise BadMethod(f"Discriminativity needs {name} >= 0, got {number}")
        if self.first is not None and self.first == self.second:
            raise BadMethod(f"first and second are both class {self.first}, whose maps do not differ; give two classes")

    def quick(self) -> Self:
        short = {"smoothgrad(noise=0.15, samples=50)": "smoothgrad(noise=0.15, samples=10)"}
        return replace(self, method=tuple(short.get(one, one) for one in self.method), scenes=min(self.scenes, 6))

    def check(self, setup: Setup) -> None:
        super().check(setup)
        if setup.target is not None:
            raise BadTarget(
                f"discriminativity explains two classes, and the target is {setup.target!r}; leave it out, and give "
                "first= and second="
            )
        methods = [method_of(text) for text in self.method]
        given = tuple(one for one in setup.pictures if self._truth(one) is None)
        names = {one.picture.name for one in made(self.scenes)}
        for one in given:
            if one.group == GROUP or one.name in names:
                raise BadInput(
                    f"the picture {one.name!r} of group {one.group!r} has the {'group' if one.group == GROUP else 'name'} of the "
                    "scenes that are made here; give it another"
                )
        if given:
            for index in self._classes(setup.only(given[0])):
                replace(setup, target=index, pictures=given).check_methods(methods)
        for scene in made(self.scenes)[:1]:
            replace(setup, network=embedded(), pictures=(scene.picture,)).check_methods(methods)

    def cells(self, setup: Setup) -> tuple[Cell, ...]:
        """The given pictures, then the scenes."""
        there = {
            one.digest for one in setup.pictures if self._truth(one)
        }  # a scene may be given, to repeat its cell alone
        new = [one.picture for one in made(self.scenes) if one.picture.digest not in there]
        return (*super().cells(setup), *(Cell(point, picture) for picture in new for point in self.points()))

    def found(self, setup: Setup) -> Finding:
        (text,) = self.method
        truth = self._truth(setup.picture)
        if truth is not None:
            setup = setup.asking(embedded())
        first, second = self._classes(setup) if truth is None else truth.labels
        maps = [setup.explain(method_of(text), target=index) for index in (first, second)]
        a, b = map(scaled, maps)
        difference = a - b
        keys = {
            "network": setup.net.name,
            "weights": fingerprint(setup.net),
            "first": setup.net.label(first),
            "second": setup.net.label(second),
        }
        rows: list[Row] = [
            row(COSINE, cosine(maps[0], maps[1]), "cosine", keys),
            row(OVERLAP, float(torch.minimum(a, b).sum() / torch.maximum(a, b).sum()), "share", keys),
        ]
        if truth is not None:
            rows = [
                row(SCORE, separation(difference, *truth.regions), "share of the difference, signed", keys),
                row(ON_OBJECTS, share_inside(difference, *truth.regions), "share of the difference", keys),
                *rows,
            ]
        return Finding(tuple(rows), {"first": maps[0], "second": maps[1]})

    def _truth(self, picture: Picture) -> Scene | None:
        """What is known of a picture, where it is one of the scenes."""
        if picture.group != GROUP:
            return None
        return next((one for one in made(self.scenes) if one.picture.digest == picture.digest), None)

    def _classes(self, setup: Setup) -> tuple[int, int]:
        """The two classes to explain of the setup's picture. Raises `BadTarget` for an output without two classes."""
        output = setup.explain(uniform_map(), target=self.first).output
        if output is None or output.shape[1] < 2:
            raise BadTarget(
                f"{setup.net.name} has no two classes to compare; take a network whose output is (N, classes)"
            )
        order = output[0].sort(descending=True, stable=True).indices.tolist()
        first = next(index for index in order if index != self.second) if self.first is None else self.first
        second = next(index for index in order if index != first) if self.second is None else self.second
        return first, second

    # --- figures ----------------------------------------------------------------------------------------------------------

    def plates(self, result: Result) -> Iterator[Plate]:
        pictures = {cell.picture.name: cell.picture for cell in result.cells if cell.picture is not None}
        given = [name for name, one in pictures.items() if one.group != GROUP]
        known = [name for name, one in pictures.items() if one.group == GROUP]
        found = {
            name: some
            for name in (*given[:GIVEN], *known[:KNOWN])
            if any(some := [result.finding(name, method=text) for text in self.method])
        }
        if found:
            yield Plate(
                "differences",
                "The map of the first class less that of the second, each scaled to [0, 1]: orange says more of the first, "
                "blue of the second, white the same of both. The maps of a row have one scale.",
                map_figure(
                    [[one and drawn_difference(one) for one in some] for some in found.values()],
                    columns=list(labels(self.method).values()),
                    labels=[f"{name}\n{' − '.join(classes_of(some))}" for name, some in found.items()],
                    look=LOOK,
                ),
            )
        for number, name in enumerate((*given[:PAGES], *known[:PAGES]), start=1):
            if name in found:
                yield self._page(number, name, found[name])
        panels = [panel for quantity in self.quantities for panel in self._panel(result, quantity)]
        if panels:
            yield Plate(
                "scores",
                f"How well methods tell two classes apart. {SCORE.capitalize()} and {ON_OBJECTS} are of scenes, asked of the "
                "network scenes, since there it is known where the objects are; the others are of the given pictures. Without a "
                "score: no difference at all lies nowhere, and a map of zeros has no cosine.",
                dot_figure(panels),
            )

    def _page(self, number: int, name: str, found: list[Finding | None]) -> Plate:
        """Both maps of a picture and their difference, a row for each method."""
        there = {text: one for text, one in zip(self.method, found, strict=True) if one is not None}
        first, second = classes_of(found)
        return Plate(
            f"maps-{number}",
            f"{name}: maps of two classes, sums of absolute values over channels, each scaled to [0, 1], and their difference.",
            map_figure(
                [
                    [drawn_scaled(one.maps["first"]), drawn_scaled(one.maps["second"]), drawn_difference(one)]
                    for one in there.values()
                ],
                columns=[f"map of {first}", f"map of {second}", f"{first} − {second}"],
                labels=[labels(self.method)[text] for text in there],
                look=LOOK,
            ),
        )

    def _panel(self, result: Result, quantity: str) -> Iterator[DotPanel]:
        """The mean of a quantity for each method; pictures without a value, and cells that failed, count as such."""
        there = quantity in TRUE
        frame = _of_scenes(result.measured) if there else _of_given(result.measured)
        asked = result.frame
        pictures = (_of_scenes(asked) if there else _of_given(asked))["picture"].nunique()
        if len(chosen(frame, {"quantity": quantity})):
            dots = tuple(
                dot(frame, label, quantity, {"method": text}, pictures, control=is_control(text))
                for text, label in labels(self.method).items()
            )
            where, better = ("scenes", "higher") if there else ("given pictures", "neither")
            yield DotPanel(f"{quantity} ({where})", unit_of(frame, quantity), better, dots)

    # --- what was seen ----------------------------------------------------------------------------------------------------

    def lessons(self, result: Result) -> Iterator[str]:
        scenes, given = _of_scenes(result.measured), _of_given(result.measured)
        yield from self._separated(self._means(scenes, SCORE))
        yield from self._alike(self._means(given, COSINE))

    def _separated(self, found: dict[str, Average]) -> Iterator[str]:
        """Whether the difference of both maps lies on the right objects of scenes."""
        called = self._called
        ordered = sorted((text for text in found if found[text].n), key=lambda text: -found[text].mean)
        if not ordered:
            return
        yield (
            f"On {_counted(max(found[text].n for text in ordered), 'scene')} with two objects, asked of the network scenes, the "
            "difference of both classes' maps lies on the right objects by these means, the highest first (1: everywhere; 0: no "
            f"better than a map that does not know the class): {', '.join(f'{called[text]} {found[text]}' for text in ordered)}."
        )
        unsure = [called[text] for text in ordered if found[text].sign == 0]
        if unsure:
            yield f"Not clearly different from 0 there: {', '.join(unsure)}."
        wrong = [called[text] for text in ordered if found[text].sign < 0]
        if wrong:
            yield f"Clearly on the wrong objects there: {', '.join(wrong)}."

    def _alike(self, found: dict[str, Average]) -> Iterator[str]:
        """How alike the maps of the two classes of the given pictures are."""
        called = self._called
        asked = {text: one for text, one in found.items() if not is_control(text)}
        ordered = sorted((text for text in asked if asked[text].n), key=lambda text: -asked[text].mean)
        if ordered:
            n = max(asked[text].n for text in ordered)
            yield (
                f"On {_counted(n, 'given picture')} the maps of the two classes have these mean cosines: "
                f"{', '.join(f'{called[text]} {asked[text]}' for text in ordered)}. Where the objects stand is not known there."
            )
        none = [called[text] for text in asked if not asked[text].n]
        if none:
            yield f"On the given pictures there is no cosine for {', '.join(none)}: one of the two maps is zero everywhere."

    def _means(self, frame: DataFrame, quantity: str) -> dict[str, Average]:
        """The mean of a quantity over pictures, for each method that has rows."""
        return {
            text: average(frame, quantity, {"method": text})
            for text in self.method
            if len(chosen(frame, {"quantity": quantity, "method": text}))
        }

    @property
    def _called(self) -> dict[str, str]:
        """The methods by their texts, controls said to be such."""
        return {text: label + " (control)" * is_control(text) for text, label in labels(self.method).items()}


def _of_scenes(frame: DataFrame) -> DataFrame:
    """The rows of scenes, of which it is known where the objects are."""
    return frame[frame["group"] == GROUP]


def _of_given(frame: DataFrame) -> DataFrame:
    """The rows of the pictures that were given."""
    return frame[frame["group"] != GROUP]


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
