"""The few lines of Python that give the same map again."""

from __future__ import annotations

import re
from pathlib import Path

from smoothgrad.models.load import EMBEDDED
from smoothgrad.report.words import question, times
from smoothgrad.result import Attribution

_LOADED = ("timm:", "torchvision:", "hf:")
_SCAN = re.compile(r"digit \d, scan (\d+)")  # what the digits' own samples are called
_SCENE = re.compile(r"\w+, scene (\d+)")  # and those of scenes
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def snippet(result: Attribution, name: str) -> str:
    """Python that explains the row `name` again, as the result of that row says; `...` stands for what it does not know.

    >>> import smoothgrad as sg
    >>> net = sg.load("digits")
    >>> result = sg.explain(net, net.samples(1), method=sg.smoothgrad(samples=8), seed=3)
    >>> print(snippet(result, net.sample_names(1)[0]))
    import smoothgrad as sg
    from smoothgrad.models.digits import scans
    <BLANKLINE>
    net = sg.load('digits')
    x = scans().x[[...]]  # digit 0, scan ...
    result = sg.explain(
        net,
        x,
        method=sg.from_recipe('Gradient().over(Gaussian(noise=0.15, samples=8))'),
        target=0,
        seed=3,
        keys=[0],
    )
    assert result.provenance['fingerprint'] == '...'  # the same network
    """
    asked = question(result).code
    layer, dtype = result.provenance["layer"], result.provenance["dtype"]
    model = str(result.provenance["model"])
    scan = _SCAN.fullmatch(name) if model.startswith("digits") and layer is None else None
    data = [
        f"data = [...]  # the tensors that the recipe names: {'; '.join(times(part.shape) for part in result.data)}"
    ]
    arguments = [
        f"method=sg.from_recipe({result.recipe!r}{', data=data' if result.data else ''})",
        f"target={asked}",
        *([f"at={layer!r}"] if layer is not None else []),
        f"seed={result.seed}",
        f"keys={result.keys.tolist()}",
        *(["precision='bfloat16'"] if dtype == "bfloat16" else []),
    ]
    return "\n".join(
        [
            "import smoothgrad as sg",
            *(["from smoothgrad.models.digits import scans"] if scan else []),
            "",
            _network(result),
            f"x = scans().x[[{scan.group(1)}]]  # {name}" if scan else _row(result, name),
            *(data if result.data else []),
            *(["# target: your function of the output"] if asked == "..." else []),
            "result = sg.explain(",
            *(f"    {argument}," for argument in ["net", "x", *arguments]),
            ")",
            f"assert result.provenance['fingerprint'] == {result.provenance['fingerprint']!r}  # the same network",
        ]
    )


def _network(result: Attribution) -> str:
    name = str(result.provenance["model"])
    if name in EMBEDDED:
        return f"net = sg.load({name!r})"
    if name.startswith(_LOADED) or Path(name.rpartition(":")[0]).suffix == ".py":
        return f"net = sg.load({name!r})  # and weights=, size=, mean=, std= as you gave them"
    return f"net = ...  # {' '.join(name.split())}, in eval mode"


def _row(result: Attribution, name: str) -> str:
    said = ascii(name) if not name.isprintable() else repr(name)
    scene = _SCENE.fullmatch(name) if str(result.provenance["model"]).startswith("scenes") else None
    if scene and result.provenance["layer"] is None:
        number = int(scene.group(1))
        return f"x = net.samples({number + 1})[{number}:]  # {name}"
    if result.picture is not None and Path(name).suffix.lower() in _PICTURES:
        return f"x = net.read({said})"
    if result.provenance["layer"] is not None:
        return f"x = ...  # {said}: the network's input, one row"
    return f"x = ...  # {said}: a tensor {times(tuple(result.x.shape))}"
