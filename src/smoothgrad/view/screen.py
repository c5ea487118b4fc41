"""A finished figure before a person's eyes: in a notebook, or in the system's own viewer of pictures."""

from __future__ import annotations

import base64
import html
import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8  # rows of a result that a notebook shows by itself


def show(page: Figure) -> None:
    """Show a figure: in the notebook, or with the system's own viewer of pictures."""
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(page)
        return
    from PIL import Image

    Image.open(io.BytesIO(_png(page))).show()


def as_html(page: Figure, said: str, caption: str, *, rows: int) -> str:
    """A figure of the first rows for a notebook. `said` stands for it where pictures are not seen; `caption` is HTML."""
    picture = base64.b64encode(_png(page)).decode()
    left_out = f"<p>{rows - SHOWN} more rows are not shown.</p>" if rows > SHOWN else ""
    return (
        f'<figure style="margin:0"><img style="max-width:100%" src="data:image/png;base64,{picture}" '
        f'alt="{html.escape(said)}"><figcaption>{caption}</figcaption></figure>{left_out}'
    )


def _png(page: Figure) -> bytes:
    memory = io.BytesIO()
    page.savefig(memory, format="png", dpi=110)
    return memory.getvalue()
