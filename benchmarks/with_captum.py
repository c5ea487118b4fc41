"""captum's classes for the same maps. `batch`: perturbations in one model call; None is its default, all at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import GuidedBackprop, IntegratedGradients, NoiseTunnel, Saliency
from torch import Tensor

from benchmarks.networks import Case
from benchmarks.tasks import Task


def make(case: Case, task: Task, batch: int | None) -> Callable[[int], Tensor]:
    """A seed to maps (N, *S)."""
    ask = {"smoothgrad": _smoothgrad, "integrated_gradients": _path, "guided": _guided, "nested_ig": _nested}[
        task.method
    ]

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        maps: Tensor = ask(case, task, batch)
        return maps.detach()

    return run


def _smoothgrad(case: Case, task: Task, batch: int | None) -> Tensor:
    # abs=False: Saliency takes absolute values by default, and SmoothGrad's mean is of signed gradients.
    tunnel = NoiseTunnel(Saliency(case.net))
    return tunnel.attribute(case.x, target=case.target, abs=False, **_cloud(case, task, batch))


def _guided(case: Case, task: Task, batch: int | None) -> Tensor:
    return NoiseTunnel(GuidedBackprop(case.net)).attribute(case.x, target=case.target, **_cloud(case, task, batch))


def _path(case: Case, task: Task, batch: int | None) -> Tensor:
    rows = None if batch is None else batch * len(case.x)
    path = IntegratedGradients(case.net)
    return path.attribute(case.x, target=case.target, n_steps=task.samples, internal_batch_size=rows)


def _nested(case: Case, task: Task, batch: int | None) -> Tensor:
    # A batch here is whole paths: all the steps of `batch` // `steps` draws, or a part of the steps of one.
    draws = None if batch is None else max(1, batch // task.steps)
    rows = None if batch is None else batch * len(case.x)
    tunnel = NoiseTunnel(IntegratedGradients(case.net))
    return tunnel.attribute(
        case.x, target=case.target, n_steps=task.steps, internal_batch_size=rows, **_cloud(case, task, draws)
    )


def _cloud(case: Case, task: Task, batch: int | None) -> dict[str, object]:
    return {
        "nt_type": "smoothgrad",
        "nt_samples": task.samples,
        "nt_samples_batch_size": batch,
        "stdevs": case.std(task),
    }
