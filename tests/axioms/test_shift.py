from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import smoothgrad as sg
from smoothgrad.axioms import check_axioms
from tests.axioms.made import NETS, expected
from tests.truth import Linear, W, X

ONLY = ["input-shift invariance"]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", [sg.gradient(), sg.smoothgrad(samples=4), sg.vargrad(samples=4)], ids=repr)
def test_gradients_move_along(name: str, method: sg.Explainer) -> None:
    net, x = NETS[name]
    [found] = check_axioms(net, x, method=method, axioms=ONLY)
    assert found.word == expected(net, x, method)


@pytest.mark.parametrize("name", ["mlp", "conv", "series"])
def test_a_path_from_zeros_does_not_and_one_from_the_darkest_value_does(name: str) -> None:
    net, x = NETS[name]
    words = [
        check_axioms(net, x, method=sg.integrated_gradients(16, baseline=baseline), axioms=ONLY)[ONLY[0]].word
        for baseline in (sg.Zero(), sg.Black())
    ]
    assert words == ["fails", "holds"]


@pytest.mark.parametrize("method", [sg.input_x_gradient(), sg.lrp_epsilon()], ids=repr)
def test_what_multiplies_by_the_input_does_not(method: sg.Explainer) -> None:
    net, x = NETS["mlp"]
    assert [one.word for one in check_axioms(net, x, method=method, axioms=ONLY)] == ["fails"]


def test_the_numbers_of_the_closed_form() -> None:
    # Rows of range 1.8 are moved by 1: gradient times input changes by w, most where w is -1.2.
    [found] = check_axioms(Linear(W), X[None], method=sg.input_x_gradient(), target=0, axioms=ONLY)
    assert found.error == pytest.approx(1.2)
    assert found.counterexample is not None
    assert found.counterexample.values == pytest.approx((-1.2 * -0.7, -1.2 * 0.3))


def dense() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()


def test_rules_of_dense_layers_are_asked_of_dense_layers() -> None:
    # z+ of a convolution of weight 1 passes on what it is given; epsilon of a dense layer does not.
    net, x = dense(), torch.rand(2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own = copy.deepcopy(net)
    with torch.no_grad():
        own[0].bias -= 2 * own[0].weight.sum(1)
    one, other = (sg.explain(f, z, method=sg.lrp(), target=0).maps for f, z in ((net, x), (own, x + 2)))
    assert (one - other).abs().max() > 0.01
    [found] = check_axioms(net, x, method=sg.lrp(), target=0, axioms=ONLY)
    assert found.holds is False


def test_a_dense_layer_before_the_network_is_asked() -> None:
    # The network's own first layer pads with zeros: nothing can be taken off by its bias.
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double().eval()
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    [found] = check_axioms(net, x, method=sg.lrp(), target=0, axioms=ONLY)
    assert found.holds is False
    assert "a dense layer with weight 1 and bias -c" in found.why


def test_the_networks_own_first_layer_is_asked() -> None:
    # Flat on a layer of weight 1 passes on what it is given, and so it does on the network's own: the axiom holds. Epsilon on
    # that layer alone, by its name, is met there and in no layer around the network.
    net, x = dense(), torch.rand(2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    flat = sg.Composite.everywhere(sg.Flat())
    named = sg.Composite(choices=(sg.ByName("0", sg.Epsilon()), sg.ByType("Linear", sg.Flat())))
    words = [check_axioms(net, x, method=sg.lrp(rules), target=0, axioms=ONLY)[ONLY[0]] for rules in (flat, named)]
    assert [one.word for one in words] == ["holds", "fails"]
    assert "the bias of its own layer '0'" in words[1].why
