"""Where the thing is, from what the command line names: a table of boxes, a folder of masks, or what comes with the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from smoothgrad.cli.inputs import Source
from smoothgrad.errors import BadInput, BadOption, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.cli.work import Work
    from smoothgrad.measure.regions import Box
    from smoothgrad.models.network import Network

T = TypeVar("T")
OUTSIDE = "the region lies outside of what the network sees: its picture is cut, and the thing cut off"


class Region(NamedTuple):
    """Where the thing is in one picture, as the network sees it."""

    inside: Tensor  # (1, H, W), bool
    gone: str = ""  # why there is nothing inside, where that is known
    cut: int = 0  # boxes that reach beyond the picture


Regions: TypeAlias = Callable[[Source], Region]


def regions_for(work: Work, given: Path | None) -> Regions | None:
    """What finds the region of each picture; None where nothing is known. Raises `BadOption` and `BadInput`."""
    if given is None:
        return _that_come_with(work)
    if work.question.at is not None:
        raise BadOption("--regions are of pictures, and --at explains a layer; give one of them")
    if not work.files:
        raise BadOption("--regions names boxes or masks of picture files, and none are given; name pictures")
    return _from_masks(work.net, given) if given.is_dir() else _from_boxes(work.net, given)


def _that_come_with(work: Work) -> Regions | None:
    """Those of the network's own inputs, where they are what is explained and their truth is known."""
    if work.files or work.question.at is not None:
        return None
    found = work.net.sample_regions(len(work.sources))
    if found is None:
        return None
    by_name = {source.name: region[None] for source, region in zip(work.sources, found, strict=True)}
    return lambda source: Region(by_name[source.name])


def _from_boxes(net: Network, table: Path) -> Regions:
    from smoothgrad.measure.regions import read_boxes, regions_from_boxes
    from smoothgrad.models.pictures import opaque_picture

    boxes = read_boxes(table)

    def region(source: Source) -> Region:
        path = _path(source)
        found = _entry(path, boxes, table, path.name)
        width, height = opaque_picture(path).size
        cut = sum(_beyond(box, width, height) for box in found)
        return _seen(net, regions_from_boxes([found], (height, width))[0])._replace(cut=cut)

    return region


def _from_masks(net: Network, folder: Path) -> Regions:
    from smoothgrad.measure.regions import read_mask, read_masks
    from smoothgrad.models.pictures import opaque_picture

    masks = read_masks(folder)

    def region(source: Source) -> Region:
        path = _path(source)
        mask = _entry(path, masks, folder, path.stem)
        found, (width, height) = read_mask(mask), opaque_picture(path).size
        if found.shape != (height, width):
            raise BadInput(
                f"the mask {mask} has {found.shape[1]} x {found.shape[0]} pixels, its picture {width} x {height}; give one of "
                "its size"
            )
        return _seen(net, found)

    return region


def _beyond(box: Box, width: int, height: int) -> bool:
    """Does a box reach beyond the picture? By one pixel does not count: some count them from 1, some name the first outside.

    >>> _beyond((0, 0, 10, 5), 10, 5), _beyond((0, 0, 5000, 5), 10, 5)
    (False, True)
    """
    xmin, ymin, xmax, ymax = box
    return min(xmin, ymin) < -1 or xmax > width or ymax > height


def _seen(net: Network, region: Tensor) -> Region:
    """A region (H, W) of a file, as the network sees it."""
    from smoothgrad.measure.regions import follow

    inside = follow(region, net.preprocessing)
    return Region(inside[None], OUTSIDE if region.any() and not inside.any() else "")


def _path(source: Source) -> Path:
    assert source.path is not None, "regions_for asks for files"
    return source.path


def _entry(path: Path, known: Mapping[str, T], where: Path, name: str) -> T:
    """What is known of a picture: by its name, or by the end of its path, such as two/dog.jpg."""
    ends = [name, *(f"{parent.name}/{name}" for parent in path.resolve().parents[:1]), str(path)]
    for end in ends:
        if end in known:
            return known[end]
    raise BadInput(f"{where} has no region for {name}; {nearest(name, known)}")
