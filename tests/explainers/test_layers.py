"""Finding a layer and reading it: layouts, the choice on today's architectures, activations and gradients against those by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadModel, NonFinite, NotDifferentiable, UnknownName, UnsupportedModel
from smoothgrad.explainers.layers import Layer, check_rows
from smoothgrad.explainers.layout import Layout, grid_of, layout_of, layout_of_named
from smoothgrad.models.layer import at
from smoothgrad.models.network import Network
from smoothgrad.models.prepare import prepare
from tests.nets import small_net

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ASKED = Query.of(X, torch.tensor([2, 0]))


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def chosen(model: nn.Module, query: Query) -> tuple[str | None, tuple[int, ...]]:
    """The layer that is found, and the shape of its maps (C, *grid)."""
    layer = Layer(model, None, "a test")
    reading = layer.read(query)
    assert reading.activation.shape == reading.gradient.shape
    return layer.name, tuple(reading.activation.shape[1:])


def pictures(size: int | tuple[int, int], rows: int = 2) -> Query:
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.randn(rows, 3, height, width, generator=torch.Generator().manual_seed(1))
    return Query.of(x, 1)


# --- layouts ----------------------------------------------------------------------------------------------------------


def layout(answered: tuple[int, ...], row: tuple[int, ...], module: nn.Module | None = None) -> Layout | None:
    module = module or nn.Sequential(nn.ReLU())
    return layout_of("it", module, module, torch.Size(answered), torch.Size(row))


@pytest.mark.parametrize(
    ("answered", "row", "expected"),
    [
        ((2, 512, 7, 7), (3, 224, 224), Layout("first", (7, 7))),
        ((2, 7, 7, 768), (3, 224, 224), Layout("last", (7, 7))),
        ((2, 64, 12, 4), (3, 384, 128), Layout("first", (12, 4))),
        ((2, 12, 4, 64), (3, 384, 128), Layout("last", (12, 4))),
        ((2, 96, 4, 3), (3, 100, 70), Layout("first", (4, 3))),
        ((2, 512, 1, 1), (3, 224, 224), None),
        ((2, 3, 197, 64), (3, 224, 224), None),  # queries of an attention
        ((2, 10), (3, 224, 224), None),
        ((2, 197, 192), (3, 224, 224), Layout("tokens", (14, 14), 1)),
        ((2, 196, 192), (3, 224, 224), Layout("tokens", (14, 14), 0)),
        ((2, 198, 192), (3, 224, 224), Layout("tokens", (14, 14), 2)),
        ((2, 201, 192), (3, 224, 224), Layout("tokens", (14, 14), 5)),
        ((2, 193, 192), (3, 384, 128), Layout("tokens", (24, 8), 1)),
        ((2, 29, 192), (3, 100, 64), Layout("tokens", (7, 4), 1)),
        ((2, 1, 192), (3, 224, 224), None),
        ((2, 31, 192), (3, 100, 300), Layout("tokens", (3, 9), 4)),
        ((2, 16, 25), (1, 100), Layout("first", (25,))),
        ((2, 16, 1), (1, 100), None),
        ((2, 25, 300), (1, 100), Layout("last", (25,))),
        ((2, 300, 25), (1, 100), Layout("first", (25,))),
    ],
)
def test_channels_and_positions_are_told_by_their_shape(
    answered: tuple[int, ...], row: tuple[int, ...], expected: Layout | None
) -> None:
    assert layout(answered, row) == expected


def test_where_the_shape_does_not_tell_the_parts_do() -> None:
    shape, row = (2, 8, 8, 8), (3, 64, 64)
    assert layout(shape, row, nn.Conv2d(3, 8, 3)) == Layout("first", (8, 8))
    assert layout(shape, row, nn.LayerNorm(8)) == Layout("last", (8, 8))
    assert layout(shape, row, nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8))) == Layout("last", (8, 8))
    assert layout((2, 8, 25), (1, 100), nn.Conv1d(1, 8, 3)) == Layout("first", (25,))
    assert layout((2, 25, 8), (1, 100), nn.LayerNorm(8)) == Layout("last", (25,))


def test_a_layer_norm_of_maps_tells_nothing_of_the_last_dimension() -> None:
    class LayerNorm2d(nn.LayerNorm):
        """Norms (N, C, h, w) over C, as those of timm and torchvision do."""

    assert layout((2, 8, 8, 8), (3, 64, 64), LayerNorm2d(8)) == Layout("first", (8, 8))


def test_without_any_layer_norm_of_that_width_channels_come_first() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LayerNorm(5))
    assert layout_of("it", network[1], network, torch.Size((2, 8, 8, 8)), torch.Size((3, 64, 64))) == Layout(
        "first", (8, 8)
    )


def test_what_cannot_be_told_is_asked_for() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.LayerNorm(8))
    with pytest.raises(
        BadModel, match=r"layer '1' answers \(2, 8, 8, 8\).*cannot tell whether channels come first or last"
    ):
        layout_of("1", network[1], network, torch.Size((2, 8, 8, 8)), torch.Size((3, 64, 64)))


def test_a_norm_over_the_last_dimension_contradicts_a_grid_there() -> None:
    # Rows that are a Swin block's output themselves: (h, w, C) looks like two channels of maps h x C.
    assert layout((2, 2, 2, 768), (2, 2, 768), nn.LayerNorm(768)) is None


def test_a_layer_that_is_named_may_have_any_grid() -> None:
    row, answered = torch.Size((1, 64, 400)), torch.Size((2, 32, 2, 100))
    conv, block = nn.Conv2d(1, 32, 3), nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU())
    assert layout_of("it", nn.ReLU(), conv, answered, row) is None
    assert layout_of("it", block, block, answered, row) == Layout("first", (2, 100))
    assert layout_of_named("it", nn.ReLU(), conv, answered, row) == Layout("first", (2, 100))
    assert layout_of_named("it", nn.ReLU(), conv, torch.Size((2, 32, 1, 1)), row) is None
    assert layout_of_named("it", nn.ReLU(), conv, torch.Size((2, 32)), row) is None


@pytest.mark.parametrize(
    ("kind", "shape", "extra"), [("first", (2, 5, 3, 4), 0), ("last", (2, 3, 4, 5), 0), ("tokens", (2, 13, 5), 1)]
)
def test_maps_hold_channel_c_at_its_position(kind: str, shape: tuple[int, ...], extra: int) -> None:
    output = torch.arange(float(torch.Size(shape).numel())).view(shape)
    held = Layout(kind, (3, 4), extra)  # type: ignore[arg-type]
    maps = held.maps(output)
    assert maps.shape == (2, 5, 3, 4)
    for row, channel, i, j in [(0, 0, 0, 0), (1, 4, 2, 3), (0, 3, 1, 2), (1, 2, 0, 3)]:
        there = {
            "first": (row, channel, i, j),
            "last": (row, i, j, channel),
            "tokens": (row, extra + 4 * i + j, channel),
        }[kind]
        assert maps[row, channel, i, j] == output[there]
    held.channels(output)[1, 2] = -1.0  # written into the output itself, and nowhere else
    assert (held.maps(output)[1, 2] == -1).all()
    assert int((output == -1).sum()) == 12


def test_grids_of_so_many_positions() -> None:
    assert grid_of(6, (30, 20)) == (3, 2)
    assert grid_of(7, (50,)) == (7,)
    assert grid_of(1, (30, 20)) is None
    assert grid_of(7, (30, 20)) is None


# --- the choice -------------------------------------------------------------------------------------------------------

TORCHVISION = {
    "resnet18": ("layer4", (512, 2, 2)),
    "resnet50": ("layer4", (2048, 2, 2)),
    "vgg11": ("features", (512, 2, 2)),  # what follows is adaptive pooling to 7 x 7
    "vgg11_bn": ("features", (512, 2, 2)),
    "densenet121": ("features", (1024, 2, 2)),  # overwritten by an in-place ReLU
    "mobilenet_v2": ("features", (1280, 2, 2)),
    "squeezenet1_1": ("classifier.2", (1000, 3, 3)),  # its class maps, which are averaged
    "swin_t": ("permute", (768, 2, 2)),
    "convnext_tiny": ("features", (768, 2, 2)),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_last_layer_with_positions_is_found(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    net = seeded(lambda: torchvision.models.get_model(name, weights=None))
    query = pictures(64, rows=1)
    expected, shape = TORCHVISION[name]
    assert chosen(net, query) == (expected, shape)
    named = Layer(net, expected, "a test").read(query)
    found = Layer(net, None, "a test").read(query)
    torch.testing.assert_close(found, named)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2"])
def test_the_choice_is_the_same_for_a_prepared_copy(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    net = seeded(lambda: torchvision.models.get_model(name, weights=None))
    query = pictures(64, rows=1)
    plain, copy = Layer(net, None, "a test"), Layer(prepare(net, query.x), None, "a test")
    one, other = plain.read(query), copy.read(query)
    assert plain.name == copy.name
    for a, b in zip(one, other, strict=True):
        assert float((a - b).norm() / a.norm()) < 1e-3


def test_a_folded_norm_is_chosen_by_its_name_in_both() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(F.relu(self.norm(self.conv(x))).mean((2, 3)))

    net = seeded(Flat)
    copy = prepare(net, X)
    assert chosen(net, ASKED) == chosen(copy, ASKED) == ("norm", (8, 8, 8))
    torch.testing.assert_close(Layer(copy, None, "a test").read(ASKED), Layer(net, None, "a test").read(ASKED))


def transformer(**options: object) -> nn.Module:
    timm = pytest.importorskip("timm")

    def make() -> nn.Module:
        net: nn.Module = timm.create_model(
            "vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, num_classes=5, depth=2, **options
        )
        for part in net.parameters():  # timm starts the head at zero
            nn.init.normal_(part, std=0.1)
        return net

    return seeded(make)


def test_of_a_transformer_that_reads_its_class_token_the_last_blocks_first_norm_is_found() -> None:
    net, query = transformer(), pictures(32)
    assert chosen(net, query) == ("blocks.1.norm1", (192, 4, 4))
    # The reason: at the output of the last block no patch has a gradient.
    kept: list[Tensor] = []
    handle = net.get_submodule("blocks").register_forward_hook(lambda _m, _i, output: kept.append(output))
    score = net(query.x)[:, 1].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    assert gradient[:, 0].any()
    assert not gradient[:, 1:].any()
    with pytest.raises(BadModel, match="no map"):
        Layer(net, "head", "a test").read(query)


def test_of_a_transformer_that_averages_its_patches_the_last_blocks_are_found() -> None:
    assert chosen(transformer(global_pool="avg"), pictures(32)) == ("blocks", (192, 4, 4))


def test_registers_and_class_tokens_are_left_out() -> None:
    net, query = transformer(reg_tokens=4), pictures(32)
    name, shape = chosen(net, query)
    assert (name, shape) == ("blocks.1.norm1", (192, 4, 4))
    kept: list[Tensor] = []
    net.get_submodule("blocks.1.norm1").register_forward_hook(lambda _m, _i, output: kept.append(output))
    maps = Layer(net, name, "a test").read(query).activation
    torch.testing.assert_close(maps, kept[0][:, 5:].transpose(1, 2).unflatten(2, (4, 4)).detach())


def test_of_torchvisions_transformer_the_last_blocks_first_norm_is_found() -> None:
    models = pytest.importorskip("torchvision").models
    net = seeded(
        lambda: models.VisionTransformer(
            image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
        )
    )
    nn.init.normal_(net.heads.head.weight)  # it starts at zero
    assert chosen(net, pictures(32)) == ("encoder.layers.encoder_layer_1.ln_1", (16, 4, 4))


@pytest.mark.parametrize("width", [8, 4])  # the last stage answers (N, 8, 8, 16), and (N, 8, 8, 8)
def test_of_swin_the_last_norm_is_found_with_its_channels_last(width: int) -> None:
    timm = pytest.importorskip("timm")
    net = seeded(
        lambda: timm.models.swin_transformer.SwinTransformer(
            img_size=64, window_size=4, embed_dim=width, depths=(2, 2), num_heads=(2, 2), num_classes=5
        )
    )
    query = pictures(64)
    assert chosen(net, query) == ("norm", (2 * width, 8, 8))
    reading = Layer(net, "norm", "a test").read(query)
    torch.testing.assert_close(reading.activation, net.forward_features(query.x).permute(0, 3, 1, 2).detach())


def test_pictures_that_are_not_square_have_their_own_grid() -> None:
    timm = pytest.importorskip("timm")
    net = seeded(
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=(48, 24), patch_size=8, num_classes=5, depth=2)
    )
    nn.init.normal_(net.head.weight)
    assert chosen(net, pictures((48, 24))) == ("blocks.1.norm1", (192, 6, 3))


def test_series_have_their_own_maps() -> None:
    net = seeded(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))
    )
    query = Query.of(torch.randn(2, 2, 20), 1)
    assert chosen(net, query) == ("1", (4, 16))


def test_a_layer_that_nothing_reads_is_passed_over() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.aside, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.body(x)
            self.aside(h)
            return self.head(h.mean((2, 3)))

    assert chosen(seeded(Two), ASKED) == ("body", (4, 6, 6))


def test_a_module_that_runs_twice_is_passed_over() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act(self.act(self.first(x))).mean((2, 3)))

    assert chosen(seeded(Twice), ASKED) == ("first", (4, 6, 6))


def test_a_shortcut_beside_an_identity_is_not_behind_it() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.same, self.head = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.conv(x)
            return self.head((h.square() + self.same(h)).mean((2, 3)))

    net = seeded(Beside)
    assert chosen(net, ASKED) == ("same", (4, 6, 6))
    torch.testing.assert_close(Layer(net, None, "a test").read(ASKED), Layer(net, "same", "a test").read(ASKED))
    gradient = Layer(net, None, "a test").read(ASKED).gradient
    torch.testing.assert_close(gradient, (net.head.weight[[2, 0]] / 36)[..., None, None].expand_as(gradient))


def test_without_positions_there_is_no_layer() -> None:
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 3)))
    with pytest.raises(BadModel, match=r"no layer of Sequential answers a map of positions.*give the name of a layer"):
        Layer(net, None, "a test").read(ASKED)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(6))
def test_activations_and_gradients_are_those_by_hand(index: int) -> None:
    net = small_net()  # an in-place ReLU behind layer 1
    reading = Layer(net, str(index), "a test").read(ASKED)
    h = net[: index + 1](X).detach().requires_grad_()
    scores = net[index + 1 :](h.clone())[[0, 1], [2, 0]]
    (gradient,) = torch.autograd.grad(scores.sum(), h)
    torch.testing.assert_close(reading.activation, h.detach())
    torch.testing.assert_close(reading.gradient, gradient)
    torch.testing.assert_close(reading.score, scores.detach())
    activation, score = Layer(net, str(index), "a test").look(ASKED)
    torch.testing.assert_close((activation, score), (h.detach(), scores.detach()))


def test_an_output_that_is_overwritten_in_place_is_read_again() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.head(F.relu(self.conv(x), inplace=True).mean((2, 3)))

    net = seeded(Overwriting)
    layer = Layer(net, None, "a test")
    reading = layer.read(ASKED)
    assert layer.name == "conv"
    assert float(reading.activation.min()) < 0  # before the ReLU
    torch.testing.assert_close(reading.activation, net.conv(X).detach())
    assert net.calls == 2
    layer.read(ASKED)
    assert net.calls == 3


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: Network(net, name="n"), lambda net: prepare(net, X)])
def test_names_are_those_of_the_network_inside(wrap: Callable[[nn.Module], nn.Module]) -> None:
    net = small_net()
    reading = Layer(wrap(net), "4", "a test").read(ASKED)
    torch.testing.assert_close(reading.activation, net[:5](X).detach(), atol=1e-5, rtol=1e-4)


def test_nothing_is_differentiated_where_nothing_has_to_be() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.round(self.conv(x.detach())).mean((2, 3))

    net = seeded(Steps)
    activation, _ = Layer(net, "conv", "a test").look(ASKED)
    torch.testing.assert_close(activation, net.conv(X).detach())


def test_grad_mode_outside_does_not_matter() -> None:
    expected = Layer(small_net(), None, "a test").read(ASKED)
    with torch.no_grad():
        torch.testing.assert_close(Layer(small_net(), None, "a test").read(ASKED), expected)
        torch.testing.assert_close(Layer(small_net(), "5", "a test").read(ASKED), expected)


@pytest.mark.parametrize("name", ["3", "5"])
def test_a_channel_is_taken_away_row_by_row(name: str) -> None:
    net = small_net()
    layer = Layer(net, name, "a test")
    layer.read(ASKED)
    scores = layer.without(ASKED, torch.tensor([1, 3]))
    h = net[: int(name) + 1](X)
    h[0, 1] = 0
    h[1, 3] = 0
    torch.testing.assert_close(scores, net[int(name) + 1 :](h)[[0, 1], [2, 0]].detach())


def test_of_tokens_a_channel_is_taken_from_the_patches_alone() -> None:
    net, query = transformer(), pictures(32)
    layer = Layer(net, "blocks.0", "a test")
    layer.read(query)
    scores = layer.without(query, torch.tensor([7, 100]))

    def drop(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[0, 1:, 7] = 0
        output[1, 1:, 100] = 0
        return output

    handle = net.get_submodule("blocks.0").register_forward_hook(drop)
    expected = net(query.x)[:, 1].detach()
    handle.remove()
    torch.testing.assert_close(scores, expected)


def test_seen_from_a_layer_what_lies_behind_it_is_read() -> None:
    net = small_net()
    view = at(net, "2")
    h = view.capture(X)
    query = Query.of(h, torch.tensor([2, 0]), context=(X,))
    for name in ("4", None):
        layer = Layer(view, name, "a test")
        reading = layer.read(query)
        expected = Layer(net, layer.name, "a test").read(ASKED)
        torch.testing.assert_close(reading, expected)
    for name in ("0", "1"):
        with pytest.raises(BadModel, match=f"no gradient at layer '{name}': it does not depend on the rows"):
            Layer(view, name, "a test").read(query)


def test_what_lies_beside_the_rows_is_neither_read_nor_found() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.act, self.right = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head((self.act(self.left(x)) + self.right(x)).mean((2, 3)))

    net = seeded(Fork)
    assert chosen(net, ASKED)[0] == "right"
    view = at(net, "left")
    query = Query.of(view.capture(X), 1, context=(X,))
    assert chosen(view, query)[0] == "act"
    with pytest.raises(BadModel, match="no gradient at layer 'right': it does not depend on the rows"):
        Layer(view, "right", "a test").read(query)


def test_seen_from_the_last_layer_with_positions_there_is_none() -> None:
    net = small_net()
    view = at(net, "5")
    query = Query.of(view.capture(X), 1, context=(X,))
    with pytest.raises(BadModel, match="no layer of Sequential answers a map"):
        Layer(view, None, "a test").read(query)


# --- what is refused, and what is left --------------------------------------------------------------------------------


class Odd(nn.Module):
    """Layers that cannot be read: used twice, not used, answering two tensors, folding the rows, without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(3, 3, 3, padding=1)
        self.never = nn.Conv2d(3, 3, 3)
        self.pair = nn.MaxPool2d(2, return_indices=True)
        self.folding = nn.Flatten(0, 1)
        self.aside = nn.Conv2d(3, 3, 1)
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(F.relu(self.twice(x)))
        x, _ = self.pair(x)
        self.aside(x)
        self.folding(x)
        scores: Tensor = self.head(x.flatten(1))
        return scores


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("twice", "'twice' runs more than once"),
        ("never", "'never' did not run"),
        ("pair", "'pair' answers a tuple, not one tensor"),
        ("folding", r"'folding' answers \(6, 4, 4\) for 2 rows"),
        ("head", r"'head' answers \(2, 5\) for 2 rows of shape \(3, 8, 8\), which is no map"),
        ("aside", "no gradient at layer 'aside': the score does not depend on it"),
    ],
)
def test_layers_that_cannot_be_read_are_refused(name: str, reason: str) -> None:
    net = seeded(Odd)
    with pytest.raises(BadModel, match=reason):
        Layer(net, name, "a test").read(ASKED)
    assert hooks(net) == 0


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no layer 'twise'; did you mean 'twice'"):
        Layer(Network(seeded(Odd), name="odd"), "twise", "a test")


def test_a_layer_with_a_norm_folded_into_it_is_refused() -> None:
    copy = prepare(small_net(), X)
    with pytest.raises(UnsupportedModel, match="a batch norm is folded into layer '0'"):
        Layer(copy, "0", "a test")
    Layer(copy, "1", "a test").read(ASKED)
    Layer(prepare(small_net(), X, at="0"), "0", "a test").read(ASKED)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_scripted_networks_are_refused() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.jit.trace(small_net(), X)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    with pytest.raises(UnsupportedModel, match="inner is scripted or traced"):
        Layer(Mixed().eval(), None, "a test")


def test_a_score_without_gradient_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)).eval()
    query = replace(ASKED, scorer=lambda output, _target: output.detach().amax(1))
    with pytest.raises(NotDifferentiable, match="score of Sequential does not depend on the input"):
        Layer(net, None, "a test").read(query)


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).square().sum((2, 3)).sqrt()

    query = Query.of(torch.stack([X[0], torch.zeros(3, 8, 8)]), 0)
    with pytest.raises(NonFinite, match="the gradient of row 1 at the layer"):
        Layer(seeded(Root), "conv", "a test").read(query)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 5)])
def test_rows_need_positions(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"take pictures \(C, H, W\) and series .* got rows of shape"):
        check_rows(Query.of(torch.zeros(2, *shape), 0))


def hooks(model: nn.Module) -> int:
    kinds = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks"
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


@pytest.mark.parametrize("name", [None, "3"])
def test_the_network_is_left_as_found(name: str | None) -> None:
    net, x = small_net(), X.clone()
    before = {key: part.clone() for key, part in net.state_dict().items()}
    layer = Layer(net, name, "a test")
    layer.read(Query.of(x, 1))
    layer.look(Query.of(x, 1))
    layer.without(Query.of(x, 1), torch.tensor([0, 1]))
    assert hooks(net) == 0
    assert torch.equal(x, X)
    assert not x.requires_grad
    assert all(part.grad is None for part in net.parameters())
    assert all(torch.equal(part, before[key]) for key, part in net.state_dict().items())


@pytest.mark.parametrize("name", [None, "conv"])
def test_hooks_are_gone_after_an_error(name: str | None) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.conv(x)
            raise RuntimeError("broken")

    net = Failing().eval()
    layer = Layer(net, name, "a test")
    with pytest.raises(RuntimeError, match="broken"):
        layer.read(ASKED)
    assert hooks(net) == 0
