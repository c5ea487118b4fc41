"""The choices between a map and its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final, get_args

from smoothgrad.errors import BadInput, BadMethod, nearest
from smoothgrad.significance import check_fdr

Channels = Literal["sum", "max"]
Sign = Literal["absolute", "signed", "positive", "negative"]


@final
@dataclass(frozen=True)
class Look:
    """How a map (C, H, W) is shown. The map itself stays raw and signed; with m its values at a pixel:

        absolute  sum_c |m_c|  or  max_c |m_c|               how much, in either direction
        signed    sum_c m_c    or  the m_c of largest |m_c|  orange is positive, blue negative, nearly white zero
        positive  relu(signed)                               what raises the score
        negative  relu(-signed)                              what lowers it

    Parameters
    ----------
    channels: "sum" or "max" over the channels.
    sign: "absolute", "signed", "positive" or "negative".
    cap: percentile of the absolute values, in (0, 100], at which colours saturate; 100 caps nothing.
    times_input: show map * input. Whether it helps depends on the picture: black pixels vanish.
    overlay: 0 shows the map alone. In (0, 1]: the greyscale picture lies beneath with this opacity, and the
        square of the map's strength, |value| / limit, is how much its colour covers the picture.
    shared: one scale for all maps of the same unit in a row of a figure, so that their colours compare.
    fdr: show only values that differ from zero at this false-discovery rate, in (0, 1), such as 0.05; None shows all. In a
        picture the others count as zero, and a pixel none of whose channels is left is hatched; bars and lines are
        pale. See `Attribution.significant`.

    Raises `BadMethod` for any other value.

    >>> Look(sign="signed", cap=100)
    Look(channels='sum', sign='signed', cap=100, times_input=False, overlay=0.0, shared=False,
         fdr=None)
    >>> Look(cap=0)
    Traceback (most recent call last):
    smoothgrad.errors.BadMethod: a look's cap is a percentile above 0 and up to 100, such as 99; got 0
    """

    channels: Channels = "sum"  # the sum over colours, as the authors of SmoothGrad draw; "max": Simonyan et al. 2013
    sign: Sign = "absolute"  # Smilkov et al. 2017: absolute for ImageNet, signed for MNIST
    cap: float = 99.0  # Smilkov et al. 2017: a few pixels of huge gradient would hide all others
    times_input: bool = False  # Smilkov et al. 2017: undecided; off, since it hides dark pixels
    overlay: float = 0.0
    shared: bool = False
    fdr: float | None = None

    def __post_init__(self) -> None:
        _one_of("channels", self.channels, get_args(Channels))
        _one_of("sign", self.sign, get_args(Sign))
        _number("cap", self.cap, "a percentile above 0 and up to 100, such as 99", lambda cap: 0 < cap <= 100)
        _number("overlay", self.overlay, "an opacity from 0 to 1, such as 0.6", lambda part: 0 <= part <= 1)
        for name, value in (("times_input", self.times_input), ("shared", self.shared)):
            if not isinstance(value, bool):
                raise BadMethod(f"a look's {name} is True or False; got {value!r}")
        if self.fdr is not None:
            check_fdr(self.fdr)

    @staticmethod
    def default_for(shape: Sequence[int]) -> Look:
        """The look that suits a row of this shape (*S, without the batch).

        Pictures with several channels are shown absolute: a natural photograph has no meaning for the
        direction of a colour. One channel (digits, where ink against paper means something), features and
        signals are shown signed. Smilkov et al. 2017. Raises `BadInput` for an empty shape.

        >>> Look.default_for((3, 224, 224)).sign, Look.default_for((1, 8, 8)).sign, Look.default_for((30,)).sign
        ('absolute', 'signed', 'signed')
        """
        if not shape or min(shape) < 1:
            raise BadInput(f"a row to show has at least one value; got shape {tuple(shape)}")
        return Look(sign="absolute" if len(shape) == 3 and shape[0] > 1 else "signed")

    def of(self, *, unsigned: bool) -> Look:
        """The look of a map that can never be negative, if it is `unsigned`: a square or a variance has no other side.

        It is shown from zero to its largest, in the colours of absolute values, whether the look is absolute, signed or
        positive; its negative part is all zero. Times the input it has a sign again.

        >>> Look(sign="signed").of(unsigned=True).sign, Look(sign="signed").of(unsigned=False).sign
        ('absolute', 'signed')
        """
        one_sided = unsigned and not self.times_input and self.sign != "negative"
        return replace(self, sign="absolute") if one_sided else self


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = f"{', '.join(choices[:-1])} or {choices[-1]}"
        near = nearest(value, choices) if isinstance(value, str) else "pass one of these words"
        hint = f": {near}" if not near.startswith("known") else ""
        raise BadMethod(f"a look's {name} is {known}; got {value!r}{hint}")


def _number(name: str, value: object, what: str, inside: Callable[[float], bool]) -> None:
    # True and False are numbers to Python, and not to the reader of a figure
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not inside(value):
        raise BadMethod(f"a look's {name} is {what}; got {value!r}")
