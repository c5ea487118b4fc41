"""The door: check, search, and keep what was seen on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from smoothgrad.checks import check_dtype, check_model, check_rows, check_seed, device_of, without_history
from smoothgrad.core.ambient import stepwise
from smoothgrad.core.ask import views
from smoothgrad.errors import BadInput, BadMethod
from smoothgrad.features.deep_dream import resized
from smoothgrad.features.maximization import ActivationMaximization
from smoothgrad.features.result import Dream
from smoothgrad.features.search import Frame, Search
from smoothgrad.features.space import CodeSpace
from smoothgrad.models.fingerprint import fingerprint
from smoothgrad.models.network import Network


def dream(
    model: nn.Module,
    search: Search,
    x: Tensor | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    rows: int = 1,
    seed: int = 0,
    frames: int = 32,
    progress: Callable[[Frame], object] | None = None,
) -> Dream:
    """What a network wants to see: pictures that make an objective large, found by a search.

    Args:
        model: a `torch.nn.Module` in eval mode, or a `Network` from `load`; it is left as found.
        search: `ActivationMaximization(objective, ...)`, which begins where its `start` says, or `DeepDream(objective, ...)`.
        x: for DeepDream, the pictures (N, C, H, W) to begin with.
        shape: for ActivationMaximization, the shape S of one picture; not needed for a `Network` or with a `CodeSpace`.
        rows: for ActivationMaximization, how many pictures to look for at once; with `Classes(range(10))` one of each class.
        seed: of all chance: noise to start from, jitter. The same seed gives the same pictures.
        frames: how many pictures to keep of the way, evenly, the first and the last among them.
        progress: called with each `Frame`.

    Returns:
        A `Dream`: the pictures, the objective over the steps, the frames, the recipe and the seed.

    Raises:
        SmoothGradError: `BadMethod`, `BadTarget`, `BadInput`, `UnknownName` for a layer, `ModelInTraining`, `NotDifferentiable`;
            `NonFinite` where the climb leaves all bounds.

    >>> import smoothgrad as sg
    >>> from smoothgrad.features import ActivationMaximization, dream
    >>> seen = dream(sg.load("digits"), ActivationMaximization(3, steps=4))
    >>> seen.pictures.shape, seen.values.shape
    (torch.Size([1, 1, 8, 8]), torch.Size([5, 1]))
    """
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise BadInput(f"frames is {frames!r}; give how many pictures to keep of the way, at least 1")
    begun = _begun(model, search, x, shape, rows, seed)
    kept: list[Frame] = []
    values: list[Tensor] = []
    wanted = _evenly(search.total, frames)
    for frame in stepwise(search.frames(model, begun, seed), begun.device):
        if progress is not None:
            progress(frame)
        values.append(frame.value.cpu())
        if frame.step in wanted:
            kept.append(frame)
    network = next((view for view in views(model) if isinstance(view, Network)), None)
    return Dream(
        pictures=kept[-1].picture.cpu(),
        values=torch.stack(values),
        frames=torch.stack([_full(frame.picture, begun).cpu() for frame in kept]),
        steps=tuple(frame.step for frame in kept),
        recipe=repr(search),
        seed=seed,
        provenance={"model": getattr(model, "name", type(model).__name__), "fingerprint": fingerprint(model)},
        preprocessing=None if network is None else network.preprocessing,
    )


def live(
    model: nn.Module,
    search: Search,
    x: Tensor | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    rows: int = 1,
    seed: int = 0,
) -> Iterator[Frame]:
    """The same as `dream`, as a generator of its frames: one before the first step, and one after each.

    >>> import smoothgrad as sg
    >>> from smoothgrad.features import ActivationMaximization, live
    >>> [frame.step for frame in live(sg.load("digits"), ActivationMaximization(3, steps=4))]
    [0, 1, 2, 3, 4]
    """
    begun = _begun(model, search, x, shape, rows, seed)
    return stepwise(search.frames(model, begun, seed), begun.device)


def _begun(
    model: nn.Module, search: Search, x: Tensor | None, shape: tuple[int, ...] | None, rows: int, seed: int
) -> Tensor:
    """What the search begins with, (N, *S), on the model's device. Raises what does not go together."""
    check_model(model)
    check_seed(seed)
    if not isinstance(search, Search):
        raise BadMethod(f"the search is {search!r}; give ActivationMaximization(...) or DeepDream(...)")
    name = type(search).__name__
    if search.from_picture:
        if x is None:
            raise BadInput(f"{name} begins with pictures, and none is given; pass x (N, C, H, W)")
        check_rows(x, layer=False)
        check_dtype(model, (x,))
        return without_history(x).to(device_of(model, x))
    if x is not None:
        raise BadMethod(f"{name} begins where its start says; in place of x, give it start=FromPicture(x)")
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise BadInput(f"rows is {rows!r}; give how many pictures to look for, at least 1")
    like = next((part for part in model.parameters() if part.is_floating_point()), torch.zeros(()))
    empty = torch.zeros((), dtype=like.dtype, device=device_of(model, like))
    return empty.new_zeros(rows, *_shape(model, search, shape, empty))


def _shape(model: nn.Module, search: Search, shape: tuple[int, ...] | None, like: Tensor) -> torch.Size:
    """Of one picture: as it is given, or as the network or the generator has it."""
    if shape is not None:
        if not shape or min(shape) < 1:
            raise BadInput(f"the shape of a picture is {shape}; give that of one row, such as (3, 224, 224)")
        return torch.Size(shape)
    for view in views(model):
        if isinstance(view, Network) and view.preprocessing.size is not None:
            return torch.Size([view.preprocessing.channels, *view.preprocessing.size])
    if isinstance(search, ActivationMaximization) and isinstance(search.space, CodeSpace):
        return search.space.made(like)
    raise BadInput(
        f"what pictures {type(model).__name__} takes is not known; give the shape of one, such as shape=(3, 224, 224)"
    )


def _evenly(total: int, frames: int) -> set[int]:
    """Which of the steps 0 to `total` to keep: the last, the first, and others between them at even distances.

    >>> sorted(_evenly(10, 3)), sorted(_evenly(2, 32)), _evenly(10, 1)
    ([0, 5, 10], [0, 1, 2], {10})
    """
    if frames == 1:
        return {total}
    count = min(frames, total + 1)
    return {round(number * total / (count - 1)) for number in range(count)}


def _full(picture: Tensor, begun: Tensor) -> Tensor:
    """An octave in the size of the whole."""
    return picture if picture.shape == begun.shape else resized(picture, (int(begun.shape[-2]), int(begun.shape[-1])))
