"""Quantus's measures, with the settings of ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.operators import declare_missing

NOT_ITS_OWN = {
    "abs": False,
    "normalise": False,
    "return_aggregate": False,
    "disable_warnings": True,
    "display_progressbar": False,
}
WITH_ZERO = {"perturb_baseline": 0.0}


def make(
    name: str, options: dict[str, Any], net: nn.Module, x: Tensor, target: Tensor, maps: Tensor
) -> Callable[[int], Any]:
    """What is timed, once called with a seed: Quantus's answer, as it gives it.

    All pictures in one batch, which is its default size. Scores are asked before the softmax, as ours are.
    """
    declare_missing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantus
    given = dict(options)
    regions = given.pop("regions", None)
    if given.pop("uniform", None):
        given["perturb_func"] = quantus.perturb_func.batch_uniform_noise
    if given.pop("spearman", None):
        given["similarity_func"] = quantus.similarity_func.correlation_spearman
    call = {
        "model": net,
        "x_batch": x.numpy(),
        "y_batch": target.numpy(),
        "softmax": False,
        "device": "cpu",
        "batch_size": len(x),
        "channel_first": True,
    }
    if regions is not None:
        call["s_batch"] = regions.numpy()[:, None]

    def run(seed: int) -> Any:
        np.random.seed(seed)  # the generator that it draws from
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measure = getattr(quantus, name)(**NOT_ITS_OWN, **given)
            return measure(**call, a_batch=maps.numpy().copy(), explain_func=_gradient)

    return run


def _gradient(model: nn.Module, inputs: Any, targets: Any, **_rest: Any) -> Any:
    """The gradient of the score, which is the method that is disturbed."""
    x = torch.as_tensor(np.asarray(inputs), dtype=torch.float32).requires_grad_()
    wanted = torch.as_tensor(np.asarray(targets), dtype=torch.int64)
    score = model(x).gather(1, wanted[:, None]).sum()
    return torch.autograd.grad(score, x)[0].numpy()
