"""What tests rely on: a torchvision that imports, one thread per worker, `real` tests that skip aloud."""

from __future__ import annotations

import os
import sys
import zlib

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

from tests import operators
from tests.nets import DATA

# Shapes and types of the heart are checked at every call while tests run: before smoothgrad is first imported.
assert not any(name.startswith("smoothgrad.core") for name in sys.modules), "smoothgrad was imported before its hook"
HEART = ("query", "noise", "ask", "moments", "reduce", "halving", "schedule")
install_import_hook([f"smoothgrad.core.{module}" for module in HEART], "beartype.beartype")

# Two workers on two cores: more threads than that only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


# The same examples in every run, and no deadline: a busy machine is no fault of the code.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")

operators.declare_missing()

# Now, whole: doctests of one file alone would otherwise import smoothgrad.explain, the module, over the function.
import smoothgrad  # noqa: E402, F401

torch.manual_seed(0)  # for what test files draw when they are read


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The same random numbers in every run and any order of tests: chance must not decide what passes."""
    torch.manual_seed(zlib.crc32(item.nodeid.encode()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `real` need the data folder; elsewhere they skip and say so."""
    if DATA.is_dir():
        return
    absent = pytest.mark.skip(reason=f"needs the data folder {DATA} (set SMOOTHGRAD_DATA to point to one)")
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(absent)
