"""`smoothgrad demo`: what all this is, on the embedded network, without a picture or a download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import counted, err, failing, out
from smoothgrad.cli.options import LookOptions, NetworkOptions, QuestionOptions
from smoothgrad.cli.output import Output
from smoothgrad.cli.progress import Bars
from smoothgrad.cli.results import write_report
from smoothgrad.cli.work import Work, finish

METHODS = (
    "gradient()",
    "smoothgrad(noise=0.15, samples=50)",
    "vargrad(noise=0.15, samples=50)",
    "integrated_gradients(steps=50)",
    "smooth_integrated_gradients(noise=0.1, samples=200)",
    "guided_backprop()",
)
NEXT = """smoothgrad explain cat.jpg --model timm:resnet50        your own picture
smoothgrad compare cat.jpg --model timm:resnet50        several methods side by side
smoothgrad methods                                      what there is, with formulas
smoothgrad doctor                                       what is installed"""


def demo(
    folder: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.")] = Path("out/demo"),
    samples: Annotated[str, typer.Option(metavar="N", help="How many digits.")] = "5",
    debug: options.Debug = False,
) -> None:
    """Show what this is: six methods on handwritten digits, as one HTML page. Takes a few seconds, downloads nothing."""
    with failing(debug=debug, folder=folder):
        output = Output.checked(folder, "html", ["html"])
        count = options.read_count("--samples", samples)
        work = Work.checked(NetworkOptions("digits"), None, count, METHODS, QuestionOptions())
        console = err()
        console.print(f"{counted(len(METHODS), 'method')} on {counted(count, 'handwritten digit')} ...")
        bars = Bars(len(METHODS) * count, shown=True)
        ran = work.run(bars, output.folder)
        table = work.table(ran.rows)
        report = write_report(table, output, LookOptions(), "smoothgrad: a demonstration on handwritten digits")
        finish(ran, table)
        assert report is not None, "no cell failed, so there is something to show"
        screen = out()
        screen.print(Text.assemble("The report is ", (str(report), "cyan"), "; open it in a browser:"))
        screen.print(f"  {report.resolve().as_uri()}", soft_wrap=True, markup=False, style="cyan")
        screen.print("\nThen:")
        for line in NEXT.splitlines():
            command, gap, what = line.partition("   ")
            screen.print(Text.assemble("  ", (command, "bold"), gap, (what, "dim")), soft_wrap=True)
