"""What comes back: kept to the bit, cut into rows and parts, shown, and never half-written."""

from __future__ import annotations

import builtins
import dataclasses
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import smoothgrad as sg
from smoothgrad.errors import BadInput, BadMethod, CannotWrite, MissingPackage
from smoothgrad.result import FORMAT, Completeness
from tests.nets import small_net

NAN = math.nan
X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOGETHER = sg.Gradient().over(
    sg.Gaussian(samples=5), sg.Together(sg.Mean(), sg.Variance(), sg.Median(), sg.SquareMean())
)


def explained(method: sg.Explainer, x: Tensor = X, **options: Any) -> sg.Attribution:
    return sg.explain(small_net(), x, method=method, **options)


def on_digits(method: sg.Explainer, rows: int = 3, **options: Any) -> sg.Attribution:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(rows), method=method, **options)
    return dataclasses.replace(result, names=net.sample_names(rows))


def linear(features: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 4)).eval()


RESULTS: dict[str, Callable[[], sg.Attribution]] = {
    "gradient: no error, no completeness": lambda: explained(sg.gradient()),
    "smoothgrad: an error": lambda: explained(sg.smoothgrad(samples=4), seed=-7, keys=[5, 6, 7]),
    "path: completeness": lambda: explained(sg.integrated_gradients(steps=4)),
    "expected gradients: data": lambda: explained(sg.expected_gradients(torch.rand(6, 3, 8, 8), samples=4)),
    "two tensors": lambda: explained(
        sg.integrated_gradients(baseline=sg.Several(sg.Given(X[0]), sg.Given(X[1].flip(1))), steps=2)
    ),
    "digits: picture, classes, names": lambda: on_digits(sg.smoothgrad(samples=4)),
    "a contrast": lambda: explained(sg.gradient(), target=sg.Contrast()),
    "a function": lambda: explained(sg.gradient(), target=lambda output: output.sum(1)),
    "several maps": lambda: explained(TOGETHER),
    "float64": lambda: sg.explain(small_net().double(), X.double(), method=sg.vargrad(samples=4)),
    "features": lambda: sg.explain(linear(6), torch.rand(2, 6), method=sg.smoothgrad(samples=4)),
    "one row": lambda: explained(sg.smooth_taylor(samples=4), X[:1]),
}


def same(one: sg.Attribution, other: sg.Attribution) -> bool:
    def equal(a: object, b: object) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return (
                a.dtype == b.dtype
                and a.shape == b.shape
                and torch.equal(a.nan_to_num(nan=7e77), b.nan_to_num(nan=7e77))
            )
        if isinstance(a, tuple) and isinstance(b, tuple):
            return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
        return type(a) is type(b) and a == b

    fields = [field.name for field in dataclasses.fields(sg.Attribution)]
    return [name for name in fields if not equal(getattr(one, name), getattr(other, name))] == []


# --- keeping ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_what_is_saved_is_loaded_to_the_bit(make: Callable[[], sg.Attribution], tmp_path: Path) -> None:
    result = make()
    path = result.save(tmp_path / "new folder" / "map.safetensors")
    again = sg.Attribution.load(path)
    assert same(again, result)
    assert again.method() == result.method()
    assert repr(again) == repr(result)
    assert again.unit == result.method().unit


def test_saving_leaves_one_file_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    explained(sg.gradient()).save(path)
    newer = explained(sg.vargrad(samples=3))
    newer.save(str(path))
    assert [file.name for file in tmp_path.iterdir()] == ["map.safetensors"]
    assert same(sg.Attribution.load(str(path)), newer)


def test_rows_of_a_result_are_saved_without_the_others(tmp_path: Path) -> None:
    result = explained(sg.smoothgrad(samples=3))
    path = result[1].save(tmp_path / "row.safetensors")
    assert same(sg.Attribution.load(path), result[1])
    assert load_file(path)["maps"].shape == (1, 3, 8, 8)


def test_other_programs_can_read_the_maps(tmp_path: Path) -> None:
    result = explained(sg.smoothgrad(samples=3))
    tensors = load_file(result.save(tmp_path / "map.safetensors"))
    assert torch.equal(tensors["maps"], result.maps)


def test_nothing_is_half_written_when_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "map.safetensors"
    old = explained(sg.gradient())
    old.save(path)

    def interrupted(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            explained(sg.vargrad(samples=3)).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["map.safetensors"]
    assert same(sg.Attribution.load(path), old)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the full disk: writing fails in the same place.
    result = explained(sg.smoothgrad(samples=2), torch.rand(40, 3, 8, 8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        with pytest.raises(CannotWrite, match=r"cannot write .*map\.safetensors: .*; choose a folder"):
            result.save(tmp_path / "map.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = explained(sg.gradient())
    with pytest.raises(CannotWrite, match=r"cannot write .*: .*; choose a folder that exists and can be written"):
        result.save(tmp_path / "file" / "map.safetensors")
    with pytest.raises(CannotWrite, match="it is a folder; give the name of a file"):
        result.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no file .*none.safetensors"):
        sg.Attribution.load(tmp_path / "none.safetensors")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; give the name of a file"):
        sg.Attribution.load(tmp_path)


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.999], ids=str)
def test_truncated_files_are_refused(kept: float, tmp_path: Path) -> None:
    path = explained(sg.smoothgrad(samples=3)).save(tmp_path / "map.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(BadInput, match=r"map.safetensors is no file of maps"):
        sg.Attribution.load(path)


@pytest.mark.parametrize(
    "content", [b"hello", b"\x89PNG\r\n\x1a\n" + bytes(90), b"\xff" * 64], ids=["text", "png", "ones"]
)
def test_files_of_another_kind_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"map.safetensors is no file of maps"):
        sg.Attribution.load(path)


def test_weights_are_no_maps(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(
        BadInput, match=r"weights.safetensors is a safetensors file, but none that Attribution.save wrote"
    ):
        sg.Attribution.load(path)


@pytest.mark.parametrize("said", [None, "{", "[]", json.dumps({"seed": 0})], ids=["none", "broken", "list", "poor"])
def test_a_file_that_lacks_what_save_writes_is_refused(said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "map.safetensors"
    save_file({"maps": torch.zeros(1, 2)}, path, {"format": FORMAT} | ({} if said is None else {"smoothgrad": said}))
    with pytest.raises(BadInput, match=r"map.safetensors .*Attribution.save"):
        sg.Attribution.load(path)


def test_a_file_without_its_maps_is_refused(tmp_path: Path) -> None:
    path = explained(sg.gradient()).save(tmp_path / "map.safetensors")
    tensors = load_file(path)
    del tensors["maps"]
    header = path.read_bytes()
    size = int.from_bytes(header[:8], "little")
    metadata = json.loads(header[8 : 8 + size])["__metadata__"]
    save_file(tensors, path, metadata)
    with pytest.raises(BadInput, match=r"map.safetensors .*Attribution.save"):
        sg.Attribution.load(path)


def test_a_file_from_before_reproducibility_still_loads(tmp_path: Path) -> None:
    result = dataclasses.replace(explained(sg.smoothgrad(samples=4)), freedom=None, reproducibility=None)
    loaded = sg.Attribution.load(result.save(tmp_path / "old.safetensors"))
    assert (loaded.freedom, loaded.reproducibility) == (None, None)
    assert "reproducibility" not in repr(loaded)
    assert same(loaded, result)


# --- rows ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_a_row_has_everything_of_its_row(make: Callable[[], sg.Attribution]) -> None:
    result = make()
    for place, row in enumerate(result):
        assert len(row) == 1
        for name in ("x", "target", "score", "draws", "passes", "keys"):
            assert torch.equal(getattr(row, name)[0], getattr(result, name)[place])
        assert torch.equal(row.maps[0].nan_to_num(), result.maps[place].nan_to_num())
        assert row.names == result.names[place : place + 1]
        assert row.label() == result.label(place)
        assert (row.stderr is None) == (result.stderr is None)
        assert (row.picture is None) == (result.picture is None)
        assert row.recipe == result.recipe
        if result.completeness is not None:
            assert row.completeness is not None
            assert float(row.completeness.error) == float(result.completeness.error[place])


def test_rows_are_counted_as_in_a_list() -> None:
    result = explained(sg.smoothgrad(samples=3))
    assert len(result) == 3
    assert same(result[-1], result[2])
    assert same(result[np.int64(1)], result[1])
    assert same(result[:], result)
    assert torch.equal(result[1:].maps, result.maps[1:])
    assert [int(row.keys) for row in result] == [0, 1, 2]
    with pytest.raises(IndexError, match="row 3 of 3"):
        result[3]
    with pytest.raises(IndexError, match="row -4 of 3"):
        result[-4]


def test_no_rows_are_still_a_result() -> None:
    none = explained(sg.smoothgrad(samples=3))[3:]
    assert len(none) == 0
    assert list(none) == []
    assert "0 rows" in repr(none)


def test_a_result_cannot_be_changed() -> None:
    result: Any = explained(sg.gradient())
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.maps = X


# --- how sure -----------------------------------------------------------------------------------------------------------------


def test_the_relative_error_is_that_of_norms() -> None:
    result = explained(sg.smoothgrad(samples=6))
    assert result.stderr is not None
    assert result.relative_error is not None
    for row in range(3):
        expected = result.stderr[row].norm() / result.maps[row].norm()
        torch.testing.assert_close(result.relative_error[row], expected)


def test_where_chance_plays_no_part_there_is_no_error() -> None:
    for method in (sg.gradient(), sg.integrated_gradients(steps=4), sg.smoothgrad(samples=1)):
        result = explained(method)
        assert result.stderr is None
        assert result.relative_error is None
        assert "relative error" not in repr(result)


def test_a_map_of_zeros_is_not_sure_of_itself() -> None:
    net = linear(4)
    with torch.no_grad():
        for part in net.parameters():
            part.zero_()
    result = sg.explain(net, torch.rand(1, 4), method=sg.smoothgrad(samples=4))
    assert result.relative_error is not None
    assert result.relative_error.tolist() == [float("inf")]


def test_completeness_compares_the_sum_with_the_change_of_score() -> None:
    net, method = small_net(), sg.integrated_gradients(steps=400)
    result = sg.explain(net, X, method=method, target=2)
    with torch.no_grad():
        change = net(X)[:, 2] - net(torch.zeros_like(X))[:, 2]
    assert result.completeness is not None
    torch.testing.assert_close(result.completeness.total, result.maps.sum((1, 2, 3)))
    torch.testing.assert_close(result.completeness.change, change)
    assert (result.completeness.error < 0.02).all()


def test_nothing_to_explain_fully_explained_is_complete() -> None:
    error = Completeness(torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 2.0])).error
    assert error.tolist() == [0.0, torch.inf, 0.5]


def test_freedom_and_reproducibility_are_kept_by_row(tmp_path: Path) -> None:
    result = explained(sg.smoothgrad(samples=6))
    assert result.freedom is not None
    assert result.freedom.tolist() == [5, 5, 5]
    given = dataclasses.replace(result, freedom=torch.tensor([3, 4, 5]), reproducibility=torch.tensor([0.1, 0.5, 0.9]))
    loaded = sg.Attribution.load(given.save(tmp_path / "map.safetensors"))
    for kept in (given, loaded):
        row = kept[1]
        assert row.freedom is not None
        assert row.reproducibility is not None
        assert (row.freedom.tolist(), row.reproducibility.tolist()) == ([4], [0.5])


def test_reproducibility_stands_in_the_repr() -> None:
    result = explained(sg.smoothgrad(samples=4))
    for numbers, said in (([0.25, 0.5, 0.9], ", reproducibility 0.25>"), ([NAN, 0.5, 0.9], ", reproducibility 0.50>")):
        assert repr(dataclasses.replace(result, reproducibility=torch.tensor(numbers))).endswith(said)
    unknown = dataclasses.replace(result, reproducibility=torch.tensor([NAN] * 3))
    assert "reproducibility" not in repr(unknown)
    assert "reproducibility" not in repr(explained(sg.gradient()))


# --- parts --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finish", [None, sg.Absolute()], ids=["plain", "finished"])
def test_parts_are_the_reductions_run_alone(finish: sg.Finish | None) -> None:
    method = TOGETHER if finish is None else TOGETHER.then(finish)
    parts = explained(method).parts()
    assert list(parts) == ["Mean()", "Variance()", "Median()", "SquareMean()"]
    for reduction in (sg.Mean(), sg.Variance(), sg.Median(), sg.SquareMean()):
        over = sg.Gradient().over(sg.Gaussian(samples=5), reduction)
        alone = explained(over if finish is None else over.then(finish))
        part = parts[repr(reduction)]
        assert torch.equal(part.maps, alone.maps)
        assert part.recipe == alone.recipe
        assert part.unit == alone.unit
        if finish is None:
            assert (part.stderr is None) == (alone.stderr is None)
            assert part.stderr is None or torch.equal(part.stderr, alone.stderr if alone.stderr is not None else X)


def test_one_map_per_row_has_no_parts() -> None:
    with pytest.raises(BadInput, match="gives one map per row: there are no parts"):
        explained(sg.smoothgrad(samples=2)).parts()


def test_several_maps_have_no_relative_error_in_common() -> None:
    result = explained(TOGETHER)
    assert result.maps.shape == (3, 4, 3, 8, 8)
    assert result.relative_error is None
    assert result.parts()["Mean()"].relative_error is not None


# --- words --------------------------------------------------------------------------------------------------------------------


def test_labels_say_what_was_explained() -> None:
    digit = on_digits(sg.gradient())
    assert digit.label(1).startswith("1, score ")
    assert digit.target_name(2) == "2"
    assert explained(sg.gradient(), target=4).target_name() == "class 4"
    assert (
        explained(sg.gradient(), target=sg.Contrast(sg.Class(1), sg.Class(3))).target_name()
        == "class 1 rather than class 3"
    )
    assert explained(sg.gradient(), target=lambda output: output.sum(1)).target_name() == "your function"
    assert digit.class_name(-1) == "class -1"


def test_the_unit_is_said_in_words() -> None:
    assert explained(sg.smoothgrad(samples=2)).unit == "score per unit of input"
    assert explained(sg.integrated_gradients(steps=2)).unit == "score"
    assert explained(sg.vargrad(samples=2)).unit == "(score per unit of input)²"


def test_a_repr_fits_a_line_and_says_how_sure() -> None:
    said = repr(explained(sg.smoothgrad(samples=4), seed=3))
    assert said.startswith(
        "<Attribution of 3 rows of 3 x 8 x 8 by Gradient().over(Gaussian(noise=0.15, samples=4)), seed 3"
    )
    assert "relative error 0." in said


# --- looking ------------------------------------------------------------------------------------------------------------------

SHOWN: dict[str, Callable[[], sg.Attribution]] = {
    "a picture of a network": lambda: on_digits(sg.smoothgrad(samples=4), 2),
    "a picture of a plain module": lambda: explained(sg.smoothgrad(samples=4)),
    "two channels": lambda: sg.explain(linear(32), torch.rand(2, 2, 4, 4), method=sg.smoothgrad(samples=4)),
    "a signal": lambda: sg.explain(linear(40), torch.rand(2, 2, 20), method=sg.smoothgrad(samples=4)),
    "features": lambda: sg.explain(linear(6), torch.rand(2, 6), method=sg.smoothgrad(samples=4)),
    "no error": lambda: explained(sg.gradient()),
    "a path": lambda: explained(sg.integrated_gradients(steps=4)),
    "several maps": lambda: explained(TOGETHER),
    "several maps of a signal": lambda: sg.explain(linear(40), torch.rand(2, 2, 20), method=TOGETHER),
    "several maps of features": lambda: sg.explain(linear(6), torch.rand(2, 6), method=TOGETHER),
    "a layer": lambda: explained(sg.gradient(), at="3"),
}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
def test_every_kind_of_row_has_a_figure(make: Callable[[], sg.Attribution], tmp_path: Path) -> None:
    result = make()
    page = result.figure()
    page.savefig(tmp_path / "page.png", dpi=60)
    assert (tmp_path / "page.png").stat().st_size > 2000
    page = result.figure(sg.Look(sign="signed", cap=100), errors=False)
    assert len(page.axes) >= len(result)


def test_several_maps_stand_side_by_side() -> None:
    titles = {text.get_text() for text in explained(TOGETHER, X[:1]).figure().texts}
    assert {"Mean()", "Variance()", "Median()", "SquareMean()"} <= titles


def test_rows_are_called_by_their_names() -> None:
    result = on_digits(sg.gradient(), 2)
    titles = {text.get_text() for text in result.figure().texts}
    assert {*result.names, result.label(0), result.label(1)} <= titles


def test_one_panel_cannot_show_several_maps() -> None:
    with pytest.raises(BadInput, match=r"gives several maps per row; show one of .parts\(\)"):
        explained(TOGETHER).map_panel(0)


def test_a_constant_picture_is_shown() -> None:
    result = explained(sg.gradient(), torch.ones(1, 3, 8, 8))
    assert result.picture_panel(0) is not None
    result.figure()


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Halved(sg.Finish):
    """A piece of the user's own, which no recipe knows."""

    def __call__(self, maps: Tensor, query: sg.Query) -> Tensor:
        return maps / 2


def test_methods_with_pieces_of_ones_own_are_shown_and_kept(tmp_path: Path) -> None:
    result = explained(sg.smoothgrad(samples=3).then(Halved()))
    torch.testing.assert_close(2 * result.maps, explained(sg.smoothgrad(samples=3)).maps)
    result.figure()
    assert same(sg.Attribution.load(result.save(tmp_path / "own.safetensors")), result)


def test_notebooks_show_the_first_rows_and_say_what_is_left_out() -> None:
    few = on_digits(sg.smoothgrad(samples=3), 2)._repr_html_()
    assert 'src="data:image/png;base64,' in few
    assert "Gaussian(noise=0.15, samples=3)" in few
    assert "digits" in few
    assert "not shown" not in few
    many = sg.explain(linear(6), torch.rand(10, 6), method=sg.gradient())._repr_html_()
    assert "2 more rows are not shown" in many


def test_notebook_text_is_escaped() -> None:
    result = dataclasses.replace(explained(sg.gradient()), recipe="<script>alert(1)</script>")
    assert "<script>" not in result._repr_html_()


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    result = explained(sg.gradient())
    true_import = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return true_import(name, *rest)

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r"matplotlib .*pip install 'smoothgrad\[view\]'"):
        result.figure()


def test_the_figure_leaves_the_result_as_it_was() -> None:
    result = explained(sg.smoothgrad(samples=3))
    before = result.maps.clone()
    result.figure(sg.Look(times_input=True, overlay=0.0, cap=90))
    assert torch.equal(result.maps, before)


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        path = explained(sg.gradient()).save(tmp_path / "map.safetensors")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640


# --- a look with fdr ----------------------------------------------------------------------------------------------------------

FDR = sg.Look(sign="signed", fdr=0.05)


def words(page: Any) -> str:
    return " ".join(text.get_text() for text in page.texts)


def test_a_figure_shows_the_pixels_that_are_significant() -> None:
    result = on_digits(sg.smoothgrad(samples=12), 2)
    page = result.figure(FDR, errors=False)
    for row in range(2):
        count = int(result[row].significant(0.05).sum())
        assert 0 < count < 64
        assert f"FDR 5 %: {count} of 64 pixels" in words(page)
        panel = result.map_panel(row)
        assert panel.scale(FDR) is not None
        shown = result.maps[row, 0] * result.significant(0.05)[row, 0]
        torch.testing.assert_close(panel.scale(FDR).values, shown)
    assert "Hatched: does not differ from zero" in words(page)


@pytest.mark.parametrize("method", [sg.gradient(), sg.vargrad(samples=4), sg.smoothgrad(samples=2)], ids=str)
def test_a_figure_of_a_map_that_cannot_be_tested_is_refused(method: sg.Explainer) -> None:
    with pytest.raises(BadMethod, match=r"no standard error|never be negative|too few"):
        explained(method).figure(FDR)


def test_beside_others_what_cannot_be_tested_is_shown_whole() -> None:
    net = sg.load("digits")
    methods = [sg.gradient(), sg.vargrad(samples=9), sg.smoothgrad(samples=9)]
    said = words(sg.compare(net, net.samples(1), methods=methods).figure(FDR))
    assert "no standard error: all shown" in said
    assert "never negative: all shown" in said
    assert "of 64 pixels" in said


@pytest.mark.parametrize("shape", [(6,), (2, 20)], ids=["features", "signal"])
def test_rows_that_are_no_pictures_are_tested_too(shape: tuple[int, ...]) -> None:
    x = torch.rand(1, *shape)
    result = sg.explain(linear(x.numel()), x, method=sg.smoothgrad(samples=9))
    places = result.significant(0.05)[0].reshape(-1, shape[-1]).any(0)
    assert f"FDR 5 %: {int(places.sum())} of {len(places)}" in words(result.figure(FDR))


def test_a_map_that_was_enlarged_says_from_what() -> None:
    net = sg.load("digits")
    result = sg.explain(net, net.samples(1), method=sg.grad_cam("conv3"))
    assert result.coarse is not None
    height, width = result.coarse.shape[2:]
    assert result.map_panel(0).note == f"enlarged from {height} × {width}"
    assert sg.explain(net, net.samples(1), method=sg.gradient()).map_panel(0).note == ""
