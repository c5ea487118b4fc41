"""The networks of a sanity check: copies of which some layers have lost what they learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, final

import torch

from smoothgrad.checks import on_device
from smoothgrad.core.schedule import Schedule
from smoothgrad.core.value import content_key
from smoothgrad.experiments.setup import Setup
from smoothgrad.measure.case import Case
from smoothgrad.measure.randomise import open_copy, rows_by_layers
from smoothgrad.measure.sanity import Randomised
from smoothgrad.models.network import Network
from smoothgrad.question import Question
from smoothgrad.targets import Target


@final
class RandomNetwork(NamedTuple):
    """A network of which some layers are random."""

    number: int  # of the layer that was made random last, from the output down, beginning with 1
    layer: str
    network: Network  # changed once the next is asked for


def random_networks(setup: Setup, target: int | Target | None, measure: Randomised) -> Iterator[RandomNetwork]:
    """The networks that a measure asks, one after the other, for the target of the cell's picture.

    Raises `UnsupportedModel` for a network that has no layers to randomise.
    """
    question, layers = _layers(setup, target, measure)
    nothing = torch.zeros_like(question.query.x)  # the map is not read
    network = on_device(setup.net, setup.device)
    case = Case(network, question.query, nothing, Schedule.for_rows(question.query.shape))
    for stage in measure.networks(case, layers):
        assert isinstance(stage.model, Network), "the copy of a network is one"
        yield RandomNetwork(stage.number, stage.layer, stage.model)


def check_layers(setup: Setup, measure: Randomised) -> None:
    """Raises `UnsupportedModel` for a network that has no layers to randomise."""
    _layers(setup, setup.target, measure)


def _layers(setup: Setup, target: int | Target | None, measure: Randomised) -> tuple[Question, tuple[str, ...]]:
    """The question about the cell's picture, and the layers that its score depends on, from the output down."""
    x = setup.picture.x
    keys = [content_key(x)]
    question = Question.checked(setup.net, x, target=target, seed=setup.seed, keys=keys, device=setup.device)
    (layers,) = rows_by_layers(open_copy(on_device(setup.net, setup.device), measure), question.query)
    return question, layers
