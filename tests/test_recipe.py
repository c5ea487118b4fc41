"""Methods as text and as plain data."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smoothgrad as sg
from smoothgrad.errors import BadMethod, BadRecipe
from smoothgrad.recipe import MAKERS, PIECES, data_in, target_from_recipe

DATA = torch.arange(6.0).view(2, 3)


# --- there and back, over everything that can be built ----------------------------------------------------------------

NUMBERS = st.floats(0, 10, allow_nan=False) | st.sampled_from([1e-300, 0.1 + 0.2, 5e-324])
COUNTS = st.integers(1, 10**6)
UNTIL = st.builds(
    lambda tolerance, least, more: sg.Until(tolerance, least, least + more),
    st.floats(1e-9, 1),
    st.integers(2, 99),
    COUNTS,
)
UNITS = st.sampled_from(["range", "channel", "absolute"])
SAMPLINGS = st.sampled_from(["independent", "antithetic", "sobol", "stratified"])
CLOUDS = st.one_of(
    *(st.builds(cloud, NUMBERS, COUNTS, UNITS) for cloud in (sg.Gaussian, sg.Uniform, sg.Laplace)),
    *(st.builds(cloud, st.floats(0, 1), COUNTS) for cloud in (sg.SaltAndPepper, sg.Dropout)),
    *(
        st.builds(cloud, NUMBERS, COUNTS.map(lambda n: 8 * n), UNITS, SAMPLINGS)
        for cloud in (sg.Gaussian, sg.Uniform, sg.Laplace)
    ),
    st.builds(sg.Multiplicative, NUMBERS, COUNTS.map(lambda n: 8 * n), SAMPLINGS),
    st.builds(sg.Gaussian, NUMBERS, UNTIL),
)
BASELINES = st.recursive(
    st.one_of(
        st.just(sg.Zero()),
        st.builds(sg.Constant, st.floats(-9, 9) | st.tuples(st.floats(-9, 9), st.floats(-9, 9))),
        st.builds(sg.Noise, NUMBERS, COUNTS, UNITS),
        st.builds(sg.Blurred, st.floats(0.1, 99)),
        st.builds(sg.Adversarial, st.floats(0.1, 1), st.integers(1, 9), st.none() | st.integers(0, 9)),
        st.just(sg.Given(DATA)),
        st.builds(sg.FromData, st.just(DATA), COUNTS),
    ),
    lambda some: st.lists(some, min_size=1, max_size=3).map(lambda parts: sg.Several(*parts)),
    max_leaves=4,
)


def noisy_path(cloud: sg.Sampler, baseline: sg.Baseline) -> sg.NoisyPath:
    """Rounds of all baselines: as many samples as that takes."""
    count = cloud.count
    more = replace(count, most=count.most * baseline.each) if isinstance(count, sg.Until) else count * baseline.each
    return sg.NoisyPath(replace(cloud, samples=more), baseline)


SAMPLERS = st.one_of(
    CLOUDS,
    st.builds(sg.Roots, CLOUDS),
    st.builds(noisy_path, CLOUDS, BASELINES),
    st.builds(sg.StraightPath, BASELINES, st.integers(3, 99)),
    st.builds(sg.DataPaths, st.just(DATA), COUNTS),
)
RULES = st.sampled_from([sg.Plain(), sg.Guided(), sg.Deconv()]) | st.builds(sg.Rectified, st.floats(0, 100))
FINISHES = st.sampled_from([sg.TimesInput(), sg.Absolute(), sg.Positive()])
METHODS = st.recursive(
    st.builds(sg.Gradient, RULES) | st.builds(sg.Refined, tolerance=st.floats(0.01, 1), most=st.integers(17, 999)),
    lambda inner: st.builds(sg.Over, inner, SAMPLERS) | st.builds(sg.Then, inner, FINISHES),
    max_leaves=3,
)


@given(method=METHODS)
def test_any_method_comes_back_from_its_text(method: sg.Explainer) -> None:
    assert sg.from_recipe(sg.to_recipe(method), data=[DATA]) == method


@given(method=METHODS)
def test_any_method_comes_back_from_plain_data(method: sg.Explainer) -> None:
    assert sg.from_data(sg.to_data(method), data=[DATA]) == method


@given(text=st.text(max_size=30))
def test_any_other_text_is_refused_as_a_recipe(text: str) -> None:
    with pytest.raises(BadRecipe):
        sg.from_recipe(text)


@pytest.mark.parametrize(
    "target",
    [sg.Top(), sg.Top(2), sg.Class(3), sg.Classes((1, 2)), sg.Contrast(), sg.Contrast(sg.Class(1), sg.Top()),
     sg.Probability(), sg.Probability(sg.Class(2), log=True)],
    ids=repr,
)  # fmt: skip
def test_a_target_comes_back_from_its_text(target: sg.Target) -> None:
    assert target_from_recipe(repr(target)) == target


# --- what text may say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("smoothgrad()", sg.smoothgrad()),
        ("  smoothgrad(0.1, 20)\n", sg.smoothgrad(0.1, 20)),
        ("smoothgrad(rule=Guided())", sg.smoothgrad(rule=sg.Guided())),
        ("smoothgrad(samples=Until(0.2))", sg.smoothgrad(samples=sg.Until(0.2))),
        ("guided_backprop().over(Gaussian(0.1, 8), Variance())", sg.guided_backprop().over(sg.Gaussian(0.1, 8), sg.Variance())),
        ("integrated_gradients(baseline=Several(Black(), White()))",
         sg.integrated_gradients(baseline=sg.Several(sg.Black(), sg.White()))),
        ("integrated_gradients(baseline=Constant((0.1, -0.2)))", sg.integrated_gradients(baseline=sg.Constant((0.1, -0.2)))),
        ("integrated_gradients(baseline=Constant([0.1, -0.2]))", sg.integrated_gradients(baseline=sg.Constant((0.1, -0.2)))),
        ("gradient().over(sampler=Gaussian(), reduction=Mean())", sg.smoothgrad()),
        ("gradient().then(TimesInput())", sg.input_x_gradient()),
        ("integrated_gradients(tolerance=None, steps=4)", sg.integrated_gradients(4)),
        ("smoothgrad(sampling='antithetic')", sg.smoothgrad(sampling="antithetic")),
    ],
)  # fmt: skip
def test_text_reads_as_python_would(text: str, method: sg.Explainer) -> None:
    assert sg.from_recipe(text) == method


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("smothgrad()", "no method or piece 'smothgrad'; did you mean 'smoothgrad'"),
        ("smoothgrad(nois=0.1)", "smoothgrad has no parameter 'nois'; did you mean 'noise'"),
        ("smoothgrad", r"smoothgrad in 'smoothgrad' must be called: write smoothgrad\(\)"),
        ("smoothgrad(", "cannot read the recipe"),
        ("", "cannot read the recipe ''"),
        ("smoothgrad(1, 2, 3)", r"cannot make smoothgrad, which takes noise, samples.*too many positional"),
        ("smoothgrad(noise=0.1, noise=0.2)", "given a parameter twice"),
        (
            "expected_gradients()",
            r"cannot make expected_gradients, which takes data, samples: missing a required argument: 'data'",
        ),
        ("Gaussian()", r"'Gaussian\(\)' is no explainer, but Gaussian"),
        ("0.15", "is no explainer, but float"),
        ("'smoothgrad()'", "is no explainer, but str"),
        ("gradient().under(Gaussian())", r"no verb \.under\(\).*\.over\(sampler\) and \.then\(finish\)"),
        ("Gaussian().over(Gaussian())", "is no explainer"),
        ("smoothgrad(**{})", r"cannot read \*\*"),
        ("smoothgrad(noise=1 + 1)", r"cannot read '1 \+ 1'"),
        ("smoothgrad(noise=x)", "no method or piece 'x'"),
        ("(lambda: gradient())()", "cannot read"),
        ("gradient().rule", "cannot read"),
        ("__import__('os').getcwd()", r"no verb \.getcwd"),
        ("exec('1')", "no method or piece 'exec'"),
        ("expected_gradients('beach.jpg')", r"expected_gradients\('beach\.jpg'\) names a tensor that is not at hand"),
        ("expected_gradients('data:0123')", "not at hand; pass it: data="),
    ],
)
def test_text_that_is_no_method_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadRecipe, match=reason):
        sg.from_recipe(text)


def test_pieces_say_themselves_what_is_wrong_with_a_parameter() -> None:
    with pytest.raises(BadMethod, match="needs noise >= 0"):
        sg.from_recipe("smoothgrad(noise=-1)")
    for text in (
        "smoothgrad(noise='much')",
        "smoothgrad(noise=None)",
        "Gradient(3)",
        "gradient().over(3)",
        "gradient().then(Max())",
        "gradient().then(Guided())",
        "gradient().over(Variance())",
        "gradient().over(Gaussian(), 3)",
        "smoothgrad(rule='guided')",
        "smoothgrad(sampling=True)",
        "smoothgrad(samples=Until(least=2.5))",
        "integrated_gradients(baseline='black')",
    ):
        with pytest.raises(BadMethod, match="takes as"):
            sg.from_recipe(text)


def test_a_text_in_place_of_a_tensor_is_read() -> None:
    asked = []

    def read(name: str) -> torch.Tensor:
        asked.append(name)
        return DATA

    method = sg.from_recipe("integrated_gradients(baseline=Given('beach.jpg'))", read=read)
    assert method == sg.integrated_gradients(baseline=sg.Given(DATA))
    assert asked == ["beach.jpg"]


def test_only_the_tensors_that_are_named_are_used() -> None:
    method = sg.integrated_gradients(baseline=sg.Several(sg.Given(DATA[0]), sg.FromData(DATA, 2)))
    assert [held.tensor.shape for held in data_in(method)] == [(3,), (2, 3)]
    tensors = [DATA + 1, DATA, DATA[0]]
    assert sg.from_recipe(sg.to_recipe(method), data=tensors) == method


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"piece": "Gradien"},
        {"piece": "Gradient", "role": 1},
        {"piece": "Gaussian"},
        [],
        None,
        3,
        "Gradient()",
        {"rule": 1},
    ],
)
def test_plain_data_that_is_no_method_is_refused(plain: object) -> None:
    with pytest.raises(BadRecipe):
        sg.from_data(plain)


def test_every_public_piece_and_method_can_be_named() -> None:
    kinds = sg.Explainer, sg.Sampler, sg.Reduction, sg.Baseline, sg.Rule, sg.Finish, sg.Target, sg.Until
    for name in sg.__all__:
        piece = getattr(sg, name)
        if isinstance(piece, type) and issubclass(piece, kinds) and not getattr(piece, "__abstractmethods__", None):
            assert PIECES[name] is piece
    assert set(sg.METHODS) <= set(MAKERS)
