"""timm, torchvision and transformers: networks with random weights, saved and loaded back without a download."""

from __future__ import annotations

import json
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from smoothgrad.errors import BadModel, BadWeights, MissingPackage, UnknownName
from smoothgrad.models import sources
from smoothgrad.models.load import load
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from tests.nets import HALF

TEN = tuple("abcdefghij")


def same(network: Network, net: nn.Module) -> bool:
    pairs = zip(network.net.state_dict().values(), net.state_dict().values(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


def timm_net(**options: object) -> nn.Module:
    import timm

    return timm.create_model("resnet10t", **options)


def torchvision_net(name: str = "squeezenet1_1", **options: object) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, weights=None, **options)


def saved(net: nn.Module, path: Path) -> Path:
    save_file(net.state_dict(), path)
    return path


def vit(folder: Path, *, names: bool = True, processor: Mapping[str, object] | None = None) -> nn.Module:
    """A tiny transformer in a folder, as `save_pretrained` leaves it."""
    from transformers import ViTConfig, ViTForImageClassification

    named = {"id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1}} if names else {"num_labels": 2}
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=16,
        patch_size=8,
        **named,
    )
    net = ViTForImageClassification(config).eval()
    net.save_pretrained(folder)
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return net


def test_a_timm_network_comes_back_with_its_preprocessing_and_classes(tmp_path: Path) -> None:
    net = timm_net()
    network = load("timm:resnet10t", weights=saved(net, tmp_path / "n.safetensors"))
    assert same(network, net)
    assert (len(network.classes), network.label(0)) == (1000, "tench")
    assert network.preprocessing == Preprocessing(
        size=(176, 176), resize=201, interpolation="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD
    )


def test_timm_reads_pictures_as_its_own_transform_does(tmp_path: Path) -> None:
    import timm

    net = timm_net()
    network = load("timm:resnet10t", weights=saved(net, tmp_path / "n.safetensors"))
    own = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
    gradient = Image.linear_gradient("L").resize((301, 200)).convert("RGB")
    torch.testing.assert_close(network.read(gradient)[0], own(gradient), atol=1e-5, rtol=0)


def test_a_timm_network_that_squashes_keeps_the_whole_picture() -> None:
    data = {"input_size": (3, 20, 30), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bilinear"}
    found = sources._timm_preprocessing({**data, "mean": HALF, "std": HALF})
    assert (found.size, found.resize) == ((20, 30), (20, 30))


@pytest.mark.parametrize("scheme", ["timm:resnet10t", "torchvision:squeezenet1_1"])
def test_a_fine_tuned_network_has_as_many_outputs_as_classes(tmp_path: Path, scheme: str) -> None:
    net = timm_net(num_classes=10) if scheme.startswith("timm") else torchvision_net(num_classes=10)
    path = saved(net, tmp_path / "tuned.safetensors")
    network = load(scheme, weights=path, classes=TEN, size=64)
    assert same(network, net)
    assert network.classes == TEN
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 10)
    with pytest.raises(BadWeights, match="give their names"):
        load(scheme, weights=path)


def test_a_transformer_of_timm_is_built_for_another_size(tmp_path: Path) -> None:
    import timm

    net = timm.create_model("test_vit", img_size=(96, 96))
    network = load("timm:test_vit", weights=saved(net, tmp_path / "n.safetensors"), size=96)
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 1000)


def test_a_torchvision_network_comes_back_with_its_preprocessing_and_classes(tmp_path: Path) -> None:
    net = torchvision_net()
    network = load("torchvision:squeezenet1_1", weights=saved(net, tmp_path / "n.safetensors"))
    assert same(network, net)
    assert (len(network.classes), network.label(-1), network.label(1)) == (1000, "class -1", "goldfish")
    assert network.preprocessing == Preprocessing()


def test_torchvision_reads_pictures_as_its_own_transform_does(tmp_path: Path) -> None:
    import torchvision

    network = load("torchvision:squeezenet1_1", weights=saved(torchvision_net(), tmp_path / "n.safetensors"))
    own = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    for size in ((301, 200), (200, 301), (33, 400), (900, 901), (199, 300), (300, 199)):
        gradient = Image.linear_gradient("L").resize(size).convert("RGB")
        torch.testing.assert_close(network.read(gradient)[0], own(gradient), atol=1e-6, rtol=0)


def test_googlenet_takes_the_weights_that_torchvision_trained_it_to(tmp_path: Path) -> None:
    net = torchvision_net("googlenet", init_weights=False, aux_logits=True)
    network = load("torchvision:googlenet", weights=saved(net, tmp_path / "n.safetensors"))
    assert network.net.transform_input
    assert same(network, net)


@pytest.mark.parametrize("name", ["timm:resnet50", "torchvision:resnet18"])
def test_where_the_weights_cannot_be_downloaded_the_error_says_what_to_give(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    import torchvision

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(BadWeights, match=r"could not be had: .*no route to host.*give a file of weights"):
        load(name)


def test_timm_networks_without_weights_of_their_own_do_not_stay_random() -> None:
    import timm

    name = next(name for name in timm.list_models() if not timm.is_model_pretrained(name))
    with pytest.raises(BadWeights, match=f"timm has no weights for {name}; give a file"):
        load(f"timm:{name}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("timm:resnett50", "timm has no network 'resnett50'; did you mean 'resnet50'"),
        ("timm:qqqqqqqqq", "timm has no network 'qqqqqqqqq'; known: "),
        ("torchvision:mobilnet_v2", "no classifier 'mobilnet_v2'; did you mean 'mobilenet_v2'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "no classifier 'fasterrcnn_resnet50_fpn'"),
        ("hf:./no/such/folder", r"no folder \./no/such/folder"),
    ],
)
def test_unknown_networks_are_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=hint) as caught:
        load(name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("name", "extra"), [("timm", "timm"), ("torchvision", "torchvision"), ("hf", "hf")])
def test_a_missing_package_is_named(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = "transformers" if name == "hf" else name
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=rf"{package} is not installed.*smoothgrad\[{extra}\]"):
        load(f"{name}:resnet50")


def test_a_torchvision_that_does_not_import_is_an_error_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    for module in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadModel, match=r"torchvision needs packages that do not import \(operator torchvision::nms"):
        load("torchvision:resnet18")


PROCESSOR = {
    "do_resize": True,
    "size": {"height": 16, "width": 16},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}


def test_a_folder_of_transformers_comes_back_with_its_preprocessing_and_classes(tmp_path: Path) -> None:
    net = vit(tmp_path, processor=PROCESSOR)
    network = load(f"hf:{tmp_path}")
    assert same(network, net)
    assert network.classes == ("cat", "dog")
    assert network.preprocessing == Preprocessing(
        size=(16, 16), resize=(16, 16), interpolation="bicubic", mean=HALF, std=(0.25, 0.25, 0.25)
    )
    x = network.read(Image.new("RGB", (40, 30), (255, 255, 255)))
    torch.testing.assert_close(network(x).logits, net(x).logits)


def test_transformers_reads_pictures_as_its_own_processor_does() -> None:
    from transformers import ConvNextImageProcessor, ViTImageProcessor

    gradient = Image.linear_gradient("L").resize((301, 200)).convert("RGB")
    for processor in (ViTImageProcessor(size={"height": 16, "width": 24}), ConvNextImageProcessor()):
        found = sources._processor_preprocessing(json.loads(processor.to_json_string()), 3, "x")
        own = torch.tensor(processor(gradient)["pixel_values"][0])
        torch.testing.assert_close(found.row(gradient)[0], own, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": 30}, {"size": (30, 30), "resize": (30, 30)}),
        ({"size": {"shortest_edge": 40}, "crop_size": 30}, {"size": (30, 30), "resize": 40}),
        ({"size": {"shortest_edge": 40}, "crop_size": {"height": 20, "width": 30}}, {"size": (20, 30), "resize": 40}),
        (
            {"size": {"shortest_edge": 40}, "do_center_crop": False, "crop_size": 30},
            {"size": (40, 40), "resize": 40},
        ),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.9}, {"size": (384, 384), "resize": (384, 384)}),
        ({"size": 30, "do_resize": False}, {"size": (30, 30), "resize": None}),
        ({"size": 30, "do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ({"size": 30, "rescale_factor": 2 / 255, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}, {"mean": HALF}),
        ({"size": 30, "resample": 1}, {"interpolation": "lanczos"}),
    ],
)
def test_settings_of_image_processors_are_understood(settings: dict[str, object], expected: dict[str, object]) -> None:
    found = sources._processor_preprocessing(settings, 3, "x")
    assert {name: getattr(found, name) for name in expected} == expected


def test_pictures_with_blue_first_are_refused() -> None:
    with pytest.raises(BadModel, match="blue first"):
        sources._processor_preprocessing({"do_flip_channel_order": True}, 3, "x")


def test_settings_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    vit(tmp_path, processor={"size": {"max_height": 3}})
    with pytest.raises(BadModel, match="settings that are not understood"):
        load(f"hf:{tmp_path}")


def test_without_settings_a_folder_gets_the_size_of_its_configuration(tmp_path: Path) -> None:
    vit(tmp_path, names=False)
    network = load(f"hf:{tmp_path}")
    assert (network.classes, network.preprocessing.size) == ((), (16, 16))


def test_a_folder_takes_other_weights_and_classes(tmp_path: Path) -> None:
    vit(tmp_path, processor=PROCESSOR)
    net = vit(tmp_path / "other")
    path = saved(net, tmp_path / "other.safetensors")
    assert same(load(f"hf:{tmp_path}", weights=path, classes=["x", "y"]), net)
    with pytest.raises(BadWeights, match=r"other\.safetensors is for another network"):
        load(f"hf:{tmp_path}", weights=path, classes=TEN)


def test_a_network_without_a_trained_last_layer_is_refused(tmp_path: Path) -> None:
    net = vit(tmp_path)
    net.vit.save_pretrained(tmp_path)
    with pytest.raises(BadWeights, match=r"leave out classifier\.bias, .*would stay random"):
        load(f"hf:{tmp_path}")


def test_a_folder_that_holds_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="could not be built"):
        load(f"hf:{tmp_path}")


def test_the_wrong_number_of_classes_is_refused_where_none_are_trained_anew(tmp_path: Path) -> None:
    vit(tmp_path, processor=PROCESSOR)
    with pytest.raises(BadModel, match="has 2 classes and 10 are named"):
        load(f"hf:{tmp_path}", classes=TEN)


def test_a_size_that_the_network_refuses_is_found_at_once(tmp_path: Path) -> None:
    vit(tmp_path, processor=PROCESSOR)
    with pytest.raises(BadModel, match="refuses a picture of 3 x 32 x 32"):
        load(f"hf:{tmp_path}", size=32)


def test_the_global_random_numbers_are_left_where_they_were(tmp_path: Path) -> None:
    path = saved(torchvision_net(), tmp_path / "n.safetensors")
    before = torch.get_rng_state()
    load("torchvision:squeezenet1_1", weights=path)
    assert torch.equal(torch.get_rng_state(), before)
