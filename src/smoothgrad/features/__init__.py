"""What the network wants to see: pictures made to please it, and features projected back to pixels.

    upto.py            up_to(model, layer): the network up to a layer, so that any method can ask about a feature
    objective.py       what is to become large: ScoreOf, Channel, Unit, Layer
    space.py           which numbers are changed: Pixels, Fourier, Bounded, CodeSpace
    start.py           from where: FromZero, FromNoise, FromPicture
    penalty.py         at what cost: L2, TotalVariation, RBMPrior
    ascent.py          how far at each step: Adam, Steepest, Normalised
    maximization.py    ActivationMaximization: all of these together
    deep_dream.py      DeepDream
    dreaming.py        dream, live: the door; result.py   Dream: what comes back
    generator.py       load_generator: the embedded generator of digits
    deconvolution.py   deconvolve, reconstruct, strongest
    papers.py          citation: BibTeX for the pieces of a search

>>> import smoothgrad as sg
>>> from smoothgrad.features import ActivationMaximization, dream
>>> three = dream(sg.load("digits"), ActivationMaximization(3, steps=16))
>>> three.values[-1] > three.values[0]
tensor([True])
"""

from smoothgrad.features.ascent import Adam, Ascent, Normalised, Steepest
from smoothgrad.features.deconvolution import (
    Projection,
    Reconstruction,
    Strongest,
    deconvolve,
    reconstruct,
    strongest,
)
from smoothgrad.features.deep_dream import DeepDream
from smoothgrad.features.dreaming import dream, live
from smoothgrad.features.generator import Generator, load_generator
from smoothgrad.features.maximization import ActivationMaximization
from smoothgrad.features.objective import Channel, Layer, Objective, ScoreOf, Unit
from smoothgrad.features.papers import citation
from smoothgrad.features.penalty import L2, Penalty, RBMPrior, TotalVariation
from smoothgrad.features.result import Dream
from smoothgrad.features.search import Frame, Search
from smoothgrad.features.space import Bounded, CodeSpace, Fourier, Pixels, Space
from smoothgrad.features.start import FromNoise, FromPicture, FromZero, Start
from smoothgrad.features.upto import UpTo, up_to

__all__ = [
    "L2",
    "ActivationMaximization",
    "Adam",
    "Ascent",
    "Bounded",
    "Channel",
    "CodeSpace",
    "DeepDream",
    "Dream",
    "Fourier",
    "Frame",
    "FromNoise",
    "FromPicture",
    "FromZero",
    "Generator",
    "Layer",
    "Normalised",
    "Objective",
    "Penalty",
    "Pixels",
    "Projection",
    "RBMPrior",
    "Reconstruction",
    "ScoreOf",
    "Search",
    "Space",
    "Start",
    "Steepest",
    "Strongest",
    "TotalVariation",
    "Unit",
    "UpTo",
    "citation",
    "deconvolve",
    "dream",
    "live",
    "load_generator",
    "reconstruct",
    "strongest",
    "up_to",
]
