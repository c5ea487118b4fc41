"""zennit's attributors for the same maps. They take one draw, or one step, of all rows at a time: there is no batch to choose.

Its SmoothGrad leaves the last of the n draws without noise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from zennit.attribution import IntegratedGradients, SmoothGrad
from zennit.composites import GuidedBackprop

from benchmarks.networks import Case
from benchmarks.tasks import Task


def make(case: Case, task: Task, _batch: int | None) -> Callable[[int], Tensor]:
    """A seed to maps (N, *S)."""

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        with _attributor(case, task) as attributor:
            _, maps = attributor(case.x.clone().requires_grad_(), lambda output: _one_hot(output, case.target))
        return maps.detach()

    return run


def _attributor(case: Case, task: Task) -> SmoothGrad | IntegratedGradients:
    if task.method == "integrated_gradients":
        return IntegratedGradients(case.net, n_iter=task.samples)
    composite = GuidedBackprop() if task.method == "guided" else None
    flat = case.x.flatten(1)
    # Its noise level is a fraction of each row's range: one per row makes the noise what the others add.
    level = (case.std(task) / (flat.amax(1) - flat.amin(1))).view(-1, *([1] * (case.x.ndim - 1)))
    return SmoothGrad(case.net, composite, noise_level=level, n_iter=task.samples)


def _one_hot(output: Tensor, target: Tensor) -> Tensor:
    return torch.zeros_like(output).scatter_(1, target[:, None], 1.0)
