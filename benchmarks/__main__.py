"""`python -m benchmarks`: measure what is not yet measured, then write the tables and the pictures."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks import growth, machine, measures, plots, profile, results, sampling, smooth_ig, times
from benchmarks.session import FULL, QUICK, Session
from tests.operators import declare_missing

HERE = Path(__file__).parent
STAGES = (times, smooth_ig, sampling, growth, profile, measures)


def main(words: list[str]) -> int:
    """Run what the command line asks for."""
    given = _parser().parse_args(words)
    declare_missing()
    folder = HERE / "out" / f"{'quick' if given.quick else 'full'}-{given.device.replace(':', '')}"
    if given.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    scale = QUICK if given.quick else FULL
    session = Session(scale, given.device, folder, tuple(given.only), machine.made_with(given.device))
    for stage in () if given.tables else STAGES:
        stage.run(session)
    # Tables and pictures of the real thing stay beside this file; those of a part or of a trial do not replace them.
    whole = not given.quick and not given.only and given.device == "cpu"
    place = HERE if whole else folder
    place.mkdir(parents=True, exist_ok=True)
    measures.write(session, (HERE if not given.quick and given.device == "cpu" else folder) / "measures.md")
    if given.only == [measures.STAGE]:  # nothing else has been measured that would belong in the other tables
        return 0
    results.write(session, place / "results.md", " ".join(["python -m benchmarks", *words]))
    plots.ratios(session, place / "plot.png")
    plots.growing(session, place / "growth.png")
    session.say(f"wrote results.md, plot.png, growth.png and growth.svg in {place}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny network and few draws: does everything work?")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--tables", action="store_true", help="measure nothing: write what has been measured")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help='such as "resnet50", "smooth_ig" or "times/guided*captum"; may be repeated',
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
