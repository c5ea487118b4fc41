"""What explainers that work on one map per row ask of the one inside."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.reduce import Together
from smoothgrad.errors import BadMethod


def check_single(inner: Explainer, outer: str) -> None:
    """Raises `BadMethod` for an explainer that ends in `Together`, and so gives several maps for each row."""
    if _gives_several(inner):
        raise BadMethod(f"Together gives several maps per row, and {outer} takes one; take one reduction inside")


def _gives_several(method: Explainer) -> bool:
    if isinstance(getattr(method, "reduction", None), Together):
        return True
    return any(_gives_several(part) for part in method.children)
