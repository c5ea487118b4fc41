"""Private copies of a network in which layers have lost what they learned."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from smoothgrad.core.ask import called, network_in, output_of
from smoothgrad.core.copies import frozen_copy
from smoothgrad.core.noise import mix, normal, salted
from smoothgrad.core.query import Query
from smoothgrad.errors import UnsupportedModel
from smoothgrad.rules.rule import refuse_closed


def open_copy(model: nn.Module, asker: object) -> nn.Module:
    """A frozen copy of a view and the network in it, whose layers can be reached.

    Raises `UnsupportedModel`, in the name of the asker.
    """
    refuse_closed(network_in(model), "layers", asker)
    return frozen_copy(model)


def layers_from_the_top(twin: nn.Module, query: Query) -> list[str]:
    """The layers with something learned that the score depends on, by name, from the output down to the input.

    A layer is a module with parameters, or running statistics, of its own. They stand in the order in which they are called, one
    that is called often where it is called last; one whose weights are used without a call, below the module that it is a part of.
    `twin` is a frozen copy, which is called on the first row; its parameters are frozen again. Raises `UnsupportedModel`.
    """
    network = network_in(twin)
    parts = dict(network.named_modules())
    calls: dict[str, None] = {}
    normed: dict[str, Tensor] = {}
    weights = [weight for weight in twin.parameters() if weight.is_floating_point()]
    for weight in weights:
        weight.requires_grad_()
    with ExitStack() as hooks:
        for name, module in parts.items():
            for hook in _watching(module, name, calls, normed):
                hooks.callback(hook.remove)
        with torch.enable_grad():
            row = query.rows(slice(0, query.twins))
            row = row.with_x(row.x.detach().clone().requires_grad_())
            score = row.scores(output_of(twin, row)).sum()
            seen = [*weights, *normed.values()]
            # A score that cannot be differentiated does not say what it depends on: then all weights count.
            found = torch.autograd.grad(score, seen, allow_unused=True) if seen and score.requires_grad else seen
    twin.requires_grad_(False)
    used = {id(part) for part, gradient in zip(seen, found, strict=True) if gradient is not None}

    order = {name: number for number, name in enumerate(calls)}

    def place(name: str) -> int:
        while name not in order and name:
            name = name.rpartition(".")[0]
        return order.get(name, -1)

    def learned(name: str) -> list[Tensor]:
        return [*_own(parts[name]).values(), *([normed[name]] if name in normed else [])]

    layers = [name for name in parts if any(id(part) in used for part in learned(name))]
    if not layers:
        raise UnsupportedModel(
            f"{called(twin)} has no parameters that the score depends on, so that nothing in it can be randomised; make the "
            "tensors that it learned parameters (nn.Parameter)"
        )
    return sorted(layers, key=place)[::-1]  # the sort is stable: parts come after what they are parts of


def rows_by_layers(twin: nn.Module, query: Query) -> dict[tuple[str, ...], list[int]]:
    """The rows, by number, that each list of layers is that of (`layers_from_the_top`). Each row is asked by itself.

    A network may lead rows through different layers: which ones a row has must not depend on the others.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(query)):
        found.setdefault(tuple(layers_from_the_top(twin, query.rows(slice(row, row + 1)))), []).append(row)
    return found


@torch.no_grad()
def randomise(twin: nn.Module, name: str, seed: int) -> None:
    """Fresh numbers for what a layer itself holds, by its own `reset_parameters`; statistics of norms are reset with it.

    A parameter that this leaves as it was, as where the layer has no initialiser, gets normal numbers of the mean and standard
    deviation that its values have; equal numbers stay. All depend on the seed, the name of the layer, and nothing else: they
    are drawn on the CPU, from a stream of their own, in float32, and rounded to the layer's dtype.
    """
    layer = network_in(twin).get_submodule(name)
    fresh = copy.deepcopy(layer).to("cpu", torch.float32)
    before = {own: weight.clone() for own, weight in _own(fresh).items()}
    held = {own: buffer.clone() for own, buffer in fresh._buffers.items() if buffer is not None}
    reset = getattr(fresh, "reset_parameters", None) or getattr(fresh, "_reset_parameters", None)
    if callable(reset):
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would seed the generators of all other devices, too.
            torch.default_generator.manual_seed(int(_key(seed, name)) & (1 << 63) - 1)
            reset()
    made = _own(fresh)
    for own, weight in _own(layer).items():
        untouched = torch.equal(made[own], before[own])
        weight.copy_(_alike(weight.cpu(), _key(seed, f"{name}.{own}")) if untouched else made[own])
    for own, buffer in layer._buffers.items():
        remade = fresh._buffers.get(own)
        # What was not reset stays as it is, to the last bit of a wider dtype.
        if buffer is not None and remade is not None and not torch.equal(remade, held[own]):
            buffer.copy_(remade)


@torch.no_grad()
def restore(twin: nn.Module, model: nn.Module, name: str) -> None:
    """Give a layer back what it holds in the model that the twin is a copy of."""
    layer, original = (network_in(part).get_submodule(name) for part in (twin, model))
    for own, learned in chain(original._parameters.items(), original._buffers.items()):
        if learned is not None:
            held: Tensor = getattr(layer, own)
            held.copy_(learned)


def _own(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point parameters that a module holds itself."""
    return {
        name: weight for name, weight in module._parameters.items() if weight is not None and weight.is_floating_point()
    }


def _watching(
    module: nn.Module, name: str, calls: dict[str, None], normed: dict[str, Tensor]
) -> Iterator[RemovableHandle]:
    """Hooks that note when a module is called, and what a norm without parameters answers."""

    def begins(_module: nn.Module, _inputs: object) -> None:
        calls.pop(name, None)  # so that it stands where it was called last
        calls[name] = None

    def ends(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            normed[name] = output

    yield module.register_forward_pre_hook(begins)
    if not _own(module) and getattr(module, "running_mean", None) is not None:
        yield module.register_forward_hook(ends)


def _alike(values: Tensor, key: Tensor) -> Tensor:
    """Normal numbers of the mean and the standard deviation that the values have."""
    std, mean = torch.std_mean(values.double(), correction=0)
    return (mean + std * normal(key, range(1), values.shape)[0, 0].double()).to(values.dtype)


def _key(seed: int, name: str) -> Tensor:
    """(1,) for a layer, or a parameter, by its name."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)
    keys = salted(torch.tensor([seed], device="cpu"), "sanity")
    return mix(keys, torch.full_like(keys, digest))
