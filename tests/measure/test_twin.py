"""A trained network against its twin that learned labels drawn by lot."""

from collections.abc import Callable

import pytest
import torch

import smoothgrad as sg
from smoothgrad.core.query import Query
from smoothgrad.errors import BadInput, BadMethod, BadTarget
from smoothgrad.explainers.finish import Absolute
from smoothgrad.measure.similarity import Pearson, Spearman, Ssim
from smoothgrad.measure.twin import TwinRow, against_twin
from smoothgrad.models.load import load
from tests.nets import small_net


def mean(rows: list[TwinRow], method: str, similarity: str = "Spearman()") -> float:
    found = [row.value for row in rows if (row.method, row.similarity) == (method, similarity)]
    assert found
    return sum(found) / len(found)


def test_every_row_method_and_similarity_is_there_and_labelled() -> None:
    net, twin = small_net(), small_net(seed=1)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    methods = {"a": sg.gradient(), "b": sg.smoothgrad(samples=2)}
    rows = against_twin(net, twin, x, methods, similarities=(Spearman(), Pearson()), target=1, seed=4)
    assert len(rows) == len(set(rows)) == 8
    for row in rows:
        one, other = (sg.explain(m, x, method=methods[row.method], target=1, seed=4).maps for m in (net, twin))
        similarity = Spearman() if row.similarity == "Spearman()" else Pearson()
        assert row.value == similarity.of(one, other, Query.of(x, 0))[row.row].item()
        assert row.reason == ""


def test_the_twin_is_asked_about_the_class_that_the_network_finds() -> None:
    net, twin = small_net(), small_net(seed=1)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    top = net(x).argmax(1)
    assert bool((top != twin(x).argmax(1)).any())
    assert against_twin(net, twin, x, [sg.gradient()]) == against_twin(net, twin, x, [sg.gradient()], target=top)


@pytest.mark.parametrize(
    ("target", "same"),
    [
        (sg.Probability(), lambda top: sg.Probability(sg.Classes(tuple(top[:, 0].tolist())))),
        (
            sg.Probability(sg.Top(1), log=True),
            lambda top: sg.Probability(sg.Classes(tuple(top[:, 1].tolist())), log=True),
        ),
        (sg.Contrast(), lambda top: sg.Contrast(*(sg.Classes(tuple(part.tolist())) for part in top.T))),
        (sg.Top(1), lambda top: top[:, 1]),
        (lambda output: output[:, 2], lambda _top: lambda output: output[:, 2]),
    ],
)
def test_the_twin_is_asked_about_the_same_target_of_any_kind(
    target: sg.Target, same: Callable[[torch.Tensor], sg.Target]
) -> None:
    net, twin = small_net(), small_net(seed=1)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    top = net(x).topk(2, dim=1).indices
    values = [row.value for row in against_twin(net, twin, x, [sg.gradient()], target=target)]
    assert values == [row.value for row in against_twin(net, twin, x, [sg.gradient()], target=same(top))]


def test_what_is_asked_wrongly_says_what_to_do() -> None:
    net = torch.nn.Linear(4, 2).eval()
    x = torch.ones(1, 4)
    with pytest.raises(BadMethod, match=r"is one method, gradient\(\); give a list: \[gradient\(\)\]"):
        against_twin(net, net, x, sg.gradient())  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="give a list of methods"):
        against_twin(net, net, x, "gradient()")  # type: ignore[arg-type]
    with pytest.raises(BadMethod, match="call it: method=gradient"):
        against_twin(net, net, x, [sg.gradient])  # type: ignore[list-item]
    with pytest.raises(BadInput, match="takes one input"):
        against_twin(net, net, (x, x), [sg.gradient()])  # type: ignore[arg-type]
    with pytest.raises(BadTarget, match="one target"):
        against_twin(net, net, x, [sg.gradient()], target=sg.Each(0, 1))


def test_a_network_is_its_own_twin() -> None:
    net = load("digits")
    rows = against_twin(net, net, net.samples(3), [sg.smoothgrad(samples=4)])
    assert [row.value for row in rows] == [1, 1, 1]


def test_a_constant_map_gives_its_reason() -> None:
    net = torch.nn.Linear(4, 2).eval()
    flat = torch.nn.Linear(4, 2).eval()
    torch.nn.init.zeros_(flat.weight)
    (row,) = against_twin(net, flat, torch.ones(1, 4), [sg.gradient()], target=0)
    assert row.value != row.value
    assert row.reason == "of its twin, the map is constant: it ranks nothing"


def test_what_cannot_be_compared_is_refused_before_any_work() -> None:
    net = torch.nn.Linear(4, 2).eval()
    with pytest.raises(BadInput, match="pictures"):
        against_twin(net, net, torch.ones(1, 4), [sg.gradient()], similarities=[Ssim()])
    with pytest.raises(BadMethod, match="a method and a similarity"):
        against_twin(net, net, torch.ones(1, 4), [])


def test_guided_backprop_shows_little_of_what_was_learned() -> None:
    # Means over 60 digits when this was written: gradient -0.06, SmoothGrad -0.07, guided backprop 0.68; of absolute values
    # 0.10, 0.10, 0.39, but 0.90 for input x gradient: most of a digit is black, and zero in both maps.
    net, twin = load("digits"), load("digits-random-labels")
    signed = {
        "gradient": sg.gradient(),
        "smooth": sg.smoothgrad(samples=8),
        "guided": sg.guided_backprop(),
        "times input": sg.gradient().then(sg.TimesInput()),
    }
    methods = signed | {f"|{name}|": method.then(Absolute()) for name, method in signed.items()}
    rows = against_twin(net, twin, net.samples(60), methods)
    found = {name: mean(rows, name) for name in methods}
    assert abs(found["gradient"]) < 0.15
    assert abs(found["smooth"]) < 0.15
    assert found["guided"] > 0.5
    assert found["|guided|"] > found["|gradient|"] + 0.2
    assert found["|times input|"] > 0.8


def test_a_twin_that_refuses_is_named() -> None:
    x = torch.ones(1, 4)
    net = torch.nn.Linear(4, 2).eval()
    with pytest.raises(BadInput, match=r"^the twin, Linear: .*cannot take 1 rows"):
        against_twin(net, torch.nn.Linear(5, 2).eval(), x, [sg.gradient()])
    with pytest.raises(BadTarget, match=r"^the twin, Linear: "):
        against_twin(net, torch.nn.Linear(4, 1).eval(), x, [sg.gradient()], target=1)
    with pytest.raises(BadInput, match=r"^Linear cannot take"):
        against_twin(torch.nn.Linear(5, 2).eval(), net, x, [sg.gradient()])
