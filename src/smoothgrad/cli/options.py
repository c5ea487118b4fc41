"""The options that several commands share: how they look in --help, and what their texts mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, final, get_args

import typer

from smoothgrad.errors import BadOption, nearest

if TYPE_CHECKING:
    from smoothgrad.checks import Precision
    from smoothgrad.models.network import Network
    from smoothgrad.view.look import Look

T = TypeVar("T")

FLAG = " "  # newer versions of typer would show <bool>
NETWORK, QUESTION, LOOK, OUTPUT = "Network", "Question", "Look", "Output"

Pictures = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="PICTURES",
        help="Files, or folders whose pictures are all taken. With digits or scenes: none takes their own.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="digits, scenes, mnist, cifar10, timm:NAME, torchvision:NAME, hf:ORG/NAME or hf:FOLDER, path/to/net.py:FUNCTION.",
        rich_help_panel=NETWORK,
    ),
]
OneModel = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="Look at this network too.", rich_help_panel=NETWORK),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Your own weights: safetensors, or a torch checkpoint.",
        rich_help_panel=NETWORK,
    ),
]
Classes = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Names of the classes: one per line, or JSON.",
        rich_help_panel=NETWORK,
    ),
]
Size = Annotated[
    str | None, typer.Option(metavar="N|HxW", help="Size of its pictures, in pixels.", rich_help_panel=NETWORK)
]
Mean = Annotated[
    str | None, typer.Option(metavar="A[,B,C]", help="Means it was trained with, per channel.", rich_help_panel=NETWORK)
]
Std = Annotated[
    str | None, typer.Option(metavar="A[,B,C]", help="Standard deviations, likewise.", rich_help_panel=NETWORK)
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where to compute: cpu, cuda, cuda:1, mps.", rich_help_panel=NETWORK),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="float32; bfloat16; or auto: bfloat16 where it is faster and changes less than chance does.",
        rich_help_panel=NETWORK,
    ),
]
Chunk = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Most rows in one call of the network. [dim]Default: chosen.[/dim]",
        rich_help_panel=NETWORK,
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        metavar="CLASS",
        help="What to explain: a class by number or name, top, top2, or e.g. 'Contrast(Class(cat), Top())'; again for each "
        "of several classes. [dim]Default: each picture's top class.[/dim]",
        rich_help_panel=QUESTION,
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER", help="Explain the output of this layer instead of the pixels.", rich_help_panel=QUESTION
    ),
]
Seed = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="Of all chance: the same seed and picture, the same map, whatever other pictures there are.",
        rich_help_panel=QUESTION,
    ),
]
Samples = Annotated[
    str | None,
    typer.Option(metavar="N", help="Take so many inputs that come with the network.", rich_help_panel=QUESTION),
]
SignName = Annotated[
    str | None,
    typer.Option(
        "--sign",
        metavar="WORD",
        help="absolute, signed, positive or negative. [dim]Default: what suits.[/dim]",
        rich_help_panel=LOOK,
    ),
]
ChannelsName = Annotated[
    str | None,
    typer.Option("--channels", metavar="WORD", help="sum or max over the channels.", rich_help_panel=LOOK),
]
Cap = Annotated[
    str | None,
    typer.Option(
        metavar="PERCENT", help="Colours saturate at this percentile. [dim]Default: 99.[/dim]", rich_help_panel=LOOK
    ),
]
TimesInput = Annotated[
    bool, typer.Option("--times-input", metavar=FLAG, help="Show map times input.", rich_help_panel=LOOK)
]
Shared = Annotated[
    bool, typer.Option("--shared", metavar=FLAG, help="One scale for the maps of a row.", rich_help_panel=LOOK)
]
Fdr = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        help="Show only what differs from zero at this false-discovery rate, such as 0.05.",
        rich_help_panel=LOOK,
    ),
]
Overlay = Annotated[
    str | None,
    typer.Option(metavar="OPACITY", help="Lay the map over the grey picture, 0 to 1.", rich_help_panel=LOOK),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.", rich_help_panel=OUTPUT)]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar=FLAG, help="Print one JSON document, and nothing else, to stdout.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar=FLAG, help="Say nothing but errors.", rich_help_panel=OUTPUT)
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", metavar=FLAG, envvar="SMOOTHGRAD_DEBUG", help="Show the traceback of errors.", rich_help_panel=OUTPUT
    ),
]


@final
@dataclass(frozen=True)
class NetworkOptions:
    """Which network, and what the user says about it."""

    model: str
    weights: Path | None = None
    classes: Path | None = None
    size: str | None = None
    mean: str | None = None
    std: str | None = None

    def load(self) -> Network:
        from smoothgrad.models.load import load

        return load(
            self.model,
            weights=self.weights,
            classes=self.classes,
            size=None if self.size is None else read_size(self.size),
            mean=None if self.mean is None else read_numbers("--mean", self.mean),
            std=None if self.std is None else read_numbers("--std", self.std),
        )

    def check(self) -> None:
        """What can be found wrong without loading anything. Raises `BadOption`."""
        if self.size is not None:
            read_size(self.size)
        for name, text in (("--mean", self.mean), ("--std", self.std)):
            if text is not None:
                read_numbers(name, text)


@final
@dataclass(frozen=True)
class QuestionOptions:
    """What is asked of the network, and how it is run."""

    targets: tuple[str, ...] = ()
    at: str | None = None
    seed: int = 0
    chunk: int | None = None
    precision: str = "float32"
    device: str | None = None

    @staticmethod
    def read(
        targets: list[str] | None, at: str | None, seed: str, chunk: str | None, precision: str, device: str | None
    ) -> QuestionOptions:
        """From the texts of a command line. Raises `BadOption`."""
        rows = None if chunk is None else read_count("--chunk", chunk)
        return QuestionOptions(tuple(targets or ()), at, read_whole("--seed", seed), rows, precision, device)

    @property
    def checked_precision(self) -> Precision:
        from smoothgrad.checks import Precision

        known: dict[str, Precision] = {word: word for word in get_args(Precision)}
        return choice("--precision", self.precision, known)


@final
@dataclass(frozen=True)
class LookOptions:
    """The choices between a map and its picture that the user made; None leaves what suits the rows."""

    sign: str | None = None
    channels: str | None = None
    cap: float | None = None
    times_input: bool = False
    overlay: float | None = None
    shared: bool = False
    fdr: float | None = None

    @staticmethod
    def read(
        sign: str | None,
        channels: str | None,
        cap: str | None,
        times_input: bool,
        overlay: str | None,
        shared: bool,
        fdr: str | None,
    ) -> LookOptions:
        """From the texts of a command line, checked. Raises `BadOption` or `BadMethod` for what means nothing."""
        percent = None if cap is None else read_number("--cap", cap, "a percentile, such as 99")
        opacity = None if overlay is None else read_number("--overlay", overlay, "an opacity from 0 to 1, such as 0.6")
        rate = None if fdr is None else read_number("--fdr", fdr, "a share above 0 and below 1, such as 0.05")
        looks = LookOptions(sign, channels, percent, times_input, opacity, shared, rate)
        looks.check()
        return looks

    def check(self) -> None:
        """Raises `BadOption` or `BadMethod` for what means nothing."""
        from smoothgrad.view.look import Look

        self.over(Look())

    def over(self, look: Look) -> Look:
        """That look with the user's choices. Raises `BadOption` or `BadMethod`."""
        from smoothgrad.view.look import Channels, Sign

        signs: dict[str, Sign] = {word: word for word in get_args(Sign)}
        channels: dict[str, Channels] = {word: word for word in get_args(Channels)}
        return replace(
            look,
            sign=look.sign if self.sign is None else choice("--sign", self.sign, signs),
            channels=look.channels if self.channels is None else choice("--channels", self.channels, channels),
            cap=look.cap if self.cap is None else self.cap,
            times_input=look.times_input or self.times_input,
            overlay=look.overlay if self.overlay is None else self.overlay,
            shared=look.shared or self.shared,
            fdr=look.fdr if self.fdr is None else self.fdr,
        )


def choice(option: str, word: str, known: Mapping[str, T]) -> T:
    """What a word stands for. Raises `BadOption` with the nearest one.

    >>> choice("--sign", "signed", {"signed": 1, "absolute": 2})
    1
    """
    if word not in known:
        raise BadOption(f"{option} knows no {word!r}; {nearest(word, known)}")
    return known[word]


def read_size(text: str) -> int | tuple[int, int]:
    """
    >>> read_size("224"), read_size("225x300")
    (224, (225, 300))
    """
    try:
        lengths = [int(part) for part in text.lower().replace("×", "x").split("x")]
    except ValueError:
        lengths = []
    if len(lengths) not in (1, 2) or min(lengths) < 1:
        raise BadOption(f"--size is {text!r}; give pixels as 224, or height x width as 225x300")
    return lengths[0] if len(lengths) == 1 else (lengths[0], lengths[1])


def read_whole(option: str, text: str) -> int:
    """
    >>> read_whole("--seed", "7")
    7
    """
    try:
        return int(text)
    except ValueError as error:
        raise BadOption(f"{option} is {text!r}; give a whole number, such as 16") from error


def read_count(option: str, text: str) -> int:
    """
    >>> read_count("--chunk", "16")
    16
    """
    number = read_whole(option, text)
    if number < 1:
        raise BadOption(f"{option} is {text!r}; give a whole number of at least 1")
    return number


def read_number(option: str, text: str, what: str) -> float:
    """
    >>> read_number("--cap", "99.5", "a percentile")
    99.5
    """
    try:
        return float(text)
    except ValueError as error:
        raise BadOption(f"{option} is {text!r}; give {what}") from error


def read_share(option: str, text: str) -> float:
    """
    >>> read_share("--confidence", "0.95")
    0.95
    """
    number = read_number(option, text, "a share above 0 and below 1, such as 0.95")
    if not 0 < number < 1:
        raise BadOption(f"{option} is {text!r}; give a share above 0 and below 1, such as 0.95")
    return number


def read_numbers(option: str, text: str) -> float | tuple[float, ...]:
    """
    >>> read_numbers("--mean", "0.5"), read_numbers("--mean", "0.1, 0.2,0.3")
    (0.5, (0.1, 0.2, 0.3))
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadOption(f"{option} is {text!r}; give a number, or one per channel as 0.485,0.456,0.406") from error
    return numbers[0] if len(numbers) == 1 else numbers
