"""The other half of a step's derivative: from changes of what it read to the change of what it answered."""

from __future__ import annotations

import torch
from torch import Tensor

from smoothgrad.rules.trace import Place, Step, aten


def push(step: Step, values: dict[Place, Tensor], tangents: dict[Place, Tensor]) -> tuple[Tensor | None, ...]:
    """The Jacobian-vector product of one step at the given values:  J t = sum over places of J_p t_p, for each output.

    A place without a tangent stands still. None for outputs that are not floating point. J t is the derivative of <J'u, t> by u,
    which torch knows for more functions than it knows J t itself.
    """
    with torch.enable_grad():
        leaves = {
            place: value.detach().requires_grad_() if place in tangents and value.is_floating_point() else value
            for place, value in values.items()
        }
        # `alias`: a function may answer its input itself, which is no leaf's function then.
        outputs = step.run({p: aten.alias.default(v) if v.requires_grad else v for p, v in leaves.items()})
        moving = {place: leaf for place, leaf in leaves.items() if leaf.requires_grad}
        return tuple(None if out is None else _pushed(out, moving, tangents) for out in outputs)


def _pushed(out: Tensor, leaves: dict[Place, Tensor], tangents: dict[Place, Tensor]) -> Tensor | None:
    if not out.is_floating_point():
        return None
    still = torch.zeros_like(out)
    if not out.requires_grad:
        return still.detach()
    u = still.detach().requires_grad_()
    pulled = torch.autograd.grad(out, list(leaves.values()), u, create_graph=True, allow_unused=True)
    along = [(back * tangents[place]).sum() for place, back in zip(leaves, pulled, strict=True) if back is not None]
    total = torch.stack(along).sum() if along else u.sum() * 0
    if not total.requires_grad:  # a gradient of zeros, whatever the message: of floor, sign, ...
        return still.detach()
    (pushed,) = torch.autograd.grad(total, u, allow_unused=True)
    return still.detach() if pushed is None else pushed.detach()
