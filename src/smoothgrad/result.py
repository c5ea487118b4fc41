"""What comes back: maps with all that is needed to judge, show, keep and repeat them."""

from __future__ import annotations

import html
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, final

import torch
from torch import Tensor

from smoothgrad.core.explainer import Explainer, Over, Then, relative_error
from smoothgrad.core.moments import Estimate
from smoothgrad.core.reduce import Together
from smoothgrad.errors import BadInput, BadMethod, BadRecipe
from smoothgrad.files import write_aside
from smoothgrad.methods import named
from smoothgrad.recipe import from_recipe, to_recipe
from smoothgrad.significance import Chance, ZeroTest, check_fdr, discoveries, interval, p_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smoothgrad.view.look import Look
    from smoothgrad.view.panels import Panel

# The first thing in a saved file's metadata, and what wrote it.
FORMAT, SEVERAL = "smoothgrad attribution 1", "smoothgrad attributions 1"
WRITERS = {FORMAT: "Attribution", SEVERAL: "Attributions"}


class Completeness(NamedTuple):
    """What each map sums to and what its method promises (N,): score(x) - score(baseline) on a path, for relevance the score."""

    total: Tensor
    change: Tensor

    @property
    def error(self) -> Tensor:
        """|total - change| / |change| per row (N,): 0 is complete; Sundararajan et al. 2017 aim at under 0.05."""
        gap = (self.total - self.change).abs()
        return torch.where(gap == 0, torch.zeros_like(gap), gap / self.change.abs())


@final
@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """Maps of N rows, raw and signed. Everything is on the CPU; display choices are made by `figure`, never here.

    It has a length, and `result[i]` or `result[i:j]` is the Attribution of some of its rows.
    """

    maps: Tensor  # (N, *S), or (N, R, *S) where the method ends in Together
    stderr: Tensor | None  # like maps: the Monte-Carlo standard error of each value; None where there is none
    x: Tensor  # (N, *S) what was explained
    target: Tensor  # (N,) the class; (N, 2) for a contrast; -1 for a callable
    score: Tensor  # (N,) the score that was explained, at x
    draws: Tensor  # (N,) how many draws each map is made of
    passes: Tensor  # (N,) how many gradient passes went into it; at most, where a tolerance stands inside a cloud
    completeness: Completeness | None  # path methods only
    recipe: str  # one line that rebuilds the method
    unit: str  # what one unit of the map is, in words
    unsigned: bool  # can the map never be negative, as squares and variances?
    kind: str  # what the score is: "score", "probability", "log probability", "contrast" or "function"
    seed: int
    provenance: Mapping[str, Any]  # versions, model fingerprint, device, seconds, ...
    keys: Tensor  # (N,) the rows' names for randomness
    freedom: Tensor | None = None  # (N,) degrees of freedom of the standard error: independent blocks of draws - 1
    reproducibility: Tensor | None = (
        None  # (N,) expected Pearson correlation with the map of a fresh seed, in [0, 1] or NaN
    )
    converged: Tensor | None = None  # (N,) was the tolerance reached that was asked for? None where none was
    output: Tensor | None = None  # (N, K) the network's output at x, where it has classes
    picture: Tensor | None = None  # (N, 3, H, W) in [0, 1]: x as a person would see it, where that is known
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the rows, such as file names
    data: tuple[Tensor, ...] = ()  # the tensors that the recipe names
    coarse: Tensor | None = None  # (N, 1, *places) the map as the method gave it, where that has fewer places than x

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: SupportsIndex | slice) -> Attribution:
        if not isinstance(rows, slice):
            row = operator.index(rows)
            if not -len(self) <= row < len(self):
                raise IndexError(f"row {row} of {len(self)}")
            rows = slice(row, row + 1 or None)
        taken = {name: getattr(self, name)[rows] for name in _PER_ROW if getattr(self, name) is not None}
        complete = self.completeness and Completeness(*(part[rows] for part in self.completeness))
        return replace(self, **taken, completeness=complete, names=self.names[rows])

    def __iter__(self) -> Iterator[Attribution]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"<Attribution of {self.told(times(self.maps.shape[1:]))}>"

    def told(self, shape: str) -> str:
        """Rows of a shape, the method, and how sure the maps are, in a line."""
        error = self.relative_error
        how_sure = "" if error is None or not len(self) else f", relative error {float(error.max()):.2f}"
        again = () if self.reproducibility is None else self.reproducibility[~self.reproducibility.isnan()]
        how_sure += f", reproducibility {float(min(again)):.2f}" if len(again) else ""
        rows = "1 row" if len(self) == 1 else f"{len(self)} rows"
        return f"{rows} of {shape} by {self.recipe}, seed {self.seed}{how_sure}"

    @property
    def relative_error(self) -> Tensor | None:
        """||stderr|| / ||map|| per row (N,), in [0, inf]; None for methods without chance, for one draw, and for maps of
        several kinds: those of Together have an error each, in their `parts`.

        The map's own norm holds the error too: with e the error relative to the limit's norm, this is e / sqrt(1 + e^2) on
        average. Up to 0.3 the two are the same; 0.7 means that map and error are equal parts, and 1 that it is all error.
        """
        if self.stderr is None or self._several:
            return None
        return relative_error(Estimate(self.maps, self.stderr, self.draws))

    def interval(self, confidence: float = 0.95) -> tuple[Tensor, Tensor]:
        """Bounds (low, high), each like maps, that hold the value of infinitely many draws with this probability, value by value:

            maps -+ t * stderr,   t the (1 + confidence) / 2 quantile of Student's t with `freedom` degrees of freedom

        In the map's own unit. Raises `BadMethod` for a map without a standard error, and for a confidence outside (0, 1).

        >>> import smoothgrad as sg
        >>> net = sg.load("digits")
        >>> result = sg.explain(net, net.samples(1), method=sg.smoothgrad(samples=8))
        >>> low, high = result.interval(0.9)
        >>> bool((low <= result.maps).all() and (result.maps <= high).all())
        True
        """
        stderr, freedom = self._known_error()
        return interval(self.maps, stderr, freedom, confidence)

    def significant(self, fdr: float = 0.05) -> Tensor:
        """Which values of each map differ from zero, bool (N, *S): all but a share of about `fdr` of them rightly.

        Each value is tested against zero (Student's t, two-sided), and those of a row are taken together by the procedure of
        Benjamini and Hochberg (1995), which keeps the expected share of chance among the discoveries at `fdr` or under. It is a
        statement about this method's map with infinitely many draws, not about the network: a value that differs from zero may
        still mislead, and one that does not may only want more draws.

        Raises `BadMethod` for a map without a standard error, for fewer than 3 independent blocks of draws, for a map
        that can never be negative (the mean of squares is not zero, whatever the draws), and for a rate outside (0, 1).

        >>> import smoothgrad as sg
        >>> net = sg.load("digits")
        >>> result = sg.explain(net, net.samples(1), method=sg.smoothgrad(samples=50))
        >>> 0 < float(result.significant(fdr=0.05).float().mean()) < 1
        True
        """
        check_fdr(fdr)
        if self._chance.no_test:
            raise BadMethod(self._chance.no_test)
        stderr, freedom = self._known_error()
        return discoveries(p_values(self.maps, stderr, freedom), fdr)

    def _known_error(self) -> tuple[Tensor, Tensor]:
        """The standard error and its degrees of freedom. Raises `BadMethod` where they are not known."""
        if self._chance.no_error:
            raise BadMethod(self._chance.no_error)
        assert self.stderr is not None, "no_error has looked"
        assert self.freedom is not None, "no_error has looked"
        return self.stderr, self.freedom

    @property
    def _chance(self) -> Chance:
        return Chance(self.recipe, self._several, self.unsigned, self.stderr is not None, self.freedom)

    def _zero_test(self, row: int) -> ZeroTest | None:
        """What it takes to test the map of a row, for its panel; None where it cannot be tested."""
        if self._chance.no_test:
            return None
        stderr, freedom = self._known_error()
        return ZeroTest(self.maps[row], stderr[row], float(freedom[row]))

    @property
    def _several(self) -> bool:
        """Are there several maps per row, from Together?"""
        return self.maps.ndim > self.x.ndim

    @property
    def title(self) -> str:
        """The method by the name that a person would give it."""
        try:
            return named(self.method())
        except BadRecipe:  # pieces of your own, which a recipe cannot name
            return self.recipe

    def method(self) -> Explainer:
        """The method itself, rebuilt from the recipe."""
        return from_recipe(self.recipe, data=self.data)

    def parts(self) -> dict[str, Attribution]:
        """Of a method that ends in Together: an Attribution for each reduction, each with a recipe of its own.

        >>> import torch, smoothgrad as sg
        >>> method = sg.Gradient().over(sg.Gaussian(samples=4), sg.Together(sg.Mean(), sg.Variance()))
        >>> result = sg.explain(torch.nn.Linear(3, 2).eval(), torch.rand(1, 3), method=method)
        >>> list(result.parts())
        ['Mean()', 'Variance()']
        """
        method = self.method()
        reductions = _last_reductions(method)
        parts = {}
        for place, reduction in enumerate(reductions):
            stderr = self.stderr[:, place] if self.stderr is not None and reduction.has_stderr else None
            known = stderr is not None and not bool(stderr.isnan().any())
            alone = _with_reduction(method, reduction)
            parts[repr(reduction)] = replace(
                self,
                maps=self.maps[:, place],
                stderr=stderr if known else None,
                recipe=to_recipe(alone),
                unit=unit_of(alone, self.kind, self.provenance["layer"]),
                unsigned=alone.unsigned,
                coarse=None if self.coarse is None else self.coarse[:, place],
            )
        return parts

    # --- keeping ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the metadata inside; aside, then renamed. Raises `CannotWrite`."""
        return write(path, self, FORMAT)

    @staticmethod
    def load(path: str | Path) -> Attribution:
        """Read what `save` wrote. Raises `BadInput` for any other file."""
        return read(path, FORMAT)[0]

    # --- looking ------------------------------------------------------------------------------------------------------

    def figure(self, look: Look | None = None, *, errors: bool = True) -> Figure:
        """Picture, map and standard error of each row, as a matplotlib Figure. `look` None: what suits the rows.

        With `look.fdr`, raises `BadMethod` for a map that cannot be tested: see `significant`.

        >>> import smoothgrad as sg
        >>> net = sg.load("digits")
        >>> page = sg.explain(net, net.samples(2), method=sg.smoothgrad(samples=4)).figure()
        """
        from smoothgrad.view.figure import figure

        look = look or self.look
        if look.fdr is not None:
            check_tested([self])
        columns = self.columns()
        rows = list(zip(*columns.values(), strict=True))
        return figure(rows, look, columns=list(columns), labels=self.labels(), errors=errors)

    def kinds(self) -> dict[str, Attribution]:
        """The maps that a figure shows, by name: those of Together, or itself by its method's name."""
        return self.parts() if self._several else {self.title: self}

    def columns(self) -> dict[str, list[Panel]]:
        """The columns of its figure by what stands above them: a panel for each row."""
        rows = range(len(self))
        seen = [panel for row in rows if (panel := self.picture_panel(row)) is not None]
        maps = {name: [kind.map_panel(row) for row in rows] for name, kind in self.kinds().items()}
        return {"input": seen, **maps} if seen else maps

    def labels(self) -> list[str]:
        """What stands beside each row of a figure: its name, and what was explained."""
        named = self.names or [""] * len(self)
        return [f"{name}\n{self.label(row)}" if name else self.label(row) for row, name in enumerate(named)]

    def show(self, look: Look | None = None) -> None:
        """Show the figure: in the notebook, or with the system's own viewer of pictures."""
        from smoothgrad.view.screen import show

        show(self.figure(look))

    def _repr_html_(self) -> str:
        """For notebooks: the figure of the first rows, with what made it."""
        from smoothgrad.view.screen import SHOWN, as_html

        return as_html(self[:SHOWN].figure(), repr(self), self.caption, rows=len(self))

    @property
    def caption(self) -> str:
        """What made it, for a figure on a page: HTML."""
        model = html.escape(str(self.provenance["model"]))
        return f"<code>{html.escape(self.recipe)}</code>, seed {self.seed}, {model}"

    @property
    def look(self) -> Look:
        """How these maps are best shown, if nothing else is said."""
        from smoothgrad.view.look import Look

        return Look.default_for(self.x.shape[1:])

    def picture_panel(self, row: int) -> Panel | None:
        """The input as a panel of a figure: what a person would see; None where the map's own panel shows it."""
        from smoothgrad.view.panels import PicturePanel

        if self.picture is not None:
            return PicturePanel(self.picture[row])
        x = self.x[row]
        if x.ndim != 3 or x.shape[0] not in (1, 3):
            return None
        low, high = x.amin(), x.amax()
        return PicturePanel((x - low) / (high - low) if high > low else x - low, note="scaled to its own range")

    def map_panel(self, row: int, title: str = "") -> Panel:
        """The map of a row as a panel of a figure, with its standard error."""
        from smoothgrad.view.panels import MapPanel, Sureness
        from smoothgrad.view.plots import FeaturesPanel, SignalPanel

        if self._several:
            raise BadInput(f"{self.recipe} gives several maps per row; show one of .parts()")
        map_, x = self.maps[row], self.x[row]
        stderr = None if self.stderr is None else self.stderr[row]
        sure = Sureness(
            None if self.relative_error is None else float(self.relative_error[row]),
            None if self.reproducibility is None else float(self.reproducibility[row]),
            self._zero_test(row),
        )
        note = self._note(row)
        if self._words:
            # One value per word: its embedding's dimensions are no places that a reader could look at.
            spread = None if stderr is None else stderr.square().sum(-1).sqrt()
            names = tuple(f"position {place}" for place in range(len(map_)))
            return FeaturesPanel(map_.sum(-1), spread, names=names, title=title, note=note, sure=sure, unit=self.unit)
        if map_.ndim == 1:
            return FeaturesPanel(
                map_, stderr, x, title=title, note=note, sure=sure, unit=self.unit, unsigned=self.unsigned
            )
        if map_.ndim == 2:
            return SignalPanel(
                map_, x, stderr, title=title, note=note, sure=sure, unit=self.unit, unsigned=self.unsigned
            )
        fits = self.picture is not None and self.picture.shape[-2:] == map_.shape[-2:]
        beneath = self.picture[row] if self.picture is not None and fits else None
        return MapPanel(
            map_, stderr, x, beneath, title=title, note=note, sure=sure, unit=self.unit, unsigned=self.unsigned
        )

    def _note(self, row: int) -> str:
        """What one should know of a map beside its error."""
        few = self.coarse is not None and self.coarse.shape[2:] != self.maps.shape[2:]
        enlarged = (
            f"enlarged from {' × '.join(map(str, self.coarse.shape[2:]))}" if few and self.coarse is not None else ""
        )
        reached = self.converged is None or bool(self.converged[row])
        return "; ".join(filter(None, ("" if reached else "tolerance not reached", enlarged)))

    @property
    def _words(self) -> bool:
        """Are these maps (words, dimensions) of an embedding: of a layer whose input is one number per word?"""
        words = self.provenance["input"]
        return self.provenance["layer"] is not None and len(words) == 1 and list(self.maps.shape[1:-1]) == words

    def label(self, row: int = 0) -> str:
        """What the map of a row explains, in words, with its value."""
        number = self.kind if "probability" in self.kind else "score"
        return f"{self.target_name(row)}, {number} {float(self.score[row]):.2f}".replace(" -", " −")

    def target_name(self, row: int = 0) -> str:
        """What the map of a row explains, in words: a class, "a rather than b", or "your function"."""
        target = self.target[row]
        if target.ndim:
            this, that = (self.class_name(int(index)) for index in target)
            return this if int(target[1]) < 0 else f"{this} rather than {that}"
        return "your function" if int(target) < 0 else self.class_name(int(target))

    def class_name(self, index: int) -> str:
        """The name of a class, or its number."""
        return self.classes[index] if 0 <= index < len(self.classes) else f"class {index}"


def write(path: str | Path, result: Attribution, form: str, **more: Any) -> Path:
    """Write a result to a file of a form, with `more` in its metadata. Raises `CannotWrite`."""
    from safetensors.torch import save

    tensors = {name: getattr(result, name) for name in _PER_ROW if getattr(result, name) is not None}
    if result.completeness is not None:
        tensors |= {f"completeness.{name}": part for name, part in result.completeness._asdict().items()}
    tensors |= {f"data.{number}": part for number, part in enumerate(result.data)}
    plain = {name: getattr(result, name) for name in _PLAIN} | {"provenance": dict(result.provenance)}
    metadata = {"format": form, "smoothgrad": json.dumps(plain)} | ({"more": json.dumps(more)} if more else {})
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    # As bytes: safetensors' own writing of a file says "disk full" with an error that is no OSError.
    return write_aside(path, lambda aside: aside.write_bytes(save(whole, metadata)))


def read(path: str | Path, form: str) -> tuple[Attribution, dict[str, Any]]:
    """What `write` wrote in this form: the result, and `more`. Raises `BadInput` for any other file."""
    from safetensors import SafetensorError, safe_open

    writer = WRITERS[form]
    if Path(path).is_dir():
        raise BadInput(f"{path} is a folder; give the name of a file that {writer}.save wrote")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}") from error
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path} is no file of maps: {error}") from error
    found = metadata.get("format", "")
    if found != form and found in WRITERS:
        raise BadInput(f"{path} was written by {WRITERS[found]}.save; read it with {WRITERS[found]}.load")
    if found != form:
        raise BadInput(f"{path} is a safetensors file, but none that {writer}.save wrote")
    try:
        return _rebuilt(tensors, json.loads(metadata["smoothgrad"])), json.loads(metadata.get("more", "{}"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} lacks part of what {writer}.save writes ({error}); save it again") from error


def _rebuilt(tensors: dict[str, Tensor], plain: dict[str, Any]) -> Attribution:
    """What `save` took apart."""
    plain |= {name: tuple(plain[name]) for name in ("classes", "names")}
    complete = [tensors[name] for name in (f"completeness.{part}" for part in Completeness._fields) if name in tensors]
    numbers = sorted(int(name.removeprefix("data.")) for name in tensors if name.startswith("data."))
    rows: dict[str, Any] = {name: tensors[name] if name in _ALWAYS else tensors.get(name) for name in _PER_ROW}
    completeness = Completeness(*complete) if complete else None
    return Attribution(**rows, **plain, completeness=completeness, data=tuple(tensors[f"data.{n}"] for n in numbers))


_ALWAYS = ("maps", "x", "target", "score", "draws", "passes", "keys")
_PER_ROW = (*_ALWAYS, "stderr", "freedom", "reproducibility", "converged", "output", "picture", "coarse")
_PLAIN = ("recipe", "unit", "unsigned", "kind", "seed", "classes", "names")
assert {*_PER_ROW, *_PLAIN} == {field.name for field in fields(Attribution)} - {"completeness", "provenance", "data"}


def unit_of(method: Explainer, kind: str, layer: str | None) -> str:
    """The unit of a method's map, with what the score is and what it is explained by.

    >>> from smoothgrad import Gradient
    >>> unit_of(Gradient(), "probability", "conv2")
    'probability per unit of conv2'
    """
    unit = method.unit.replace("score", kind) if "probability" in kind else method.unit
    return unit if layer is None else unit.replace("of input", f"of {layer}")


def check_tested(results: Sequence[Attribution]) -> None:
    """Raises `BadMethod` where none of their maps can be tested against zero."""
    reasons = [kind._chance.no_test for result in results for kind in result.kinds().values()]
    if all(reasons):
        raise BadMethod(reasons[0])


def times(shape: Sequence[int]) -> str:
    """A shape in words.

    >>> times((3, 8, 8))
    '3 x 8 x 8'
    """
    return " x ".join(map(str, shape))


def _last_reductions(method: Explainer) -> tuple[Any, ...]:
    if isinstance(method, Then):
        return _last_reductions(method.inner)
    if isinstance(method, Over) and isinstance(method.reduction, Together):
        return method.reduction.reductions
    raise BadInput(f"{method!r} gives one map per row: there are no parts")


def _with_reduction(method: Explainer, reduction: Any) -> Explainer:
    if isinstance(method, Then):
        return replace(method, inner=_with_reduction(method.inner, reduction))
    assert isinstance(method, Over), "_last_reductions has checked it"
    return replace(method, reduction=reduction)
