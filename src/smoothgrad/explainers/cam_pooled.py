"""The class activation map of networks that average over positions and are linear from there: CAM itself, which needs no layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from smoothgrad.core.ask import at_output, called, in_chunks
from smoothgrad.core.explainer import Explainer, Partial
from smoothgrad.core.moments import Estimate, count
from smoothgrad.core.query import Query
from smoothgrad.core.schedule import Schedule
from smoothgrad.errors import UnsupportedModel
from smoothgrad.explainers.cam import weighed
from smoothgrad.explainers.layers import check_rows, check_view
from smoothgrad.explainers.layout import grid_of
from smoothgrad.rules.linear import Linear, affine
from smoothgrad.rules.trace import ROWS, Place, Step, Trace, gradient, trace


@final
@dataclass(frozen=True, repr=False)
class Cam(Explainer):
    """CAM (Zhou et al. 2016):  sum_c w_c A_c,  A what is averaged over all positions, w the weights from there to the score.

    For networks s = b + sum_c w_c mean_p A_cp: global average pooling, and then only linear layers. Map (N, 1, *grid), signed,
    in units of the score: its mean is s - b. Of a class w is its row of the linear layer; of any other target, d s / d mean_p
    A.

    Whatever stands behind the last function with positions is read from a trace: which layer is pooled need not be said. Raises
    `UnsupportedModel` for networks of another form, and names the function that does not fit.
    """

    @property
    def passes(self) -> int:
        return 1

    @property
    def unit(self) -> str:
        return "score"

    def check(self, query: Query) -> None:
        check_rows(query)

    def partials(self, model: nn.Module, query: Query, schedule: Schedule) -> Iterator[Partial]:
        self.check(query)
        maps = in_chunks(query, schedule, lambda part: _class_map(model, part), timed=query.twins == 1)
        yield Partial(1, 1, lambda: Estimate(maps, None, count(maps, 1)))


def _class_map(model: nn.Module, query: Query) -> Tensor:
    check_view(model, query)
    seen = trace(model, query)
    place, message = seen.end, at_output(model, query, seen.result)
    while True:
        step = None if place == ROWS else seen.steps[place.step]
        pooled = None if step is None else _pooled(seen, step, query)
        if pooled is not None:
            weight = message.reshape(*pooled.shape[:2], *([1] * (pooled.ndim - 2)))
            return weighed(pooled.to(query.x.dtype), weight.to(query.x.dtype)).contiguous()
        if step is None or not _is_affine(step):
            raise UnsupportedModel(
                f"{called(model)} does not have the form that CAM needs, an average over positions and then only linear layers: "
                f"{'nothing is averaged' if step is None else f'on the way back from the score there is {step.where}'}; "
                "use grad_cam()"
            )
        arriving = [message if part == place.part else None for part in range(len(step.outputs))]
        ((place, message),) = gradient(seen, step, arriving).items()


def _pooled(seen: Trace, step: Step, query: Query) -> Tensor | None:
    """What a step averages, as maps (n, C, *grid), if it averages all their positions; None for other steps."""
    if not step.args or not isinstance(step.args[0], Place):
        return None
    value = seen.value(step.args[0])
    if step.name == "mean" and len(step.args) > 1 and step.args[1]:
        averaged = sorted(dim % value.ndim for dim in step.args[1])
    elif _pools_all(step, value):
        averaged = list(range(2, value.ndim))
    else:
        return None
    kept = [dim for dim in range(1, value.ndim) if dim not in averaged]
    if 0 in averaged or len(kept) != 1:
        return None
    size = tuple(query.shape[1:])
    grid: tuple[int, ...] | None = tuple(value.shape[dim] for dim in averaged)
    if len(averaged) != len(size):
        grid = grid_of(value[0].numel() // value.shape[kept[0]], size)
    return None if grid is None else value.movedim(kept[0], 1).reshape(len(value), -1, *grid)


def _pools_all(step: Step, value: Tensor) -> bool:
    """Average pooling, adaptive or with a kernel, to a single position, in which all others count alike."""
    if not step.name.removeprefix("_").startswith(("avg_pool", "adaptive_avg_pool")) or value.ndim < 3:
        return False
    if any(side != 1 for side in step.output.shape[2:]):
        return False
    if "adaptive" in step.name:
        return True
    kernel = [step.args[1]] if isinstance(step.args[1], int) else list(step.args[1])
    padding = step.args[3] if len(step.args) > 3 else 0
    unpadded = not any(padding) if isinstance(padding, list | tuple) else not padding
    return unpadded and kernel == list(value.shape[2:])


# Functions that only arrange values anew.
_ARRANGE = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "squeeze", "unsqueeze"),
    *("alias", "clone", "detach", "contiguous", "_to_copy", "permute", "transpose", "t"),
}
_SCALE = {"add", "sub", "rsub", "mul", "neg"}  # of one value and constants: affine


def _is_affine(step: Step) -> bool:
    """Is the one value that it reads only arranged anew, or put through an affine function?"""
    places = [leaf for leaf in tree_leaves((step.args, step.kwargs)) if isinstance(leaf, Place)]
    if len(places) != 1:
        return False
    if step.name == "div":
        return isinstance(step.args[0], Place)
    return step.name in _ARRANGE | _SCALE or Linear.of(step) is not None or affine(step) is not None
