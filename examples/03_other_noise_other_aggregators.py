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
# # 3. Other noise, other aggregators
#
# SmoothGrad is *the gradient, over Gaussian noise, gathered by a mean*. Each of the three pieces can be changed:
#
# ```python
# sg.Gradient().over(sg.Laplace(noise=0.15, samples=50), sg.Median())
# ```
#
# You will learn what other noise does at equal strength, what other ways to gather the same draws show, and which of
# them come out
# the same with another seed.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
ROWS, SAMPLES = (4, 100) if QUICK else (20, 1000)

net = sg.load("digits")
x = net.samples(ROWS)


def cosines(maps: dict[str, torch.Tensor]) -> np.ndarray:
    """Of each map with each: (K, K), the mean over the rows."""
    flat = torch.stack([one.flatten(1) for one in maps.values()])  # (K, N, P)
    flat = flat / flat.norm(dim=2, keepdim=True)
    return torch.einsum("anp,bnp->abn", flat, flat).mean(2).numpy()


def table_figure(values: np.ndarray, names: list[str], title: str) -> plt.Figure:
    """A square table of cosines, as shades with their numbers."""
    fig, axes = plt.subplots(figsize=(0.55 * len(names) + 1.8, 0.45 * len(names) + 1.2), layout="constrained")
    shades = axes.imshow(values, cmap="Greys", vmin=float(values.min()), vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if value > (1 + values.min()) / 2 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=7, color=ink)
    fig.colorbar(shades, label="cosine, mean over pictures")
    axes.set_title(title, fontsize=9)
    return fig


# %% [markdown]
# ## Noise of equal variance
#
# Gaussian, uniform and Laplace noise take `noise` as a standard deviation: the same number is the same variance. The
# others mean something
# else by it, so we choose their number such that the mean squared change of a pixel is the same, $s^2$ with $s$ = 15 %
# of the range:
#
# | | a pixel $x_i$ becomes | mean squared change | so |
# |---|---|---|---|
# | multiplicative | $x_i (1 + q e)$ | $q^2\, \overline{x^2}$ | $q = s / \sqrt{\overline{x^2}}$ |
# | dropout | $0$ with probability $q$ | $q\, \overline{x^2}$ | $q = s^2 / \overline{x^2}$ |
# | salt and pepper | lowest or highest, each at $q/2$ | $\frac q2 \overline{(x-\min)^2 + (\max-x)^2}$ | solve for $q$ |

# %%
NOISE = 0.15
low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
variance = float((NOISE * (high - low)).square().mean())
square = float(x.square().mean())
ends = float(((x - low).square() + (high - x).square()).mean())
clouds = {
    "Gaussian": sg.Gaussian(NOISE, SAMPLES),
    "uniform": sg.Uniform(NOISE, SAMPLES),
    "Laplace": sg.Laplace(NOISE, SAMPLES),
    "multiplicative": sg.Multiplicative((variance / square) ** 0.5, SAMPLES),
    "dropout": sg.Dropout(variance / square, SAMPLES),
    "salt and pepper": sg.SaltAndPepper(2 * variance / ends, SAMPLES),
}
sources = {name: sg.explain(net, x, method=sg.Gradient().over(cloud)) for name, cloud in clouds.items()}
display(sg.compare(net, x[:2], methods={name: sg.Gradient().over(cloud) for name, cloud in clouds.items()}).figure())

# %%
plain = sg.explain(net, x, method=sg.gradient())
alike = cosines({"gradient": plain.maps} | {name: one.maps for name, one in sources.items()})
fig = table_figure(alike, ["gradient", *sources], f"{SAMPLES} samples each, noise of equal variance")
display(fig)
plt.close(fig)

# %% [markdown]
# Multiplicative noise and dropout leave a black pixel black: they change only where there is ink. How far is the map
# on *black* pixels from
# the plain gradient, as a share of the gradient's size there?

# %%
black = x == 0
moved = {
    name: float(((one.maps - plain.maps) * black).norm() / (plain.maps * black).norm()) for name, one in sources.items()
}
print({name: round(value, 2) for name, value in moved.items()})

# %% [markdown]
# ## Other ways to gather the same draws
#
# `Together` gathers the same noisy gradients $g_1 \dots g_n$ in several ways at the price of one:
#
# | | per pixel |
# |---|---|
# | mean | $\frac1n \sum g_k$: SmoothGrad |
# | squares | $\frac1n \sum g_k^2$: SmoothGrad squared |
# | variance | $\frac{1}{n-1} \sum (g_k - \bar g)^2$: VarGrad |
# | median, trimmed mean, median of means | a middle that outliers cannot move |
# | geometric mean | $\exp \frac1n \sum \log \lvert g_k \rvert$ |
# | maximum | the $\lvert g_k \rvert$ that is largest |
# | sign agreement | $\frac1n \sum \mathrm{sign}\, g_k$: from −1 to 1 |

# %%
reductions = {
    "mean": sg.Mean(),
    "squares": sg.SquareMean(),
    "variance": sg.Variance(),
    "median": sg.Median(),
    "trimmed mean": sg.TrimmedMean(),
    "median of means": sg.MedianOfMeans(),
    "geometric mean": sg.GeometricMean(),
    "maximum": sg.Max(),
    "sign agreement": sg.SignAgreement(),
}
FEW = 50
method = sg.Gradient().over(sg.Gaussian(NOISE, FEW), sg.Together(*reductions.values()))
first, second = (
    dict(zip(reductions, sg.explain(net, x, method=method, seed=seed).parts().values(), strict=True)) for seed in (0, 1)
)
gathered = {name: sg.Gradient().over(sg.Gaussian(NOISE, FEW), one) for name, one in reductions.items()}
names = list(gathered)
display(sg.compare(net, x[:2], methods={name: gathered[name] for name in names[:5]}).figure())
display(sg.compare(net, x[:2], methods={name: gathered[name] for name in names[5:]}).figure())

# %% [markdown]
# Some keep the sign and some do not, so they are compared by absolute value. And each is compared with itself under
# another seed: what does
# not come back is chance.

# %%
sizes = {name: one.maps.abs() for name, one in first.items()}
matrix = cosines(sizes)
fig = table_figure(matrix, list(sizes), f"absolute values, the same {FEW} draws")
display(fig)
plt.close(fig)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Pearson's, of each row, then the mean."""
    a, b = (part.flatten(1) - part.flatten(1).mean(1, keepdim=True) for part in (a, b))
    return float(torch.cosine_similarity(a, b).mean())


again = {name: correlation(first[name].maps, second[name].maps) for name in reductions}

# %% [markdown]
# Do the measures prefer one? All judged by absolute value, on the same pictures, beside controls that know nothing of
# the network.

# %%
judged = sg.compare(
    net,
    x,
    methods={name: method.then(sg.Absolute()) for name, method in gathered.items()},
    measures={"deletion": sg.Deletion(steps=16), "insertion": sg.Insertion(steps=16, removal=sg.Replaced(sg.Zero()))},
)
display(judged.scores.figure())
summary = judged.scores.summary().set_index(["measure", "method"])

# %% [markdown]
# ## What was seen

# %%
gauss = dict(zip(("gradient", *sources), alike[1], strict=True))
own = summary.drop(index=list(judged.scores.controls), level="method")["mean"]
mean_row = dict(zip(sizes, matrix[0], strict=True))
display(
    Markdown(f"""
Over {ROWS} digits:

* Cosines with the map of Gaussian noise, at equal variance: uniform {gauss["uniform"]:.2f}, Laplace {gauss["Laplace"]:.2f},
  multiplicative {gauss["multiplicative"]:.2f}, dropout {gauss["dropout"]:.2f}, salt and pepper
  {gauss["salt and pepper"]:.2f}; the plain gradient, without noise, {gauss["gradient"]:.2f}.
* On black pixels the map moves away from the gradient by {moved["Gaussian"]:.2f} of its size with Gaussian noise, by
  {moved["multiplicative"]:.2f} with multiplicative noise and by {moved["dropout"]:.2f} with dropout.
* By absolute value, cosines with the mean of the same draws: median {mean_row["median"]:.2f}, trimmed mean
  {mean_row["trimmed mean"]:.2f}, median of means {mean_row["median of means"]:.2f}, squares
  {mean_row["squares"]:.2f}, variance {mean_row["variance"]:.2f}, which asks where the gradient turns, not where it is large.
* With another seed and {FEW} samples, {max(again, key=again.get)} comes back best (correlation {max(again.values()):.2f}),
  {min(again, key=again.get)} worst ({min(again.values()):.2f}); the mean has {again["mean"]:.2f}.
* Deletion is lowest for {own["deletion"].idxmin()} ({own["deletion"].min():.3f}; mean {own[("deletion", "mean")]:.3f},
  a random map
  {summary.loc[("deletion", "random_map()"), "mean"]:.3f}), insertion highest
  for {own["insertion"].idxmax()}
  ({own["insertion"].max():.3f}; mean {own[("insertion", "mean")]:.3f}).
""")
)
