"""Makes the pictures inside notebooks small, so that they can be kept with the code:  python keep_small.py *.ipynb

Each is made no wider than 800 pixels, and written as PNG with a palette where that hardly changes it, else as JPEG.
`make notebooks` calls it.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from PIL import Image, ImageChops

WIDTH = 800  # pixels
LITTLE = 25_000  # bytes that are not worth the trouble
SEEN, FEW = 12, 0.002  # a palette may move red, green or blue by more (of 255) in so few pixels: the edges of letters
QUALITY = 65  # of JPEG, up to 100


def smaller(png: bytes) -> tuple[str, bytes]:
    """The same picture to the eye in fewer bytes, and its kind; as it was where that does not help."""
    with Image.open(io.BytesIO(png)) as opened:
        done = opened.mode == "P" or len(png) < LITTLE
        ground = Image.new("RGBA", opened.size, "white")
        picture = Image.alpha_composite(ground, opened.convert("RGBA")).convert("RGB")
    if done:
        return "image/png", png
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    few = picture.quantize(256, kmeans=3, dither=Image.Dither.NONE)
    moved = np.asarray(ImageChops.difference(picture, few.convert("RGB"))).max(2) > SEEN
    written = {"image/png": png, "image/jpeg": _bytes(picture, "JPEG", quality=QUALITY)}
    if moved.mean() < FEW:
        written["image/png"] = _bytes(few, "PNG")
    return min(written.items(), key=lambda kind_bytes: len(kind_bytes[1]))


def main(files: list[str]) -> None:
    """Shrink the pictures of each notebook, in place."""
    for file in map(Path, files):
        notebook = nbformat.read(file, as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        for data in (output.data for output in outputs if "image/png" in output.get("data", {})):
            kind, written = smaller(base64.b64decode(data.pop("image/png")))
            data[kind] = base64.b64encode(written).decode() + "\n"
        nbformat.write(notebook, file)


def _bytes(picture: Image.Image, form: str, **options: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, form, optimize=True, **options)
    return written.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
