"""A torchvision wheel built for another torch fails on import, since it describes operators that did not load.

No network here runs them, so that declaring their names is enough. The product does not do this to its users' torch.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

NAMES = ("nms", "qnms")
_DECLARED: list[torch.library.Library] = []  # the declarations live as long as the library object does


def declare_missing() -> None:
    """Declare the schemas that torchvision's Python code expects, where its compiled operators do not load."""
    if _DECLARED or _load():
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in NAMES:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(library)


def _load() -> bool:
    """Whether torchvision's compiled operators fit this torch. True where there is no torchvision at all."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    libraries = list(Path(spec.origin).parent.glob("_C.*"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)
