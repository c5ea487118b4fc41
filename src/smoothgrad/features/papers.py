"""Where each piece comes from."""

from __future__ import annotations

from smoothgrad.citations import PAPERS
from smoothgrad.core.value import Value, fields_of
from smoothgrad.features.generator import Generator
from smoothgrad.features.search import Search

# Which papers each piece stands for, wherever it is used.
PIECES: dict[str, tuple[str, ...]] = {
    "ActivationMaximization": ("erhan2009", "simonyan2013"),
    "DeepDream": ("mordvintsev2015",),
    "Channel": ("olah2017",),
    "Fourier": ("olah2017",),
    "CodeSpace": ("nguyen2016",),
    "L2": ("simonyan2013",),
    "TotalVariation": ("mahendran2015",),
    "RBMPrior": ("montavon2018",),
    "Adam": ("kingma2015",),
}
OURS = ("radford2016",)  # the embedded generator


def citation(search: Search) -> str:
    """BibTeX for the pieces that a search is made of.

    >>> from smoothgrad.features import ActivationMaximization
    >>> print(citation(ActivationMaximization(3)).splitlines()[0])
    @article{erhan2009,
    """
    return "\n\n".join(PAPERS[key].bibtex(key) for key in dict.fromkeys(_keys(search)))


def _keys(piece: object) -> list[str]:
    if isinstance(piece, tuple):
        return [key for part in piece for key in _keys(part)]
    if not isinstance(piece, Value):
        return list(OURS) if isinstance(piece, Generator) else []
    return [*PIECES.get(type(piece).__name__, ()), *(key for _, held in fields_of(piece) for key in _keys(held))]
