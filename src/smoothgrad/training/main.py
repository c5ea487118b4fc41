"""What the scripts that train the embedded networks share: a bar, the accuracy, the file."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file

from smoothgrad.files import write_aside
from smoothgrad.training.data import DataSet
from smoothgrad.training.plan import Plan
from smoothgrad.training.train import Step, accuracy, train


def train_and_write(plan: Plan, data: DataSet, path: Path, keep: Path) -> float:
    """Train with a bar, write the weights, and say how well it went; the accuracy on the held-out part.

    Weights are written as float16, which halves the file; the accuracy is that of the network as it is read back. `keep` is where
    a training that was stopped goes on from; it is removed once the weights are written.
    """
    bar = Progress(
        TextColumn("epoch {task.fields[epoch]} of {task.fields[epochs]}, loss {task.fields[loss]:.3f}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with bar:
        task = bar.add_task("training", total=None, epoch=1, epochs=plan.epochs, loss=float("nan"))

        def told(step: Step) -> None:
            bar.update(task, completed=step.done, total=step.of, epoch=step.epoch, loss=step.loss)

        net = train(plan, data, told=told, keep=keep)
    halved = {name: held.half() if held.is_floating_point() else held for name, held in net.state_dict().items()}
    contiguous = {name: held.contiguous() for name, held in halved.items()}
    net.load_state_dict(contiguous)
    write_aside(path, lambda aside: save_file(contiguous, aside))
    keep.unlink(missing_ok=True)
    print(f"wrote {path}")
    share = accuracy(net, data, data.held_out)
    print(
        f"{share:.2%} of the {len(data.held_out.labels)} held-out pictures of {data.name} are named rightly, "
        f"with {torch.get_num_threads()} threads"
    )
    return share
