from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import smoothgrad as sg
from smoothgrad.core.value import content_key
from tests.cli.shell import QUICK, digits, names, run, stop_after
from tests.nets import DATA, WEIGHTS, cifar_pictures, cifar_resnet


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return digits(tmp_path / "photos")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_each_picture_becomes_a_figure_and_a_map_and_all_a_report(photos: Path, out: Path) -> None:
    answer = run("explain", photos, "--model", "digits", "--method", "smoothgrad(samples=4)", "--out", out)
    assert answer.code == 0
    maps = [f"digit{number}.{ending}" for number in range(3) for ending in ("png", "safetensors")]
    assert names(out) == sorted([*maps, "index.html"])
    with Image.open(out / "digit0.png") as picture:
        assert picture.size[0] > 100


def test_the_saved_map_is_the_one_that_python_makes(photos: Path, out: Path) -> None:
    run("explain", photos, "-m", "digits", *QUICK, "--seed", 7, "--out", out)
    net = sg.load("digits")
    x = torch.cat([net.read(photos / f"digit{number}.png") for number in range(3)])
    maps = [sg.Attribution.load(out / f"digit{number}.safetensors") for number in range(3)]
    keys = torch.cat([saved.keys for saved in maps])
    expected = sg.explain(net, x, method=sg.smoothgrad(noise=0.15, samples=4), seed=7, keys=keys)
    assert len(set(keys.tolist())) == 3
    for number, saved in enumerate(maps):
        torch.testing.assert_close(saved.maps, expected[number].maps, atol=1e-6, rtol=1e-5)
        assert saved.names == (f"digit{number}.png",)
        assert saved.target.tolist() == [number]


def test_a_picture_gets_the_same_map_in_any_order_folder_and_company(photos: Path, out: Path, tmp_path: Path) -> None:
    one, two = photos / "digit1.png", photos / "digit2.png"
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "copy.png").write_bytes(one.read_bytes())
    runs = {"one first": [one, two], "two first": [tmp_path / "broken.png", two, one], "copy": [tmp_path / "copy.png"]}
    for name, files in runs.items():
        run("explain", *files, "-m", "digits", *QUICK, "--out", out / name)
    first, *others = [
        sg.Attribution.load(out / name / f"{'copy' if name == 'copy' else 'digit1'}.safetensors") for name in runs
    ]
    for other in others:
        assert torch.equal(first.maps, other.maps)
    assert not torch.equal(first.keys, sg.Attribution.load(out / "one first" / "digit2.safetensors").keys)


def test_the_networks_own_samples_are_known_by_their_content_too(out: Path) -> None:
    answer = run("explain", "-m", "digits", "--samples", 3, *QUICK, "--out", out, "--json")
    rows = sg.load("digits").samples(3)
    assert [picture["key"] for picture in answer.json["pictures"]] == [content_key(row[None]) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["--target", "ten"], "BadOption", 2),
        (["--chunk", "x"], "BadOption", 2),
        (["--tagret", "3"], "BadUsage", 2),
        (["--weights", "none.pt"], "BadUsage", 2),
        (["--out", "PHOTOS/digit0.png"], "CannotWrite", 1),
    ],
)
def test_with_json_an_error_is_one_document_too(photos: Path, arguments: list[str], kind: str, code: int) -> None:
    real = [part.replace("PHOTOS", str(photos)) for part in arguments]
    answer = run("explain", photos, "-m", "digits", *QUICK, "--json", *real)
    assert answer.code == code
    assert list(answer.json) == ["error"]
    assert answer.json["error"]["kind"] == kind
    assert len(answer.json["error"]["message"]) > 10
    assert ("--target" in answer.json["error"]["message"]) == (arguments[0] == "--tagret")
    assert answer.error


def test_a_map_that_did_not_reach_its_tolerance_is_said(photos: Path, out: Path) -> None:
    picture = (photos / "digit0.png", "-m", "digits", "--format", "safetensors", "--out", out)
    short = ("--method", "smoothgrad(samples=Until(0.001, least=4, most=8))")
    answer = run("explain", *picture, *short)
    assert answer.code == 0
    assert re.search(
        r"not settled: digit0\.png stopped at 8 draws with relative error \d\.\d+; raise most or the tolerance",
        answer.error,
    )
    assert "not settled" in answer.out
    assert run("explain", *picture, *short, "--json").json["pictures"][0]["converged"] is False
    enough = ("--method", "smoothgrad(samples=Until(0.9, least=4, most=100))", "--json")
    answer = run("explain", *picture, *enough)
    assert answer.json["pictures"][0]["converged"] is True
    assert "not settled" not in answer.error


def test_what_is_done_when_the_work_is_stopped_is_shown(
    photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(2, monkeypatch)
    answer = run("explain", photos, "-m", "digits", "--method", "gradient", "--out", out, "--json")
    assert answer.code == 1
    assert f"stopped; 2 pictures are done and kept in {out}" in answer.error.replace(" /", "/").replace("in/", "in /")
    assert [picture["picture"] for picture in answer.json["pictures"]] == ["digit0.png", "digit1.png"]
    assert answer.json["error"]["kind"] == "Stopped"
    page = (out / "index.html").read_text()
    assert "digit1.png" in page
    assert "digit2.png" not in page


def test_json_is_one_document_with_the_numbers_of_the_maps(photos: Path, out: Path) -> None:
    answer = run("explain", photos / "digit1.png", "-m", "digits", *QUICK, "--out", out, "--json")
    (picture,) = answer.json["pictures"]
    saved = sg.Attribution.load(picture["files"]["safetensors"])
    assert picture["picture"] == "digit1.png"
    assert picture["class"] == "1"
    assert picture["score"] == pytest.approx(float(saved.score))
    assert saved.relative_error is not None
    assert picture["relative_error"] == pytest.approx(float(saved.relative_error))
    assert answer.json["method"] == "Gradient().over(Gaussian(noise=0.15, samples=4))"
    assert answer.json["failures"] == []


def test_an_error_that_is_not_known_is_null_in_json(photos: Path, out: Path) -> None:
    one = ("--method", "smoothgrad(samples=1)", "--format", "safetensors", "--json")
    answer = run("explain", photos / "digit1.png", "-m", "digits", "--out", out, *one)
    assert answer.code == 0
    assert answer.json["pictures"][0]["relative_error"] is None


def test_the_summary_names_picture_class_error_and_files(photos: Path, out: Path) -> None:
    answer = run("explain", photos / "digit2.png", "-m", "digits", *QUICK[:-1], "--out", out)
    above, heads, line, *_ = answer.out.splitlines()
    assert above.split() == ["relative", "fresh"]
    assert heads.split() == ["picture", "class", "score", "error", "seed", "files"]
    assert re.match(r"digit2\.png +2 +\d+\.\d\d +\d\.\d\d +\d\.\d\d +digit2\.safetensors", line)
    assert "fresh seed: how strongly its map would correlate with this one" in answer.out


def test_quiet_says_nothing(photos: Path, out: Path) -> None:
    answer = run("explain", photos, "-m", "digits", *QUICK, "--out", out)
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_a_bad_picture_is_named_at_the_end_and_the_others_are_done(photos: Path, out: Path) -> None:
    whole = (photos / "digit0.png").read_bytes()
    (photos / "broken.png").write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("no picture")
    (photos / "notes.txt").write_text("not asked for")
    answer = run("explain", photos, "-m", "digits", *QUICK, "--out", out, "--json")
    assert answer.code == 1
    assert names(out) == [f"digit{number}.safetensors" for number in range(3)]
    assert [failure["picture"] for failure in answer.json["failures"]] == ["broken.png", "text.jpg"]
    assert "2 of 5 pictures failed" in answer.error
    assert "broken.png" in answer.error
    assert "text.jpg" in answer.error
    assert "notes.txt" not in answer.error


def test_a_constant_picture_fails_alone_where_noise_is_relative(photos: Path, out: Path) -> None:
    Image.new("L", (8, 8), 90).save(photos / "flat.png")
    answer = run("explain", photos, "-m", "digits", *QUICK, "--out", out)
    assert answer.code == 1
    assert "flat.png" in answer.error
    assert len(names(out)) == 3


def test_where_every_picture_fails_nothing_is_written(tmp_path: Path, out: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    answer = run("explain", tmp_path / "text.png", "-m", "digits", "--out", out)
    assert answer.code == 1
    assert not out.exists()


def test_equal_names_in_different_folders_do_not_overwrite_each_other(tmp_path: Path, out: Path) -> None:
    left, right = digits(tmp_path / "left", 1), digits(tmp_path / "right", 2)
    answer = run("explain", left, right, "-m", "digits", *QUICK, "--out", out, "--json")
    assert names(out) == ["digit1.safetensors", "left-digit0.safetensors", "right-digit0.safetensors"]
    assert len({picture["picture"] for picture in answer.json["pictures"]}) == 3


def test_digits_without_pictures_takes_its_own(out: Path) -> None:
    answer = run("explain", "-m", "digits", "--samples", 2, *QUICK, "--out", out, "--json")
    assert [picture["class"] for picture in answer.json["pictures"]] == ["0", "1"]


def test_an_existing_folder_keeps_what_else_is_in_it(photos: Path, out: Path) -> None:
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    for _ in range(2):
        assert run("explain", photos / "digit0.png", "-m", "digits", *QUICK, "--out", out).code == 0
    assert names(out) == ["digit0.safetensors", "mine.txt"]


def test_the_pictures_themselves_are_never_overwritten(photos: Path) -> None:
    before = (photos / "digit0.png").read_bytes()
    answer = run("explain", photos, "-m", "digits", "--out", photos)
    assert answer.code == 2
    assert "--out" in answer.error
    assert (photos / "digit0.png").read_bytes() == before


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("3", [3]),
        ("Class(4)", [4]),
        ("Contrast(Class('3'), 5)", [3, 5]),
        ("Contrast(Class(3), Class(5))", [3, 5]),
        ("Probability(Class(2))", [2]),
    ],
)
def test_a_target_is_a_class_or_a_recipe(photos: Path, out: Path, target: str, expected: list[int]) -> None:
    answer = run("explain", photos / "digit0.png", "-m", "digits", "-t", target, *QUICK, "--out", out, "--json")
    found = answer.json["pictures"][0]["target"]
    assert (found if isinstance(found, list) else [found]) == expected


def test_classes_of_ones_own_can_be_named_as_the_target(photos: Path, out: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text("zero one two three four five six seven eight nine".replace(" ", "\n"))
    mine = ("-m", "digits", "--classes", classes, *QUICK, "--out", out, "--json")
    answer = run("explain", photos / "digit0.png", *mine, "--target", "Seven")
    assert answer.json["pictures"][0]["target"] == 7
    answer = run("explain", photos / "digit0.png", *mine, "--target", "sevn")
    assert answer.code == 2
    assert "did you mean 'seven'?" in answer.error
    assert answer.json["error"]["message"] in answer.error


def test_a_layer_is_explained_in_place_of_the_pixels(photos: Path, out: Path) -> None:
    run("explain", photos / "digit0.png", "-m", "digits", "--at", "conv3", *QUICK, "--out", out)
    assert sg.Attribution.load(out / "digit0.safetensors").maps.shape == (1, 48, 4, 4)


def test_a_recipe_may_name_a_picture_or_a_folder(photos: Path, out: Path) -> None:
    given = f"integrated_gradients(steps=4, baseline=Given('{photos / 'digit1.png'}'))"
    data = f"expected_gradients(data='{photos}', samples=4)"
    for method in (given, data):
        quiet = ("--format", "safetensors", "--quiet", "--out", out)
        answer = run("explain", photos / "digit0.png", "-m", "digits", "--method", method, *quiet)
        assert (answer.code, answer.err) == (0, "")
    assert len(sg.Attribution.load(out / "digit0.safetensors").data[0]) == 3


def test_the_look_changes_the_figure_and_not_the_map(photos: Path, tmp_path: Path) -> None:
    looks: dict[str, list[str]] = {"plain": [], "signed": ["--sign", "negative", "--cap", "90", "--overlay", "0.5"]}
    for name, look in looks.items():
        method = ("--method", "gradient", "--format", "png,safetensors")
        run("explain", photos / "digit0.png", "-m", "digits", *method, *look, "--out", tmp_path / name)
    plain, signed = (tmp_path / name for name in looks)
    assert (plain / "digit0.png").read_bytes() != (signed / "digit0.png").read_bytes()
    maps = [sg.Attribution.load(folder / "digit0.safetensors").maps for folder in (plain, signed)]
    assert torch.equal(*maps)


BAD_USAGE = {
    "no pictures": (["--model", "timm:resnet50"], "no picture is named"),
    "samples and pictures": (["PHOTOS", "-m", "digits", "--samples", "2"], "give one of them"),
    "a picture that is not there": (["PHOTOS/digit.png", "-m", "digits"], "did you mean"),
    "an empty folder": (["EMPTY", "-m", "digits"], "no pictures in the folder"),
    "a model's name": (["PHOTOS", "-m", "digit"], "did you mean 'digits'?"),
    "a method's name": (["PHOTOS", "-m", "digits", "--method", "smothgrad"], "did you mean 'smoothgrad'?"),
    "a method in a recipe": (
        ["PHOTOS", "-m", "digits", "--method", "smothgrad(samples=3)"],
        "did you mean 'smoothgrad'?",
    ),
    "a method's parameter": (["PHOTOS", "-m", "digits", "--method", "vargrad(nois=1)"], "did you mean 'noise'?"),
    "a method's range": (["PHOTOS", "-m", "digits", "--method", "vargrad(noise=-1)"], "noise"),
    "a method that needs data": (["PHOTOS", "-m", "digits", "--method", "expected_gradients"], "needs data"),
    "a baseline that is not there": (
        ["PHOTOS", "-m", "digits", "--method", "integrated_gradients(baseline=Given('no.png'))"],
        "no.png",
    ),
    "a folder as one baseline": (
        ["PHOTOS", "-m", "digits", "--method", "integrated_gradients(baseline=Given('PHOTOS'))"],
        "FromData",
    ),
    "a class's number": (["PHOTOS", "-m", "digits", "--target", "10"], "0 to 9"),
    "a class in a recipe": (["PHOTOS", "-m", "digits", "--target", "Contrast(Class(3), Class(77))"], "class 77"),
    "a class's name in a recipe": (
        ["PHOTOS", "-m", "digits", "--target", "Contrast(Class('cat'), Top())"],
        "there is no class 'cat'; known: 0, 1",
    ),
    "a target without its brackets": (["PHOTOS", "-m", "digits", "--target", "Contrast"], "write Contrast("),
    "a rate above 1": (["PHOTOS", "-m", "digits", "--fdr", "5"], "above 0 and below 1, such as 0.05"),
    "a rate that is no number": (["PHOTOS", "-m", "digits", "--fdr", "5%"], "--fdr is '5%'"),
    "a target twice": (["PHOTOS", "-m", "digits", "-t", "top", "-t", "Top()"], "--target top is given twice"),
    "a probability among targets": (
        ["PHOTOS", "-m", "digits", "-t", "top", "-t", "Probability()"],
        "--target Probability() cannot stand beside others",
    ),
    "an empty target": (["PHOTOS", "-m", "digits", "--target", ""], "--target is empty"),
    "a target's kind": (["PHOTOS", "-m", "digits", "--target", "gradient()"], "'gradient'; known: Class"),
    "a rule as text": (["PHOTOS", "-m", "digits", "--method", "smoothgrad(rule='guided')"], "rule"),
    "a baseline as text": (
        ["PHOTOS", "-m", "digits", "--method", "integrated_gradients(baseline='black')"],
        "baseline",
    ),
    "a reduction as a sampler": (["PHOTOS", "-m", "digits", "--method", "gradient().over(Median())"], "Median"),
    "a rule as a finish": (["PHOTOS", "-m", "digits", "--method", "gradient().then(Guided())"], "Guided"),
    "a file without a function": (["PHOTOS", "-m", "NETS"], "nets.py:mobilenet, "),
    "means of 0 to 255": (["PHOTOS", "-m", "digits", "--mean", "127.5"], "got 127.5; divide by 255"),
    "a chunk in words": (["PHOTOS", "-m", "digits", "--chunk", "x"], "--chunk is 'x'; give a whole number"),
    "a cap in words": (["PHOTOS", "-m", "digits", "--cap", "x"], "--cap is 'x'; give a percentile"),
    "an opacity in words": (["PHOTOS", "-m", "digits", "--overlay", "x"], "--overlay is 'x'; give an opacity"),
    "a seed in words": (["PHOTOS", "-m", "digits", "--seed", "x"], "--seed is 'x'; give a whole number"),
    "a target's recipe": (["PHOTOS", "-m", "digits", "--target", "Clas(3)"], "did you mean 'Class'?"),
    "a layer": (["PHOTOS", "-m", "digits", "--at", "conv9"], "did you mean 'conv"),
    "a sign": (["PHOTOS", "-m", "digits", "--sign", "sined"], "did you mean 'signed'?"),
    "channels": (["PHOTOS", "-m", "digits", "--channels", "summ"], "did you mean 'sum'?"),
    "a cap": (["PHOTOS", "-m", "digits", "--cap", "0"], "percentile"),
    "an opacity": (["PHOTOS", "-m", "digits", "--overlay", "2"], "opacity"),
    "a format": (["PHOTOS", "-m", "digits", "--format", "pngg"], "did you mean 'png'?"),
    "a precision": (["PHOTOS", "-m", "digits", "--precision", "bfloat"], "did you mean 'bfloat16'?"),
    "a device": (["PHOTOS", "-m", "digits", "--device", "gpu"], "--device gpu"),
    "a size": (["PHOTOS", "-m", "digits", "--size", "big"], "--size"),
    "a mean": (["PHOTOS", "-m", "digits", "--mean", "a,b"], "--mean"),
    "means of other channels": (["PHOTOS", "-m", "digits", "--mean", "0.1,0.2"], "one per channel"),
    "a chunk": (["PHOTOS", "-m", "digits", "--chunk", "0"], "--chunk"),
    "an option": (["PHOTOS", "-m", "digits", "--tagret", "3"], "--target"),
    "no model": (["PHOTOS"], "--model"),
    "a file of weights": (["PHOTOS", "-m", "digits", "--weights", "none.pt"], "none.pt"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD_USAGE.values(), ids=BAD_USAGE)
def test_bad_usage_is_2_says_what_to_do_and_writes_nothing(
    tmp_path: Path, photos: Path, out: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    nets = tmp_path / "nets.py"
    nets.write_text("def mobilenet(): ...\ndef resnet20(): ...\n")
    places = {"PHOTOS": photos, "EMPTY": tmp_path / "empty", "NETS": nets}
    real = [re.sub("PHOTOS|EMPTY|NETS", lambda found: str(places[found[0]]), part) for part in arguments]
    answer = run("explain", *real, "--out", out)
    assert answer.code == 2
    assert answer.out == ""
    assert said in answer.error
    assert not out.exists()


def test_a_file_where_the_folder_should_be_is_found_before_the_work(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = run("explain", photos, "-m", "digits", "--out", tmp_path / "file")
    assert answer.code == 1
    assert "cannot write" in answer.error
    assert names(photos) == [f"digit{number}.png" for number in range(3)]


def test_weights_that_would_run_code_are_refused(photos: Path, tmp_path: Path, out: Path) -> None:
    torch.save({"x": Path("a class")}, tmp_path / "evil.pt")
    answer = run("explain", photos, "-m", "digits", "--weights", tmp_path / "evil.pt", "--out", out)
    assert answer.code == 1
    assert "evil.pt" in answer.error


def test_brackets_in_a_message_are_not_taken_for_colours(photos: Path, out: Path) -> None:
    answer = run("explain", photos, "-m", "digits", "--target", "[bold]", "--out", out)
    assert answer.code == 2
    assert "[bold]" in answer.error


@pytest.mark.real
def test_a_photograph_is_explained_by_mobilenet_with_weights_of_ones_own(out: Path) -> None:
    photo = DATA / "imagenet-samples" / "n01443537_goldfish.jpg"
    weights = WEIGHTS / "imagenet_mobilenet_v2.safetensors"
    net = ("-m", "torchvision:mobilenet_v2", "--weights", weights, "--size", 225, "--mean", 0.5, "--std", 0.5)
    answer = run("explain", photo, *net, *QUICK, "--out", out, "--json")
    assert answer.code == 0
    assert answer.json["pictures"][0]["class"] == "goldfish"
    assert sg.Attribution.load(out / f"{photo.stem}.safetensors").maps.shape == (1, 3, 225, 225)


@pytest.mark.real
def test_a_network_of_ones_own_is_a_function_in_a_file(tmp_path: Path, out: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from smoothgrad.models.preprocessing import Preprocessing\n"
        "from tests.nets import CIFAR_CLASSES as CLASSES, CifarResNet\n"
        "PREPROCESSING = Preprocessing(size=(32, 32), resize=32)\n"
        "def resnet20(): return CifarResNet(20)\n"
    )
    photos = sorted((DATA / "cifar10-test").glob("*/*.png"), key=lambda file: file.stem)[:4]
    weights = WEIGHTS / "cifar10_resnet20.safetensors"
    run("explain", *photos, "-m", f"{net}:resnet20", "--weights", weights, *QUICK, "--out", out)
    maps = [sg.Attribution.load(out / f"{photo.stem}.safetensors") for photo in photos]
    keys = torch.cat([saved.keys for saved in maps])
    method = sg.smoothgrad(noise=0.15, samples=4)
    expected = sg.explain(cifar_resnet(20), cifar_pictures(4)[0], method=method, keys=keys)
    for row, saved in zip(expected, maps, strict=True):
        torch.testing.assert_close(saved.maps, row.maps, atol=1e-5, rtol=1e-4)


# --- several targets, what differs from zero, precision ---------------------------------------------------------------


def test_several_targets_have_a_map_and_files_each(photos: Path, out: Path) -> None:
    two = [photos / "digit0.png", photos / "digit1.png"]
    asked = ("-t", "top", "-t", "top2", "-t", "7")
    answer = run("explain", *two, "-m", "digits", *QUICK[:2], *asked, "--json", "--out", out)
    stems = [f"digit{number}-{word}" for number in (0, 1) for word in ("top", "top2", "7")]
    assert names(out) == sorted([*(f"{stem}.{end}" for stem in stems for end in ("png", "safetensors")), "index.html"])
    told = answer.json["pictures"]
    assert [(one["picture"], one["asked"]) for one in told] == [
        (f"digit{number}.png", word) for number in (0, 1) for word in ("top", "top2", "7")
    ]
    net = sg.load("digits")
    x = torch.cat([net.read(file) for file in two])
    order = net(x).argsort(1, descending=True)
    assert [one["target"] for one in told] == [part for row in order.tolist() for part in (row[0], row[1], 7)]
    for one in told:
        saved = sg.Attribution.load(one["files"]["safetensors"])
        assert saved.names == (one["picture"],)
        assert saved.target.tolist() == [one["target"]]
        picture = net.read(photos / one["picture"])
        alone = sg.explain(
            net, picture, method=sg.smoothgrad(noise=0.15, samples=4), target=one["target"], keys=saved.keys
        )
        torch.testing.assert_close(saved.maps, alone.maps, atol=1e-5, rtol=1e-4)
    page = (out / "index.html").read_text()
    assert "digits, 2 pictures" in page
    assert "digit1.png, top2" in page
    assert "net.read(&#39;digit1.png&#39;)" in page


def test_a_contrast_may_stand_beside_its_classes(photos: Path, out: Path) -> None:
    picture = photos / "digit0.png"
    asked = ("-t", "top", "-t", "Contrast(Top(), Class(3))")
    answer = run("explain", picture, "-m", "digits", *QUICK[:2], *asked, "--json", "--out", out)
    told = answer.json["pictures"]
    assert [one["asked"] for one in told] == ["top", "top rather than 3"]
    assert "digit0-top-rather-than-3.png" in names(out)
    both = [sg.Attribution.load(one["files"]["safetensors"]) for one in told]
    net = sg.load("digits")
    scores = net(net.read(picture))[0].detach()
    assert float(both[1].score) == pytest.approx(float(scores.max() - scores[3]), abs=1e-4)
    assert [one.target_name() for one in both] == ["0", "0 rather than 3"]


def test_the_summary_names_each_target(photos: Path, out: Path) -> None:
    answer = run("explain", photos / "digit2.png", "-m", "digits", *QUICK[:-1], "-t", "top", "-t", "3", "--out", out)
    assert re.search(r"digit2\.png, top +2 .* digit2-top\.safetensors", answer.out)
    assert re.search(r"digit2\.png, 3 +3 .* digit2-3\.safetensors", answer.out)


def test_a_picture_that_fails_fails_for_each_target(photos: Path, out: Path) -> None:
    (photos / "broken.png").write_text("no picture")
    asked = ("-t", "top", "-t", "top2", "--json")
    answer = run("explain", photos, "-m", "digits", *QUICK, *asked, "--out", out)
    assert answer.code == 1
    assert [failure["picture"] for failure in answer.json["failures"]] == ["broken.png, top", "broken.png, top2"]
    assert len(answer.json["pictures"]) == 6


def test_a_stop_counts_pictures_and_not_their_targets(photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(2, monkeypatch)
    answer = run("explain", photos, "-m", "digits", *QUICK, "-t", "top", "-t", "top2", "--json", "--out", out)
    assert answer.code == 1
    assert "stopped; 2 pictures are done" in answer.error
    assert "1 not begun or not done" in answer.error
    assert len(answer.json["pictures"]) == 4


def test_a_picture_is_not_replaced_by_the_map_of_a_target(photos: Path) -> None:
    (photos / "digit0.png").rename(photos / "digit.png")
    (photos / "digit1.png").rename(photos / "digit-top.png")
    answer = run("explain", photos, "-m", "digits", "-t", "top", "-t", "top2", "--out", photos)
    assert answer.code == 2
    assert "digit-top.png would be replaced" in answer.error


def test_fdr_shows_what_differs_from_zero(photos: Path, out: Path) -> None:
    picture = (photos / "digit0.png", "-m", "digits", "--method", "smoothgrad(samples=12)", "--out", out)
    assert run("explain", *picture, "--fdr", 0.01).code == 0
    saved = sg.Attribution.load(out / "digit0.safetensors")
    count = int(saved.significant(0.01).sum())
    page = (out / "index.html").read_text()
    assert f"FDR 1 %: {count} of 64 pixels" in page
    assert "at a false-discovery rate of 1 %" in page
    tested = (out / "digit0.png").read_bytes()
    run("explain", *picture)
    assert (out / "digit0.png").read_bytes() != tested
    assert "FDR" not in (out / "index.html").read_text()


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("gradient", "needs a standard error"),
        ("integrated_gradients", "chance plays no part"),
        ("vargrad", "never negative"),
        ("smoothgrad(samples=2)", "too few"),
        ("Gradient().over(Gaussian(samples=9), Median())", "gives no standard error"),
    ],
)
def test_fdr_on_a_map_that_cannot_be_tested_is_bad_usage(photos: Path, out: Path, method: str, said: str) -> None:
    answer = run("explain", photos / "digit0.png", "-m", "digits", "--method", method, "--fdr", 0.05, "--out", out)
    assert answer.code == 2
    assert said in answer.error


def test_reproducibility_and_the_precision_taken_are_in_json(photos: Path, out: Path) -> None:
    answer = run(
        "explain", photos / "digit1.png", "-m", "digits", *QUICK, "--precision", "auto", "--out", out, "--json"
    )
    (picture,) = answer.json["pictures"]
    saved = sg.Attribution.load(picture["files"]["safetensors"])
    assert saved.reproducibility is not None
    assert picture["reproducibility"] == pytest.approx(float(saved.reproducibility))
    assert picture["precision"] in ("float32", "bfloat16")
