"""What is timed: the same question for every library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from smoothgrad.samplers.spread import Sampling

Method: TypeAlias = Literal["smoothgrad", "integrated_gradients", "guided", "smooth_ig", "nested_ig"]

TITLES: dict[str, str] = {
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "Integrated Gradients",
    "guided": "Guided SmoothGrad",
    "smooth_ig": "Smooth Integrated Gradients",
    "nested_ig": "Smooth Integrated Gradients, nested",
}


@dataclass(frozen=True)
class Task:
    """A method and its numbers. `samples` is the noise draws or, without noise, the points of the path."""

    method: Method
    samples: int = 50
    steps: int = 0  # of the path inside each noise draw, where they are nested
    noise: float = 0.15  # fraction of max - min, the mean of the rows where there are several
    sampling: Sampling = "independent"

    def few(self, samples: int) -> Task:
        """The same with fewer draws, for warming up and for looking for the best batch."""
        return replace(self, samples=min(samples, self.samples))

    def said(self) -> str:
        """The task in words.

        >>> Task("smoothgrad").said()
        'SmoothGrad, 50 draws'
        """
        if self.method == "integrated_gradients":
            return f"{TITLES[self.method]}, {self.samples} steps"
        nested = f" of {self.steps} steps each" if self.steps else ""
        return f"{TITLES[self.method]}, {self.samples} draws{nested}"
