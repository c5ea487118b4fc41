"""Backward rules by function, not by module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import final

from torch import nn

from smoothgrad.core.value import Value


class Rule(Value, ABC):
    """Changes the backward pass of some functions while it is active. The model is left as found."""

    @abstractmethod
    def active(self, model: nn.Module) -> AbstractContextManager[object]:
        """While active, forward passes of the model record this rule for their backward pass.

        Raises `RuleDidNothing` on the way out if nothing was replaced, and `UnsupportedModel` on the way in for models
        whose functions cannot be seen.
        """


@final
@dataclass(frozen=True, repr=False)
class Plain(Rule):
    """The gradient itself."""

    def active(self, model: nn.Module) -> AbstractContextManager[object]:
        return nullcontext()
