# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Sound
#
# A map of a sound can be drawn on its waveform or on its spectrogram. You will learn to do both with *one* network:
# the spectrogram is its
# first layer, and `at="spectrogram"` explains the scores by that layer's output.
#
# First on telephone tones (DTMF), where the truth is known: a key is two frequencies that sound for a while, and
# nothing else counts. Then on
# spoken digits from a folder of recordings (`SMOOTHGRAD_DATA`; Free Spoken Digit Dataset, CC BY-SA 4.0), or, where
# there is none, on more
# and fainter tones.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from scipy.io import wavfile
from torch import Tensor, nn

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
DATA = Path(os.environ.get("SMOOTHGRAD_DATA", "../../shared/data"))
RATE, LENGTH = 8000, 4096  # samples per second, and of a row: 0.51 s
WINDOW, HOP = 256, 128  # of the spectrogram: 31.25 Hz apart, 16 ms apart

# %% [markdown]
# ## A network that hears
#
# The spectrogram is a convolution with windowed cosines and sines, then $\log(c^2 + s^2 + 10^{-3})$. All of it can be
# differentiated, so that
# the gradient reaches the waveform.

# %%


class Spectrogram(nn.Module):
    """(N, 1, T) -> (N, 1, F, T'): the log of the power at each frequency, in windows of Hann."""

    def __init__(self) -> None:
        super().__init__()
        time = torch.arange(WINDOW) / RATE
        frequencies = torch.arange(1, WINDOW // 2) * RATE / WINDOW
        phase = 2 * torch.pi * frequencies[:, None] * time
        hann = torch.hann_window(WINDOW) / WINDOW**0.5
        self.register_buffer("waves", torch.cat([phase.cos() * hann, phase.sin() * hann])[:, None])

    def forward(self, sound: Tensor) -> Tensor:
        both = F.conv1d(sound, self.waves, stride=HOP)
        cosine, sine = both.chunk(2, dim=1)
        return (cosine.square() + sine.square() + 1e-3).log()[:, None]


class Listener(nn.Module):
    """Scores for sounds (N, 1, T): a spectrogram, three convolutions, the mean over time."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.spectrogram = Spectrogram()
        self.convs = nn.ModuleList(nn.Conv2d(b, w, 3, padding=1, bias=False) for b, w in ((1, 12), (12, 24), (24, 32)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in (12, 24, 32))
        self.linear = nn.Linear(32 * 16, classes)

    def forward(self, sound: Tensor) -> Tensor:
        h = self.spectrogram(sound)
        for conv, norm, pool in zip(self.convs, self.norms, ((2, 2), (2, 2), (2, 1)), strict=True):
            h = F.max_pool2d(norm(conv(h)).relu(), pool)
        heard = h.mean(3)[:, :, :15].flatten(1)  # which frequencies, at any time
        return self.linear(F.pad(heard, (0, 32 * 16 - heard.shape[1])))


def fit(sounds: Tensor, labels: Tensor, classes: int, epochs: int) -> Listener:
    """Trained on the rows moved in time and in loudness, with a little noise, from a fixed seed."""
    torch.manual_seed(0)
    net = Listener(classes)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * (len(sounds) // 32))
    for _ in range(epochs):
        for chosen in torch.randperm(len(sounds))[: len(sounds) // 32 * 32].split(32):
            moved = torch.stack([row.roll(int(torch.randint(-400, 400, ())), -1) for row in sounds[chosen]])
            loud = moved * torch.empty(len(moved), 1, 1).uniform_(0.6, 1.4)
            loss = F.cross_entropy(net(loud + 0.01 * torch.randn_like(loud)), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def accuracy(net: nn.Module, sounds: Tensor, labels: Tensor) -> float:
    """The share that is named rightly."""
    with torch.no_grad():
        return float((net(sounds).argmax(1) == labels).float().mean())


# %% [markdown]
# ## Telephone tones: the truth is known
#
# A key of a telephone is a low and a high tone at once. Here they sound for 0.2 s, at a random moment, in noise.

# %%
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)
KEYS = "123456789*0#"


def tones(count: int, seed: int, noise: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (count, 1, T), their keys (count,), and when they sound (count, T), bool."""
    rng = np.random.default_rng(seed)
    time = np.arange(LENGTH) / RATE
    labels = np.arange(count) % len(KEYS)
    begin = rng.uniform(0.02, 0.28, count)
    on = (time >= begin[:, None]) & (time < begin[:, None] + 0.2)
    wave = sum(
        np.sin(2 * np.pi * np.asarray(table)[place][:, None] * time + rng.uniform(0, 2 * np.pi, (count, 1)))
        for table, place in ((LOW, labels // 3), (HIGH, labels % 3))
    )
    sounds = 0.3 * wave * on + noise * rng.standard_normal((count, LENGTH))
    return torch.tensor(sounds, dtype=torch.float32)[:, None], torch.tensor(labels), torch.tensor(on)


ROWS, SAMPLES, EPOCHS = (12, 20, 5) if QUICK else (48, 50, 12)
train_sounds, train_keys, _ = tones(240 if QUICK else 600, seed=1)
test_sounds, test_keys, sounding = tones(ROWS, seed=2)
phone = fit(train_sounds, train_keys, len(KEYS), EPOCHS)
right_keys = accuracy(phone, test_sounds, test_keys)
print(f"{right_keys:.0%} of {ROWS} new tones are named rightly")

# %% [markdown]
# On the waveform: how much of the map lies where the tone sounds? On the spectrogram: how much lies within one row (31
# Hz) of the key's two
# frequencies, while it sounds?

# %%
method = sg.smoothgrad(0.1, SAMPLES)
wave_map = sg.explain(phone, test_sounds, method=method, target=test_keys)
picture_map = sg.explain(phone, test_sounds, method=method, target=test_keys, at="spectrogram")
gradient_map = sg.explain(phone, test_sounds, method=sg.gradient(), target=test_keys, at="spectrogram")

frames = picture_map.maps.shape[-1]
rows_hz = torch.arange(1, WINDOW // 2) * RATE / WINDOW
pairs = torch.tensor([[LOW[key // 3], HIGH[key % 3]] for key in test_keys.tolist()])
right_rows = ((rows_hz[None, :, None] - pairs[:, None, :]).abs() <= RATE / WINDOW * 1.5).any(2)  # (N, F)
right_frames = torch.stack([sounding[:, HOP * k : HOP * k + WINDOW].any(1) for k in range(frames)], 1)  # (N, T')
truth = right_rows[:, :, None] & right_frames[:, None, :]


def inside(maps: Tensor, region: Tensor) -> float:
    """The share of |map| in a region (N, *places), the mean over rows."""
    size = maps.abs().sum(1)
    return float(((size * region).flatten(1).sum(1) / size.flatten(1).sum(1)).mean())


in_time, by_chance_time = inside(wave_map.maps, sounding), float(sounding.float().mean())
in_truth, by_chance = inside(picture_map.maps, truth), float(truth.float().mean())
in_truth_gradient = inside(gradient_map.maps, truth)
peaks = picture_map.maps.abs().amax(3)[:, 0].argmax(1)
peak_right = float(right_rows[torch.arange(ROWS), peaks].float().mean())


def spectrogram_figure(result: sg.Attribution, row: int, title: str) -> plt.Figure:
    """The spectrogram of a row beside its map."""
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.6), sharey=True, layout="constrained")
    extent = (0, result.x.shape[-1] * HOP / RATE, rows_hz[0], rows_hz[-1])
    look = {"origin": "lower", "aspect": "auto", "extent": extent}
    shade = axes[0].imshow(result.x[row, 0], cmap="Greys", **look)
    reach = float(result.maps[row].abs().flatten().quantile(0.995))
    colour = axes[1].imshow(result.maps[row, 0], cmap="PuOr_r", vmin=-reach, vmax=reach, **look)
    axes[0].set(xlabel="seconds", ylabel="Hz", title=title)
    axes[1].set(xlabel="seconds", title=f"SmoothGrad, relative error {float(result.relative_error[row]):.2f}")
    fig.colorbar(shade, ax=axes[0], label="log power")
    fig.colorbar(colour, ax=axes[1], label="score per unit of log power")
    return fig


fig = spectrogram_figure(picture_map, 4, f"key {KEYS[int(test_keys[4])]}: {int(pairs[4, 0])} and {int(pairs[4, 1])} Hz")
display(fig)
plt.close(fig)
display(wave_map[4].figure())

# %% [markdown]
# ## Spoken digits
#
# 300 recordings, ten digits by six speakers. The last take of each speaker and digit is held out. Recordings are cut,
# or filled with
# silence, to half a second.

# %%


def spoken(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, labels, and which are held out: `{digit}_{speaker}_{take}.wav`."""
    sounds, labels, held = [], [], []
    for file in sorted(folder.glob("*.wav")):
        digit, _, take = file.stem.split("_")
        wave = torch.tensor(wavfile.read(file)[1], dtype=torch.float32)[:LENGTH]
        wave = F.pad(wave, ((LENGTH - len(wave)) // 2, LENGTH - len(wave) - (LENGTH - len(wave)) // 2))
        sounds.append(wave[None] / wave.abs().max())
        labels.append(int(digit))
        held.append(take == "49")
    return torch.stack(sounds), torch.tensor(labels), torch.tensor(held)


FOLDER = DATA / "spoken-digits"
if FOLDER.is_dir():
    what, (sounds, labels, held) = "spoken digits", spoken(FOLDER)
else:
    sounds, labels, _ = tones(300, seed=3, noise=0.4)
    what, held = "faint tones", torch.arange(300) % 5 == 0
print(f"{len(sounds)} rows of {what}, {int(held.sum())} held out")

# %%
listener = fit(sounds[~held], labels[~held], int(labels.max()) + 1, 8 if QUICK else 40)
right = accuracy(listener, sounds[held], labels[held])
print(f"{right:.0%} of the held-out {what} are named rightly")

# %% [markdown]
# The map of one of them on its waveform (line: the sound; strip: the map; below: the map with two standard errors),
# and on its spectrogram.

# %%
x, truth_of = sounds[held][:: 6 if QUICK else 1], labels[held][:: 6 if QUICK else 1]
on_wave = sg.explain(listener, x, method=sg.smoothgrad(0.05, SAMPLES), target=truth_of)
on_picture = sg.explain(listener, x, method=sg.smoothgrad(0.1, SAMPLES), target=truth_of, at="spectrogram")
ONE = len(x) // 2
display(on_wave[ONE].figure())
fig = spectrogram_figure(on_picture, ONE, f"{what}: {int(truth_of[ONE])}")
display(fig)
plt.close(fig)

# %% [markdown]
# Here the truth is not known, so we ask the network: silence the 5 % of the moments that the map marks most, and as
# many at random. And how
# much of the map lies on silence, where nothing was recorded?

# %%
judged = sg.judge(
    listener,
    {
        "SmoothGrad": sg.explain(
            listener, x, method=sg.smoothgrad(0.05, SAMPLES).then(sg.TimesInput()).then(sg.Absolute())
        ),
        "gradient": sg.explain(listener, x, method=sg.gradient().then(sg.TimesInput()).then(sg.Absolute())),
        "random": sg.explain(listener, x, method=sg.random_map()),
    },
    {"deletion": sg.Deletion(steps=20), "insertion": sg.Insertion(steps=20, removal=sg.Replaced(sg.Zero()))},
)
summary = judged.summary().set_index(["measure", "method"])["mean"]
display(judged.figure())
silence = x[:, 0].abs() < 0.02
on_silence, silent = inside(on_wave.maps, silence), float(silence.float().mean())
band = (on_picture.maps.abs().sum((0, 1, 3)) / on_picture.maps.abs().sum()).cumsum(0)
half_below = float(rows_hz[int((band < 0.5).sum())])

# %% [markdown]
# ## What was seen

# %%
display(
    Markdown(f"""
* Tones: the network names {right_keys:.0%} of {ROWS} rightly. On the waveform {in_time:.0%} of SmoothGrad's map lies
  where the tone sounds, which
  is {by_chance_time:.0%} of the time.
* On the spectrogram {in_truth:.0%} of the map lies on the key's two frequencies while they sound, {by_chance:.1%} of the area
  ({in_truth / by_chance:.0f} times what chance gives); of the plain gradient {in_truth_gradient:.0%}. The strongest
  row is one of the two
  right frequencies for {peak_right:.0%} of the tones.
* {what.capitalize()}: {right:.0%} of {int(held.sum())} held-out rows are named rightly. {on_silence:.0%} of the map
  lies on silence, which is
  {silent:.0%} of the time: the gradient says what *would* change the score, and sound where there is none would.
* Half of the map on the spectrogram lies below {half_below:.0f} Hz.
* Silencing moments, the most marked first: deletion {summary[("deletion", "SmoothGrad")]:.3f} for SmoothGrad times input,
  {summary[("deletion", "gradient")]:.3f} for the gradient times input, {summary[("deletion", "random")]:.3f} for a
  random map (low is
  good). Insertion: {summary[("insertion", "SmoothGrad")]:.3f}, {summary[("insertion", "gradient")]:.3f},
  {summary[("insertion", "random")]:.3f} (high is good).
* SmoothGrad's relative error with {SAMPLES} samples is {float(on_wave.relative_error.mean()):.2f} on the waveform, and
  {float(on_picture.relative_error.mean()):.2f} on the spectrogram.
""")
)
