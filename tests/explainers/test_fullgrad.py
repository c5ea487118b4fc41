"""FullGrad: the score taken apart exactly, and the picture as the paper's sum, in loops."""

from __future__ import annotations

from itertools import product
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, NotDifferentiable
from smoothgrad.explainers.fullgrad import FullGradient, full_gradients
from smoothgrad.methods.fullgrad import full_grad, smooth_full_grad
from smoothgrad.models.layer import at
from smoothgrad.targets import Probability
from tests.nets import small_net

ROWS = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.3
Net = TypeVar("Net", bound=nn.Module)


def shaken(net: Net) -> Net:
    """Batch norms as after training, biases not small."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
                nn.init.uniform_(part.weight, -1, 1)
            if isinstance(getattr(part, "bias", None), Tensor):
                nn.init.uniform_(part.bias, -1, 1)  # type: ignore[arg-type]
    return net.double().eval()


class Residual(nn.Module):
    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.group, self.last = nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.Linear(6 * 16, 4)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x)) + 0.5
        for _ in range(2):
            h = self.act(h + self.norm(self.again(self.act(self.again(h)))))
        h = self.group(h * h.mean((2, 3), keepdim=True).sigmoid())
        return self.last(F.max_pool2d(F.pad(h, (1, 1, 1, 1), value=0.7), 2)[:, :, :4, :4].flatten(1))


class Attending(nn.Module):
    """Rows stand first, second, and folded with the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 2, 2)
        self.one = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.two = nn.MultiheadAttention(8, 2)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        t = self.one(self.patch(x).flatten(2).transpose(1, 2))
        t = (t + ((t[:, None] @ t[:, None].mT).tanh() @ t[:, None])[:, 0]).transpose(0, 1)  # weights (N, 1, T, T)
        mask = torch.full((16, 16), float("-inf"), dtype=x.dtype).triu(1)
        return self.last(self.two(t, t, t, attn_mask=mask)[0].mean(0))


class Ahead(nn.Module):
    """A batch norm that no layer stands before."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.first, self.last = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(self.norm(x).relu()).sigmoid().mean((2, 3)))


NETS: dict[str, nn.Module] = {
    "norm ahead": shaken(Ahead()),
    "small": shaken(small_net()),
    "relu": shaken(Residual(nn.ReLU())),
    "gelu": shaken(Residual(nn.GELU())),
    "tanh": shaken(Residual(nn.Tanh())),
    "attention": shaken(Attending()),
}


@pytest.mark.parametrize("name", NETS)
def test_the_score_is_the_sum_of_its_parts(name: str) -> None:
    net = NETS[name]
    found = full_gradients(net, Query.of(ROWS, 1))
    score = net(ROWS)[:, 1].detach()
    torch.testing.assert_close(found.score, score)
    torch.testing.assert_close(found.total, score, rtol=1e-10, atol=1e-10)
    assert float(torch.stack([*found.biases.values()]).abs().sum()) > 0.1


def test_in_float32_too() -> None:
    net = shaken(small_net()).float()
    found = full_gradients(net, Query.of(ROWS.float(), 1))
    torch.testing.assert_close(found.total, net(ROWS.float())[:, 1].detach(), rtol=1e-5, atol=1e-5)


def test_a_function_in_the_target_has_its_share() -> None:
    target = Probability()
    query = Query.of(ROWS, 1, scorer=target.score)
    found = full_gradients(NETS["small"], query)
    torch.testing.assert_close(found.total, NETS["small"](ROWS).softmax(1)[:, 1].detach())


def test_each_layer_has_its_bias_times_the_gradient_of_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
    ).double()
    found = full_gradients(net, Query.of(ROWS, 1))
    assert list(found.biases) == ["0", "2", "5"]
    for row in range(3):
        x = ROWS[[row]].clone().requires_grad_()
        parts = {name: net.get_parameter(f"{name}.bias") for name in found.biases}
        slope, *slopes = torch.autograd.grad(net(x)[0, 1], [x, *parts.values()])
        torch.testing.assert_close(found.input[row], (slope * x).sum().detach())
        for (name, bias), by_bias in zip(parts.items(), slopes, strict=True):
            torch.testing.assert_close(found.biases[name][row], (bias * by_bias).sum().detach())


def test_a_batch_norm_counts_as_if_it_were_folded() -> None:
    net = shaken(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)))
    conv, norm = net[0], net[1]  # type: ignore[index]
    found = full_gradients(net, Query.of(ROWS, 1))
    assert list(found.biases) == ["0", "4"]
    shift = norm.bias + (conv.bias - norm.running_mean) * norm.weight / (norm.running_var + norm.eps).sqrt()
    for row in range(3):
        (by_shift,) = torch.autograd.grad(net(ROWS[[row]])[0, 1], norm.bias)
        torch.testing.assert_close(found.biases["0"][row], (shift * by_shift).sum().detach())
    copy = full_gradients(sg.prepare(net, ROWS), Query.of(ROWS, 1))
    for part in found.biases:
        torch.testing.assert_close(copy.biases[part], found.biases[part])


def test_a_smooth_function_has_the_bias_of_its_tangent() -> None:
    class Cubes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x**3).flatten(1).sum(1, keepdim=True)

    found = full_gradients(Cubes().eval(), Query.of(ROWS, 0))
    cubes = (ROWS**3).flatten(1).sum(1)
    torch.testing.assert_close(found.input, 3 * cubes)
    torch.testing.assert_close(found.biases["Cubes"], -2 * cubes)


# --- the picture ----------------------------------------------------------------------------------------------------------


def stretched(values: Tensor) -> Tensor:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)


def upsampled(plane: Tensor, size: int) -> Tensor:
    """Bilinear, between the centres of pixels; beyond the outermost, the outermost."""
    places = plane.shape[0]
    out = torch.zeros(size, size, dtype=plane.dtype)
    for i, j in product(range(size), repeat=2):
        where = [min(max((k + 0.5) * places / size - 0.5, 0), places - 1) for k in (i, j)]
        (a, b), (u, v) = [int(w) for w in where], [w - int(w) for w in where]
        c, d = min(a + 1, places - 1), min(b + 1, places - 1)
        top = (1 - v) * plane[a, b] + v * plane[a, d]
        out[i, j] = (1 - u) * top + u * ((1 - v) * plane[c, b] + v * plane[c, d])
    return out


def slow(net: nn.Sequential, x: Tensor, target: int) -> Tensor:
    """Of one row x (C, H, W): its own part, and each channel of each convolution of a plain ReLU network."""
    now = leaf = x[None].clone().requires_grad_()
    layers = []
    for layer in net:
        now = layer(now.clone())  # a ReLU in place would overwrite what the convolution answered
        if isinstance(layer, nn.Conv2d):
            layers.append((layer, now))
    slope, *slopes = torch.autograd.grad(now[0, target], [leaf, *(z for _, z in layers)])
    total = stretched((slope[0] * x).abs()).sum(0)
    for (layer, _), by_z in zip(layers, slopes, strict=True):
        assert layer.bias is not None
        for bias, plane in zip(layer.bias, by_z[0], strict=True):
            total = total + upsampled(stretched((bias.detach() * plane).abs()), x.shape[-1])
    return total


def plain() -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, 2, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 3)),
    )
    shaken(net)
    return net


def test_the_picture_is_the_papers_sum() -> None:
    net = plain()
    result = sg.explain(net, ROWS, method=full_grad(), target=1)
    assert result.maps.shape == ROWS.shape
    for row in range(3):
        torch.testing.assert_close(result.maps[row].sum(0), slow(net, ROWS[row], 1))


def test_a_prepared_copy_has_the_same_picture() -> None:
    for net in (NETS["small"], NETS["gelu"]):
        copy = sg.prepare(net, ROWS)
        ours, theirs = (sg.explain(model, ROWS, method=full_grad(), target=1).maps for model in (net, copy))
        torch.testing.assert_close(ours, theirs)


def test_what_has_no_place_is_not_in_the_picture() -> None:
    net = plain()
    before = sg.explain(net, ROWS, method=full_grad(), target=1).maps
    nn.init.constant_(net[-1].bias, 5.0)  # type: ignore[arg-type]
    torch.testing.assert_close(sg.explain(net, ROWS, method=full_grad(), target=1).maps, before)
    # Of attention, only the patches' convolution has one, though there are values of four dimensions: (N, heads, T, T).
    net = NETS["attention"]
    query = Query.of(ROWS, 1)
    maps = FullGradient().estimate(net, query, sg.Schedule(8)).value
    x = ROWS.clone().requires_grad_()
    z = net.patch(x)  # type: ignore[operator]
    net.patch.register_forward_hook(lambda *_: z)  # type: ignore[union-attr]
    slope, by_z = torch.autograd.grad(net(x)[:, 1].sum(), [x, z])
    net.patch._forward_hooks.clear()  # type: ignore[union-attr]
    for row in range(3):
        expected = stretched((slope[row] * ROWS[row]).abs()).sum(0)
        for bias, plane in zip(net.patch.bias, by_z[row], strict=True):  # type: ignore[arg-type, union-attr]
            expected = expected + upsampled(stretched((bias.detach() * plane).abs()), 8)
        torch.testing.assert_close(maps[row, 0], expected)


def test_a_channel_that_is_the_same_everywhere_says_nothing() -> None:
    net = (
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        .double()
        .eval()
    )
    x = ROWS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x)[:, 1].sum(), x)
    maps = FullGradient().estimate(net, Query.of(ROWS, 1), sg.Schedule(8)).value
    expected = torch.stack([stretched((s * r).abs()).sum(0) for s, r in zip(slope, ROWS, strict=True)])
    torch.testing.assert_close(maps[:, 0], expected)


def test_sequences_have_a_picture_of_one_dimension() -> None:
    net = shaken(nn.Sequential(nn.Conv1d(2, 4, 3, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(28, 2)))
    rows = ROWS.reshape(-1, 2, 16)
    result = sg.explain(net, rows, method=full_grad(), target=0)
    assert result.maps.shape == rows.shape
    torch.testing.assert_close(full_gradients(net, Query.of(rows, 0)).total, net(rows)[:, 0].detach())


def test_smooth_full_grad_is_the_mean_over_noise() -> None:
    net, samples = plain(), 5
    result = sg.explain(net, ROWS, method=smooth_full_grad(0.2, samples), target=1, seed=2)
    points, _, _ = sg.Gaussian(0.2, samples).draw(Query.of(ROWS, 1, seed=2), range(samples))
    mean = torch.stack([torch.stack([slow(net, row, 1) for row in point]) for point in points]).mean(0)
    torch.testing.assert_close(result.maps.sum(1), mean)
    assert result.stderr is not None


def test_rows_without_pixels_are_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 2)).double().eval()
    with pytest.raises(BadInput, match=r"full_gradients\(\)"):
        sg.explain(net, ROWS.reshape(-1, 4), method=full_grad(), target=0)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.GELU()], ids=["relu", "gelu"])
def test_half_precision_has_about_the_same_picture(act: nn.Module) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), act, nn.Conv2d(16, 8, 3, padding=1), act),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 3)),
        ).eval()
    wide = sg.explain(net, ROWS.float(), method=full_grad(), target=1)
    narrow = sg.explain(net, ROWS.float(), method=full_grad(), target=1, precision="bfloat16")
    assert narrow.maps.dtype == torch.float32
    assert (narrow.maps - wide.maps).norm() < 0.08 * wide.maps.norm()


def test_a_score_without_a_gradient_is_refused() -> None:
    query = Query.of(ROWS, 0, scorer=lambda output, _: output.detach()[:, 0])
    with pytest.raises(NotDifferentiable, match="detach"):
        FullGradient().estimate(plain(), query, sg.Schedule(8))
    with pytest.raises(NotDifferentiable, match="detach"):
        full_gradients(plain(), query)


def test_words_at_their_embedding_have_no_picture() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 2)).double().eval()
    words = torch.tensor([[1, 2, 3, 4, 5], [5, 5, 0, 8, 1]])
    with pytest.raises(BadInput, match="no maps of channels"):
        sg.explain(net, words, method=full_grad(), target=0, at="0")
    view = at(net, "0")
    query = Query.of(view.capture(words), 0, context=(words,))
    torch.testing.assert_close(full_gradients(view, query).total, net(words)[:, 0].detach())


def test_at_a_layer_of_channels_there_is_one() -> None:
    result = sg.explain(plain(), ROWS, method=full_grad(), target=0, at="0")
    assert bool((result.maps != 0).any())
