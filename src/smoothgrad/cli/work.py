"""The work that `explain` and `compare` share: every method on every picture, one picture after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import typer

from smoothgrad.cli.console import FAILED, complain, counted, error_plainly
from smoothgrad.cli.inputs import (
    Source,
    distinct,
    find_pictures,
    from_files,
    from_samples,
    read_method,
    read_targets,
    slug,
    target_words,
)
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.progress import Bars
from smoothgrad.cli.results import failures_in, say_failures, say_unsettled
from smoothgrad.errors import BadInput, BadOption, BadPicture, NonFinite, SmoothGradError

if TYPE_CHECKING:
    from torch import Tensor

    from smoothgrad.compare import Comparison, Row
    from smoothgrad.core.explainer import Explainer
    from smoothgrad.models.network import Network
    from smoothgrad.result import Attribution
    from smoothgrad.targets import Target

OWN_SAMPLES = 5  # when no picture is named
# The networks with pictures of their own; `models.load` is not asked, since torch would be imported for a usage error.
EMBEDDED = ("digits", "digits-random-labels", "scenes", "scenes-shortcut")
Keep = Callable[[Source, "Row"], object]  # called with each picture that is done


class Ran(NamedTuple):
    """How far the work came: the pictures that had their turn, with their maps, and what was said where it was stopped.

    Where several targets are asked of each picture, it has a source and a row for each.
    """

    sources: tuple[Source, ...]
    rows: tuple[Row, ...]
    pictures: int
    stopped: str | None = None


@final
@dataclass(frozen=True)
class Work:
    """A checked order: the network, the pictures, the methods by their labels, and the question."""

    net: Network
    sources: tuple[Source, ...]
    methods: Mapping[str, Explainer]
    target: Target | None
    question: QuestionOptions

    @staticmethod
    def checked(
        network: NetworkOptions,
        pictures: Sequence[Path] | None,
        samples: int | None,
        methods: Sequence[str],
        question: QuestionOptions,
    ) -> Work:
        """What does not exist or does not go together is found here: first without loading anything, then with one pass."""
        files = _check_pictures(network.model, pictures, samples)
        texts = [text.strip() for text in methods]
        twice = next((text for text in texts if texts.count(text) > 1), None)
        if twice is not None:
            raise BadOption(f"the method {twice!r} is given twice; give each once")
        network.check()
        check_device(question.device)
        question.checked_precision  # noqa: B018 (raises for a word that is not known)
        net = network.load()
        sources = from_files(net, files) if files else from_samples(net, samples or OWN_SAMPLES)
        built = {text: read_method(text, net) for text in texts}
        work = Work(net, tuple(sources), built, read_targets(question.targets, net.classes), question)
        work._try_out()
        return work

    @property
    def files(self) -> tuple[Path, ...]:
        """The pictures that are read from files."""
        return tuple(source.path for source in self.sources if source.path is not None)

    @property
    def asked(self) -> list[list[Source]]:
        """Of each picture a source for each target, with names for files of its own."""
        words = target_words(self.target, self.net.classes)
        if not words:
            return [[source] for source in self.sources]
        stems = iter(distinct([f"{source.stem}-{slug(word)}" for source in self.sources for word in words]))
        return [[source._replace(stem=next(stems), target=word) for word in distinct(words)] for source in self.sources]

    def described(self) -> dict[str, Any]:
        """What was asked, for JSON."""
        from smoothgrad import __version__

        return {
            "smoothgrad": __version__,
            "model": self.net.name,
            "seed": self.question.seed,
            "layer": self.question.at,
        }

    def run(self, bars: Bars, folder: Path, keep: Keep | None = None) -> Ran:
        """Each picture is kept in the folder as soon as it is done, so that a run that is stopped loses only the one at work."""
        stopped = None
        done: list[tuple[Source, Row]] = []
        pictures = 0
        try:
            with bars:
                for asked in self.asked:
                    rows = self._rows(asked, bars)
                    for source, row in zip(asked, rows, strict=True):
                        if keep is not None:
                            keep(source, row)
                    done += zip(asked, rows, strict=True)
                    pictures += 1
        except KeyboardInterrupt:
            failed = {source.name for source, row in done if failures_in(row)}
            well = pictures - len(failed)
            kept = f"{'is' if well == 1 else 'are'} done and kept in {folder}" if well else "are done"
            stopped = (
                f"stopped; {counted(well, 'picture')} {kept}, {len(self.sources) - pictures} not begun or not done"
            )
            complain(stopped, head="")
        return Ran(tuple(source for source, _ in done), tuple(row for _, row in done), pictures, stopped)

    def table(self, rows: Sequence[Row]) -> Comparison:
        """The rows as a comparison, for figures, tables and reports."""
        from smoothgrad.compare import Comparison
        from smoothgrad.recipe import to_recipe

        return Comparison(tuple(self.methods), tuple(map(to_recipe, self.methods.values())), tuple(rows))

    def _rows(self, asked: Sequence[Source], bars: Bars) -> list[Row]:
        """The rows of one picture: one for each target."""
        from smoothgrad.compare import Failure, Row
        from smoothgrad.core.value import content_key

        name = asked[0].name
        try:
            x = asked[0].read()
        except BadPicture as error:
            for _ in self.methods:
                bars.end()
            return [Row(source.title, (Failure("BadPicture", str(error)),) * len(self.methods)) for source in asked]
        key = content_key(x)
        columns: list[Sequence[Attribution | Failure]] = []
        for label, method in self.methods.items():
            bars.begin(name if len(self.methods) == 1 else f"{name} · {label}", method.passes)
            try:
                columns.append([replace(one, names=(name,)) for one in self._explain(x, method, key, bars)])
            except SmoothGradError as error:
                columns.append([Failure(type(error).__name__, str(error))] * len(asked))
            bars.end()
        return [Row(source.title, cells) for source, cells in zip(asked, zip(*columns, strict=True), strict=True)]

    def _explain(self, x: Tensor, method: Explainer, key: int, bars: Bars) -> Attribution:
        from smoothgrad.explain import explain

        ask = self.question
        return explain(
            self.net,
            x,
            method=method,
            target=self.target,
            at=ask.at,
            seed=ask.seed,
            keys=[key],
            chunk=ask.chunk,
            precision=ask.checked_precision,
            device=ask.device,
            progress=bars.step,
        )

    def _try_out(self) -> None:
        """One pass on the first picture that can be read: finds a class, layer or network that will not do for any."""
        from smoothgrad.explain import explain_live

        x = self._first()
        if x is None:
            return
        # What may be wrong with this one picture is told when its turn comes.
        with suppress(BadInput, NonFinite):
            ask = self.question
            explain_live(
                self.net,
                x,
                method=next(iter(self.methods.values())),
                target=self.target,
                at=ask.at,
                seed=ask.seed,
                chunk=ask.chunk,
                precision=ask.checked_precision,
                device=ask.device,
            )

    def _first(self) -> Tensor | None:
        for source in self.sources:
            with suppress(BadPicture):
                return source.read()
        return None


def finish(ran: Ran, table: Comparison) -> None:
    """Say what is not as it was asked for, and exit with 1 where something failed or the work was stopped."""
    say_unsettled(table)
    say_failures(table)
    if ran.stopped is not None:
        raise typer.Exit(FAILED)


def stop_plainly(ran: Ran) -> dict[str, Any]:
    """That the work was stopped, for JSON; nothing where it was not."""
    return {} if ran.stopped is None else {"error": error_plainly("Stopped", ran.stopped)}


def _check_pictures(model: str, pictures: Sequence[Path] | None, samples: int | None) -> list[Path]:
    if pictures and samples is not None:
        raise BadOption(
            "--samples takes inputs that come with the network, and pictures are named too; give one of them"
        )
    if not pictures and samples is None and model not in EMBEDDED:
        own = ", ".join(EMBEDDED)
        raise BadOption(
            f"no picture is named; give files or folders (only these networks have pictures of their own: {own})"
        )
    return find_pictures(pictures or [])


def check_device(device: str | None) -> None:
    """Raises `BadOption` for a device that is not there."""
    if device is None:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadOption(f"cannot compute on --device {device}: {reason}; see: smoothgrad doctor") from error
