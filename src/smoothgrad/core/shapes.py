"""The shapes of this code, said once: n rows of shape s, k draws, b baselines. Checked while the tests run (jaxtyping).

A row is one input without its batch dimension, such as (3, 224, 224).
"""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Float, Int, Int64
from torch import Tensor

Rows: TypeAlias = Float[Tensor, "n *s"]
Points: TypeAlias = Float[Tensor, "k n *s"]
Baselines: TypeAlias = Float[Tensor, "n b *s"]
Scores: TypeAlias = Float[Tensor, "n"]
Targets: TypeAlias = Int[Tensor, "n ..."]
Keys: TypeAlias = Int64[Tensor, "n"]
Weights: TypeAlias = Float[Tensor, "k"]
