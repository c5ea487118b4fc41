"""A penalty on the gradient of the scores: networks trained with it have calmer maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smoothgrad.errors import BadInput, NotDifferentiable


def gradient_penalty(scores: Tensor, x: Tensor, labels: Tensor) -> Tensor:
    """Mean over the rows of  || d loss / dx ||^2,  the loss being the cross entropy: to be added to a loss, times a weight.

    Scores (N, K) that were computed from rows x (N, *S) with `x.requires_grad_()`, classes (N,). The answer is one number, at least
    zero, through which the weights can be differentiated. Double backpropagation (Drucker, LeCun 1992; Ross, Doshi-Velez 2018).
    Raises `BadInput` for shapes that do not go together, `NotDifferentiable` where the scores do not come from x.

    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> gradient_penalty(torch.stack([x.sum(1), -x.sum(1)], 1), x, torch.tensor([1]))  # 2 (2 p0)^2
    tensor(7.9605, grad_fn=<MeanBackward0>)
    """
    if scores.ndim != 2 or not len(scores) == len(x) == len(labels):
        shapes = ", ".join(str(tuple(held.shape)) for held in (scores, x, labels))
        raise BadInput(f"gradient_penalty takes scores (N, K), rows (N, *S) and classes (N,), got {shapes}")
    if not (x.requires_grad and scores.requires_grad):
        raise NotDifferentiable(
            "gradient_penalty needs scores computed from x; call x.requires_grad_() before the network"
        )
    # The sum, whose gradient is that of each row by its own loss, but for what batch norm in training mixes.
    loss = F.cross_entropy(scores, labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, x, create_graph=True, allow_unused=True)
    if slope is None:
        raise NotDifferentiable(
            "gradient_penalty got scores that do not come from this x; pass the tensor that the network took"
        )
    return slope.flatten(1).square().sum(1).mean()
