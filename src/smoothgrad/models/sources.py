"""Where networks come from: timm, torchvision and transformers, each with what it knows about its networks."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, final

import torch
from torch import nn

from smoothgrad.errors import BadModel, BadWeights, MissingPackage, SmoothGradError, UnknownName, nearest, need
from smoothgrad.models.network import Network
from smoothgrad.models.preprocessing import INTERPOLATIONS, Preprocessing
from smoothgrad.models.weights import fit_weights, read_weights


@final
@dataclass(frozen=True)
class Asked:
    """What the user said about the network, and what decides how it is built."""

    weights: Path | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None


def from_timm(name: str, asked: Asked) -> Network:
    """A network of timm, with the preprocessing of its data configuration."""
    timm = _imported("timm", extra="timm")
    elsewhere = name.startswith(("hf-hub:", "hf_hub:", "local-dir:"))
    if not elsewhere and not timm.is_model(name):
        raise UnknownName(f"timm has no network {name!r}; {nearest(name, timm.list_models())}")
    if not elsewhere and asked.weights is None and not timm.is_model_pretrained(name):
        raise BadWeights(f"timm has no weights for {name}; give a file of them (weights)")
    options: dict[str, Any] = {}
    if asked.weights is not None and asked.classes is not None:
        options["num_classes"] = len(asked.classes)
    if asked.size is not None and not elsewhere and timm.get_pretrained_cfg(name).fixed_input_size:
        options["img_size"] = asked.size
    with _building(f"timm:{name}", downloads=asked.weights is None):
        net = timm.create_model(name, pretrained=asked.weights is None, **options)
    _fit(net, asked.weights)
    # Thousand-class networks get torchvision's short names, rather than timm's lists of synonyms.
    subset = timm.data.infer_imagenet_subset(net)
    if subset == "imagenet-1k":
        classes = _imagenet_names()
    else:
        classes = tuple(timm.data.ImageNetInfo(subset).label_descriptions()) if subset else ()
    preprocessing = _timm_preprocessing(timm.data.resolve_model_data_config(net))
    return Network(net, name=name, classes=classes, preprocessing=preprocessing)


def from_torchvision(name: str, asked: Asked) -> Network:
    """A classifier of torchvision. Its default weights tell the preprocessing and the classes, whichever are used."""
    models = _imported("torchvision.models", extra="torchvision")
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownName(f"torchvision has no classifier {name!r}; {nearest(name, known)}")
    default = models.get_model_weights(name).DEFAULT
    options: dict[str, Any] = {}
    if asked.weights is not None:
        options["num_classes"] = len(asked.classes or default.meta["categories"])
        if name in ("googlenet", "inception_v3"):
            # As torchvision does with weights of its own, which expect another scale.
            options |= {"transform_input": True, "init_weights": False}
    if asked.size is not None and name.startswith("vit_"):
        options["image_size"] = asked.size[0]
    with _building(f"torchvision:{name}", downloads=asked.weights is None):
        net = models.get_model(name, weights=default if asked.weights is None else None, **options)
    _fit(net, asked.weights)
    shown = default.transforms()
    preprocessing = Preprocessing(
        size=(shown.crop_size[0], shown.crop_size[0]),
        resize=shown.resize_size[0],
        interpolation=shown.interpolation.value,
        mean=tuple(shown.mean),
        std=tuple(shown.std),
    )
    return Network(net, name=name, classes=tuple(default.meta["categories"]), preprocessing=preprocessing)


def from_hugging_face(name: str, asked: Asked) -> Network:
    """An image classifier for transformers, from the hub or a folder, with its image processor's settings.

    Code that comes with a network is not run. Where there are no settings of an image processor, ImageNet's
    are used at the size of the network's configuration.
    """
    transformers = _imported("transformers", extra="hf")
    if not Path(name).is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UnknownName(f"there is no folder {name} for hf:{name}; check the path, or name ORG/NAME on the hub")
    with _building(f"hf:{name}", downloads=not Path(name).is_dir()):
        config = transformers.AutoConfig.from_pretrained(name)
        if asked.classes is not None and asked.weights is not None:
            config.num_labels = len(asked.classes)
        auto = transformers.AutoModelForImageClassification
        if asked.weights is None:
            net, info = auto.from_pretrained(name, config=config, output_loading_info=True)
            missing = sorted(info["missing_keys"])
            if missing:
                raise BadWeights(
                    f"the weights of hf:{name} leave out {', '.join(missing[:3])}, which would stay random; "
                    "name a network trained as an image classifier"
                )
        else:
            net = auto.from_config(config)
        processor = transformers.utils.cached_file(
            name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
        )
    _fit(net, asked.weights)
    channels, size = getattr(config, "num_channels", 3), getattr(config, "image_size", 224)
    try:
        settings = json.loads(Path(processor).read_text(encoding="utf-8")) if processor else {"size": size}
        preprocessing = _processor_preprocessing(settings, channels, name)
    except SmoothGradError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise BadModel(
            f"the image processor of hf:{name} has settings that are not understood ({error!r}); "
            "load the network by a file.py:function"
        ) from error
    names = tuple(str(config.id2label[index]) for index in sorted(config.id2label))
    given = any(label != f"LABEL_{index}" for index, label in enumerate(names))
    return Network(net, name=name, classes=names if given else (), preprocessing=preprocessing)


def _timm_preprocessing(data: Mapping[str, Any]) -> Preprocessing:
    channels, height, width = data["input_size"]
    whole = math.floor(height / data["crop_pct"]), math.floor(width / data["crop_pct"])
    return Preprocessing(
        channels=channels,
        size=(height, width),
        resize=whole if data["crop_mode"] == "squash" else min(whole),
        interpolation=data["interpolation"],
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
    )


def _processor_preprocessing(settings: Mapping[str, Any], channels: int, name: str) -> Preprocessing:
    """An image processor's settings: stretched to `size`, or scaled to the shorter edge and cut to `crop_size`."""
    if settings.get("do_flip_channel_order"):
        raise BadModel(
            f"hf:{name} expects pictures with blue first, which is not supported; load it by a file.py:function"
        )
    edge = settings.get("size", 224)
    edges = dict(edge) if isinstance(edge, Mapping) else {"height": edge, "width": edge}
    shorter = edges.get("shortest_edge")
    resize: int | tuple[int, int] | None
    if shorter is None:
        resize = size = (int(edges["height"]), int(edges["width"]))
    else:
        resize, size = int(shorter), (int(shorter), int(shorter))
    if "crop_pct" in settings and shorter is not None:
        # ConvNeXt's rule: below 384 pixels with a margin that is cut off, above that stretched.
        resize = int(shorter / (settings["crop_pct"] or 224 / 256)) if shorter < 384 else size
    elif settings.get("do_center_crop", "crop_size" in settings):
        cut = settings["crop_size"]
        size = (int(cut["height"]), int(cut["width"])) if isinstance(cut, Mapping) else (int(cut), int(cut))
    if not settings.get("do_resize", True):
        resize = None
    # x = (255 f v - mean) / std  with factor f: the same as v less mean / (255 f), divided by std / (255 f).
    white = 255 * settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 255.0
    plain = not settings.get("do_normalize", True)
    mean = [0.0] * channels if plain else settings.get("image_mean", Preprocessing().mean)
    std = [1.0] * channels if plain else settings.get("image_std", Preprocessing().std)
    # Pillow's numbers for the ways to interpolate.
    pillow = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
    assert set(pillow) == set(INTERPOLATIONS)
    return Preprocessing(
        channels=channels,
        size=size,
        resize=resize,
        interpolation=pillow[settings.get("resample", 2)],
        mean=tuple(number / white for number in mean),
        std=tuple(number / white for number in std),
    )


def _imagenet_names() -> tuple[str, ...]:
    models = _imported("torchvision.models", extra="torchvision")
    return tuple(models.get_model_weights("resnet50").DEFAULT.meta["categories"])


def _fit(net: nn.Module, weights: Path | None) -> None:
    if weights is not None:
        fit_weights(net, read_weights(weights), weights)


@contextmanager
def _building(name: str, *, downloads: bool) -> Iterator[None]:
    """Leaves the caller's stream of random numbers alone, and turns what libraries raise into one clear error."""
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except (BadWeights, MissingPackage):
        raise
    except ImportError as error:
        raise _not_importing(name, error) from error
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        if downloads:
            raise BadWeights(
                f"the weights of {name} could not be had: {reason}; check the name and the connection, or "
                "give a file of weights (weights)"
            ) from error
        raise BadModel(f"{name} could not be built: {reason}") from error


def _imported(module: str, *, extra: str) -> ModuleType:
    """An optional module, or an error that says why it does not import."""
    try:
        return need(module, extra=extra)
    except MissingPackage:
        raise
    except (ImportError, RuntimeError, OSError) as error:
        raise _not_importing(module.partition(".")[0], error) from error


def _not_importing(what: str, error: BaseException) -> BadModel:
    """What to do about a package that is there and does not import; the first cause says most."""
    while error.__cause__ is not None:
        error = error.__cause__
    return BadModel(
        f"{what} needs packages that do not import ({error}); most often torchvision was built for another torch: "
        f"install the torchvision that belongs to torch {torch.__version__}"
    )
