"""What holds for every experiment: a new one joins by being in the table, with a row in `TINY` where its quick form takes long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import smoothgrad as sg
from smoothgrad.citations import PAPERS
from smoothgrad.experiments import EXPERIMENTS, Experiment, Result, Setup, experiment_from_recipe, run, sanity
from smoothgrad.experiments import result as saving
from smoothgrad.experiments.experiment import Finding
from smoothgrad.experiments.result import PROVENANCE
from smoothgrad.experiments.setup import pictures_of, samples_of
from smoothgrad.experiments.table import ORDER
from smoothgrad.measure import MEASURES
from smoothgrad.report import experiment as report
from smoothgrad.report import experiment_means
from smoothgrad.training.data import DataSet, Part, data_set
from smoothgrad.training.plan import Plan, Small

ALL = pytest.mark.parametrize("name", ORDER)
PLAN = Plan(network=Small(widths=(4, 6), halvings=1), epochs=1, batch=32)
# Changes to the quick form of an experiment, beside the first and the last value of each field of its grid.
TINY: dict[str, Mapping[str, Any]] = {
    "noise-level": {"samples": 2, "reference": 4, "measures": (sg.TotalVariation(),)},
    "training-noise": {"samples": 2, "reference": 4, "measures": (sg.TotalVariation(),), "plan": PLAN},
    "occlusion-training": {"plan": PLAN},
    "cam-resolution": {"plan": PLAN, "halvings": (0, 1), "others": (sg.smoothgrad(samples=2),)},
    "samples": {"samples": (3, 10), "reference": 40},
    "baselines": {"steps": (5, 10), "reference": 20, "measures": (sg.Deletion(),)},
    "noise-source": {"samples": 4, "reference": 12, "measures": (sg.TotalVariation(),)},
    "aggregators": {"samples": 8, "measures": (sg.TotalVariation(),)},
    "methods": {"samples": 2, "measures": (sg.TotalVariation(),)},
    "visualisation": {"method": sg.smoothgrad(samples=4)},
    "discriminativity": {"scenes": 3},
    "sanity": {"stages": 2, "similarities": (sg.Spearman(),)},
}


def kind_of(name: str) -> type[Experiment]:
    if name not in EXPERIMENTS:
        pytest.fail(f"{name} stands in ORDER, and no file has it")
    return EXPERIMENTS[name]


def tiny(name: str) -> Experiment:
    """The least that shows that all works: the ends of each grid."""
    quick = kind_of(name)().quick()
    ends = {field: _ends(getattr(quick, field)) for field in quick.grid}
    return replace(quick, **{**ends, **TINY.get(name, {})})


def _ends(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return values if len(values) < 2 else (values[0], values[-1])


@cache
def few() -> DataSet:
    """The digits, few of them."""
    data = data_set("digits")
    some = Part(data.train.x[:256], data.train.labels[:256], data.train.names[:256])
    return data._replace(train=some, held_out=data.held_out.first(64))


def setup(about: Experiment) -> Setup:
    """The embedded digits."""
    count = max(about.least, 2)
    if about.trains:
        return Setup(data=few(), dataset="digits", pictures=pictures_of(few().held_out, few(), count))
    net = sg.load("digits")
    return Setup(net, samples_of(net, count), model="digits")


@cache
def made(name: str) -> Result:
    """What it finds; once for all tests of this file."""
    about = tiny(name)
    return run(about, setup(about))


# --- what it says of itself -------------------------------------------------------------------------------------------


def test_the_table_is_complete_and_in_order() -> None:
    assert list(EXPERIMENTS) == list(ORDER)
    assert all(kind.name == name for name, kind in EXPERIMENTS.items())


@ALL
def test_an_experiment_says_what_it_is(name: str) -> None:
    kind = kind_of(name)
    assert kind.title
    assert kind.question.endswith("?") or kind.question.endswith(".")
    assert (kind.__doc__ or "").strip()
    assert not (kind.__doc__ or "").startswith(f"{kind.__name__}(")
    assert kind.papers
    assert set(kind.papers) <= set(PAPERS)
    assert set(kind.grid) <= set(kind.fields())
    assert kind.quantities
    assert not set(kind.keys) & {*kind.grid, "quantity", "value", "unit", "picture", "group", *PROVENANCE}
    assert all(kind.quantities.values())
    assert all(kind.keys.values())


@ALL
def test_its_recipe_is_read_back(name: str) -> None:
    whole = kind_of(name)()
    for one in (whole, whole.quick(), tiny(name), next(whole.points()), next(whole.quick().points())):
        assert experiment_from_recipe(repr(one)) == one
    assert experiment_from_recipe(name) == whole


@ALL
def test_each_point_is_an_experiment_at_one_point(name: str) -> None:
    points = list(kind_of(name)().quick().points())
    assert len(set(map(repr, points))) == len(points)
    for point in points:
        assert list(point.points()) == [point]
        assert list(point.settings) == list(point.grid)


# --- what it finds ----------------------------------------------------------------------------------------------------


@ALL
def test_its_table_keeps_to_the_schema(name: str) -> None:
    result = made(name)
    about, frame = result.experiment, result.frame
    assert not result.failures, result.failures[0]["reason"]
    columns = ["picture", "group", *about.grid, *about.keys, "quantity", "value", "unit", *PROVENANCE]
    assert list(frame) == columns
    assert all(set(record) <= set(columns) for record in result.records), "rows hold what no column is declared for"
    assert frame["value"].notna().any()
    assert frame["value"].dtype == float
    measures = {sg.measure.label_of(one) for one in getattr(about, "measures", ())} | set(MEASURES)
    unexplained = {str(one) for one in frame["quantity"].dropna().unique()} - set(about.quantities) - measures
    assert not unexplained, f"nothing says what is measured: {sorted(unexplained)}"
    for key in about.keys:
        assert frame[key].notna().any(), f"{key} is declared and never given"
    place = ["picture", *about.grid, *about.keys, "quantity"]
    assert not frame.duplicated(subset=place).any(), "two rows say the same"
    cells = frame.groupby("cell")["recipe"].nunique()
    assert len(cells) == len(result.cells)
    assert (cells == 1).all()


@ALL
def test_a_row_repeats_its_cell_alone(name: str) -> None:
    result = made(name)
    one = result.frame.iloc[-1]
    about = experiment_from_recipe(one["recipe"])
    mine = tuple(picture for picture in result.setup.pictures if picture.name == one["picture"])
    # Some need others beside it, of which its rows do not speak; some make pictures of their own.
    enough = mine if about.per_picture and len(mine) >= about.least else result.setup.pictures
    again = run(about, replace(result.setup, pictures=enough)).frame
    again = again[again["cell"] == one["cell"]]
    same = result.frame[result.frame["cell"] == one["cell"]]
    assert again["quantity"].tolist() == same["quantity"].tolist()
    assert again["value"].tolist() == pytest.approx(same["value"].tolist(), rel=1e-5, abs=1e-6, nan_ok=True)


@ALL
def test_its_files_are_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn once, for the page; how they are written as PNG and SVG is tested where cells are."""
    monkeypatch.setattr(saving, "_write", lambda _figure, path, _ending: path)
    monkeypatch.setattr(report, "DPI", 40)
    monkeypatch.setattr(experiment_means, "RESAMPLES", 100)
    result = made(name)
    files = result.save(tmp_path)
    assert list(files)[:2] == ["table.parquet", "table.csv"]
    assert len(files) == 2 + 2 * len(result.plates) > 2
    assert len({plate.name for plate in result.plates}) == len(result.plates)
    assert all(plate.caption for plate in result.plates)
    page = result.report(tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") >= len(result.plates)
    assert result.lessons
    plain = [lesson for lesson in result.lessons if not any(letter.isdigit() for letter in lesson)]
    caveats = [sanity.ONE_DRAW] if name == "sanity" else []
    assert plain == caveats, "lessons hold numbers"
    assert not {"nan", "inf"} & set(" ".join(result.lessons).replace(",", " ").split())


@ALL
def test_missing_cells_cost_neither_figures_nor_lessons(name: str) -> None:
    """Where a point of the grid failed on all pictures, and where the cells of a picture did."""
    result = made(name)
    first = result.cells[0]
    point = {place for place, cell in enumerate(result.cells) if cell.experiment == first.experiment}
    picture = {place for place, cell in enumerate(result.cells) if cell.picture == first.picture}
    if len(point) < len(result.cells):
        some = without(result, point)
        assert len(some.failures) == len(point)
        assert some.plates
        assert isinstance(some.lessons, tuple)
    if len(picture) < len(result.cells):
        assert isinstance(without(result, picture).lessons, tuple)


def without(result: Result, failed: set[int]) -> Result:
    """The same result, had these cells failed."""
    names = list(dict.fromkeys(record["cell"] for record in result.records))
    about = {record["cell"]: record for record in result.records}
    dropped = {*result.experiment.keys, "quantity", "value", "unit"}
    records = []
    for place, cell in enumerate(names):
        if place in failed:
            records.append({k: v for k, v in about[cell].items() if k not in dropped} | {"reason": "BadInput: gone"})
        else:
            records += [record for record in result.records if record["cell"] == cell]
    findings = tuple(Finding(({},)) if place in failed else one for place, one in enumerate(result.findings))
    return replace(result, findings=findings, records=tuple(records))


@pytest.mark.parametrize("name", [name for name in ORDER if EXPERIMENTS[name].per_picture])
def test_one_picture_will_do(name: str) -> None:
    """With one picture, or the fewest that it takes, there are no intervals."""
    result = made(name)
    about = result.experiment
    fewest = result.setup.pictures[: about.least]
    places = [place for place, cell in enumerate(result.cells) if cell.picture in fewest]
    cells = tuple(result.cells[place] for place in places)
    kept = {one.name for one in fewest}
    some = replace(
        result,
        setup=replace(result.setup, pictures=fewest),
        cells=cells,
        findings=tuple(result.findings[place] for place in places),
        records=tuple(record for record in result.records if record["picture"] in kept),
    )
    assert some.lessons
