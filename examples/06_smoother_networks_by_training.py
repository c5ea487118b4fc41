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
# # 6. Smoother networks by training
#
# SmoothGrad smooths the map. One can also train a network whose gradient is smooth by itself. You will learn to
#
# * train a network with noise on its inputs, with a penalty on its gradient, with soft labels, with a rounder activation;
# * measure how noisy its maps are, beside its accuracy;
# * see whether noise at training and noise at inference add up (Smilkov et al. 2017 say so).
#
# The data are MNIST, where its folder is at hand (`SMOOTHGRAD_DATA`), else the digits of 8 × 8 pixels that
# scikit-learn bundles.

# %%
import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from torch import nn

import smoothgrad as sg
from smoothgrad.training.data import data_set
from smoothgrad.training.noise import AddNoise
from smoothgrad.training.penalty import gradient_penalty
from smoothgrad.training.plan import Plan, Small
from smoothgrad.training.train import accuracy, train

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
DATA = Path(os.environ.get("SMOOTHGRAD_DATA", "../../shared/data"))
MNIST = (DATA / "mnist").is_dir() and not QUICK

if MNIST:
    data = data_set(f"mnist:{DATA / 'mnist'}")
    data = data._replace(train=data.train.first(6000), held_out=data.held_out.first(2000))
    small, EPOCHS, ROWS = Small(widths=(12, 24, 32), halvings=2), 4, 20
else:
    data = data_set("digits")
    small, EPOCHS, ROWS = Small(widths=(12, 24, 32), halvings=1), 6 if QUICK else 30, 6 if QUICK else 20
print(f"{data.name}: {len(data.train.labels)} pictures to train on, {len(data.held_out.labels)} held out")

# %% [markdown]
# ## The pieces
#
# Noise is a transform of the inputs, $x + N(0, s^2)$. The penalty adds the squared gradient of the loss to the loss
# (Drucker, LeCun 1992),
#
# $$ L = \ell(x, y) + \lambda \, \lVert \partial \ell / \partial x \rVert^2, $$
#
# and is trained through by differentiating twice. In a training loop of your own they are one line each:

# %%
torch.manual_seed(0)
noisy = AddNoise(0.2)
own = nn.Sequential(nn.Flatten(), nn.Linear(data.train.x[0].numel(), 10))
rows = noisy(data.rows(data.train.x[:64])).requires_grad_()
scores = own(rows)
loss = F.cross_entropy(scores, data.train.labels[:64]) + 0.1 * gradient_penalty(scores, rows, data.train.labels[:64])
loss.backward()
reached = bool(own[1].weight.grad.abs().sum() > 0)
print(f"loss with the penalty {float(loss.detach()):.2f}; its gradient reaches the weights: {reached}")

# %% [markdown]
# ## Five networks, one recipe
#
# A `Plan` says the whole training. All have the same start, the same pictures in the same order, and the same number of epochs.

# %%
base = {"network": small, "epochs": EPOCHS, "rate": 0.1, "batch": 64}
soft = Small(widths=small.widths, halvings=small.halvings, activation="softplus")
plans = {
    "plain": Plan(**base),
    "noise 10 %": Plan(**base, noise=0.1),
    "noise 30 %": Plan(**base, noise=0.3),
    "penalty": Plan(**base, penalty=1.0),
    "soft labels": Plan(**base, smoothing=0.1),
    "softplus": Plan(**(base | {"network": soft})),
}
nets, right = {}, {}
for name, plan in plans.items():
    start = time.perf_counter()
    net = train(plan, data)
    right[name] = accuracy(net, data, data.held_out)
    nets[name] = sg.Network(net, name=name, classes=data.classes, preprocessing=data.preprocessing)
    print(f"{name:<12} accuracy {right[name]:.1%}, {time.perf_counter() - start:.0f} s")

# %% [markdown]
# ## The maps
#
# The plain gradient of each network, and under it SmoothGrad with 20 samples.

# %%
x, labels = data.rows(data.held_out.x[:ROWS]), data.held_out.labels[:ROWS]


def panels(method: sg.Explainer, row: int) -> list[torch.Tensor]:
    """The maps of one picture by all networks, each in units of its largest value."""
    maps = [
        sg.explain(net, x[row : row + 1], method=method, target=labels[row : row + 1]).maps[0, 0]
        for net in nets.values()
    ]
    return [one / one.abs().max() for one in maps]


ROW = 3
fig, axes = plt.subplots(2, len(nets) + 1, figsize=(1.25 * (len(nets) + 1), 2.9), layout="constrained")
for line, (title, method) in enumerate({"gradient": sg.gradient(), "SmoothGrad": sg.smoothgrad(0.15, 20)}.items()):
    axes[line, 0].imshow(x[ROW, 0], cmap="gray")
    axes[line, 0].set_ylabel(title, fontsize=8)
    for column, (name, one) in enumerate(zip(nets, panels(method, ROW), strict=True), 1):
        shades = axes[line, column].imshow(one, cmap="PuOr_r", vmin=-1, vmax=1)
        if line == 0:
            axes[line, column].set_title(name, fontsize=8)
for one in axes.flat:
    one.set(xticks=[], yticks=[])
fig.colorbar(shades, ax=axes, label="share of the map's largest", shrink=0.8)
display(fig)
plt.close(fig)

# %% [markdown]
# ## How noisy is the gradient?
#
# Three numbers for each network: the cosine of its plain gradient with its own SmoothGrad limit at 15 % (1: there is
# nothing to smooth); how
# sure SmoothGrad with 50 samples is (its relative error, low is good); and the total variation of the gradient, how
# much neighbours
# differ, for a map of unit size.

# %%
LIMIT = 200 if QUICK else 1000
numbers = {}
for name, net in nets.items():
    plain = sg.explain(net, x, method=sg.gradient(), target=labels)
    limit = sg.explain(net, x, method=sg.smoothgrad(0.15, LIMIT), target=labels, seed=1)
    fifty = sg.explain(net, x, method=sg.smoothgrad(0.15, 50), target=labels)
    unit = plain.maps / plain.maps.flatten(1).norm(dim=1)[:, None, None, None]
    rough = unit.diff(dim=2).abs().sum((1, 2, 3)) + unit.diff(dim=3).abs().sum((1, 2, 3))
    numbers[name] = (
        float(torch.cosine_similarity(plain.maps.flatten(1), limit.maps.flatten(1)).mean()),
        float(fifty.relative_error.mean()),
        float(rough.mean()),
    )

fig, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True, layout="constrained")
columns = (
    "gradient's cosine\nwith its limit",
    "relative error,\n50 samples",
    "total variation\nof the gradient",
    "accuracy",
)
for place, (one, label) in enumerate(zip(axes, columns, strict=True)):
    values = list(right.values()) if place == 3 else [numbers[name][place] for name in nets]
    one.plot(values, range(len(nets)), "o", color="black")
    one.set(yticks=range(len(nets)), yticklabels=list(nets), xlabel=label)
    one.grid(axis="y", linewidth=0.4)
axes[0].invert_yaxis()
display(fig)
plt.close(fig)

# %% [markdown]
# ## Noise at training, noise at inference
#
# The error of SmoothGrad with 50 samples, for each pair: training noise down, inference noise across. And the total
# variation of the map.

# %%
TRAINED, ASKED = ("plain", "noise 10 %", "noise 30 %"), (0.0, 0.1, 0.2, 0.3)
rough = torch.zeros(len(TRAINED), len(ASKED))
for row, name in enumerate(TRAINED):
    for column, noise in enumerate(ASKED):
        method = sg.gradient() if noise == 0 else sg.smoothgrad(noise, 50)
        maps = sg.explain(nets[name], x, method=method, target=labels).maps
        unit = maps / maps.flatten(1).norm(dim=1)[:, None, None, None]
        rough[row, column] = (unit.diff(dim=2).abs().sum((1, 2, 3)) + unit.diff(dim=3).abs().sum((1, 2, 3))).mean()

fig, axes = plt.subplots(figsize=(4.6, 2.4), layout="constrained")
shades = axes.imshow(rough, cmap="Greys")
axes.set_xticks(range(len(ASKED)), [f"{100 * noise:g} %" for noise in ASKED])
axes.set_yticks(range(len(TRAINED)), TRAINED)
axes.set(xlabel="noise at inference", ylabel="training")
middle = float(rough.min() + rough.max()) / 2
for row in range(len(TRAINED)):
    for column in range(len(ASKED)):
        ink = "white" if rough[row, column] > middle else "black"
        axes.text(column, row, f"{rough[row, column]:.1f}", ha="center", va="center", color=ink)
fig.colorbar(shades, label="total variation\nof a unit map")
display(fig)
plt.close(fig)

# %% [markdown]
# ## What was seen

# %%
calm = min(numbers, key=lambda name: numbers[name][1])
wild = max(numbers, key=lambda name: numbers[name][1])
best = max(right, key=right.get)
lines = "\n".join(
    f"| {name} | {right[name]:.1%} | {cos:.2f} | {error:.2f} | {tv:.1f} |" for name, (cos, error, tv) in numbers.items()
)
display(
    Markdown(f"""
On {data.name} ({len(data.train.labels)} pictures, {EPOCHS} epochs), maps of {ROWS} held-out pictures:

| training | accuracy | gradient's cosine with its limit | relative error, 50 samples | total variation |
|---|---|---|---|---|
{lines}

* The calmest network is *{calm}* (relative error {numbers[calm][1]:.2f}), the noisiest *{wild}*
  ({numbers[wild][1]:.2f}). The plain one needs
  {(numbers["plain"][1] / numbers[calm][1]) ** 2:.1f} times the samples of the calmest for an equal error.
* Price: {calm} has {right[calm] - right["plain"]:+.1%} of accuracy against plain; the best is {best} ({right[best]:.1%}).
* Noise at training alone takes the total variation of a unit map from {rough[0, 0]:.1f} to {rough[2, 0]:.1f}, noise at
  inference (20 %)
  alone to {rough[0, 2]:.1f}, both together to {rough[2, 2]:.1f}: together
  {"less than either alone" if rough[2, 2] < min(rough[2, 0], rough[0, 2]) else "not less than the better of the two alone"}.
""")
)
