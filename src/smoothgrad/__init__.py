"""Which parts of an input a neural network's prediction depends on, and how sure that picture is.

>>> import smoothgrad as sg
>>> net = sg.load("digits")
>>> result = sg.explain(net, net.samples(1), method=sg.smoothgrad(noise=0.15, samples=50))
>>> result.maps.shape
torch.Size([1, 1, 8, 8])
"""

from smoothgrad import errors
from smoothgrad.axioms.check import AXIOMS, check_axioms
from smoothgrad.axioms.verdict import AxiomReport, Counterexample, Verdict
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
from smoothgrad.explainers.controls import RandomMap, Sobel, UniformMap
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
from smoothgrad.measure import MEASURES
from smoothgrad.measure.case import Case, Curve, Judged
from smoothgrad.measure.complexity import EffectiveSize, Entropy, Gini, TotalVariation
from smoothgrad.measure.correlation import FaithfulnessCorrelation, FaithfulnessEstimate, SensitivityN
from smoothgrad.measure.deletion import Deletion, Insertion, Srg
from smoothgrad.measure.flipping import Irof, PixelFlipping, RegionPerturbation
from smoothgrad.measure.imputed import Imputed
from smoothgrad.measure.infidelity import Infidelity, ScaledInfidelity
from smoothgrad.measure.judging import judge
from smoothgrad.measure.keep_top import KeepTop
from smoothgrad.measure.localisation import (
    EnergyInside,
    LocalisationAuc,
    PointingGame,
    RelevanceMass,
    RelevanceRank,
    TopK,
)
from smoothgrad.measure.measure import Measure
from smoothgrad.measure.monotonicity import Monotonicity, MonotonicityCorrelation
from smoothgrad.measure.pic import AccuracyPic, SoftmaxPic
from smoothgrad.measure.recipe import measure_from_recipe
from smoothgrad.measure.regions import regions_from_boxes, regions_from_masks
from smoothgrad.measure.removal import Removal, Replaced
from smoothgrad.measure.road import Road, RoadLeastFirst, RoadMostFirst
from smoothgrad.measure.robustness import (
    AverageSensitivity,
    LocalLipschitz,
    MaxSensitivity,
    RelativeInputStability,
    RelativeOutputStability,
    SeedAgreement,
)
from smoothgrad.measure.sanity import CascadingRandomisation, ComplexityRise, IndependentRandomisation, RandomLogit
from smoothgrad.measure.scores import Scores
from smoothgrad.measure.similarity import Hog, Pearson, Similarity, Spearman, Ssim
from smoothgrad.measure.twin import TwinRow, against_twin
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
from smoothgrad.methods.controls import random_map, sobel, uniform_map
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
from smoothgrad.models.scenes import SceneKind, Scenes, scenes
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
    ChannelMean,
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

__version__ = "0.5.0"

__all__ = [
    "AXIOMS",
    "MEASURES",
    "METHODS",
    "Ablation",
    "AblationCam",
    "Absolute",
    "AccuracyPic",
    "Adversarial",
    "AlphaBeta",
    "AttentionRollout",
    "Attribution",
    "Attributions",
    "AverageSensitivity",
    "AxiomReport",
    "Baseline",
    "Black",
    "BlurPath",
    "Blurred",
    "ByName",
    "ByPosition",
    "ByType",
    "Cam",
    "CascadingRandomisation",
    "Case",
    "Centred",
    "ChannelMean",
    "Choice",
    "Class",
    "Classes",
    "Combination",
    "Comparison",
    "Completeness",
    "ComplexityRise",
    "Composite",
    "Constant",
    "Contrast",
    "Counterexample",
    "Crossing",
    "Curve",
    "Data",
    "DataPaths",
    "DataPoints",
    "Deconv",
    "DeepLift",
    "DeepShap",
    "Deletion",
    "DenseRevealCancel",
    "Difference",
    "Draw",
    "Dropout",
    "Each",
    "EffectiveSize",
    "EigenCam",
    "EnergyInside",
    "Entropy",
    "Epsilon",
    "Estimate",
    "Explainer",
    "FaithfulnessCorrelation",
    "FaithfulnessEstimate",
    "Finish",
    "Flat",
    "FromData",
    "FullGradient",
    "FullGradients",
    "Gamma",
    "Gaussian",
    "GeometricMean",
    "Gini",
    "Given",
    "GradCam",
    "GradCamPlusPlus",
    "Gradient",
    "GradientRollout",
    "Grid",
    "Guided",
    "GuidedPath",
    "HiResCam",
    "Hog",
    "Imputed",
    "IndependentRandomisation",
    "Infidelity",
    "Insertion",
    "Irof",
    "Judged",
    "KeepTop",
    "Labelled",
    "Laplace",
    "LayerCam",
    "LocalLipschitz",
    "LocalisationAuc",
    "Look",
    "Masks",
    "Max",
    "MaxSensitivity",
    "Mean",
    "Measure",
    "Median",
    "MedianOfMeans",
    "Monotonicity",
    "MonotonicityCorrelation",
    "Multiplicative",
    "MultiplierRule",
    "Network",
    "Noise",
    "NoisyPath",
    "NoisyWeights",
    "Over",
    "Parts",
    "Pearson",
    "PixelFlipping",
    "Plain",
    "PointScore",
    "PointingGame",
    "Positive",
    "Preparation",
    "Prepared",
    "Probability",
    "Product",
    "Progress",
    "Query",
    "RandomLogit",
    "RandomMap",
    "RawAttention",
    "Rectified",
    "Reduction",
    "Refined",
    "RegionPerturbation",
    "RelativeInputStability",
    "RelativeOutputStability",
    "Relevance",
    "RelevanceMass",
    "RelevanceRank",
    "RelevanceRule",
    "Removal",
    "Replaced",
    "Rescale",
    "RevealCancel",
    "Road",
    "RoadLeastFirst",
    "RoadMostFirst",
    "Roots",
    "Rule",
    "SaltAndPepper",
    "Sampler",
    "ScaledInfidelity",
    "SceneKind",
    "Scenes",
    "Schedule",
    "Score",
    "ScoreCam",
    "Scores",
    "SeedAgreement",
    "SensitivityN",
    "Several",
    "SignAgreement",
    "Similarity",
    "Smoothed",
    "Sobel",
    "SoftmaxPic",
    "Spearman",
    "SquareMean",
    "Srg",
    "Ssim",
    "StraightPath",
    "Sum",
    "Superpixels",
    "Target",
    "Then",
    "TimesInput",
    "Together",
    "Top",
    "TopK",
    "TotalVariation",
    "TrimmedMean",
    "TwinRow",
    "Uniform",
    "UniformMap",
    "Until",
    "Variance",
    "Verdict",
    "WSquare",
    "White",
    "Windows",
    "XGradCam",
    "Xrai",
    "ZBox",
    "ZPlus",
    "Zero",
    "ablation_cam",
    "against_twin",
    "at",
    "attention_rollout",
    "attn_lrp",
    "blur_integrated_gradients",
    "cam",
    "check_axioms",
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
    "judge",
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
    "measure_from_recipe",
    "noisegrad",
    "occlusion",
    "pack",
    "prepare",
    "random_map",
    "raw_attention",
    "rectgrad",
    "regions_from_boxes",
    "regions_from_masks",
    "rise",
    "scenes",
    "score_cam",
    "simple_taylor",
    "smooth_full_grad",
    "smooth_grad_cam",
    "smooth_grad_cam_plus_plus",
    "smooth_integrated_gradients",
    "smooth_taylor",
    "smoothgrad",
    "smoothgrad_squared",
    "sobel",
    "to_data",
    "to_recipe",
    "uniform_map",
    "vargrad",
    "x_grad_cam",
    "xrai",
]
