"""Training by a plan: an epoch at a time, so that progress is seen, and that a stopped training goes on where it was."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smoothgrad.errors import BadInput, BadWeights, NonFinite
from smoothgrad.files import write_aside
from smoothgrad.recipe import to_data
from smoothgrad.training.data import DataSet, Part
from smoothgrad.training.noise import AddNoise
from smoothgrad.training.penalty import gradient_penalty
from smoothgrad.training.plan import Plan

MOMENTUM = 0.9  # from which the cycle takes over
LEAST_STEPS = 5
EVALUATED = 500  # rows at a time


class Epoch(NamedTuple):
    """How far a training is."""

    number: int  # 1 for the first
    of: int
    loss: float  # mean over the epoch's steps


class Step(NamedTuple):
    """How far an epoch is."""

    epoch: int  # that is under way, 1 for the first
    done: int  # steps of the whole training
    of: int
    loss: float


Told = Callable[[Step], object]


def train(plan: Plan, data: DataSet, *, told: Told | None = None, keep: Path | None = None) -> nn.Module:
    """A network trained on the data's training part, in eval mode, its weights frozen from no generator but the plan's seed.

    `told` is called after each step. `keep`: a file that holds how far the training is after each epoch; a training that finds it
    goes on from there, and ends with the same weights as one that was not stopped. The caller removes it, once the weights are
    written. Raises `BadInput` where plan and data do not go together, `BadWeights` where the file is damaged or of another
    training, `NonFinite` where the loss is no longer a number.
    """
    net = plan.start(data.train.x.shape[1], len(data.classes))
    for _ in epochs(net, plan, data, told=told, keep=keep):
        pass
    return net.eval()


def untrained(plan: Plan, data: DataSet) -> nn.Module:
    """The network before its training, in eval mode, once a picture of the data went through it.

    So that what is wrong is said before any long work: raises `BadInput` where plan and data do not go together.
    """
    _check(plan, data)
    net = plan.start(data.train.x.shape[1], len(data.classes)).eval()
    try:
        with torch.no_grad():
            net(data.rows(data.train.x[:1]))
    except RuntimeError as error:
        height, width = data.train.x.shape[-2:]
        raise BadInput(
            f"{plan.network!r} does not take pictures of {height} x {width} pixels ({error}); halve the map less often"
        ) from error
    return net


def epochs(
    net: nn.Module, plan: Plan, data: DataSet, *, told: Told | None = None, keep: Path | None = None
) -> Iterator[Epoch]:
    """The training of `net`, in place, epoch by epoch; see `train`."""
    _check(plan, data)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.train()
    steps = len(data.train.labels) // plan.batch  # a last small batch would make batch norm noisy
    optimizer = torch.optim.SGD(net.parameters(), plan.rate, MOMENTUM, weight_decay=plan.decay, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.epochs * steps, pct_start=0.25
    )
    begun = 0 if keep is None else _go_on(keep, plan, data, net, optimizer, schedule)
    for number in range(begun, plan.epochs):
        with torch.random.fork_rng(devices=[]):
            # Each epoch has its own seed, so that one that is begun again draws what it drew.
            torch.manual_seed(int(hashlib.sha256(f"{plan.seed} {number}".encode()).hexdigest()[:12], 16))
            total = 0.0
            batches = torch.randperm(len(data.train.labels))[: steps * plan.batch].split(plan.batch)
            for place, chosen in enumerate(batches, 1):
                loss = _step(net, plan, data, chosen, optimizer)
                schedule.step()
                total += loss
                if told is not None:
                    told(Step(number + 1, number * steps + place, plan.epochs * steps, total / place))
        if keep is not None:
            _remember(keep, plan, data, number + 1, net, optimizer, schedule)
        yield Epoch(number + 1, plan.epochs, total / steps)


def accuracy(net: nn.Module, data: DataSet, part: Part) -> float:
    """The share of pictures whose highest score is that of their class."""
    right = 0
    with torch.no_grad():
        for x, labels in zip(part.x.split(EVALUATED), part.labels.split(EVALUATED), strict=True):
            right += int((net(data.rows(x)).argmax(1) == labels).sum())
    return right / len(part.labels)


def _check(plan: Plan, data: DataSet) -> None:
    """Raises `BadInput` for too few pictures or steps, and for a patch that reaches beyond them."""
    if len(data.train.labels) < plan.batch:
        raise BadInput(
            f"{data.name} has {len(data.train.labels)} pictures to train on, fewer than a batch of {plan.batch}; "
            "take smaller batches"
        )
    steps = plan.epochs * (len(data.train.labels) // plan.batch)
    if steps < LEAST_STEPS:
        raise BadInput(
            f"{plan.epochs} epochs of {len(data.train.labels)} pictures in batches of {plan.batch} are {steps} steps, too few for "
            f"the rate to rise and fall: it takes {LEAST_STEPS}; take more epochs or smaller batches"
        )
    if plan.patch is not None:
        plan.patch.region(data.train.x.shape)


def _step(net: nn.Module, plan: Plan, data: DataSet, chosen: Tensor, optimizer: torch.optim.Optimizer) -> float:
    x, labels = _shown(plan, data, data.train.x[chosen]), data.train.labels[chosen]
    if plan.penalty:
        x.requires_grad_()
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.arithmetic == "bfloat16"):
        scores = net(x).float()
    loss = F.cross_entropy(scores, labels, label_smoothing=plan.smoothing)
    if plan.penalty:
        loss = loss + plan.penalty * gradient_penalty(scores, x, labels)
    if not loss.isfinite():
        raise NonFinite(f"the loss has become {loss.item()} with {plan!r}; take a lower rate")
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


def _shown(plan: Plan, data: DataSet, x: Tensor) -> Tensor:
    """What the network is shown of pictures (N, C, H, W), bytes: moved, mirrored, under noise and the patch, as rows."""
    if plan.shift:
        x = _moved(x, plan.shift)
    if plan.mirror:
        turned = torch.rand(len(x)) < 0.5
        x[turned] = x[turned].flip(-1)
    values = AddNoise(plan.noise)(x.float() / 255)
    if plan.patch is not None:
        values = plan.patch(values)
    return data.scaled(values).contiguous(memory_format=torch.channels_last)


def _moved(x: Tensor, reach: int) -> Tensor:
    """Each picture moved by up to `reach` pixels each way; what comes in is black."""
    count, _, height, width = x.shape
    padded = F.pad(x, (reach,) * 4)
    down, across = torch.randint(0, 2 * reach + 1, (2, count, 1))
    rows, columns = down + torch.arange(height), across + torch.arange(width)  # (N, H), (N, W)
    picture = torch.arange(count)[:, None, None]
    # (N, H, W, C): an index on both sides of a slice puts what it chose first
    return padded[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _identity(plan: Plan, data: DataSet) -> str:
    """What a kept state belongs to."""
    in_full = hashlib.sha256(f"{to_data(plan)} {data.digest}".encode()).hexdigest()[:16]
    return f"{plan!r} on {data.name}, {tuple(data.train.x.shape)}, {in_full}"


def _remember(
    keep: Path,
    plan: Plan,
    data: DataSet,
    done: int,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    state = {
        "of": _identity(plan, data),
        "done": done,
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    write_aside(keep, partial(torch.save, state))


def _go_on(
    keep: Path,
    plan: Plan,
    data: DataSet,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """How many epochs are done, with everything as it was after them."""
    if not keep.is_file():
        return 0
    try:
        state = torch.load(keep, weights_only=True)
        of = state["of"]
    except _DAMAGED as error:
        raise _damaged(keep, error) from error
    if of != _identity(plan, data):
        raise BadWeights(f"{keep} is of another training: {of}; remove it, or keep this one elsewhere")
    try:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        return int(state["done"])
    except _DAMAGED as error:
        raise _damaged(keep, error) from error


# What PyTorch raises for files that it did not write, or not whole.
_DAMAGED = (OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, EOFError, pickle.UnpicklingError)


def _damaged(keep: Path, error: Exception) -> BadWeights:
    return BadWeights(f"{keep} holds no training that was stopped, or is damaged ({error}); remove it")
