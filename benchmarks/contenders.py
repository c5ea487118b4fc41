"""Who is timed at what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TypeAlias

from torch import Tensor

from benchmarks.networks import NETWORKS, Case
from benchmarks.tasks import Method, Task

Run: TypeAlias = Callable[[int], Tensor]  # a seed -> maps (N, *S)


@dataclass(frozen=True)
class Contender:
    """A library in one of its settings."""

    name: str
    module: str  # its file here, imported only in the process that runs it
    methods: tuple[Method, ...]
    tuned: bool = False  # at the best batch, which is looked for once per network
    single: bool = False  # takes one draw at a time, with no batch to choose: its time is proportional to the draws
    hooks: bool = False  # guided through hooks on nn.ReLU modules: what is no such module stays plain
    precision: str = ""

    @property
    def library(self) -> str:
        return self.name.partition(",")[0]

    def load(self) -> None:
        """Import the library, so that its code does not count as the memory of a run."""
        import_module(f"benchmarks.{self.module}")

    def make(self, case: Case, task: Task, batch: int | None) -> Run:
        """What is timed, once called with a seed."""
        maker = import_module(f"benchmarks.{self.module}").make
        if self.precision:
            maker = partial(maker, precision=self.precision)
        run: Run = maker(case, task, batch)
        return run

    def left_out(self, network: str, method: str) -> str:
        """Why it is not timed here; empty where it is."""
        if method not in self.methods:
            return "does not have it"
        why = NETWORKS[network].relu_modules
        return f"would give the plain gradient: {why}" if method == "guided" and self.hooks and why else ""


_ALL: tuple[Method, ...] = ("smoothgrad", "integrated_gradients", "guided")
_CAPTUM: tuple[Method, ...] = (*_ALL, "nested_ig")
CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender("ours", "ours", (*_ALL, "smooth_ig", "nested_ig")),
        Contender("ours, auto", "ours", ("smoothgrad",), precision="auto"),
        Contender("ours, bfloat16", "ours", ("smoothgrad",), precision="bfloat16"),
        Contender("bare loop", "bare_loop", ("smoothgrad",), tuned=True),
        Contender("captum, default", "with_captum", _CAPTUM, hooks=True),
        Contender("captum, best batch", "with_captum", _CAPTUM, tuned=True, hooks=True),
        Contender("saliency", "with_saliency", ("smoothgrad",), single=True),
        Contender("saliency, default", "with_saliency", ("integrated_gradients",), single=True),
        Contender("saliency, best batch", "with_saliency", ("integrated_gradients",), tuned=True),
        Contender("zennit", "with_zennit", _ALL, single=True, hooks=True),
    )
}
