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
from smoothgrad.explainers.ablation import Ablation
from smoothgrad.explainers.attention import AttentionRollout, GradientRollout, RawAttention
from smoothgrad.explainers.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from smoothgrad.explainers.cam_pooled import Cam
from smoothgrad.explainers.cam_scores import AblationCam, ScoreCam
from smoothgrad.explainers.combine import Combination, Difference, Product, Sum
from smoothgrad.explainers.deeplift import DeepLift, DeepShap
from smoothgrad.explainers.finish import Absolute, Centred, Positive, Smoothed, TimesInput
from smoothgrad.explainers.fullgrad import FullGradient, FullGradients, full_gradients
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.explainers.guided_ig import GuidedPath
from smoothgrad.explainers.noisegrad import NoisyWeights
from smoothgrad.explainers.parts import Grid, Labelled, Parts, Superpixels, Windows
from smoothgrad.explainers.refined import Refined
from smoothgrad.explainers.relevance import Relevance
from smoothgrad.explainers.score import PointScore
from smoothgrad.explainers.xrai import Xrai
from smoothgrad.methods import METHODS, citation
from smoothgrad.methods.attention import attention_rollout, gradient_rollout, raw_attention
from smoothgrad.methods.cams import (
    ablation_cam,
    cam,
    eigen_cam,
    grad_cam,
    grad_cam_plus_plus,
    guided_grad_cam,
    hires_cam,
    layer_cam,
    score_cam,
    smooth_grad_cam,
    smooth_grad_cam_plus_plus,
    x_grad_cam,
)
from smoothgrad.methods.deeplift import deep_lift, deep_shap
from smoothgrad.methods.fullgrad import full_grad, smooth_full_grad
from smoothgrad.methods.gradients import (
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
from smoothgrad.methods.paths import blur_integrated_gradients, guided_integrated_gradients, xrai
from smoothgrad.methods.perturbation import feature_ablation, occlusion, rise
from smoothgrad.methods.relevance import (
    attn_lrp,
    deep_taylor,
    lrp,
    lrp_0,
    lrp_epsilon,
    lrp_epsilon_alpha2_beta1,
    lrp_epsilon_alpha2_beta1_flat,
    lrp_epsilon_gamma_box,
    lrp_epsilon_plus,
    lrp_epsilon_plus_flat,
    lrp_gamma,
    simple_taylor,
)
from smoothgrad.methods.weights import fusiongrad, noisegrad
from smoothgrad.models.layer import at
from smoothgrad.models.load import load
from smoothgrad.models.network import Network
from smoothgrad.models.packed import pack
from smoothgrad.models.prepare import Preparation, Prepared, prepare
from smoothgrad.recipe import from_data, from_recipe, to_data, to_recipe
from smoothgrad.result import Attribution, Completeness
from smoothgrad.rules.composite import ByName, ByPosition, ByType, Choice, Composite
from smoothgrad.rules.deeplift import DenseRevealCancel, MultiplierRule, Rescale, RevealCancel
from smoothgrad.rules.lrp import AlphaBeta, Epsilon, Flat, Gamma, RelevanceRule, WSquare, ZBox, ZPlus
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
from smoothgrad.samplers.blur import BlurPath
from smoothgrad.samplers.cloud import Dropout, Gaussian, Laplace, Multiplicative, Roots, SaltAndPepper, Uniform
from smoothgrad.samplers.crossing import Crossing
from smoothgrad.samplers.data import DataPoints
from smoothgrad.samplers.mask import Masks
from smoothgrad.samplers.path import DataPaths, NoisyPath, StraightPath
from smoothgrad.several import Attributions
from smoothgrad.targets import Class, Classes, Contrast, Each, Probability, Score, Target, Top
from smoothgrad.view.look import Look

__version__ = "0.3.0"

__all__ = [
    "METHODS",
    "Ablation",
    "AblationCam",
    "Absolute",
    "Adversarial",
    "AlphaBeta",
    "AttentionRollout",
    "Attribution",
    "Attributions",
    "Baseline",
    "Black",
    "BlurPath",
    "Blurred",
    "ByName",
    "ByPosition",
    "ByType",
    "Cam",
    "Centred",
    "Choice",
    "Class",
    "Classes",
    "Combination",
    "Comparison",
    "Completeness",
    "Composite",
    "Constant",
    "Contrast",
    "Crossing",
    "Data",
    "DataPaths",
    "DataPoints",
    "Deconv",
    "DeepLift",
    "DeepShap",
    "DenseRevealCancel",
    "Difference",
    "Draw",
    "Dropout",
    "Each",
    "EigenCam",
    "Epsilon",
    "Estimate",
    "Explainer",
    "Finish",
    "Flat",
    "FromData",
    "FullGradient",
    "FullGradients",
    "Gamma",
    "Gaussian",
    "GeometricMean",
    "Given",
    "GradCam",
    "GradCamPlusPlus",
    "Gradient",
    "GradientRollout",
    "Grid",
    "Guided",
    "GuidedPath",
    "HiResCam",
    "Labelled",
    "Laplace",
    "LayerCam",
    "Look",
    "Masks",
    "Max",
    "Mean",
    "Median",
    "MedianOfMeans",
    "Multiplicative",
    "MultiplierRule",
    "Network",
    "Noise",
    "NoisyPath",
    "NoisyWeights",
    "Over",
    "Parts",
    "Plain",
    "PointScore",
    "Positive",
    "Preparation",
    "Prepared",
    "Probability",
    "Product",
    "Progress",
    "Query",
    "RawAttention",
    "Rectified",
    "Reduction",
    "Refined",
    "Relevance",
    "RelevanceRule",
    "Rescale",
    "RevealCancel",
    "Roots",
    "Rule",
    "SaltAndPepper",
    "Sampler",
    "Schedule",
    "Score",
    "ScoreCam",
    "Several",
    "SignAgreement",
    "Smoothed",
    "SquareMean",
    "StraightPath",
    "Sum",
    "Superpixels",
    "Target",
    "Then",
    "TimesInput",
    "Together",
    "Top",
    "TrimmedMean",
    "Uniform",
    "Until",
    "Variance",
    "WSquare",
    "White",
    "Windows",
    "XGradCam",
    "Xrai",
    "ZBox",
    "ZPlus",
    "Zero",
    "ablation_cam",
    "at",
    "attention_rollout",
    "attn_lrp",
    "blur_integrated_gradients",
    "cam",
    "citation",
    "compare",
    "deconvnet",
    "deep_lift",
    "deep_shap",
    "deep_taylor",
    "eigen_cam",
    "errors",
    "expected_gradients",
    "explain",
    "explain_live",
    "feature_ablation",
    "from_data",
    "from_recipe",
    "full_grad",
    "full_gradients",
    "fusiongrad",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient",
    "gradient_rollout",
    "guided_backprop",
    "guided_grad_cam",
    "guided_integrated_gradients",
    "hires_cam",
    "input_x_gradient",
    "integrated_gradients",
    "layer_cam",
    "load",
    "lrp",
    "lrp_0",
    "lrp_epsilon",
    "lrp_epsilon_alpha2_beta1",
    "lrp_epsilon_alpha2_beta1_flat",
    "lrp_epsilon_gamma_box",
    "lrp_epsilon_plus",
    "lrp_epsilon_plus_flat",
    "lrp_gamma",
    "noisegrad",
    "occlusion",
    "pack",
    "prepare",
    "raw_attention",
    "rectgrad",
    "rise",
    "score_cam",
    "simple_taylor",
    "smooth_full_grad",
    "smooth_grad_cam",
    "smooth_grad_cam_plus_plus",
    "smooth_integrated_gradients",
    "smooth_taylor",
    "smoothgrad",
    "smoothgrad_squared",
    "to_data",
    "to_recipe",
    "vargrad",
    "x_grad_cam",
    "xrai",
]
