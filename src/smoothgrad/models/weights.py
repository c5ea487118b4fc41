"""Files of weights: read without running code in them, and fitted to a network or refused, saying why."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from smoothgrad.errors import BadWeights

# What training scripts call the weights inside a checkpoint, and what wrappers put before their names.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights")
_PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
# What reading damaged bytes as a checkpoint leads to.
_DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    EOFError,
    struct.error,
)
_CONVERT = (
    "where you trust the file, convert it once: read it with torch.load(path, weights_only=False) and write the "
    "state_dict in it with safetensors.torch.save_file"
)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch checkpoint, by name.

    A checkpoint is read with `weights_only=True`, so that no code in it runs; the usual wrappers around the
    weights ("state_dict", "model") are taken off. Raises `BadWeights`.
    """
    path = Path(path)
    if not path.is_file():
        raise BadWeights(f"there is no file of weights {path}; check the path")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise BadWeights(f"{path} is no safetensors file, or is damaged ({error}); get it again") from error
    return _tensors(_read_checkpoint(path), path)


def fit_weights(net: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy the tensors into the network; all must fit, or `BadWeights` names the first that do not."""
    own = net.state_dict()
    state = _without_prefix(state, own)
    reshaped = [name for name in state if name in own and state[name].shape != own[name].shape]
    if reshaped:
        shapes = [f"{n} {tuple(state[n].shape)} where the network has {tuple(own[n].shape)}" for n in reshaped]
        raise BadWeights(
            f"{path} is for another network: {_first(shapes)}; "
            "if it is fine-tuned to other classes, give their names (classes), else name the right network"
        )
    try:
        # Not strict: this leaves it to the modules what they miss, since some can read older names.
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise BadWeights(f"{path} does not fit the network: {error}") from error
    if missing or unexpected:
        parts = [f"without {_first(missing)}"] * bool(missing) + [f"with {_first(unexpected)}"] * bool(unexpected)
        raise BadWeights(f"{path} is for another network: it comes {', and '.join(parts)}; name the right network")


def _read_checkpoint(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # What torch warns of here either does no harm or is an error a moment later.
            warnings.simplefilter("ignore", UserWarning)
            checkpoint: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise BadWeights(
                f"{path} holds more than tensors and would run code when read, so it was not read; {_CONVERT}"
            ) from error
        raise BadWeights(f"{path} is no file of weights, or is damaged; get it again") from error
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0]
        raise BadWeights(f"{path} is no file of weights, or is damaged ({reason}); get it again") from error
    return checkpoint


def _tensors(checkpoint: object, path: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint, without what training scripts store around them."""
    while isinstance(checkpoint, Mapping):
        inner = next((checkpoint[key] for key in _WRAPPERS if isinstance(checkpoint.get(key), Mapping)), None)
        if inner is None:
            break
        checkpoint = inner
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        raise BadWeights(f"{path} holds a {type(checkpoint).__name__}, not weights by name; save net.state_dict()")
    others = [str(name) for name, value in checkpoint.items() if not isinstance(value, Tensor)]
    if others:
        raise BadWeights(f"{path} holds {_first(others)}, which is no tensor; save net.state_dict()")
    return {str(name): value for name, value in checkpoint.items()}


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The names without what data parallel training, compiling or a wrapper put before them."""
    for prefix in _PREFIXES:
        wrapped = bool(state) and all(name.startswith(prefix) for name in state)
        if wrapped and not any(name.startswith(prefix) for name in own):
            return _without_prefix({name.removeprefix(prefix): value for name, value in state.items()}, own)
    return state


def _first(names: list[str]) -> str:
    """The first few of many."""
    few = ", ".join(names[:3])
    return few if len(names) <= 3 else f"{few} and {len(names) - 3} more"
