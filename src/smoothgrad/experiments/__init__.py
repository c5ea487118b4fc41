"""The experiments of the papers, one file each.

To add one: a file here with one class below `Experiment`, its name in `table.ORDER`, tests with a known truth. Imitate
`noise_level`.
"""

from smoothgrad.experiments.experiment import Cell, Experiment, Finding, Plate
from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid
from smoothgrad.experiments.result import Result
from smoothgrad.experiments.run import run
from smoothgrad.experiments.setup import Picture, Setup, pictures_of, samples_of
from smoothgrad.experiments.table import EXPERIMENTS

__all__ = [
    "EXPERIMENTS",
    "Cell",
    "Experiment",
    "Finding",
    "Picture",
    "Plate",
    "Result",
    "Setup",
    "experiment_from_recipe",
    "pictures_of",
    "run",
    "samples_of",
    "with_grid",
]
