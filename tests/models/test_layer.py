"""A network seen from a layer, against gradients by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.errors import BadInput, BadModel, UnknownName
from smoothgrad.models.digits import digits
from smoothgrad.models.layer import at
from smoothgrad.models.network import Network
from tests.nets import cifar_pictures, cifar_resnet, small_net

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Odd(nn.Module):
    """Layers that cannot be looked from: used twice, not used, answering two tensors, folding the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)
        self.recurrent = nn.GRU(4, 4, batch_first=True)
        self.folded = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(F.relu(self.twice(x)))
        x, _ = self.recurrent(x[:, None])
        return self.folded(x.reshape(-1, 2)).reshape(-1, 4)


class Shifted(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return torch.tanh(self.first(x)) * shift


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("index", range(7))
def test_a_layer_seen_through_itself_changes_nothing(index: int) -> None:
    net = small_net()
    view = at(net, str(index))
    h = view.capture(X)
    torch.testing.assert_close(h, net[: index + 1](X))
    torch.testing.assert_close(view(h, X), net(X))


@pytest.mark.parametrize("index", range(7))
def test_gradients_are_those_at_the_layer(index: int) -> None:
    net = small_net()
    view = at(net, str(index))
    h = view.capture(X).requires_grad_()
    (grad,) = torch.autograd.grad(view(h, X)[:, 2].sum(), h)
    by_hand = net[: index + 1](X).detach().requires_grad_()
    (expected,) = torch.autograd.grad(net[index + 1 :](by_hand.clone())[:, 2].sum(), by_hand)
    torch.testing.assert_close(grad, expected)


def test_another_h_gives_what_the_rest_of_the_network_answers() -> None:
    net = small_net()
    h = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(at(net, "0")(h, X), net[1:](h))


def test_an_in_place_relu_behind_the_layer_leaves_h_alone() -> None:
    net = small_net()
    view = at(net, "1")
    h = view.capture(X)
    assert float(h.min()) < 0
    before = h.clone()
    view(h, X)
    assert torch.equal(h, before)


def test_a_layer_is_named_or_given() -> None:
    net = small_net()
    assert torch.equal(at(net, net[3]).capture(X), at(net, "3").capture(X))
    assert at(net, net[3]).name == "3"


def test_the_names_of_a_loaded_network_are_those_of_the_network_inside() -> None:
    network = digits()
    view = at(network, "conv3")
    x = network.samples(2)
    assert view.capture(x).shape == (2, 48, 4, 4)
    torch.testing.assert_close(view(view.capture(x), x), network(x))
    assert repr(view) == "at(Network, 'conv3')"


def test_further_inputs_are_passed_on() -> None:
    net, x, shift = Shifted().eval(), torch.ones(2, 3), torch.tensor([[2.0], [3.0]])
    view = at(net, "first")
    h = view.capture(x, shift).requires_grad_()
    (grad,) = torch.autograd.grad(view(h, x, shift).sum(), h)
    torch.testing.assert_close(grad, shift * (1 - torch.tanh(h.detach()) ** 2))


def test_integer_inputs_are_seen_from_their_embedding() -> None:
    net = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2)).eval()
    tokens = torch.tensor([[1, 2, 3]])
    view = at(net, "0")
    h = view.capture(tokens).requires_grad_()
    (grad,) = torch.autograd.grad(view(h, tokens)[:, 1].sum(), h)
    torch.testing.assert_close(grad.flatten(), net[2].weight[1])


def test_what_is_captured_needs_no_gradient() -> None:
    assert not at(small_net(), "0").capture(X).requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_that_of_the_network_and_stays(training: bool) -> None:
    net = small_net().train(training)
    assert at(net, "0").training is training
    assert all(module.training is training for module in net.modules())


def test_the_hook_is_gone_afterwards() -> None:
    net = small_net()
    view = at(net, "3")
    view(view.capture(X), X)
    assert hooks(net) == 0


def test_the_hook_is_gone_after_an_error() -> None:
    net = small_net()
    view = at(net, "3")
    with pytest.raises(BadInput, match=r"answers \(2, 8, 8, 8\) for these inputs, and h is \(2, 8\)"):
        view(torch.zeros(2, 8), X)
    with pytest.raises(RuntimeError):
        view.capture(torch.zeros(2, 4, 8, 8))
    assert hooks(net) == 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("twice", "'twice' runs more than once"),
        ("never", "'never' did not run"),
        ("recurrent", "'recurrent' answers a tuple, not one tensor"),
        ("folded", r"'folded' answers \(6, 2\) for 3 inputs"),
    ],
)
def test_layers_that_cannot_be_looked_from_are_refused(layer: str, reason: str) -> None:
    net = Odd().eval()
    with pytest.raises(BadModel, match=reason):
        at(net, layer).capture(torch.ones(3, 4))
    assert hooks(net) == 0


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    network = Network(Odd(), name="odd")
    with pytest.raises(UnknownName, match="no layer 'recurent'; did you mean 'recurrent'"):
        at(network, "recurent")


def test_a_module_of_another_network_is_no_layer() -> None:
    with pytest.raises(UnknownName, match="the Conv2d given as the layer is not part of the network"):
        at(small_net(), small_net()[0])


@pytest.mark.real
def test_a_block_of_a_trained_network_is_seen_as_by_hand() -> None:
    net, (x, labels) = cifar_resnet(20), cifar_pictures(4)
    view = at(net, "layer2.1")
    h = view.capture(x).requires_grad_()
    (grad,) = torch.autograd.grad(view(h, x).gather(1, labels[:, None]).sum(), h)
    by_hand = h.detach().requires_grad_()
    scores = net.linear(net.layer3(net.layer2[2](by_hand)).mean(dim=(2, 3)))
    (expected,) = torch.autograd.grad(scores.gather(1, labels[:, None]).sum(), by_hand)
    torch.testing.assert_close(grad, expected)


def test_capture_leaves_the_callers_rows_alone() -> None:
    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.sub_(1.0))

    x = torch.rand(2, 3)
    before = x.clone()
    at(Normalising().eval(), "head").capture(x)
    assert torch.equal(x, before)
