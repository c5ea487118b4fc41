"""A layer inside a network: finding it, and reading what it answers for some rows and the gradient of their scores there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd

from smoothgrad.core.ask import called, network_in, output_of, views
from smoothgrad.core.channels import layer_without_maps
from smoothgrad.core.hooks import hooked
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadModel, NonFinite, NotDifferentiable, UnknownName, UnsupportedModel, nearest
from smoothgrad.explainers.layout import Layout, is_norm, layout_of, layout_of_named, stands_for_tokens
from smoothgrad.rules.rule import refuse_closed


class Reading(NamedTuple):
    """What was seen of a layer for n rows, as maps of its C channels on a grid such as (h, w)."""

    activation: Tensor  # (n, C, *grid)
    gradient: Tensor  # (n, C, *grid) of each row's score
    score: Tensor  # (n,)


def check_rows(query: Query) -> None:
    """Raises `BadInput` for rows other than pictures (C, H, W) and series (C, L)."""
    if len(query.shape) not in (2, 3):
        raise BadInput(
            f"class activation maps take pictures (C, H, W) and series (C, L), got rows of shape {tuple(query.shape)}; use a "
            "gradient method for these"
        )


def check_view(model: nn.Module, query: Query) -> None:
    """Raises `BadInput` where the rows are what a layer answers, at which the model is explained, and no maps of channels."""
    name = layer_without_maps(model, query)
    if name is not None:
        raise BadInput(
            f"layer {name!r} answers rows of shape {tuple(query.shape)}, which are no maps of channels (C, h, w) that another "
            "layer's map could be laid over; explain at a layer that answers such maps, or use a gradient method there"
        )


@final
class Layer:
    """The layer of a model that a run reads: the one of a name, or where that is None one that is found by the first call.

    Found is the last module, in order of execution, whose output has positions, (N, C, h, w), (N, h, w, C) or tokens, and on which
    the score depends. A block comes before what ends inside it. Adaptive pooling is passed over, which may bring a grid to another
    size, and so are modules that run twice. Of tokens only blocks and norms count; and where the score reads no more of a block's
    output than its class token, so that patches have no gradient there, it is the last norm whose patches do have one: in a vision
    transformer the first norm of the last block.

    The choice is made from what ran, the shapes of outputs, and which gradients vanish; it is the same for a prepared copy.
    """

    def __init__(self, model: nn.Module, name: str | None, method: object) -> None:
        self.model = model
        self.network = network_in(model)
        refuse_closed(self.network, "layers", method)
        self.name = name
        if name is not None:
            self._check_name(name)

    def read(self, query: Query) -> Reading:
        """Activation, gradient and score for the rows, all in one call of the model: two where the layer is to be found and the
        network overwrites its output in place. Raises `BadModel`, `NotDifferentiable`, `NonFinite`."""
        check_view(self.model, query)
        x = query.x.detach().requires_grad_()
        if self.name is not None:
            return self._read(self.name, query.with_x(x))
        found = self._find(query.with_x(x))
        return found if found is not None else self.read(query)

    def look(self, query: Query) -> tuple[Tensor, Tensor]:
        """Activation (n, C, *grid) and score (n,) alone; where the layer has a name, nothing is differentiated."""
        if self.name is None:
            reading = self.read(query)
            return reading.activation, reading.score
        check_view(self.model, query)
        kept: list[Tensor] = []
        with torch.no_grad():
            with self._hooked(self.name, lambda output: _keep(output, kept)):
                score = query.scores(output_of(self.model, query))
            return self._layout(self.name, kept[0], query).maps(kept[0]).to(query.x.dtype), score

    def without(self, query: Query, channel: Tensor) -> Tensor:
        """The scores (n,) when one channel of each row's map is set to zero, channel (n,). The layer must have been read."""
        assert self.name is not None, "a layer is read before it is changed"
        name = self.name

        def drop(output: Tensor) -> Tensor:
            output = output.clone()
            rows = torch.arange(len(output), device=output.device)
            self._layout(name, output, query).channels(output)[rows, channel.to(output.device)] = 0
            return output

        with torch.no_grad(), self._hooked(name, drop):
            return query.scores(output_of(self.model, query))

    # --- by name ------------------------------------------------------------------------------------------------------

    def _check_name(self, name: str) -> None:
        layers = {known for known, _ in self.network.named_modules() if known}
        if name not in layers:
            raise UnknownName(f"the network has no layer {name!r}; {nearest(name, layers)}")
        for view in views(self.model):
            for folded, norm in getattr(getattr(view, "preparation", None), "pairs", ()):
                if _inside(folded, name) and not _inside(norm, name):
                    raise UnsupportedModel(
                        f"in this prepared copy a batch norm is folded into layer {name!r}, whose output is another than the "
                        f"model's; pass the model itself, or prepare(model, x, at={name!r})"
                    )

    def _read(self, name: str, query: Query) -> Reading:
        kept: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            # Copies: others may read the layer's output beside what is behind it, and an in-place ReLU there would overwrite it.
            kept.append(output.clone())
            return kept[0].clone()

        with torch.enable_grad():
            with self._hooked(name, keep):
                output = output_of(self.model, query)
            score = query.scores(output)
        layout = self._layout(name, kept[0], query)
        gradient = self._gradient(score, kept[0], query.x)
        if gradient is None:
            why = "the score does not depend on it" if _depends(kept[0], query.x) else "it does not depend on the rows"
            raise BadModel(
                f"the score of {called(self.model)} has no gradient at layer {name!r}: {why}; choose a layer between the rows that "
                "are explained and the score"
            )
        return _reading(layout, kept[0], gradient, score, query)

    def _hooked(self, name: str, change: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
        return hooked(self.network.get_submodule(name), name, change)

    def _layout(self, name: str, output: Tensor, query: Query) -> Layout:
        layout = None
        if output.ndim and len(output) == len(query):
            module = self.network.get_submodule(name)
            layout = layout_of_named(name, module, self.network, output.shape, query.shape)
        if layout is None:
            raise BadModel(
                f"layer {name!r} answers {tuple(output.shape)} for {len(query)} rows of shape {tuple(query.shape)}, which is no "
                "map of positions; choose a layer that answers (N, C, h, w), (N, h, w, C) or tokens of patches; of series (N, C, l)"
            )
        return layout

    # --- found --------------------------------------------------------------------------------------------------------

    def _find(self, query: Query) -> Reading | None:
        """Call the model, choose among what ran, and set the name. None where the layer's output was overwritten since."""
        seen: list[_Seen] = []
        runs: Counter[str] = Counter()
        with torch.enable_grad():
            with self._watched(seen, runs, len(query)):
                output = output_of(self.model, query)
            score = query.scores(output)
        one, layout, gradient = self._chosen([one for one in seen if runs[one.name] == 1], score, query)
        self.name = one.name
        if one.output._version != one.version:
            return None
        return _reading(layout, one.output, gradient, score, query)

    @contextmanager
    def _watched(self, seen: list[_Seen], runs: Counter[str], rows: int) -> Iterator[None]:
        """Notes every output that could be a map, as it was answered: nothing is copied."""

        def note(name: str, module: nn.Module, inputs: tuple[Any, ...], output: object) -> Tensor | None:
            runs[name] += 1
            if not isinstance(output, Tensor) or output.ndim not in (3, 4) or len(output) != rows:
                return None
            if any(output is given for given in inputs):
                output = output.view_as(output)  # what reads the module's input is not behind the module
            seen.append(_Seen(name, module, output, output._version))
            return output

        with ExitStack() as handles:
            for name, module in self.network.named_modules():
                if name:
                    handles.callback(module.register_forward_hook(partial(note, name)).remove)
            yield

    def _chosen(self, seen: list[_Seen], score: Tensor, query: Query) -> tuple[_Seen, Layout, Tensor]:
        """The layer of choice with the gradient there; see above. Raises `BadModel` where there is none."""
        skipped, spare = False, None
        for one in reversed(seen):
            layout = None
            if not isinstance(one.module, _AdaptiveAvgPoolNd | _AdaptiveMaxPoolNd):
                layout = layout_of(one.name, one.module, self.network, one.output.shape, query.shape)
            if layout is None or (layout.kind == "tokens" and not stands_for_tokens(one.module)):
                continue
            gradient = self._gradient(score, one.output, query.x)
            if gradient is None:
                continue
            if _reads_only_extra(layout, gradient):
                skipped = True
            elif not skipped or (layout.kind == "tokens" and is_norm(one.module)):
                return one, layout, gradient
            else:
                spare = spare or (one, layout, gradient)
        if spare is None:
            raise BadModel(
                f"no layer of {called(self.model)} answers a map of positions, such as (N, C, h, w) with several positions, for "
                f"rows of shape {tuple(query.shape)}, that the score depends on; give the name of a layer"
            )
        return spare

    def _gradient(self, score: Tensor, output: Tensor, x: Tensor) -> Tensor | None:
        """d score / d output; None where the score does not depend on it, or it does not depend on the rows."""
        if not score.requires_grad:
            raise NotDifferentiable(
                f"the score of {called(self.model)} does not depend on the input in a way that can be differentiated; look for "
                "argmax, comparisons, .detach(), torch.no_grad() or NumPy in its forward pass or in the target"
            )
        if not output.requires_grad or not _depends(output, x):
            return None
        ones = torch.ones_like(score)
        (gradient,) = torch.autograd.grad(score, output, ones, allow_unused=True, retain_graph=True)
        return gradient


class _Seen(NamedTuple):
    """A module that ran, with its output."""

    name: str
    module: nn.Module
    output: Tensor
    version: int  # rises when somebody writes into the output


def _inside(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def _keep(output: Tensor, kept: list[Tensor]) -> Tensor:
    kept.append(output.clone())
    return output


def _reading(layout: Layout, output: Tensor, gradient: Tensor, score: Tensor, query: Query) -> Reading:
    broken = ~gradient.flatten(1).isfinite().all(1)
    if broken.any():
        row = int(query.row[broken.nonzero()[0, 0].cpu()])
        raise NonFinite(
            f"the gradient of row {row} at the layer holds NaN or infinity; look for sqrt(0), log(0), division by zero or a norm "
            "of zeros behind it, or use float32 in place of a narrower type"
        )
    activation, gradient = (layout.maps(part.detach()).to(query.x.dtype) for part in (output, gradient))
    return Reading(activation, gradient, score.detach())


def _reads_only_extra(layout: Layout, gradient: Tensor) -> bool:
    """Does the score read the class token there, and no patch?"""
    return layout.extra > 0 and bool(gradient[:, : layout.extra].any()) and not layout.channels(gradient).any()


def _depends(output: Tensor, x: Tensor) -> bool:
    """Does the history of a tensor go back to the rows x, which have none themselves?"""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if getattr(node, "variable", None) is x:
            return True
        seen.add(node)
        waiting.extend(before for before, _ in node.next_functions)
    return False
