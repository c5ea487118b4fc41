"""Which parts of an input a neural network's prediction depends on, and how sure that picture is.

>>> import smoothgrad as sg
>>> net = sg.load("digits")
>>> result = sg.explain(net, net.samples(1), method=sg.smoothgrad(noise=0.15, samples=50))
>>> result.maps.shape
torch.Size([1, 1, 8, 8])
"""

from smoothgrad import errors
from smoothgrad.compare import Comparison, compare
from smoothgrad.core.explainer import Explainer, Finish, Over, Then
from smoothgrad.core.moments import Estimate
from smoothgrad.core.query import Query
from smoothgrad.core.reduce import (
    GeometricMean,
    Max,
    Mean,
    Median,
    MedianOfMeans,
    Reduction,
    SignAgreement,
    SquareMean,
    Together,
    TrimmedMean,
    Variance,
)
from smoothgrad.core.sampler import Draw, Sampler, Until
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Data
from smoothgrad.explain import Progress, explain, explain_live
from smoothgrad.explainers.finish import Absolute, Positive, TimesInput
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.refined import Refined
from smoothgrad.methods import (
    METHODS,
    citation,
    deconvnet,
    expected_gradients,
    gradient,
    guided_backprop,
    input_x_gradient,
    integrated_gradients,
    rectgrad,
    smooth_integrated_gradients,
    smooth_taylor,
    smoothgrad,
    smoothgrad_squared,
    vargrad,
)
from smoothgrad.models.layer import at
from smoothgrad.models.load import load
from smoothgrad.models.network import Network
from smoothgrad.models.prepare import Preparation, Prepared, prepare
from smoothgrad.recipe import from_data, from_recipe, to_data, to_recipe
from smoothgrad.result import Attribution, Completeness
from smoothgrad.rules.relu import Deconv, Guided, Rectified
from smoothgrad.rules.rule import Plain, Rule
from smoothgrad.samplers.baseline import (
    Adversarial,
    Baseline,
    Black,
    Blurred,
    Constant,
    FromData,
    Given,
    Noise,
    Several,
    White,
    Zero,
)
from smoothgrad.samplers.cloud import Dropout, Gaussian, Laplace, Multiplicative, Roots, SaltAndPepper, Uniform
from smoothgrad.samplers.path import DataPaths, NoisyPath, StraightPath
from smoothgrad.targets import Class, Classes, Contrast, Each, Probability, Score, Target, Top
from smoothgrad.view.look import Look

__version__ = "0.2.0"

__all__ = [
    "METHODS",
    "Absolute",
    "Adversarial",
    "Attribution",
    "Baseline",
    "Black",
    "Blurred",
    "Class",
    "Classes",
    "Comparison",
    "Completeness",
    "Constant",
    "Contrast",
    "Data",
    "DataPaths",
    "Deconv",
    "Draw",
    "Dropout",
    "Each",
    "Estimate",
    "Explainer",
    "Finish",
    "FromData",
    "Gaussian",
    "GeometricMean",
    "Given",
    "Gradient",
    "Guided",
    "Laplace",
    "Look",
    "Max",
    "Mean",
    "Median",
    "MedianOfMeans",
    "Multiplicative",
    "Network",
    "Noise",
    "NoisyPath",
    "Over",
    "Plain",
    "Positive",
    "Preparation",
    "Prepared",
    "Probability",
    "Progress",
    "Query",
    "Rectified",
    "Reduction",
    "Refined",
    "Roots",
    "Rule",
    "SaltAndPepper",
    "Sampler",
    "Schedule",
    "Score",
    "Several",
    "SignAgreement",
    "SquareMean",
    "StraightPath",
    "Target",
    "Then",
    "TimesInput",
    "Together",
    "Top",
    "TrimmedMean",
    "Uniform",
    "Until",
    "Variance",
    "White",
    "Zero",
    "at",
    "citation",
    "compare",
    "deconvnet",
    "errors",
    "expected_gradients",
    "explain",
    "explain_live",
    "from_data",
    "from_recipe",
    "gradient",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "load",
    "prepare",
    "rectgrad",
    "smooth_integrated_gradients",
    "smooth_taylor",
    "smoothgrad",
    "smoothgrad_squared",
    "to_data",
    "to_recipe",
    "vargrad",
]
