"""What comes back for several inputs that were explained together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, final

import torch
from torch import Tensor

from smoothgrad.core.explainer import Explainer
from smoothgrad.errors import BadInput
from smoothgrad.models.packed import Packing
from smoothgrad.result import SEVERAL, Attribution, Completeness, check_tested, read, times, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smoothgrad.view.look import Look
    from smoothgrad.view.panels import Panel


@final
@dataclass(frozen=True, eq=False, repr=False)
class Attributions:
    """Maps of N rows of several inputs that were explained together: in tuples, one entry for each input, as they went in.

    `inputs` holds an `Attribution` of each input: its maps with their errors, and what shows them. `whole` is that of the packed
    rows, all values of a row one after the other: what is known of all maps together stands there, and most of it here too.
    It has a length, and `result[i]` or `result[i:j]` is the Attributions of some of its rows.

    >>> import torch, smoothgrad as sg
    >>> net = torch.nn.Bilinear(3, 2, 4).eval()
    >>> result = sg.explain(net, (torch.rand(5, 3), torch.rand(5, 2)), method=sg.integrated_gradients(steps=8))
    >>> [tuple(maps.shape) for maps in result.maps]
    [(5, 3), (5, 2)]
    >>> bool((result.completeness.error < 1e-3).all())  # both maps together sum to the change of score
    True
    """

    whole: Attribution  # of packed rows (N, D)
    packing: Packing

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, rows: SupportsIndex | slice) -> Attributions:
        return replace(self, whole=self.whole[rows])

    def __iter__(self) -> Iterator[Attributions]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        shapes = " and ".join(times(shape) for shape in self.packing.shapes)
        return f"<Attributions of {self.whole.told(shapes)}>"

    # --- of each input ------------------------------------------------------------------------------------------------

    @cached_property
    def inputs(self) -> tuple[Attribution, ...]:
        """An Attribution of each input by itself.

        What is known of all maps together is not known of one: it has no completeness and no reproducibility. Its relative error is
        its own. Its recipe explains it together with the others.
        """
        nothing = (None,) * len(self.packing.shapes)
        return tuple(
            replace(
                self.whole,
                maps=maps,
                stderr=stderr,
                x=x,
                completeness=None,
                reproducibility=None,
                picture=self.whole.picture if place == 0 else None,  # the network shows the first of its inputs
                provenance={**self.whole.provenance, "input": list(self.packing.shapes[place])},
            )
            for place, (maps, stderr, x) in enumerate(zip(self.maps, self.stderr or nothing, self.x, strict=True))
        )

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """(N, *S_i) for each input, or (N, R, *S_i) where the method ends in Together."""
        return self.packing.apart(self.whole.maps)

    @property
    def stderr(self) -> tuple[Tensor, ...] | None:
        """Like maps: the Monte-Carlo standard error of each value; None where there is none."""
        return None if self.whole.stderr is None else self.packing.apart(self.whole.stderr)

    @property
    def x(self) -> tuple[Tensor, ...]:
        """(N, *S_i) what was explained."""
        return self.packing.apart(self.whole.x)

    def interval(self, confidence: float = 0.95) -> tuple[tuple[Tensor, Tensor], ...]:
        """Bounds (low, high) for each input's maps: see `Attribution.interval`."""
        return tuple(part.interval(confidence) for part in self.inputs)

    def significant(self, fdr: float = 0.05) -> tuple[Tensor, ...]:
        """Which values of each input's maps differ from zero, each input for itself: see `Attribution.significant`."""
        return tuple(part.significant(fdr) for part in self.inputs)

    # --- of all together ----------------------------------------------------------------------------------------------

    @property
    def target(self) -> Tensor:
        """(N,) the class; (N, 2) for a contrast; -1 for a callable."""
        return self.whole.target

    @property
    def score(self) -> Tensor:
        """(N,) the score that was explained."""
        return self.whole.score

    @property
    def draws(self) -> Tensor:
        """(N,) how many draws each row's maps are made of."""
        return self.whole.draws

    @property
    def passes(self) -> Tensor:
        """(N,) how many gradient passes went into them."""
        return self.whole.passes

    @property
    def completeness(self) -> Completeness | None:
        """For path methods: what all maps of a row sum to, and what they should sum to."""
        return self.whole.completeness

    @property
    def relative_error(self) -> Tensor | None:
        """||stderr|| / ||map|| per row (N,), over all inputs: see `Attribution.relative_error`."""
        return self.whole.relative_error

    @property
    def reproducibility(self) -> Tensor | None:
        """(N,) the expected correlation with the maps of a fresh seed, over all inputs."""
        return self.whole.reproducibility

    @property
    def converged(self) -> Tensor | None:
        """(N,) was the tolerance reached that was asked for? None where none was."""
        return self.whole.converged

    @property
    def output(self) -> Tensor | None:
        """(N, K) the network's output, where it has classes."""
        return self.whole.output

    @property
    def recipe(self) -> str:
        """One line that rebuilds the method."""
        return self.whole.recipe

    @property
    def seed(self) -> int:
        """Of all randomness."""
        return self.whole.seed

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Versions, model fingerprint, device, seconds, ..."""
        return self.whole.provenance

    def method(self) -> Explainer:
        """The method itself, rebuilt from the recipe."""
        return self.whole.method()

    def parts(self) -> dict[str, Attributions]:
        """Of a method that ends in Together: the Attributions of each reduction."""
        return {name: Attributions(part, self.packing) for name, part in self.whole.parts().items()}

    # --- keeping ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the metadata inside; aside, then renamed. Raises `CannotWrite`."""
        dtypes = [str(dtype).removeprefix("torch.") for dtype in self.packing.dtypes]
        return write(path, self.whole, SEVERAL, shapes=[list(shape) for shape in self.packing.shapes], dtypes=dtypes)

    @staticmethod
    def load(path: str | Path) -> Attributions:
        """Read what `save` wrote. Raises `BadInput` for any other file."""
        whole, more = read(path, SEVERAL)
        try:
            shapes = tuple(torch.Size(shape) for shape in more["shapes"])
            dtypes = tuple(getattr(torch, name) for name in more["dtypes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{path} lacks part of what Attributions.save writes ({error}); save it again") from error
        return Attributions(whole, Packing(shapes, dtypes))

    # --- looking ------------------------------------------------------------------------------------------------------

    def figure(self, look: Look | None = None, *, errors: bool = True) -> Figure:
        """Every input with its map and standard error, a row beneath the other, as a matplotlib Figure.

        `look` None: signed, unless all inputs are pictures that are best shown absolute. With `look.fdr`, raises `BadMethod` for
        maps that cannot be tested.
        """
        from smoothgrad.view.figure import figure

        look = look or self.look
        if look.fdr is not None:
            check_tested(self.inputs)
        columns: dict[str, list[Panel]] = {}
        for place, part in enumerate(self.inputs):
            columns |= {f"x[{place}]: {name}": panels for name, panels in part.columns().items()}
        rows = list(zip(*columns.values(), strict=True))
        return figure(rows, look, columns=list(columns), labels=self.inputs[0].labels(), errors=errors)

    @property
    def look(self) -> Look:
        """How these maps are best shown side by side: signed where one of them is, since a sign must not be lost."""
        looks = [part.look for part in self.inputs]
        return next((look for look in looks if look.sign == "signed"), looks[0])

    def show(self, look: Look | None = None) -> None:
        """Show the figure: in the notebook, or with the system's own viewer of pictures."""
        from smoothgrad.view.screen import show

        show(self.figure(look))

    def _repr_html_(self) -> str:
        """For notebooks: the figure of the first rows, with what made it."""
        from smoothgrad.view.screen import SHOWN, as_html

        return as_html(self[:SHOWN].figure(), repr(self), self.whole.caption, rows=len(self))
