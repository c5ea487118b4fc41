"""Maps read from attention: written once more with loops, on a small transformer spelled in several ways."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import Value
from smoothgrad.errors import BadMethod, NotDifferentiable, UnsupportedModel
from smoothgrad.explainers.attention import Attention, AttentionRollout, GradientRollout, RawAttention
from smoothgrad.rules.trace import ROWS, Place, gradient, pull, pull_to, trace
from tests.nets import small_net

X = torch.randn(3, 2, 8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([1, 3, 0])
HEADS, WIDTH = 2, 6


class Layer(nn.Module):
    """Attention and a small network of two linear layers, each with a shortcut; attention spelled in one of several ways."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling = spelling
        self.norm, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 8), nn.GELU(), nn.Linear(8, WIDTH))
        self.seen: Tensor | None = None  # A, with its gradient, where the spelling is "kept"

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def mix(self, x: Tensor) -> Tensor:
        a = self.attention
        if self.spelling in ("module", "module with weights"):
            out: Tensor = a(x, x, x, need_weights=self.spelling != "module")[0]
            return out
        n, t, _ = x.shape
        qkv = F.linear(x, a.in_proj_weight, a.in_proj_bias).view(n, t, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (N, heads, T, d) each
        if self.spelling == "fused":
            out = F.scaled_dot_product_attention(q, k, v)
        elif self.spelling == "einsum":
            weights = (torch.einsum("nhid,nhjd->nhij", q, k) / (WIDTH // HEADS) ** 0.5).softmax(-1)
            out = torch.einsum("nhij,nhjd->nhid", weights, v)
        else:
            weights = (q @ k.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5).softmax(dim=3)
            if self.spelling == "kept":
                self.seen = weights
                weights.retain_grad()
            out = F.dropout(weights, 0.1, self.training) @ v
        mixed: Tensor = a.out_proj(out.transpose(1, 2).reshape(n, t, WIDTH))
        return mixed


class Transformer(nn.Module):
    """Patches of 4 x 4 of pictures (2, 8, 12), `extra` tokens before them, three layers; the head reads one token or many."""

    def __init__(self, spelling: str = "plain", reads: str = "class", extra: int = 1, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.patches = nn.Conv2d(2, WIDTH, 4, stride=4)
            self.layers = nn.Sequential(*(Layer(spelling) for _ in range(3)))
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)
            for part in self.parameters():
                nn.init.normal_(part, std=0.5)
            self.extra = nn.Parameter(torch.randn(1, extra, WIDTH))
        self.reads = reads
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.expand(len(x), -1, -1), patches], 1)
        tokens = self.norm(self.layers(tokens))
        read = tokens[:, 0] if self.reads == "class" else tokens[:, self.extra.shape[1] :].mean(1)
        out: Tensor = self.head(read)
        return out


def kept(net: Transformer, x: Tensor, target: int) -> list[tuple[Tensor, Tensor]]:
    """A and d s / d A (heads, T, T) of each layer for one row x, by autograd."""
    twin = Transformer("kept", net.reads, net.extra.shape[1])
    twin.load_state_dict(net.state_dict())
    twin(x[None])[0, target].backward()
    found = [layer.seen for layer in twin.layers]
    return [(a.detach()[0], a.grad[0]) for a in found if a is not None and a.grad is not None]


def product(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    size = range(len(a))
    return [[sum(a[i][k] * b[k][j] for k in size) for j in size] for i in size]


def slow_rollout(layers: list[tuple[Tensor, Tensor]], join: Callable[[list[float]], float], r: float) -> Tensor:
    """Abnar and Zuidema 2020: rows of the joined attention and the identity, scaled, multiplied from the last to the first."""
    tokens = range(layers[0][0].shape[-1])
    flow = [[float(i == j) for j in tokens] for i in tokens]
    for a, _ in layers:
        mixed = [[(1 - r) * join([float(h[i, j]) for h in a]) + r * (i == j) for j in tokens] for i in tokens]
        scaled = [[value / sum(row) for value in row] for row in mixed]
        flow = product(scaled, flow)
    return torch.tensor(flow, dtype=torch.float64)


def slow_gradient_rollout(layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Chefer, Gur, Wolf 2021, equations 5 and 6; without the identity it starts from."""
    tokens = range(layers[0][0].shape[-1])
    r = [[float(i == j) for j in tokens] for i in tokens]
    for a, slope in layers:
        bar = [
            [sum(max(float(a[h, i, j] * slope[h, i, j]), 0.0) for h in range(HEADS)) / HEADS for j in tokens]
            for i in tokens
        ]
        step = product(bar, r)
        r = [[r[i][j] + step[i][j] for j in tokens] for i in tokens]
    return torch.tensor(r, dtype=torch.float64) - torch.eye(len(r), dtype=torch.float64)


SLOW: dict[str, tuple[Attention, Callable[[list[tuple[Tensor, Tensor]]], Tensor]]] = {
    "rollout": (AttentionRollout(), lambda layers: slow_rollout(layers, lambda values: sum(values) / HEADS, 0.5)),
    "rollout, max": (AttentionRollout("max", 0.3), lambda layers: slow_rollout(layers, max, 0.3)),
    "rollout, min": (AttentionRollout("min", 0.0), lambda layers: slow_rollout(layers, min, 0.0)),
    "gradient rollout": (GradientRollout(), slow_gradient_rollout),
    "raw": (RawAttention(), lambda layers: layers[-1][0].mean(0)),
}
METHOD = pytest.mark.parametrize("name", SLOW)
SPELLINGS = ("plain", "fused", "einsum", "module", "module with weights")


def coarse(net: nn.Module, method: sg.Explainer, chunk: int = 2, x: Tensor = X, target: Tensor = TARGET) -> Tensor:
    return method.estimate(net, Query.of(x, target), Schedule(chunk)).value


# --- the papers' formulas ----------------------------------------------------------------------------------------------


@METHOD
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_class_tokens_row_by_the_papers_loops(name: str, spelling: str) -> None:
    net, (method, slow) = Transformer(spelling), SLOW[name]
    maps = coarse(net, method)
    assert maps.shape == (3, 1, 2, 3)
    for row in range(3):
        flow = slow(kept(net, X[row], int(TARGET[row])))
        torch.testing.assert_close(maps[row, 0], flow[0, 1:].view(2, 3))


@METHOD
@pytest.mark.parametrize("extra", [0, 1, 4])
def test_a_head_that_averages_reads_the_rows_it_averages(name: str, extra: int) -> None:
    net, (method, slow) = Transformer(reads="patches", extra=extra), SLOW[name]
    maps = coarse(net, method)
    for row in range(3):
        flow = slow(kept(net, X[row], int(TARGET[row])))
        torch.testing.assert_close(maps[row, 0], flow[extra:, extra:].mean(0).view(2, 3))


@METHOD
def test_registers_behind_the_class_token_are_no_places(name: str) -> None:
    net, (method, slow) = Transformer(extra=5), SLOW[name]
    flow = slow(kept(net, X[1], int(TARGET[1])))
    torch.testing.assert_close(coarse(net, method)[1, 0], flow[0, 5:].view(2, 3))


def test_even_attention_rolls_out_in_closed_form() -> None:
    # A = 1/T everywhere, M = A/2 + I/2, M^L = 2^-L I + (1 - 2^-L) A
    net = Transformer("fused")
    for layer in net.layers:
        nn.init.zeros_(layer.attention.in_proj_weight[: 2 * WIDTH])
        nn.init.zeros_(layer.attention.in_proj_bias[: 2 * WIDTH])
    maps = coarse(net, AttentionRollout())
    torch.testing.assert_close(maps, torch.full_like(maps, (1 - 2**-3) / 7))
    torch.testing.assert_close(coarse(net, RawAttention()), torch.full_like(maps, 1 / 7))


def test_without_other_tokens_all_attention_is_on_the_patches() -> None:
    net = Transformer(reads="patches", extra=0)
    for method in (AttentionRollout(), AttentionRollout("max"), RawAttention()):
        torch.testing.assert_close(coarse(net, method).sum((1, 2, 3)), torch.ones(3, dtype=torch.float64))


def test_only_the_gradient_tells_classes_apart() -> None:
    net, other = Transformer(), torch.tensor([2, 2, 2])
    torch.testing.assert_close(coarse(net, AttentionRollout()), coarse(net, AttentionRollout(), target=other))
    one, two = coarse(net, GradientRollout()), coarse(net, GradientRollout(), target=other)
    assert float((one - two).norm() / one.norm()) > 0.1


def test_a_flat_score_reads_every_token() -> None:
    net = Transformer()
    nn.init.zeros_(net.head.weight)
    whole = [slow_rollout(kept(net, x, 0), lambda values: sum(values) / HEADS, 0.5) for x in X]
    expected = torch.stack([flow[:, 1:].mean(0).view(1, 2, 3) for flow in whole])
    torch.testing.assert_close(coarse(net, AttentionRollout()), expected)
    assert float(coarse(net, GradientRollout()).abs().max()) == 0


def test_words_have_their_token_and_share_it_out() -> None:
    net = Transformer("fused")

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.net = nn.Identity(), net
            self.eval()

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.words(self.net.patches(x).flatten(2).transpose(1, 2))
            tokens = torch.cat([self.net.extra.expand(len(x), -1, -1), tokens], 1)
            out: Tensor = self.net.head(self.net.norm(self.net.layers(tokens))[:, 0])
            return out

    result = sg.explain(Inner(), X, method=GradientRollout(), target=TARGET, at="words")
    assert result.maps.shape == (3, 6, WIDTH)
    torch.testing.assert_close(result.maps.sum(2), coarse(net, GradientRollout()).flatten(1))
    torch.testing.assert_close(result.maps[..., 0], result.maps[..., 5])


# --- messages to chosen places -----------------------------------------------------------------------------------------


def test_messages_at_places_are_the_gradients_there() -> None:
    net = Transformer()
    seen = trace(net, Query.of(X, TARGET))
    message = F.one_hot(TARGET, 5).double()
    softmaxes = [Place(number) for number, step in enumerate(seen.steps) if step.name == "_softmax"]
    arrived = pull_to(seen, message, gradient, (*softmaxes, ROWS, seen.end))
    for row in range(3):
        for place, (a, slope) in zip(softmaxes, kept(net, X[row], int(TARGET[row])), strict=True):
            torch.testing.assert_close(seen.value(place)[row], a)
            torch.testing.assert_close(arrived[place][row], slope)
    x = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(x).gather(1, TARGET[:, None]).sum(), x)
    torch.testing.assert_close(arrived[ROWS], expected)
    torch.testing.assert_close(pull(seen, message, gradient), expected)
    assert torch.equal(arrived[seen.end], message)


def test_nothing_is_sent_beyond_the_first_place() -> None:
    seen = trace(Transformer(), Query.of(X, TARGET))
    last = max(number for number, step in enumerate(seen.steps) if step.name == "_softmax")
    asked: list[int] = []

    def noting(*given: Any) -> dict[Place, Tensor]:
        asked.append(seen.steps.index(given[1]))
        return gradient(*given)

    pull_to(seen, F.one_hot(TARGET, 5).double(), noting, [Place(last)])
    assert min(asked) > last


# --- as every method ---------------------------------------------------------------------------------------------------


@METHOD
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_neither_the_chunk_nor_the_batch_matters(name: str, chunk: int) -> None:
    method, _ = SLOW[name]
    for net in (Transformer("fused"), Transformer("module with weights", "patches", 0)):
        whole = coarse(net, method, 3)
        torch.testing.assert_close(coarse(net, method, chunk), whole, rtol=0, atol=1e-12)
        order = torch.tensor([2, 0, 1])
        torch.testing.assert_close(
            coarse(net, method, chunk, X[order], TARGET[order]), whole[order], rtol=0, atol=1e-12
        )


@METHOD
def test_the_result_is_a_map_of_the_pictures(name: str) -> None:
    method, _ = SLOW[name]
    net = Transformer("fused")
    before = copy.deepcopy(net.state_dict())
    result = sg.explain(net, X, method=method, target=TARGET)
    assert result.maps.shape == X.shape
    assert bool((result.maps >= 0).all())
    assert result.unsigned
    assert result.stderr is None
    assert result.passes.tolist() == [1, 1, 1] == [method.passes] * 3
    sized = F.interpolate(coarse(net, method), size=(8, 12), mode="bilinear")
    torch.testing.assert_close(result.maps.sum(1, keepdim=True), sized)
    assert all(torch.equal(part, before[name]) for name, part in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


@METHOD
def test_methods_are_values(name: str) -> None:
    method, _ = SLOW[name]
    assert isinstance(method, Value)
    assert pickle.loads(pickle.dumps(method)) == method
    assert eval(repr(method)) == method


@METHOD
def test_around_noise_maps_are_averaged(name: str) -> None:
    method, _ = SLOW[name]
    net, cloud = Transformer("fused"), sg.Gaussian(0.1, 4)
    result = sg.explain(net, X, method=method.over(cloud), target=TARGET)
    points, _, _ = cloud.draw(Query.of(X, TARGET), range(4))
    mean = sum(coarse(net, method, x=point) for point in points) / 4
    torch.testing.assert_close(result.maps.sum(1, keepdim=True), F.interpolate(mean, size=(8, 12), mode="bilinear"))
    assert result.stderr is not None


# --- networks of others ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["fused", "plain"])
def vit(request: pytest.FixtureRequest) -> nn.Module:
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: nn.Module = timm.create_model(
            "vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, num_classes=10, depth=2
        )
        for part in net.parameters():
            nn.init.normal_(part, std=0.1)
    for block in net.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = request.param == "fused"  # type: ignore[union-attr]
    return net.double().eval()


def test_a_vision_transformer_of_timm(vit: nn.Module) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, a: Tensor) -> None:
        a.retain_grad()
        seen.append(a)

    twin = copy.deepcopy(vit)
    for block in twin.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False  # type: ignore[union-attr]
        block.attn.attn_drop.register_forward_hook(keep)  # type: ignore[union-attr]
    twin(x)[:, 3].sum().backward()
    flow, rollout = torch.eye(17).double().repeat(2, 1, 1), torch.eye(17).double().repeat(2, 1, 1)
    for a in seen:
        assert a.grad is not None
        flow = flow + (a * a.grad).clamp_min(0).mean(1).detach() @ flow
        rollout = (a.mean(1).detach() / 2 + torch.eye(17).double() / 2) @ rollout
    target = torch.tensor([3, 3])
    torch.testing.assert_close(coarse(vit, GradientRollout(), 1, x, target), flow[:, 0, 1:].view(2, 1, 4, 4))
    torch.testing.assert_close(coarse(vit, AttentionRollout(), 1, x, target), rollout[:, 0, 1:].view(2, 1, 4, 4))
    assert len(seen) == 2


def test_windows_are_refused() -> None:
    swin = pytest.importorskip("timm.models.swin_transformer")
    net = swin.SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 2), num_classes=5
    ).eval()
    for chunk in (1, 2):
        with pytest.raises(UnsupportedModel, match=r"attend inside windows .* in layer 'layers\.0\.blocks\.0\.attn"):
            sg.explain(net, torch.rand(2, 3, 32, 32), method=AttentionRollout(), chunk=chunk)


@METHOD
def test_a_network_without_attention_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedModel, match="Sequential has no attention"):
        sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=SLOW[name][0])


class Scored(nn.Module):
    """A convolutional network that ends in a softmax, and one that weighs its channels by one: neither is attention."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.mix = small_net(), nn.Linear(5, 5)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x).softmax(-1)
        out: Tensor = self.mix(scores) * scores
        return out


def test_a_softmax_that_no_product_reads_is_no_attention() -> None:
    with pytest.raises(UnsupportedModel, match="has no attention"):
        sg.explain(Scored(), torch.rand(1, 3, 8, 8), method=AttentionRollout())


class Pooling(nn.Module):
    """One question asked of all tokens: attention, but not of each token to each."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Transformer("plain")
        self.question = nn.Parameter(torch.ones(1, 1, WIDTH, dtype=torch.float64))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.net.layers(self.net.patches(x).flatten(2).transpose(1, 2))
        weights = (self.question @ tokens.transpose(1, 2)).softmax(-1)
        out: Tensor = self.net.head((weights @ tokens)[:, 0])
        return out


def test_a_question_of_its_own_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="1 tokens attend to 6 others"):
        sg.explain(Pooling(), X, method=AttentionRollout())


class Fold(nn.Module):
    """Tokens that are no patches: rows (C, D, H, W) flattened to few tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = Layer("plain").double(), nn.Linear(WIDTH, 2).double()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layer(x.flatten(1).view(len(x), -1, WIDTH)).mean(1))
        return out


def test_tokens_that_stand_nowhere_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="stand for no places"):
        sg.explain(Fold(), torch.rand(2, 1, 2, 3, 4, dtype=torch.float64), method=RawAttention())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"heads": "median"}, "no 'median'; "),
        ({"heads": "meen"}, "did you mean 'mean'"),
        ({"residual": 1.0}, "residual from 0 up to but not 1, got 1.0"),
        ({"residual": -0.1}, "got -0.1"),
        ({"residual": float("nan")}, "got nan"),
    ],
)
def test_what_means_nothing_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMethod, match=reason):
        AttentionRollout(**given)


# --- half precision, and scores without a gradient --------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("method", [AttentionRollout(), GradientRollout(), RawAttention()], ids=repr)
def test_maps_are_of_the_type_of_the_rows(method: Attention, spelling: str) -> None:
    net = Transformer(spelling).float().eval()
    wide = sg.explain(net, X.float(), method=method, target=TARGET)
    narrow = sg.explain(net, X.float(), method=method, target=TARGET, precision="bfloat16")
    assert wide.coarse is not None
    assert narrow.coarse is not None
    assert narrow.maps.dtype == narrow.coarse.dtype == torch.float32
    assert (narrow.coarse - wide.coarse).norm() < 0.03 * wide.coarse.norm()


@pytest.mark.parametrize("method", [AttentionRollout(), GradientRollout(), RawAttention()], ids=repr)
def test_a_target_without_a_derivative_is_refused(method: Attention) -> None:
    net = Transformer("module").double().eval()
    with pytest.raises(NotDifferentiable, match="target"):
        sg.explain(net, X, method=method, target=lambda output: output.detach()[:, 0])
