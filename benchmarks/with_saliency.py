"""saliency (PAIR) for the same maps: NumPy arrays, one row at a time.

SmoothGrad takes its draws singly; `batch` is of a path's steps, and None is its default, 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import saliency.core as saliency
import torch
from torch import Tensor

from benchmarks.networks import Case
from benchmarks.tasks import Task


def make(case: Case, task: Task, batch: int | None) -> Callable[[int], Tensor]:
    """A seed to maps (N, *S)."""
    x = case.x.cpu().numpy()
    targets = [int(index) for index in case.target]

    def run(seed: int) -> Tensor:
        np.random.seed(seed)
        maps = [_map(case, task, batch, row, target) for row, target in zip(x, targets, strict=True)]
        return torch.from_numpy(np.stack(maps)).float()

    return run


def _map(case: Case, task: Task, batch: int | None, row: np.ndarray, target: int) -> np.ndarray:
    if task.method == "integrated_gradients":
        path = saliency.IntegratedGradients()
        options = {} if batch is None else {"batch_size": batch}
        return path.GetMask(row, _model(case, target), x_steps=task.samples, **options)
    spread = case.std(task) / float(row.max() - row.min())
    gradient = saliency.GradientSaliency()
    return gradient.GetSmoothedMask(
        row, _model(case, target), stdev_spread=spread, nsamples=task.samples, magnitude=False
    )


def _model(case: Case, target: int) -> Callable[..., dict[str, np.ndarray]]:
    """What saliency asks for: rows in, the gradient of the score out, both as arrays."""

    def call(rows: np.ndarray, **_what_is_expected: object) -> dict[str, np.ndarray]:
        inputs = torch.tensor(rows, dtype=torch.float32, device=case.x.device, requires_grad=True)
        score = case.net(inputs)[:, target].sum()
        (gradient,) = torch.autograd.grad(score, inputs)
        return {saliency.INPUT_OUTPUT_GRADIENTS: gradient.cpu().numpy()}

    return call
