"""`smoothgrad doctor`: what is installed, where it can compute, and whether it computes rightly."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import FAILED, failing, out, write_json
from smoothgrad.cli.options import NetworkOptions
from smoothgrad.errors import BadOption

if TYPE_CHECKING:
    from smoothgrad.models.network import Network


class Package(NamedTuple):
    """An optional package, under the name it is imported by, and what it is good for."""

    module: str
    distribution: str
    extra: str
    enables: str


PACKAGES = (
    Package("matplotlib", "matplotlib", "view", "figures and PNG"),
    Package("jinja2", "jinja2", "report", "HTML reports"),
    Package("sklearn", "scikit-learn", "digits", "the samples of digits, and the demo"),
    Package("pandas", "pandas", "table", "tables: .frame, table.csv"),
    Package("timm", "timm", "timm", "networks timm:NAME"),
    Package("torchvision", "torchvision", "torchvision", "networks torchvision:NAME"),
    Package("transformers", "transformers", "hf", "networks hf:ORG/NAME"),
)


class Finding(NamedTuple):
    """One line of the report. `good` None: neither good nor bad, but worth knowing."""

    name: str
    good: bool | None
    said: str


def doctor(
    model: options.OneModel = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Look at what is installed, where it can compute, and whether it computes rightly.

    With --model also at one network: whether it loads, and what is done to the private copy that long runs ask.

    [bold cyan]smoothgrad doctor --model timm:resnet50[/bold cyan]
    """
    with failing(debug=debug, json=json):
        network = NetworkOptions(model or "", weights, classes, size, mean, std)
        network.check()
        if model is None and network != NetworkOptions(""):
            raise BadOption("--weights, --classes, --size, --mean and --std tell about a network; name it with --model")
        versions = _versions()
        found = {"packages": [_package(p) for p in PACKAGES], "devices": _devices(), "checks": _checks()}
        if model is not None:
            found["network"] = _network(network.load())
        well = all(finding.good is not False for part in ("checks", "network") for finding in found.get(part, []))
        if json:
            listed = {name: [finding._asdict() for finding in part] for name, part in found.items()}
            write_json({"versions": versions, **listed, "well": well})
        else:
            _print(out(), versions, found)
        if not well:
            raise typer.Exit(FAILED)


def _versions() -> dict[str, str]:
    import torch

    from smoothgrad import __version__

    return {
        "smoothgrad": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _package(package: Package) -> Finding:
    """Whether it imports: an installed package that does not fit the others is found out only so."""
    try:
        version = importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        install = f"pip install 'smoothgrad[{package.extra}]'"
        return Finding(package.distribution, None, f"not installed; for {package.enables}: {install}")
    try:
        importlib.import_module(package.module)
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Finding(
            package.distribution, False, f"{version} does not import: {reason}; not at hand: {package.enables}"
        )
    return Finding(package.distribution, True, f"{version}: {package.enables}")


def _devices() -> list[Finding]:
    import torch

    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())) if cuda else ""
    return [
        Finding("cpu", True, f"{torch.get_num_threads()} threads"),
        Finding("cuda", cuda or None, names or "not at hand"),
        Finding("mps", mps or None, "at hand" if mps else "not at hand"),
    ]


def _checks() -> list[Finding]:
    return [
        _check("SmoothGrad of a linear function is its weights", _linear),
        _check("the embedded network reads its digits", _digits),
    ]


def _check(name: str, passes: Callable[[], Finding | bool]) -> Finding:
    found = passes()
    return (
        found
        if isinstance(found, Finding)
        else Finding(name, found, "yes" if found else "no: install smoothgrad again")
    )


def _linear() -> bool:
    """The one function whose SmoothGrad is known without computing: f(x) = w x + c, map w, standard error 0."""
    import torch

    from smoothgrad.explain import explain
    from smoothgrad.methods.gradients import smoothgrad

    weight = torch.linspace(-1, 1, 12).view(2, 6)
    net = torch.nn.Linear(6, 2).eval()
    net.load_state_dict({"weight": weight, "bias": torch.zeros(2)})
    result = explain(net, torch.linspace(0, 1, 6)[None], method=smoothgrad(samples=20), target=1)
    return torch.allclose(result.maps[0], weight[1], atol=1e-6)


def _digits() -> Finding | bool:
    from smoothgrad.errors import MissingPackage
    from smoothgrad.models.load import load

    net = load("digits")
    try:
        x, labels = net.samples(20), net.sample_labels(20)
    except MissingPackage as error:
        return Finding("the embedded network reads its digits", None, f"not tried: {error}")
    right = int((net(x).argmax(1) == labels).sum())
    return right >= 19  # 97 % of the held-out digits


def _network(net: Network) -> list[Finding]:
    """What becomes of a network in the copy that long runs ask."""
    import torch

    from smoothgrad.errors import SmoothGradError
    from smoothgrad.models.prepare import Prepared, prepare

    inputs = net.preprocessing
    height, width = inputs.size or (224, 224)
    x = torch.linspace(-1, 1, inputs.channels * height * width).view(1, inputs.channels, height, width)
    loaded, name = Finding(net.name, True, "loads"), "its private copy"
    try:
        made = prepare(net, x).net
    except SmoothGradError as error:
        return [loaded, Finding(name, None, f"is not made, the network itself is asked: {error}")]
    assert isinstance(made, Prepared), "prepare puts it there"
    note = made.preparation.note
    left = [Finding("what was left as it is", None, note)] if note else []
    return [loaded, Finding(name, True, made.preparation.said), *left]


HEADS = {"packages": "Packages", "devices": "Devices", "checks": "Self-test", "network": "Network"}


def _print(console: Console, versions: Mapping[str, str], found: Mapping[str, Sequence[Finding]]) -> None:
    console.print(Text(" · ".join(f"{name} {version}" for name, version in versions.items())))
    for part, findings in found.items():
        console.print(Text(f"\n{HEADS[part]}", "bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        for finding in findings:
            mark = {True: Text("✓", "green"), False: Text("✗", "red"), None: Text("·", "dim")}[finding.good]
            table.add_row(mark, Text(finding.name), Text(finding.said, "dim" if finding.good is None else ""))
        console.print(table)
