"""`smoothgrad features`: what the network wants to see, and what in a picture made a feature fire."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from smoothgrad.cli import options
from smoothgrad.cli.console import failing, out, write_json
from smoothgrad.cli.features_options import Climb, Wish, channels_kept, on_its_device, pictures_of
from smoothgrad.cli.features_output import Showing
from smoothgrad.cli.inputs import find_pictures, from_files, slug
from smoothgrad.cli.options import NetworkOptions, read_count, read_number, read_whole
from smoothgrad.cli.output import Output, write_figure
from smoothgrad.errors import BadOption

features = typer.Typer(
    name="features",
    help="What the network wants to see, and what in a picture made a feature fire.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
SEARCH, FEATURE = "Search", "Feature"

Pictures = Annotated[
    list[Path], typer.Argument(metavar="PICTURES", help="Files, or folders whose pictures are all taken.")
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        "--class",
        metavar="CLASS",
        help="The class whose score is to become large, by number or name; again for a picture of each of several.",
        rich_help_panel=FEATURE,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER", help="A layer by its dotted name: all of it is to become large.", rich_help_panel=FEATURE
    ),
]
OneLayer = Annotated[
    str, typer.Option("--layer", metavar="LAYER", help="The layer, by its dotted name.", rich_help_panel=FEATURE)
]
Channel = Annotated[
    str | None, typer.Option(metavar="N", help="Only this channel of the layer.", rich_help_panel=FEATURE)
]
OneChannel = Annotated[
    str, typer.Option("--channel", metavar="N", help="The channel of the layer.", rich_help_panel=FEATURE)
]
Position = Annotated[
    str | None,
    typer.Option(
        metavar="ROW,COLUMN",
        help="Only this place in the channel. [dim]Default: all of it; for deconvolve the strongest.[/dim]",
        rich_help_panel=FEATURE,
    ),
]
Dim = Annotated[
    str,
    typer.Option(
        metavar="N", help="Where the layer's output has its channels: 1, or -1 for tokens.", rich_help_panel=FEATURE
    ),
]
Steps = Annotated[
    str, typer.Option(metavar="N", help="How many steps; in a dream, in each octave.", rich_help_panel=SEARCH)
]
Jitter = Annotated[
    str,
    typer.Option(metavar="PIXELS", help="Move the picture by up to so many before each step.", rich_help_panel=SEARCH),
]
Every = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Write the picture as it stands into the folder after every N steps.",
        rich_help_panel=options.OUTPUT,
    ),
]
Frames = Annotated[
    str, typer.Option(metavar="N", help="How many frames the GIF has, at most.", rich_help_panel=options.OUTPUT)
]


@features.command()
def maximize(
    model: options.Model,
    target: Target = None,
    layer: Layer = None,
    channel: Channel = None,
    position: Position = None,
    dim: Dim = "1",
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    space: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="What is changed: pixels, fourier (frequencies, low ones more), or the code of a generator.",
            rich_help_panel=SEARCH,
        ),
    ] = "fourier",
    generator: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="With --space code: digits, or path/to/net.py:FUNCTION.", rich_help_panel=SEARCH
        ),
    ] = "digits",
    start: Annotated[
        str,
        typer.Option(
            metavar="WORD|PICTURE",
            help="Begin at zero, noise, the mean of --data, or a picture.",
            rich_help_panel=SEARCH,
        ),
    ] = "noise",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Pictures to begin at the mean of, or to learn from. [dim]With digits: its own, of the class.[/dim]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    steps: Steps = "256",
    rate: Annotated[
        str,
        typer.Option("--learning-rate", metavar="RATE", help="How far each step goes (Adam).", rich_help_panel=SEARCH),
    ] = "0.05",
    jitter: Jitter = "0",
    l2: Annotated[
        str,
        typer.Option(
            "--l2", metavar="WEIGHT", help="Weight of the squared size of the picture.", rich_help_panel=SEARCH
        ),
    ] = "0",
    tv: Annotated[
        str, typer.Option("--tv", metavar="WEIGHT", help="Weight of its total variation.", rich_help_panel=SEARCH)
    ] = "0",
    rbm: Annotated[
        str,
        typer.Option(
            "--rbm",
            metavar="WEIGHT",
            help="Weight of the free energy under a restricted Boltzmann machine that has learned --data.",
            rich_help_panel=SEARCH,
        ),
    ] = "0",
    seed: options.Seed = "0",
    folder: options.Out = Path("out"),
    every: Every = None,
    frames: Frames = "32",
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find the picture that a class, a channel or a single unit answers most to, from nothing.

    Writes the picture (PNG), how it came about (GIF), and a figure with the objective over the steps.

    [bold cyan]smoothgrad features maximize --model digits --class 3[/bold cyan]

    [bold cyan]smoothgrad features maximize -m timm:resnet50 --layer layer3.2 --channel 7 --jitter 8 --tv 0.01[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        network = NetworkOptions(model, weights, classes, size, mean, std)
        climb = Climb.read(space, generator, start, data, steps, rate, jitter, (l2, tv, rbm))
        wish = Wish.read(target, layer, channel, position, dim)
        showing = Showing.read(folder, every, frames, seed, quiet=quiet, json=json)
        network.check()
        net = on_its_device(network, device)
        objective, rows, word = wish.objective(net)
        search = climb.search(net, model, objective, wish.labels(net))
        found = showing.run(net, f"maximize-{slug(word)}", search, rows=rows)
        if json:
            write_json({"command": "features maximize", "model": net.name, **found})


@features.command()
def dream(
    pictures: Pictures,
    model: options.Model,
    target: Target = None,
    layer: Layer = None,
    channel: Channel = None,
    position: Position = None,
    dim: Dim = "1",
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    octaves: Annotated[
        str, typer.Option(metavar="N", help="In how many sizes, coarse to fine.", rich_help_panel=SEARCH)
    ] = "4",
    scale: Annotated[
        str, typer.Option(metavar="RATIO", help="How much larger each octave is.", rich_help_panel=SEARCH)
    ] = "1.4",
    steps: Steps = "10",
    rate: Annotated[
        str,
        typer.Option(
            "--learning-rate",
            metavar="RATE",
            help="The mean change in a step, as a share of the picture's range.",
            rich_help_panel=SEARCH,
        ),
    ] = "0.006",
    jitter: Jitter = "32",
    seed: options.Seed = "0",
    folder: options.Out = Path("out"),
    every: Every = None,
    frames: Frames = "32",
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """DeepDream: change each picture so that a layer, or a channel of it, answers more strongly.

    [bold cyan]smoothgrad features dream photo.jpg --model timm:resnet50 --layer layer3[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        network = NetworkOptions(model, weights, classes, size, mean, std)
        wish = Wish.read(target, layer, channel, position, dim)
        showing = Showing.read(folder, every, frames, seed, quiet=quiet, json=json)
        counts = (read_count("--octaves", octaves), read_count("--steps", steps), read_whole("--jitter", jitter))
        ratio = read_number("--scale", scale, "a ratio above 1, such as 1.4")
        share = read_number("--learning-rate", rate, "a share of the range, such as 0.006")
        files = find_pictures(pictures)
        network.check()
        net = on_its_device(network, device)
        objective, rows, _ = wish.objective(net)
        if rows > 1:
            raise BadOption("a dream has one target; give --target once")
        from smoothgrad.features import DeepDream

        search = DeepDream(objective, counts[0], ratio, counts[1], share, counts[2])
        sources = from_files(net, files)
        showing.output.spare(files, [f"{source.stem}-dream.png" for source in sources])
        found = [showing.run(net, f"{source.stem}-dream", search, source.read) for source in sources]
        if json:
            write_json({"command": "features dream", "model": net.name, "pictures": found})


@features.command()
def deconvolve(
    pictures: Pictures,
    model: options.Model,
    layer: OneLayer,
    channel: OneChannel,
    position: Position = None,
    dim: Dim = "1",
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="K", help="Only the K pictures to which the channel answers most.", rich_help_panel=FEATURE
        ),
    ] = None,
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    folder: options.Out = Path("out"),
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Project one feature back to pixels: what in each picture made it fire (Zeiler and Fergus 2013).

    [bold cyan]smoothgrad features deconvolve photos/ --model timm:resnet50 --layer layer2 --channel 7 --keep 9[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        network = NetworkOptions(model, weights, classes, size, mean, std)
        number, place = read_whole("--channel", channel), Wish.position(position)
        most = None if keep is None else read_count("--keep", keep)
        where = read_whole("--dim", dim)
        output = Output.checked(folder, "png", ("png",), quiet=quiet)
        files = find_pictures(pictures)
        network.check()
        net = on_its_device(network, device)
        x, names = pictures_of(net, files)
        from smoothgrad import features as find

        if most is not None:
            best = find.strongest(net, x, layer, number, keep=most, dim=where)
            x, names = x[best.rows], [names[int(row)] for row in best.rows]
        found = find.deconvolve(net, x, layer, number, place, dim=where)
        path = output.folder / f"{slug(layer)}-{number}.png"
        output.spare(files, [path.name])
        write_figure(found.figure(names=names), path)
        strengths = dict(zip(names, found.activation.tolist(), strict=True))
        _say(path, strengths, {"layer": layer, "channel": number, "activation": strengths}, json=json, quiet=quiet)


@features.command()
def reconstruct(
    pictures: Pictures,
    model: options.Model,
    layer: OneLayer,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="K|LIST",
            help="The K strongest channels of each picture; or which, as 3,5,8. [dim]Default: 8, or all of fewer.[/dim]",
            rich_help_panel=FEATURE,
        ),
    ] = None,
    dim: Dim = "1",
    weights: options.Weights = None,
    classes: options.Classes = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    device: options.Device = None,
    folder: options.Out = Path("out"),
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put pictures together again from some channels of a layer, and show how they grow with the number of channels.

    [bold cyan]smoothgrad features reconstruct photo.jpg --model timm:resnet50 --layer layer2 --keep 16[/bold cyan]
    """
    with failing(debug=debug, json=json, folder=folder):
        network = NetworkOptions(model, weights, classes, size, mean, std)
        chosen = None if keep is None else channels_kept(keep)
        where = read_whole("--dim", dim)
        output = Output.checked(folder, "png", ("png",), quiet=quiet)
        files = find_pictures(pictures)
        network.check()
        net = on_its_device(network, device)
        x, names = pictures_of(net, files)
        from smoothgrad import features as find

        found = find.reconstruct(net, x, layer, keep=chosen, dim=where)
        path = output.folder / f"{slug(layer)}-reconstructed.png"
        output.spare(files, [path.name])
        write_figure(found.figure(names=names), path)
        channels = dict(zip(names, found.channels.tolist(), strict=True))
        _say(path, {}, {"layer": layer, "channels": channels}, json=json, quiet=quiet)


def _say(path: Path, strengths: dict[str, float], document: dict[str, Any], *, json: bool, quiet: bool) -> None:
    if json:
        write_json({**document, "file": str(path)})
    elif not quiet:
        console = out()
        for name, activation in strengths.items():
            console.print(Text(f"{name}: activation {activation:.3g}"))
        console.print(Text.assemble(("written: ", "bold"), (str(path), "cyan")))
