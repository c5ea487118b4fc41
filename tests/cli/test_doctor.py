from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.shell import Answer, run

doctor = importlib.import_module("smoothgrad.cli.doctor")  # the package has the function under this name


def test_all_is_well_here() -> None:
    answer = run("doctor")
    assert answer.code == 0
    assert "smoothgrad" in answer.out
    assert "SmoothGrad of a linear function is its weights" in answer.out


def test_the_findings_are_data_too() -> None:
    found = run("doctor", "--json").json
    assert found["well"] is True
    assert [check["good"] for check in found["checks"]] == [True, True]
    assert {package["name"] for package in found["packages"]} >= {"matplotlib", "torchvision", "scikit-learn"}


def test_a_self_test_that_fails_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_linear", lambda: False)
    answer = run("doctor", "--json")
    assert answer.code == 1
    assert answer.json["well"] is False


def test_a_package_that_is_installed_and_broken_is_told_and_does_not_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def broken(name: str, package: str | None = None) -> ModuleType:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    found = {package["name"]: package for package in run("doctor", "--json").json["packages"]}
    assert found["torchvision"]["good"] is False
    assert "nms" in found["torchvision"]["said"]


def test_a_package_that_is_missing_is_told_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    package = doctor.Package("nowhere", "nowhere-at-all", "view", "figures")
    monkeypatch.setattr(doctor, "PACKAGES", (package,))
    (found,) = run("doctor", "--json").json["packages"]
    assert found["good"] is None
    assert "pip install 'smoothgrad[view]'" in found["said"]


def test_without_scikit_learn_the_digits_are_not_tried_and_that_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    answer = run("doctor", "--json")
    assert answer.code == 0
    assert answer.json["checks"][1]["good"] is None


FACTORY = """
from torch import nn

def folds():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x if float(x.sum()) < 1e9 else -x)).flatten(1)

def does_not():
    return Branches()
"""


def network(tmp_path: Path, name: str) -> tuple[list[dict[str, object]], Answer]:
    (tmp_path / "nets.py").write_text(FACTORY)
    answer = run("doctor", "--model", f"{tmp_path / 'nets.py'}:{name}", "--size", 32, "--json")
    return answer.json["network"], answer


def test_doctor_says_what_the_private_copy_is(tmp_path: Path) -> None:
    found, answer = network(tmp_path, "folds")
    assert answer.code == 0
    assert [finding["said"] for finding in found] == ["loads", "1 of 1 batch norms folded, channels-last, float32"]


def test_doctor_says_why_something_is_left(tmp_path: Path) -> None:
    found, answer = network(tmp_path, "does_not")
    assert answer.code == 0
    assert "0 of 1 batch norms folded" in str(found[1]["said"])
    assert (found[2]["name"], found[2]["good"]) == ("what was left as it is", None)


def test_doctor_shows_the_network_to_people() -> None:
    answer = run("doctor", "-m", "digits")
    assert "Network" in answer.out
    assert "no batch norms, channels-last, float32" in answer.out


def test_a_network_that_does_not_load_is_an_error() -> None:
    answer = run("doctor", "--model", "digit")
    assert answer.code == 2
    assert "digits" in answer.error


def test_options_of_a_network_need_a_network() -> None:
    answer = run("doctor", "--size", 32)
    assert answer.code == 2
    assert "name it with --model" in answer.error
