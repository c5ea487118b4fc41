"""Backward rules by function, not by module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor, nn

from smoothgrad.core.ask import called
from smoothgrad.core.value import Value
from smoothgrad.errors import UnsupportedModel

Watch: TypeAlias = Callable[[Tensor], None]  # is shown the score, its graph whole, before its gradient is taken


class Rule(Value, ABC):
    """Changes the backward pass of some functions while it is active. The model is left as found."""

    @property
    def row_by_row(self) -> bool:
        """Must each row be asked alone, because the rule looks at a whole activation?"""
        return False

    @abstractmethod
    def active(self, model: nn.Module) -> AbstractContextManager[Watch]:
        """While active, the gradient of every score that was made inside and shown to the `Watch` obeys this rule.

        Raises `RuleDidNothing` on the way out if nothing was changed, and `UnsupportedModel` for models whose functions
        cannot be seen.
        """


@final
@dataclass(frozen=True, repr=False)
class Plain(Rule):
    """The gradient itself."""

    def active(self, model: nn.Module) -> AbstractContextManager[Watch]:
        return nullcontext(_do_nothing)


def _do_nothing(_score: Tensor) -> None:
    pass


def refuse_closed(model: nn.Module, what: str, rule: object = "the method") -> None:
    """Neither the graph nor a trace shows what is in scripted, traced or compiled modules: say so, rather than change nothing."""
    for name, module in model.named_modules():
        kind = (
            "scripted or traced"
            if isinstance(module, torch.jit.ScriptModule)
            else "compiled"
            if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
            else None
        )
        if kind:
            raise UnsupportedModel(
                f"{name or called(model)} is {kind}: {rule} cannot see its {what}; pass the plain module "
                "(for torch.compile: model._orig_mod; for model.compile(): a copy that was not compiled)"
            )
