"""The work of `smoothgrad measure`: pictures in batches, every method and measure on each, scores kept and maps let go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from smoothgrad.cli.console import complain, counted
from smoothgrad.cli.inputs import Source
from smoothgrad.cli.options import choice
from smoothgrad.cli.progress import Bars
from smoothgrad.cli.regions import Region, Regions, regions_for
from smoothgrad.cli.work import Work
from smoothgrad.errors import BadInput, BadOption, BadPicture, MissingPackage, SmoothGradError

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.compare import Comparison
    from smoothgrad.core.explainer import Explainer
    from smoothgrad.measure.measure import Measure
    from smoothgrad.measure.scores import Scores

# Pictures at a time. What is stopped loses those at work: of large ones, which take long, these are few.
MANY, FEW = 16, 4
LARGE = 3 * 64 * 64  # values of a picture above which it is large
SHOWN = 12  # pictures whose maps stand in the report


@final
@dataclass(frozen=True)
class Order:
    """What maps are judged by."""

    measures: Mapping[str, Measure]
    absolute: bool
    regions: Path | None
    controls: bool

    @staticmethod
    def checked(texts: Sequence[str], sign: str, regions: Path | None, *, controls: bool) -> Order:
        """From the texts of a command line. Raises `BadOption` and `BadRecipe`."""
        from smoothgrad.measure import label_of
        from smoothgrad.measure.recipe import measure_from_recipe

        absolute = choice("--sign", sign, {"signed": False, "absolute": True})
        measures: dict[str, Measure] = {}
        for text in texts:
            one = measure_from_recipe(text)
            if label_of(one) in measures:
                raise BadOption(f"the measure {text!r} is given twice; give each once")
            measures[label_of(one)] = one
        return Order(measures, absolute, regions, controls)

    def method(self, method: Explainer) -> Explainer:
        """What is judged of a method."""
        from smoothgrad.explainers.finish import Absolute

        return method.then(Absolute()) if self.absolute and not method.unsigned else method


class Judged(NamedTuple):
    """How far the work came."""

    scores: Scores
    table: Comparison | None  # the first pictures with their maps, and all scores; None where there is no map
    failed: Mapping[str, str]  # pictures that failed as a whole, with the reason
    stopped: str | None
    cut: int = 0  # boxes that reach beyond their pictures


class Read(NamedTuple):
    """A picture that could be read."""

    source: Source
    x: Tensor  # (1, *S)
    region: Region | None


@final
@dataclass
class Judging:
    """An order for a network and pictures, and what has come of it."""

    work: Work
    order: Order
    methods: Mapping[str, Explainer]
    regions: Regions | None
    tables: list[Comparison] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # pictures that failed as a whole, with the reason
    done: int = 0  # pictures that are judged
    cut: int = 0  # boxes that reach beyond their pictures

    @staticmethod
    def of(work: Work, order: Order) -> Judging:
        """Raises `BadOption` where regions or classes are asked for that are not there."""
        from smoothgrad.targets import Each

        if isinstance(work.target, Each):
            raise BadOption("smoothgrad measure takes one --target; run it once for each of several")
        regions = regions_for(work, order.regions)
        for label, one in order.measures.items():
            if one.needs_regions and regions is None:
                raise BadOption(f"the measure {label} needs to know where the thing is; give --regions FILE or FOLDER")
        return Judging(work, order, {label: order.method(one) for label, one in work.methods.items()}, regions)

    @cached_property
    def columns(self) -> dict[str, Explainer]:
        """Whatever is judged, by its label: the methods, and the controls that are not among them, as `compare` adds them."""
        from smoothgrad.compare import controls_for

        return {**self.methods, **(controls_for(self.methods) if self.order.controls else {})}

    def run(self, *, shown: bool) -> Judged:
        """Batch by batch; what is stopped keeps the batches that are done. So does what an error ends that nobody foresaw: it is
        raised, and `so_far` has them."""
        stopped = None
        bars = Bars(len(self.work.sources) * len(self.methods), shown=shown)
        try:
            with bars:
                for batch in self._batches():
                    self._judge(batch, bars)
        except KeyboardInterrupt:
            are = "is" if self.done == 1 else "are"
            stopped = f"stopped; {counted(self.done, 'picture')} of {len(self.work.sources)} {are} judged"
            complain(stopped, head="")
        return self.so_far(stopped)

    def so_far(self, stopped: str | None = None) -> Judged:
        """What has come of it."""
        from smoothgrad.compare import Comparison
        from smoothgrad.measure.scores import Scores

        scores = Scores.joined(self.scores) if self.scores else Scores((), ())
        table = None
        if self.tables:
            first = self.tables[0]
            rows = tuple(row for one in self.tables for row in one.rows)[:SHOWN]
            table = Comparison(first.labels, first.recipes, rows, scores)
        return Judged(scores, table, self.failed, stopped, self.cut)

    def _batches(self) -> Iterator[list[Read]]:
        """Pictures of one shape together, so many at most; one that cannot be read is a row of failures."""
        from smoothgrad.core.value import content_key

        batch: list[Read] = []
        for source in self.work.sources:
            key = 0
            try:
                x = source.read()
                key = content_key(x)
            except (BadPicture, BadInput) as error:
                self._without(source, key, error)
                continue
            if batch and (len(batch) >= _together(batch[0].x) or batch[0].x.shape != x.shape):
                yield batch
                batch = []
            batch.append(Read(source, x, self._region(source, x)))
        if batch:
            yield batch

    def _region(self, source: Source, x: Tensor) -> Region | None:
        """An empty one, with the reason, where it cannot be had: what needs none judges the picture all the same."""
        import torch

        from smoothgrad.measure.scoring import of_one_row, said

        if self.regions is None:
            return None
        try:
            region = self.regions(source)
        except (BadPicture, BadInput) as error:
            return Region(torch.zeros(1, *x.shape[-2:], dtype=torch.bool), of_one_row(said(error)))
        self.cut += region.cut
        return region

    def _judge(self, batch: Sequence[Read], bars: Bars) -> None:
        """A batch; where it is refused, picture by picture, so that only those that are to blame have no scores."""
        from smoothgrad.core.value import content_key

        try:
            table = self._compared(batch, bars)
        except MissingPackage:  # every other picture would be without it, too
            raise
        except SmoothGradError as error:
            if len(batch) == 1:
                self._without(batch[0].source, content_key(batch[0].x), error)
            else:
                for one in batch:
                    self._judge([one], bars)
            return
        assert table.scores is not None, "there are measures"
        self.scores.append(self._with_reasons(table.scores, batch))
        if sum(len(one.rows) for one in self.tables) < SHOWN:
            self.tables.append(table)
        self.done += len(batch)
        bars.reach(self._maps)

    @property
    def _maps(self) -> int:
        """Those of the methods, of all pictures that had their turn."""
        return (self.done + len(self.failed)) * len(self.methods)

    def _compared(self, batch: Sequence[Read], bars: Bars) -> Comparison:
        import torch

        from smoothgrad.compare import compare
        from smoothgrad.core.value import content_key

        ask = self.work.question
        name = batch[0].source.name if len(batch) == 1 else counted(len(batch), "picture")
        regions = [one.region.inside for one in batch if one.region is not None]
        before, at_work, made = self._maps, "", -1

        def step(label: str, progress: object) -> None:
            nonlocal at_work, made
            if label != at_work:
                at_work, made = label, made + 1
                # A map is half the work, and judging it the other.
                bars.reach(before + len(batch) * made / 2)
                bars.begin(f"{name} · {label}", 1)
            bars.step(progress)  # type: ignore[arg-type]

        def judged(label: str, done: int, total: int) -> None:
            bars.reach(before + len(batch) * len(self.methods) * (1 + done / total) / 2)
            bars.judged(f"{name} · {label}", done, total)

        return compare(
            self.work.net,
            torch.cat([one.x for one in batch]),
            methods=self.methods,
            measures=self.order.measures,
            regions=torch.cat(regions) if regions else None,
            controls=self.order.controls,
            target=self.work.target,
            at=ask.at,
            seed=ask.seed,
            keys=[content_key(one.x) for one in batch],
            names=[one.source.name for one in batch],
            chunk=ask.chunk,
            precision=ask.checked_precision,
            device=ask.device,
            progress=step,
            judging=judged,
        )

    def _with_reasons(self, scores: Scores, batch: Sequence[Read]) -> Scores:
        """The same, where it is known why a region is empty, with that in place of its being so."""
        from smoothgrad.measure.scores import Scores

        gone = {one.source.name: one.region.gone for one in batch if one.region is not None and one.region.gone}
        records = tuple(
            one._replace(reason=gone[one.picture])
            if one.reason and one.picture in gone and self.order.measures[one.measure].needs_regions
            else one
            for one in scores.records
        )
        return Scores(records, scores.curves) if gone else scores

    def _without(self, source: Source, key: int, error: SmoothGradError) -> None:
        """A picture that failed as a whole: rows with the reason. The key is 0 where it could not be read."""
        from smoothgrad.measure.score import Score
        from smoothgrad.measure.scores import Scores
        from smoothgrad.measure.scoring import is_control, of_one_row, said
        from smoothgrad.recipe import to_recipe

        records = tuple(
            Score(
                picture=source.name,
                key=key,
                class_name="",
                target=None,
                method=label,
                recipe=to_recipe(method),
                control=is_control(method),
                measure=name,
                measure_recipe=repr(one),
                better=one.better,
                unit=one.unit,
                value=float("nan"),
                stderr=None,
                reason=of_one_row(said(error)),
                seed=self.work.question.seed,
                model=self.work.net.name,
                fingerprint="",
                seconds=0.0,
                layer=self.work.question.at or "",
            )
            for label, method in self.columns.items()
            for name, one in self.order.measures.items()
        )
        self.scores.append(Scores(records, (None,) * len(records)))
        self.failed[source.name] = of_one_row(str(error))


def _together(x: Tensor) -> int:
    """How many pictures of such a size are judged together."""
    return FEW if x.numel() > LARGE else MANY
