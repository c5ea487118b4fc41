"""The code on the page gives the map again."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import pytest
import torch

import smoothgrad as sg
from smoothgrad.report.content import in_parts
from smoothgrad.report.repeat import snippet
from tests.nets import small_net

METHODS = [
    sg.smoothgrad(samples=6),
    sg.integrated_gradients(steps=4),
    sg.guided_backprop(),
    sg.gradient().over(sg.Gaussian(samples=6), sg.Together(sg.Mean(), sg.Variance())),
]


def test_the_code_for_a_scan_runs_and_gives_the_same_map() -> None:
    net = sg.load("digits")
    table = in_parts(sg.compare(net, net.samples(3), methods=METHODS, names=net.sample_names(3), seed=5))
    row = table.rows[2]
    assert len(row.cells) == 5
    for cell in row.cells:
        assert isinstance(cell, sg.Attribution)
        names: dict[str, Any] = {}
        exec(snippet(cell, row.name), names)
        again = names["result"]
        assert torch.allclose(again.maps, cell.maps, rtol=1e-5, atol=1e-6)
        assert again.recipe == cell.recipe


@pytest.mark.parametrize("name", ["digits-random-labels", "scenes", "scenes-shortcut"])
def test_the_code_for_other_embedded_networks_runs_and_gives_the_same_map(name: str) -> None:
    net = sg.load(name)
    result = sg.explain(net, net.samples(3), method=sg.smoothgrad(samples=4), keys=[7, 8, 9])
    names: dict[str, Any] = {}
    exec(snippet(result[2], net.sample_names(3)[2]), names)
    assert torch.allclose(names["result"].maps, result.maps[2:], rtol=1e-5, atol=1e-6)


def test_another_network_is_refused_by_the_code() -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(1), method=sg.gradient())
    other = replace(result, provenance={**result.provenance, "fingerprint": "another"})
    with pytest.raises(AssertionError):
        exec(snippet(other, net.sample_names(1)[0]), {})


def test_what_is_not_known_is_left_open() -> None:
    code = snippet(sg.explain(small_net(), torch.rand(1, 3, 8, 8), method=sg.gradient()), "row 0")
    assert "net = ...  # Sequential, in eval mode" in code
    assert "x = ...  # 'row 0': a tensor 1 × 3 × 8 × 8" in code


def test_a_layer_the_data_and_your_function_are_named() -> None:
    data = torch.rand(4, 6, 8, 8)
    method = sg.expected_gradients(data, samples=4)
    x = torch.rand(1, 3, 8, 8)
    code = snippet(sg.explain(small_net(), x, method=method, at="0", target=lambda output: output.sum(1)), "row 0")
    assert "at='0'" in code
    assert "data = [...]  # the tensors that the recipe names: 4 × 6 × 8 × 8" in code
    assert "# target: your function of the output" in code
    ast.parse(code)


@pytest.mark.parametrize(
    "name", ["cat.png", 'it\'s a "cat".png', "two\nlines", "\n)import os#.png", "caf\udce9.jpg", "x'"]
)
def test_no_name_breaks_out_of_the_code(name: str) -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(1), method=sg.gradient())
    tree = ast.parse(snippet(result, name).encode("utf-8", "replace").decode())
    kinds = [type(line) for line in tree.body]
    assert kinds == [ast.Import, ast.Assign, ast.Assign, ast.Assign, ast.Assert]


def test_a_picture_is_read_by_the_network() -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(1), method=sg.gradient())
    assert "x = net.read('my cat.PNG')" in snippet(result, "my cat.PNG")
