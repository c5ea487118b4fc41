"""On a GPU: the same maps as on the CPU. Where there is none, these are skipped, and say so."""

from __future__ import annotations

import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.noise import normal
from tests.nets import small_net

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
MPS = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")
DEVICE = pytest.mark.parametrize("device", [pytest.param("cuda", marks=CUDA), pytest.param("mps", marks=MPS)])

METHODS = [
    sg.gradient(),
    sg.smoothgrad(samples=40),
    sg.smoothgrad(samples=40, sampling="sobol"),
    sg.smoothgrad(samples=40, sampling="stratified"),
    sg.vargrad(samples=40),
    sg.integrated_gradients(steps=16),
    sg.integrated_gradients(tolerance=0.01),
    sg.smooth_integrated_gradients(samples=40),
    sg.expected_gradients(torch.rand(5, 3, 8, 8), samples=40),
    sg.guided_backprop(),
    sg.Gradient().over(sg.SaltAndPepper(samples=40), sg.Median()),
]
X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@DEVICE
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_device_gives_the_map_of_the_cpu(device: str, method: sg.Explainer) -> None:
    here = sg.explain(small_net(), X, method=method, seed=4)
    there = sg.explain(small_net(), X, method=method, seed=4, device=device)
    assert there.maps.device.type == "cpu", "what comes back is on the CPU"
    assert there.provenance["device"].startswith(device)
    scale = float(here.maps.abs().max())
    torch.testing.assert_close(there.maps, here.maps, rtol=1e-3, atol=1e-4 * scale)


@DEVICE
def test_noise_is_made_on_the_device(device: str) -> None:
    numbers = normal(torch.arange(3), range(2), torch.Size([5]), device=torch.device(device))
    assert numbers.device.type == device


@DEVICE
@pytest.mark.parametrize("precision", ["bfloat16", "auto"])
def test_narrow_arithmetic_runs_on_the_device(device: str, precision: str) -> None:
    here = sg.explain(small_net(), X, method=sg.smoothgrad(samples=64), chunk=24)
    there = sg.explain(small_net(), X, method=sg.smoothgrad(samples=64), chunk=24, precision=precision, device=device)
    assert float((there.maps - here.maps).norm() / here.maps.norm()) < 0.1


@CUDA
def test_memory_that_runs_out_halves_the_chunk() -> None:
    x = torch.rand(1, 3, 512, 512)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.ReLU(), torch.nn.Flatten(1), torch.nn.LazyLinear(2))
    net(x)
    net.eval()
    method = sg.smoothgrad(samples=256)
    few = sg.explain(net, x, method=method, device="cuda", chunk=2, target=0)
    torch.cuda.empty_cache()
    used, total = torch.cuda.memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (used + 2**30) / total))
    try:
        many = sg.explain(net, x, method=method, device="cuda", chunk=256, target=0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert many.provenance["chunk"] < 256
    torch.testing.assert_close(many.maps, few.maps, rtol=1e-3, atol=1e-6)
