"""What comes back: maps with all that is needed to judge, show, keep and repeat them."""

from __future__ import annotations

import base64
import html
import io
import json
import operator
import sys
from collections.abc import Iterator, Mapping
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
from smoothgrad.significance import FEWEST, ZeroTest, check_fdr, discoveries, interval, p_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smoothgrad.view.look import Look
    from smoothgrad.view.panels import Panel

FORMAT = "smoothgrad attribution 1"  # the first thing in a saved file's metadata


class Completeness(NamedTuple):
    """For paths: what each map sums to, and what it should sum to, score(x) - score(baseline); all (N,)."""

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
        shape = " x ".join(map(str, self.maps.shape[1:]))
        error = self.relative_error
        how_sure = "" if error is None or not len(self) else f", relative error {float(error.max()):.2f}"
        again = () if self.reproducibility is None else self.reproducibility[~self.reproducibility.isnan()]
        how_sure += f", reproducibility {float(min(again)):.2f}" if len(again) else ""
        rows = "1 row" if len(self) == 1 else f"{len(self)} rows"
        return f"<Attribution of {rows} of {shape} by {self.recipe}, seed {self.seed}{how_sure}>"

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
        why_not = self._no_zero_test()
        if why_not:
            raise BadMethod(why_not)
        stderr, freedom = self._known_error()
        return discoveries(p_values(self.maps, stderr, freedom), fdr)

    def _known_error(self) -> tuple[Tensor, Tensor]:
        """The standard error and its degrees of freedom. Raises `BadMethod` where they are not known."""
        why_not = self._no_error()
        if why_not:
            raise BadMethod(why_not)
        assert self.stderr is not None, "_no_error has looked"
        assert self.freedom is not None, "_no_error has looked"
        return self.stderr, self.freedom

    def _no_error(self) -> str:
        """Why there is no standard error with known degrees of freedom, or ""."""
        if self._several:
            return f"{self.recipe} gives several maps per row; take one of .parts()"
        if self.stderr is None:
            return (
                f"{self.recipe} gives no standard error, so that nothing is known of chance; choose a mean over random draws, "
                "such as smoothgrad(), smooth_integrated_gradients() or method.over(Gaussian(samples=50))"
            )
        if self.freedom is None:
            return (
                f"how many independent blocks of draws stand behind this map of {self.recipe} is not known; "
                "explain again by this method alone"
            )
        return ""

    def _no_zero_test(self) -> str:
        """Why the maps cannot be tested against zero, or ""."""
        if self.unsigned:
            return (
                f"maps of {self.recipe} can never be negative, so that their mean is not zero and a test against it says nothing; "
                "test a signed map, such as that of smoothgrad()"
            )
        why_not = self._no_error()
        if not why_not and self.freedom is not None and bool((self.freedom < FEWEST - 1).any()):
            blocks = int(self.freedom.min()) + 1
            return (
                f"{blocks} independent blocks of draws are too few to test a map by; give samples for {FEWEST} or more, "
                "such as 50"
            )
        return why_not

    def _zero_test(self, row: int) -> ZeroTest | None:
        """What it takes to test the map of a row, for its panel; None where it cannot be tested."""
        if self._no_zero_test():
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
            )
        return parts

    # --- keeping ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the metadata inside; aside, then renamed. Raises `CannotWrite`."""
        from safetensors.torch import save

        tensors = {name: getattr(self, name) for name in _PER_ROW if getattr(self, name) is not None}
        if self.completeness is not None:
            tensors |= {f"completeness.{name}": part for name, part in self.completeness._asdict().items()}
        tensors |= {f"data.{number}": part for number, part in enumerate(self.data)}
        plain = {name: getattr(self, name) for name in _PLAIN} | {"provenance": dict(self.provenance)}
        metadata = {"format": FORMAT, "smoothgrad": json.dumps(plain)}
        whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        # As bytes: safetensors' own writing of a file says "disk full" with an error that is no OSError.
        return write_aside(path, lambda aside: aside.write_bytes(save(whole, metadata)))

    @staticmethod
    def load(path: str | Path) -> Attribution:
        """Read what `save` wrote. Raises `BadInput` for any other file."""
        from safetensors import SafetensorError, safe_open

        if Path(path).is_dir():
            raise BadInput(f"{path} is a folder; give the name of a file that Attribution.save wrote")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except FileNotFoundError as error:
            raise BadInput(f"there is no file {path}") from error
        except (SafetensorError, OSError) as error:
            raise BadInput(f"{path} is no file of maps: {error}") from error
        if metadata.get("format") != FORMAT:
            raise BadInput(f"{path} is a safetensors file, but none that Attribution.save wrote")
        try:
            return _rebuilt(tensors, json.loads(metadata["smoothgrad"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path} lacks part of what Attribution.save writes ({error}); save it again") from error

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
        kinds = self.parts() if self._several else {self.title: self}
        if look.fdr is not None:
            _check_tested(list(kinds.values()))
        rows: list[list[Panel | None]] = []
        for row in range(len(self)):
            shown = self.picture_panel(row)
            rows.append([*([] if shown is None else [shown]), *(kind.map_panel(row) for kind in kinds.values())])
        columns = ["input", *kinds] if len(rows[0]) > len(kinds) else list(kinds)
        named = self.names or [""] * len(self)
        labels = [f"{name}\n{self.label(row)}" if name else self.label(row) for row, name in enumerate(named)]
        return figure(rows, look, columns=columns, labels=labels, errors=errors)

    def show(self, look: Look | None = None) -> None:
        """Show the figure: in the notebook, or with the system's own viewer of pictures."""
        page = self.figure(look)
        if "ipykernel" in sys.modules:
            from IPython.display import display

            display(page)
            return
        from PIL import Image

        Image.open(io.BytesIO(_png(page))).show()

    def _repr_html_(self) -> str:
        """For notebooks: the figure of the first rows, with what made it."""
        some = self[: min(len(self), 8)]
        left_out = f"<p>{len(self) - len(some)} more rows are not shown.</p>" if len(some) < len(self) else ""
        picture = base64.b64encode(_png(some.figure())).decode()
        return (
            f'<figure style="margin:0"><img style="max-width:100%" src="data:image/png;base64,{picture}" '
            f'alt="{html.escape(repr(self))}"><figcaption><code>{html.escape(self.recipe)}</code>, seed {self.seed}, '
            f"{html.escape(str(self.provenance['model']))}</figcaption></figure>{left_out}"
        )

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
        note = "" if self.converged is None or self.converged[row] else "tolerance not reached"
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


def _rebuilt(tensors: dict[str, Tensor], plain: dict[str, Any]) -> Attribution:
    """What `save` took apart."""
    plain |= {name: tuple(plain[name]) for name in ("classes", "names")}
    complete = [tensors[name] for name in (f"completeness.{part}" for part in Completeness._fields) if name in tensors]
    numbers = sorted(int(name.removeprefix("data.")) for name in tensors if name.startswith("data."))
    rows: dict[str, Any] = {name: tensors[name] if name in _ALWAYS else tensors.get(name) for name in _PER_ROW}
    completeness = Completeness(*complete) if complete else None
    return Attribution(**rows, **plain, completeness=completeness, data=tuple(tensors[f"data.{n}"] for n in numbers))


_ALWAYS = ("maps", "x", "target", "score", "draws", "passes", "keys")
_PER_ROW = (*_ALWAYS, "stderr", "freedom", "reproducibility", "converged", "output", "picture")
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


def _check_tested(results: list[Attribution]) -> None:
    """Raises `BadMethod` where none of them can be tested against zero."""
    reasons = [result._no_zero_test() for result in results]
    if all(reasons):
        raise BadMethod(reasons[0])


def _png(page: Figure) -> bytes:
    memory = io.BytesIO()
    page.savefig(memory, format="png", dpi=110)
    return memory.getvalue()


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
