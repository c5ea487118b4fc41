"""Training small networks by a plan, and the pieces that make their maps calmer: noise on the inputs, a penalty on the gradient.

>>> plan = Plan(Small(widths=(4, 8), halvings=1), epochs=1, batch=64, noise=0.1, penalty=0.01)
>>> digits = data_set("digits")
>>> net = train(plan, digits)
>>> 0.05 < accuracy(net, digits, digits.held_out) <= 1
True
"""

from smoothgrad.training.data import DataSet, Part, data_set
from smoothgrad.training.noise import AddNoise
from smoothgrad.training.patch import Patch
from smoothgrad.training.penalty import gradient_penalty
from smoothgrad.training.plan import Architecture, Plan, Residual, Small
from smoothgrad.training.train import Epoch, Step, accuracy, epochs, train

__all__ = [
    "AddNoise",
    "Architecture",
    "DataSet",
    "Epoch",
    "Part",
    "Patch",
    "Plan",
    "Residual",
    "Small",
    "Step",
    "accuracy",
    "data_set",
    "epochs",
    "gradient_penalty",
    "train",
]
