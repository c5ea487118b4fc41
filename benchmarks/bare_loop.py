"""The limit: forward and backward of the prepared network, noise drawn beforehand, gradients summed. No library around it.

It has malloc keep its memory as ours does, so that it is a limit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.networks import Case
from benchmarks.tasks import Task
from smoothgrad.engine import keep_heap
from smoothgrad.models.prepare import prepare


def make(case: Case, task: Task, batch: int | None) -> Callable[[int], Tensor]:
    """A seed to maps (N, *S). Preparing the network is outside the clock; the noise is the first seed's."""
    keep_heap()
    net = prepare(case.net, case.x)
    noise = case.std(task) * torch.randn(task.samples, *case.x.shape, device=case.x.device)  # (n, N, *S)

    def run(_seed: int) -> Tensor:
        total = torch.zeros_like(case.x)
        for chunk in noise.split(batch or 1):
            rows = (case.x + chunk).flatten(0, 1).requires_grad_()  # (k, N, *S) -> (k*N, *S)
            score = net(rows).gather(1, case.target.repeat(len(chunk))[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, rows)
            total += gradient.view(chunk.shape).sum(0)
        return total / len(noise)

    return run
