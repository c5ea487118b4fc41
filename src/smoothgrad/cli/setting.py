"""What an experiment is made on, from the texts of a command line: all that can be refused is refused here."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

from smoothgrad.cli.console import counted, remark
from smoothgrad.cli.groups import groups_of
from smoothgrad.cli.inputs import read_targets
from smoothgrad.cli.options import NetworkOptions, QuestionOptions
from smoothgrad.cli.regions import regions_for
from smoothgrad.cli.work import EMBEDDED, Work, check_device
from smoothgrad.errors import BadInput, BadOption

if TYPE_CHECKING:
    from smoothgrad.experiments.experiment import Experiment
    from smoothgrad.experiments.setup import Picture, Setup
    from smoothgrad.targets import Target

OWN, FEW = 10, 3  # pictures that come with a network or a data set, when none are named; and of them with --quick
QUICK = "digits"  # the network, and the data set, of --quick
NAMED = 20  # pictures, where none of them is called as --only says
DATA = "digits, mnist:FOLDER or cifar10:FOLDER"


def chosen(text: str, grid: Sequence[str], *, quick: bool) -> Experiment:
    """The experiment that a name or recipe means, with the values of --grid. Raises what reading them raises."""
    from smoothgrad.experiments.recipe import experiment_from_recipe, with_grid

    read = experiment_from_recipe(text)
    return with_grid(read.quick() if quick else read, tuple(grid))


@final
@dataclass(frozen=True)
class Setting:
    """What the user says that the experiment is to be made on; `network.model` is "" where none is named."""

    network: NetworkOptions
    data: str | None
    pictures: tuple[Path, ...]
    samples: int | None
    only: str | None
    groups: str | None
    regions: Path | None
    question: QuestionOptions
    quick: bool

    def checked(self, about: Experiment) -> Setup:
        """The setup, with its pictures read. Raises `BadOption` for what does not suit the experiment, and `BadPicture`."""
        setup = self._trains(about) if about.trains else self._asks(about)
        if self.only is None:
            return setup
        names = [one.name for one in setup.pictures]
        if self.only not in names:
            raise BadOption(
                f"--only names none of the {counted(len(names), 'picture')}: {self.only!r}; {_quoted(self.only, names)}"
            )
        one = setup.named(self.only)
        return replace(setup.only(one), among=0 if one.file else len(names))

    def _count(self, about: Experiment) -> int:
        """How many pictures that come with the network or the data."""
        return self.samples or max(about.least, FEW if self.quick else OWN)

    # --- experiments that train -----------------------------------------------------------------------------------------

    def _trains(self, about: Experiment) -> Setup:
        from smoothgrad.experiments.setup import Setup, pictures_of
        from smoothgrad.training.data import data_set

        for option, given in self._of_a_network().items():
            if given:
                raise BadOption(
                    f"{about.name} trains networks of its own and asks them about pictures of their data: {option} means nothing "
                    f"there; give --data {DATA}, and --samples N for how many pictures"
                )
        if self.data is None and not self.quick:
            raise BadOption(f"{about.name} trains networks; say on what: --data {DATA}, or --quick")
        check_device(self.question.device)
        data = data_set(self.data or QUICK)
        return Setup(
            pictures=pictures_of(data.held_out, data, self._count(about)),
            data=data,
            dataset=self.data or QUICK,
            target=self._one_target(read_targets(self.question.targets, data.classes)),
            seed=self.question.seed,
            device=self.question.device,
            chunk=self.question.chunk,
        )

    def _of_a_network(self) -> dict[str, object]:
        """What was given that is for experiments which ask a network."""
        network = self.network
        given = {name: getattr(network, name) for name in ("model", "weights", "classes", "size", "mean", "std")}
        others = {"groups": self.groups, "regions": self.regions}
        return {**{f"--{name}": held for name, held in {**given, **others}.items()}, "a picture file": self.pictures}

    # --- experiments that ask a network ---------------------------------------------------------------------------------

    def _asks(self, about: Experiment) -> Setup:
        from smoothgrad.experiments.setup import Setup

        if self.data is not None:
            raise BadOption(
                f"{about.name} asks a network that is trained: --data is for experiments that train; give --model NAME"
            )
        if not self.network.model and self.pictures:
            raise BadOption("pictures are named, and no network; say which one is to be asked: --model NAME")
        if not self.network.model and not self.quick:
            raise BadOption(f"{about.name} asks a network; say which: --model NAME such as --model digits, or --quick")
        network = self.network if self.network.model else replace(self.network, model=QUICK)
        own = not self.pictures and network.model in EMBEDDED
        count = self._count(about) if own else self.samples
        work = Work.checked(network, self.pictures, count, ("gradient",), self.question)
        return Setup(
            network=work.net,
            pictures=self._read(work),
            model=spec(network),
            regions="" if self.regions is None else str(self.regions),
            target=self._one_target(work.target),
            seed=self.question.seed,
            device=self.question.device,
            chunk=self.question.chunk,
        )

    def _read(self, work: Work) -> tuple[Picture, ...]:
        """The pictures with what is known of them; those that come with the network know where the thing is."""
        from smoothgrad.experiments.setup import Picture, samples_of

        regions = regions_for(work, self.regions)
        groups = groups_of(work.files, self.groups)
        if not work.files:
            return samples_of(work.net, len(work.sources))
        pictures, cut = [], 0
        for source, group in zip(work.sources, groups, strict=True):
            region = None if regions is None else regions(source)
            cut += 0 if region is None else region.cut
            inside = None if region is None else region.inside
            if region is not None and region.gone:
                raise BadInput(f"{source.name}: {region.gone}; leave it out, or give another --size")
            pictures.append(Picture(source.name, source.read(), str(source.path), group, region=inside))
        if cut:
            reach = "box reaches beyond its picture and is" if cut == 1 else "boxes reach beyond their pictures and are"
            remark(f"{cut} {reach} cut off at the border; boxes are in pixels of the file")
        return tuple(pictures)

    def _one_target(self, target: Target | None) -> Target | None:
        from smoothgrad.targets import Each

        if isinstance(target, Each):
            raise BadOption("smoothgrad experiment takes one --target; run it once for each of several, with --out")
        return target


def _quoted(name: str, names: Sequence[str]) -> str:
    """The nearest name, or those there are; in quotes, since names of pictures hold spaces and commas.

    >>> _quoted("8", ["digit 3 (2)", "digit 5 (2)"])
    "known: 'digit 3 (2)', 'digit 5 (2)'"
    """
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"known: {', '.join(map(repr, names[:NAMED]))}{more}"


def spec(network: NetworkOptions) -> str:
    """How the network was named, as one writes it behind --model to have it again.

    >>> spec(NetworkOptions("torchvision:squeezenet1_1", Path("my weights.safetensors"), size="64"))
    "torchvision:squeezenet1_1 --weights 'my weights.safetensors' --size 64"
    """
    said = {name: getattr(network, name) for name in ("weights", "classes", "size", "mean", "std")}
    return " ".join(
        [network.model, *(f"--{name} {shlex.quote(str(held))}" for name, held in said.items() if held is not None)]
    )
