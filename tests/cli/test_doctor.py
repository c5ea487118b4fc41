from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from tests.cli.shell import run

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
