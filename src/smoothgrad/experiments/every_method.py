"""All methods that need nothing but the network, as texts that a table can hold."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.experiments.methods_as_text import in_full, method_of
from smoothgrad.methods import METHODS

# Of methods that take long, fewer draws: experiments make each map again and again.
CHEAP = {
    "integrated_gradients": "integrated_gradients(steps=50)",
    "smooth_integrated_gradients": "smooth_integrated_gradients(noise=0.1, samples=50)",
    "guided_integrated_gradients": "guided_integrated_gradients(steps=50, fraction=0.25, distance=0.02)",
    "blur_integrated_gradients": "blur_integrated_gradients(steps=50)",
    "xrai": "xrai(steps=20)",
    "fusiongrad": "fusiongrad(noise=0.1, samples=5, weight_noise=0.1, networks=10)",
    "score_cam": "score_cam(channels=64)",
    "ablation_cam": "ablation_cam(channels=64)",
    "rise": "rise(samples=200, cells=7, probability=0.5)",
}


def _every() -> tuple[str, ...]:
    """All methods that need nothing but the network, each once: `lrp` and `lrp_epsilon_plus` are the same."""
    found: dict[Explainer, str] = {}
    for name, entry in METHODS.items():
        if not entry.needs and name != "uniform_map":
            text = CHEAP.get(name) or in_full(name)
            found.setdefault(method_of(text), text)
    return tuple(found.values())


EVERY = _every()
