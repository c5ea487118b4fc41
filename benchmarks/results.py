"""The tables: `results.md`, written from the records and never by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from statistics import fmean

from benchmarks import machine, profile, sampling, smooth_ig
from benchmarks.contenders import CONTENDERS
from benchmarks.findings import CLOSE, EXACT, Aim, Findings, Timed, aims, has_errors, number
from benchmarks.networks import NETWORKS
from benchmarks.session import Session
from benchmarks.tasks import TITLES, Task

AWAY = "not measured"


def write(session: Session, file: Path, command: str) -> None:
    """Write all tables into the file."""
    found = Findings(session)
    parts = (_head(session, command), _aims(found), _times(found), _smooth(found), _sampling(found), _profile(found))
    file.write_text("\n".join(line for part in parts for line in part))


def table(*heads: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Lines of Markdown; a bar inside a cell would end it.

    >>> print(*table("a", "b", rows=[("1", "2")]), sep="|")
    | a | b |||---|---||| 1 | 2 ||
    """
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        cells = [cell.replace("|", "/").replace("\n", " ") for cell in row]
        yield f"| {' | '.join(cells + [''] * (len(heads) - len(cells)))} |"
    yield ""


def _head(session: Session, command: str) -> Iterator[str]:
    versions = ", ".join(f"{package} {version}" for package, version in machine.versions().items())
    yield from ("# Benchmarks", "", "Written by the program; how to read it is in [README.md](README.md).", "")
    yield f"* Machine: {machine.said(session.device)}"
    yield f"* Versions: {versions}, smoothgrad {_commit()}"
    yield f"* Made on {date.today().isoformat()} by `{command}`, device {session.device}"
    yield f"* Medians of {session.scale.rounds} interleaved rounds, smallest and largest in brackets"
    yield ""


def _commit() -> str:
    """The library's commit, or its code's digest where there is none."""
    words = ["git", "describe", "--always", "--dirty"]
    asked = subprocess.run(words, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or machine.source()


# --- aims --------------------------------------------------------------------------------------------------------------


def _aims(found: Findings) -> Iterator[str]:
    every = aims(found)
    yield from ("## Aims", "")
    yield from table("aim", "measured", "wanted", "met", rows=(_aim(aim) for aim in every))
    missed = [line for aim in every if aim.met is False for line in _why(found, aim)]
    yield from missed
    yield from [""] * bool(missed)


def _aim(aim: Aim) -> Iterator[str]:
    met = {True: "yes", False: "**no**", None: "?"}
    yield from (aim.what, AWAY if aim.measured is None else aim.measured.said(), aim.said(), met[aim.met])


def _why(found: Findings, aim: Aim) -> Iterator[str]:
    """What the time is spent on, where an aim of time is missed."""
    records = found.session.records(profile.STAGE)
    if aim.network in records:
        shares = sorted(records[aim.network]["shares"].items(), key=lambda item: -item[1])
        spent = ", ".join(f"{part} {share:.0%}" for part, share in shares)
        yield f"* Missed: {aim.what}. SmoothGrad's time there: {spent}."


# --- times --------------------------------------------------------------------------------------------------------------


NOTES = f"""\
† Takes one draw at a time, or a fixed batch on a slow network, so that its time is proportional to the draws: timed at 10 and
multiplied.

Maps are compared with ours, first without noise, where they must be the same, then at the first round, where they can
agree only as well as two seeds do (in the row "ours"). "another map" marks what is not the same without noise (a cosine
under {EXACT}; bfloat16 is exempt), or falls more than {CLOSE} short of two seeds. Integrated Gradients has no noise: captum has
the same nodes as ours, saliency and zennit have others.
"""
COLUMNS = ("", "seconds", "/ ours", "peak MB", "/ ours", "batch", "cosine, no noise", "cosine, noise")


def _times(found: Findings) -> Iterator[str]:
    for method in found.scale.methods:
        yield from (f"## {TITLES[method]}", "")
        names = [name for name, contender in CONTENDERS.items() if method in contender.methods]
        for network in found.scale.networks:
            task = Task(method, found.scale.samples)
            yield from (f"{task.said()}: {NETWORKS[network].said()}", "")
            yield from table(*COLUMNS, rows=(_row(found, method, network, name) for name in names))
    yield from ("![Time and memory beside ours](plot.png)", "", *NOTES.splitlines(), "")


def _row(found: Findings, method: str, network: str, name: str) -> Iterator[str]:
    yield name
    why = CONTENDERS[name].left_out(network, method)
    timed = found.timed(method, network, name)
    if why or timed is None or timed.error:
        yield why or _absence(timed)
        return
    slower, larger = (found.ratio(method, network, name, "ours", kind) for kind in ("seconds", "bytes"))
    yield timed.seconds.said() + (" †" if timed.scaled else "")
    yield "" if slower is None else number(slower.median)
    yield timed.bytes.said(1e-6)
    yield "" if larger is None else number(larger.median)
    yield _batch(timed, name)
    yield from _agreement(found, method, network, name)


def _absence(timed: Timed | None) -> str:
    return AWAY if timed is None else timed.error


def _batch(timed: Timed, name: str) -> str:
    if timed.batch is not None:
        return str(timed.batch)
    return "1" if CONTENDERS[name].single else "its own" if name.startswith("ours") else "all"


def _agreement(found: Findings, method: str, network: str, name: str) -> Iterator[str]:
    """The cosines with ours, without noise and with it."""
    cosine, expected = found.cosine(method, network, name), found.expected(method, network, name)
    verdict = " **another map**" if found.agrees(method, network, name) is False else ""
    if cosine is None:
        return
    if method == "integrated_gradients":
        nodes = " (other nodes)" if expected is None else verdict
        yield "" if name == "ours" else f"{cosine:.4f}{nodes}"
        return
    if expected is None:
        return
    still = found.cosine(method, network, name, "still")
    yield "" if still is None or name == "ours" else f"{still:.4f}"
    yield f"two seeds: {expected:.3f}" if name == "ours" else f"{cosine:.3f}{verdict}"


# --- the other stages -----------------------------------------------------------------------------------------------------


def _smooth(found: Findings) -> Iterator[str]:
    scale = found.scale
    network = NETWORKS[scale.small].title
    yield f"""\
## Smooth Integrated Gradients at equal error

{network}, {scale.pictures} pictures; relative L2 error to a joint run of {scale.reference} draws, root mean square over
{scale.seeds} seeds, the mean over pictures. Nested: {scale.nested} noise draws of {scale.nested} steps each, \
{scale.nested**2} gradient evaluations.
"""
    heads = ("noise", "draws", "error of nesting", *(f"of {n} joint" for n in scale.grid), "equal at", "evaluations")
    kinds = [(level, kind) for level in scale.levels for kind in smooth_ig.SAMPLINGS]
    yield from table(*heads, rows=(_errors(found, level, kind) for level, kind in kinds))
    yield from (f"Wall time for one picture, {network}:", "")
    joint = [smooth_ig.joint_label(level, kind) for level, kind in kinds]
    labels = ("captum, default", "captum, best batch", "ours, nested", *joint)
    yield from table("", "seconds", "peak MB", "batch", rows=(_smooth_row(found, label) for label in labels))


def _errors(found: Findings, level: float, kind: str) -> Iterator[str]:
    yield from (f"{level:.0%}", kind)
    if not has_errors(found, level):
        yield AWAY
        return
    errors = smooth_ig.errors(found.session, found.smooth, level)
    yield number(fmean(errors.nested))
    yield from (number(fmean(errors.joint[kind][n])) for n in found.scale.grid)
    equal = errors.typical(kind)
    yield f"{number(equal)} draws"
    yield f"{number(found.scale.nested**2 / equal)} times fewer"


def _smooth_row(found: Findings, label: str) -> Iterator[str]:
    yield label
    timed = found.smooth_timed(label)
    if timed is None or timed.error:
        yield _absence(timed)
        return
    yield timed.seconds.said()
    yield timed.bytes.said(1e-6)
    yield "its own" if label.startswith("ours") else str(timed.batch or "all")


def _sampling(found: Findings) -> Iterator[str]:
    scale = found.scale
    yield f"""\
## How draws are spread

The variance of SmoothGrad at {scale.sampled} draws over {scale.sampling_seeds} seeds, beside that of independent draws, on
{NETWORKS[scale.small].title}: the mean over {scale.pictures} pictures (smallest and largest).
"""
    kinds = [(level, kind) for level in scale.levels for kind in sampling.SAMPLINGS[1:]]
    yield from table("noise", "draws", "variance ratio", "", rows=(_variance(found, *one) for one in kinds))


def _variance(found: Findings, level: float, kind: str) -> Iterator[str]:
    yield from (f"{level:.0%}", kind)
    records = found.session.records(sampling.STAGE)
    names = [sampling.name(level, one) for one in (kind, "independent")]
    if not all(name in records for name in names):
        yield AWAY
        return
    ratios = sampling.ratios(*(records[name]["variances"] for name in names))
    yield f"{number(fmean(ratios))} ({number(min(ratios))}–{number(max(ratios))})"
    saved = 1 - fmean(ratios)
    yield f"saves {saved:.0%} of the samples" if saved >= 0 else f"costs {-saved:.0%} more samples"


def _profile(found: Findings) -> Iterator[str]:
    yield f"""\
## Where the time of ours goes

{Task("smoothgrad", found.scale.samples).said()}, float32: shares of the operators' own time.
"""
    yield from table("", *profile.PARTS, rows=(_parts(found, network) for network in found.scale.networks))
    yield from ("## Growth", "", "![Time and memory as draws, pictures and pixels grow](growth.png)", "")


def _parts(found: Findings, network: str) -> Iterator[str]:
    yield NETWORKS[network].title
    records = found.session.records(profile.STAGE)
    if network not in records:
        yield AWAY
        return
    yield from (f"{records[network]['shares'][part]:.1%}" for part in profile.PARTS)
