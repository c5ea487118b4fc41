"""What an experiment is made on: pictures, networks, and what is kept of long work."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

import smoothgrad as sg
from smoothgrad.experiments import setup as module
from smoothgrad.experiments.setup import Picture, Setup, digest_of, pictures_of, samples_of
from smoothgrad.targets import Class
from smoothgrad.training.data import DataSet, Part, data_set
from smoothgrad.training.plan import Plan, Small
from tests.experiments.toy import digits, perceptron, setup, square

NOISY = sg.smoothgrad(noise=0.1, samples=3)


def test_samples_of_a_network_come_with_labels_names_and_regions() -> None:
    net = sg.load("scenes")
    found = samples_of(net, 2)
    assert [one.name for one in found] == list(net.sample_names(2))
    assert [one.label for one in found] == net.sample_labels(2).tolist()
    assert all(one.region is not None and one.region.shape == (1, *one.x.shape[-2:]) for one in found)
    assert all(one.file == "" for one in found)
    assert samples_of(digits(), 1)[0].region is None


def test_pictures_of_a_data_set_are_as_its_network_takes_them() -> None:
    data = data_set("digits")
    found = pictures_of(data.held_out, data, 3)
    assert [one.name for one in found] == list(data.held_out.names[:3])
    assert torch.equal(torch.cat([one.x for one in found]), data.rows(data.held_out.x[:3]))
    assert [one.label for one in found] == data.held_out.labels[:3].tolist()
    with pytest.raises(sg.errors.BadInput, match="ask for fewer"):
        pictures_of(data.held_out, data, 10**6)


def test_a_picture_is_found_by_its_name_and_named_by_its_content() -> None:
    asked = setup(2)
    first, second = asked.pictures
    assert asked.named(second.name) is second
    assert asked.only(second).picture is second
    assert first.digest != second.digest
    assert Picture("another name", first.x.clone()).digest == first.digest


def test_what_is_missing_is_said() -> None:
    with pytest.raises(sg.errors.BadInput, match="asks a network, and none is given"):
        _ = Setup().net
    with pytest.raises(sg.errors.BadInput, match="trains networks, and no data is given"):
        _ = Setup().training_data


def test_a_map_does_not_depend_on_the_other_pictures() -> None:
    asked = setup(3)
    for picture in asked.pictures:
        alone = Setup(asked.network, (picture,)).explain(NOISY)
        assert torch.equal(alone.maps, asked.only(picture).explain(NOISY).maps)
        assert alone.names == (picture.name,)
    again = sg.explain(
        asked.net, asked.pictures[0].x, method=NOISY, keys=[sg.core.value.content_key(asked.pictures[0].x)], seed=0
    )
    assert torch.equal(again.maps, asked.only(asked.pictures[0]).explain(NOISY).maps)


def test_target_and_seed_are_those_of_the_experiment_unless_said() -> None:
    asked = replace(setup(1), target=Class(3), seed=5)
    base = asked.explain(NOISY)
    assert base.target.tolist() == [3]
    assert torch.equal(base.maps, asked.explain(NOISY, target=3, seed=5).maps)
    assert asked.explain(NOISY, target=0).target.tolist() == [0]
    assert not torch.equal(base.maps, asked.explain(NOISY, seed=0).maps)


def test_the_watch_hears_what_is_made() -> None:
    heard: list[tuple[str, float, float]] = []

    class Watch:
        def cell(self, name: str, done: int, of: int) -> None: ...

        def step(self, name: str, done: float, of: float) -> None:
            heard.append((name, done, of))

    asked = replace(setup(1), watch=Watch())
    result = asked.explain(NOISY, name="mine")
    assert heard[-1] == ("mine", 3, 3)
    asked.judge({"a": result}, [sg.Gini()])
    assert heard[-1] == ("gini", 1, 1)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_map_that_serves_several_cells_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = module.explain
    monkeypatch.setattr(module, "explain", lambda *a, **k: calls.append(1) or real(*a, **k))
    asked = replace(setup(1), folder=tmp_path)
    first, again = (asked.explain_once(NOISY) for _ in range(2))
    assert len(calls) == 1
    assert torch.equal(first.maps, again.maps)
    assert torch.equal(first.maps, setup(1).explain(NOISY).maps)
    asked.explain_once(NOISY, seed=0)  # which is the experiment's own
    assert len(calls) == 2  # the one of `setup(1).explain`


def test_maps_that_differ_are_kept_apart(tmp_path: Path) -> None:
    """Also class 0 and seed 0, which are nothing to `or`."""
    asked = replace(setup(1), folder=tmp_path, seed=1, target=Class(3))
    for target in (None, 0, 3):
        for seed in (None, 0, 1):
            kept = asked.explain_once(NOISY, target=target, seed=seed)
            fresh = replace(asked, folder=None).explain_once(NOISY, target=target, seed=seed)
            assert torch.equal(kept.maps, fresh.maps)
            assert kept.target.tolist() == fresh.target.tolist()
    other = asked.asking(sg.load("digits-random-labels")).explain_once(NOISY)
    assert not torch.equal(other.maps, asked.explain_once(NOISY).maps)
    for activation in (torch.nn.ReLU(), torch.nn.Softplus()):  # with the same weights
        one = asked.asking(perceptron(activation))
        assert torch.equal(one.explain_once(NOISY).maps, replace(one, folder=None).explain_once(NOISY).maps)


def test_a_damaged_map_or_network_is_refused_with_what_to_do(few: DataSet, tmp_path: Path) -> None:
    asked = replace(setup(1), data=few, folder=tmp_path)
    asked.explain_once(NOISY)
    asked.trained(PLAN)
    for folder, again in (("maps", lambda: asked.explain_once(NOISY)), ("networks", lambda: asked.trained(PLAN))):
        (file,) = (tmp_path / folder).iterdir()
        file.write_bytes(file.read_bytes()[:100])
        with pytest.raises(sg.errors.SmoothGradError, match=f"{file} is damaged .*; remove it, and it is made again"):
            again()
        file.unlink()
        again()


def test_a_kept_map_has_the_name_of_the_picture_that_asks(tmp_path: Path) -> None:
    asked = replace(setup(1), folder=tmp_path)
    asked.explain_once(NOISY)
    renamed = asked.only(asked.picture._replace(name="another"))
    assert renamed.explain_once(NOISY).names == ("another",)


@pytest.fixture(scope="module")
def few() -> DataSet:
    """The digits, few of them."""
    data = data_set("digits")
    some = Part(data.train.x[:64], data.train.labels[:64], data.train.names[:64])
    return data._replace(train=some, held_out=data.held_out.first(16))


PLAN = Plan(network=Small(widths=(4, 6), halvings=1), epochs=1, batch=8)


def test_a_network_is_trained_once_and_read_after(
    few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Setup(data=few, folder=tmp_path, pictures=pictures_of(few.held_out, few, 1))
    first = asked.trained(PLAN, "plain")
    assert (first.name, first.classes, first.training) == ("plain", few.classes, False)
    assert not any(part.requires_grad for part in first.parameters())
    monkeypatch.setattr(module, "train", None)  # would be called if it were trained again
    again = asked.trained(PLAN, "plain")
    x = asked.picture.x
    assert torch.equal(first(x), again(x))  # type: ignore[arg-type]
    monkeypatch.undo()
    alone = replace(asked, folder=None).trained(PLAN)
    assert torch.equal(first(x), alone(x))  # type: ignore[arg-type]
    assert alone.name == repr(PLAN)
    other = asked.trained(replace(PLAN, seed=1))
    assert not torch.equal(first(x), other(x))  # type: ignore[arg-type]
    # Of the same name and pictures, with other labels.
    mixed = few._replace(train=few.train._replace(labels=few.train.labels.roll(1)))
    assert not torch.equal(first(x), replace(asked, data=mixed).trained(PLAN)(x))  # type: ignore[arg-type]


def test_a_training_is_not_lost_where_its_weights_cannot_be_written(
    few: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Setup(data=few, folder=tmp_path)

    def full(*_: object) -> None:
        raise sg.errors.CannotWrite("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_aside", full)
        with pytest.raises(sg.errors.CannotWrite):
            asked.trained(PLAN)
    assert [file.suffix for file in (tmp_path / "networks").iterdir()] == [".training"]
    training = import_module("smoothgrad.training.train")  # which a function of the package hides
    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", None)  # would be called if an epoch were made again
        asked.trained(PLAN)
    assert [file.suffix for file in (tmp_path / "networks").iterdir()] == [".safetensors"]


def test_a_training_tells_how_far_it_is(few: DataSet) -> None:
    heard: list[tuple[str, float, float]] = []

    class Watch:
        def cell(self, name: str, done: int, of: int) -> None: ...

        def step(self, name: str, done: float, of: float) -> None:
            heard.append((name, done, of))

    Setup(data=few, watch=Watch()).trained(PLAN, "plain")
    assert [(done, of) for _, done, of in heard] == [(step, 8) for step in range(1, 9)]
    assert all(name.startswith("training plain, epoch 1, loss ") for name, _, _ in heard)


def test_methods_are_tried_before_the_work() -> None:
    setup(1).check_methods([sg.gradient(), NOISY])
    with pytest.raises(sg.errors.SmoothGradError, match="attention"):
        setup(1).check_methods([sg.gradient(), sg.attention_rollout()])


def test_the_method_that_cannot_be_asked_is_named() -> None:
    """The advice of the error alone, to use another method, would not say which of several is meant."""
    asked = replace(setup(1), network=sg.load("digits"), pictures=samples_of(sg.load("digits"), 1))
    with pytest.raises(sg.errors.SmoothGradError) as caught:
        asked.check_methods([sg.gradient(), sg.attention_rollout()])
    assert str(caught.value).startswith("attention_rollout(residual=0.5): ")
    assert str(caught.value).endswith("; or leave this method out")
    assert type(caught.value) is type(caught.value.__cause__)


def test_one_odd_picture_does_not_speak_against_a_method() -> None:
    """A constant picture has no range that noise could be a share of."""
    flat, good = square()._replace(x=torch.zeros(1, 1, 8, 8), name="flat"), square()
    replace(setup(1), pictures=(flat, good)).check_methods([NOISY])
    with pytest.raises(sg.errors.BadNoise):
        replace(setup(1), pictures=(flat,)).check_methods([NOISY])


def test_a_method_is_tried_with_one_pass() -> None:
    seen: list[int] = []
    asked = setup(2)
    hook = asked.net.register_forward_hook(lambda _net, rows, _out: seen.append(len(rows[0])))
    asked.check_methods([sg.smoothgrad(samples=1000), sg.integrated_gradients(steps=1000)])
    hook.remove()
    assert 0 < sum(seen) < 20


def test_work_is_named_by_what_it_depends_on() -> None:
    assert digest_of((1, "a")) == digest_of((1, "a"))
    assert digest_of((1, "a")) != digest_of((1, "b"))
    assert len(digest_of(None)) == 16
