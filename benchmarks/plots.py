"""The two pictures: ratios on every network, and growth. They read in grey too: shapes and dashes differ, not only colours."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.findings import Findings
from benchmarks.networks import NETWORKS
from benchmarks.session import Session

STYLE = {
    "bare loop": ("|", "#000000"),
    "ours, bfloat16": ("*", "#08519c"),
    "captum, best batch": ("o", "#d95f02"),
    "captum, default": ("s", "#7f2704"),
    "saliency": ("^", "#7a7a7a"),
    "zennit": ("D", "#9e9ac8"),
}
UNITS = {"draws": "draws", "pictures": "pictures (10 draws each)", "pixels": "pixels on a side (20 draws)"}


def ratios(session: Session, file: Path) -> None:
    """Time and peak memory of SmoothGrad as multiples of ours, on every network."""
    found = Findings(session)
    figure, axes = plt.subplots(1, 2, figsize=(11, 1.6 + 0.62 * len(session.scale.networks)), sharey=True)
    for axis, kind, title in zip(
        axes, ("seconds", "bytes"), ("time / time of ours", "peak memory / ours"), strict=True
    ):
        _dots(axis, found, kind)
        axis.set_xlabel(title)
    axes[0].set_yticks(range(len(session.scale.networks)), [NETWORKS[name].title for name in session.scale.networks])
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.suptitle(
        f"SmoothGrad, {session.scale.samples} draws: right of the line is more than ours (float32)", x=0.02, ha="left"
    )
    figure.legend(handles, labels, loc="lower center", ncols=len(STYLE), frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _dots(axis: Axes, found: Findings, kind: str) -> None:
    for lane, (contender, (marker, colour)) in enumerate(STYLE.items()):
        places = []
        for row, network in enumerate(found.scale.networks):
            ratio = found.ratio("smoothgrad", network, contender, "ours", kind)
            if ratio is not None:
                places.append((ratio.median, row + (lane - 2.5) / 9))  # beside each other, so that none hides another
        across, down = zip(*places, strict=True) if places else ((), ())
        axis.plot(across, down, marker, color=colour, markersize=8, label=contender)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    _plain_numbers(axis.xaxis)
    axis.grid(axis="x", which="both", linewidth=0.3)


def growing(session: Session, file: Path) -> None:
    """Two rows, time and memory; three columns, what grows."""
    found = Findings(session)
    figure, axes = plt.subplots(2, 3, figsize=(11, 6))
    for column, axis_name in enumerate(session.scale.growth):
        for contender, marker, dashes, colour in (
            ("ours", "o", "-", "#08519c"),
            ("captum, default", "s", "--", "#7f2704"),
        ):
            grown = found.grown(axis_name, contender)
            for row, per in ((0, 1.0), (1, 1e-6)):
                values = [figures[row].median * per for figures in grown.values()]
                axes[row, column].plot(
                    list(grown), values, marker=marker, linestyle=dashes, color=colour, label=contender
                )
        for row in (0, 1):
            _log_log(axes[row, column], session.scale.growth[axis_name])
        axes[1, column].set_xlabel(UNITS[axis_name])
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory above\nthe network, MB")
    axes[0, 0].legend(frameon=False)
    spec = NETWORKS[session.scale.grows]
    title = f"SmoothGrad on {spec.title}; one picture of {spec.size} px, where they do not grow; logarithmic axes"
    figure.suptitle(title, x=0.02, ha="left")
    figure.tight_layout()
    for kind in (".png", ".svg"):
        figure.savefig(file.with_suffix(kind), dpi=150)
    plt.close(figure)


def _log_log(axis: Axes, ticks: tuple[int, ...]) -> None:
    if not any(line.get_xydata().size for line in axis.lines):
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
        return
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)
    _plain_numbers(axis.yaxis)
    axis.grid(which="both", linewidth=0.3)


def _plain_numbers(axis: Axis) -> None:
    """0.5, 1, 2, 5, 10, ... in place of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
