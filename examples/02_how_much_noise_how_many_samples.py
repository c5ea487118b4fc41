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
# # 2. How much noise, how many samples?
#
# SmoothGrad has two numbers to choose. You will learn
#
# * what the noise level does to the map, to how sure it is, and to what two measures say of it;
# * how the error falls with the number of samples, and where a picture stops changing to the eye;
# * how to ask for a tolerance in place of a number of samples;
# * whether samples that are spread more evenly than by chance save work.
#
# The pictures are *scenes*: one coloured shape before a textured ground, 32 × 32 pixels, with a small network that
# comes with the package.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from skimage.metrics import structural_similarity

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
ROWS = 3 if QUICK else 8
LIMIT = 200 if QUICK else 2000  # samples that stand for infinitely many

net = sg.load("scenes")
x = net.samples(ROWS)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N,) of maps (N, ...): 1 where they point the same way."""
    return torch.cosine_similarity(a.flatten(1), b.flatten(1))


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """||a - b|| / ||b|| of each row."""
    return (a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)


# %% [markdown]
# ## The noise level
#
# `noise` is a standard deviation, as a share of the picture's range: 0.15 is 15 % of max − min. The paper recommends
# 10 to 20 %.

# %%
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SAMPLES = 50
methods = {f"{100 * noise:g} %": sg.smoothgrad(noise, SAMPLES) for noise in LEVELS}
maps = sg.compare(net, x[:3], methods=methods)
display(maps.figure(sg.Look(sign="absolute")))

# %% [markdown]
# Three numbers for each level: the cosine of the map of 50 samples with its *own* limit (is the estimate done?), the
# cosine of that limit
# with the plain gradient (is it still about this picture?), and the cosine with the limit at 15 %. And the probability
# of the class that
# the noisy copies themselves have: at 50 % noise the network may no longer see the thing that is to be explained.

# %%
plain = sg.explain(net, x, method=sg.gradient())
middle = sg.explain(net, x, method=sg.smoothgrad(0.15, LIMIT), seed=1)
own, to_gradient, said, still = [], [], [], []
generator = torch.Generator().manual_seed(0)
for noise in LEVELS:
    result = sg.explain(net, x, method=sg.smoothgrad(noise, SAMPLES))
    limit = sg.explain(net, x, method=sg.smoothgrad(noise, LIMIT), seed=1)
    own.append(float(cosine(result.maps, limit.maps).mean()))
    to_gradient.append(float(cosine(limit.maps, plain.maps).mean()))
    said.append(float(result.relative_error.mean()))
    scale = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
    copies = x + scale * torch.randn((20, *x.shape), generator=generator)
    with torch.no_grad():
        named = net(copies.flatten(0, 1)).argmax(1).view(20, -1)
    still.append(float((named == result.target).float().mean()))

fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
percent = [100 * noise for noise in LEVELS]
axes[0].plot(percent, own, "o-", color="black", label=f"{SAMPLES} samples with their own limit")
axes[0].plot(percent, to_gradient, "s--", color="tab:orange", label="the limit with the gradient")
axes[0].set(xlabel="noise, % of the range", ylabel="cosine, mean over pictures", ylim=(0, 1.03))
axes[0].legend(fontsize=8)
axes[1].plot(percent, still, "^-", color="black", label="noisy copies still named the same")
axes[1].plot(percent, said, "v--", color="tab:orange", label="relative error of the map")
axes[1].set(xlabel="noise, % of the range", ylabel="share", ylim=(0, 1.03))
axes[1].legend(fontsize=8)
display(fig)
plt.close(fig)

# %% [markdown]
# What do measures say? *Deletion*: remove the pixels that the map marks, the strongest first, and take the area under
# the probability of
# the class (low is good). *Insertion*: bring them back on a blurred picture (high is good). The scenes also come with
# the truth: which
# pixels are the shape's. *Localisation AUC* is the chance that a pixel of the shape is marked more than one outside.

# %%
measures = {"deletion": sg.Deletion(), "insertion": sg.Insertion(), "localisation": sg.LocalisationAuc()}
judged = sg.compare(
    net,
    x,
    methods={name: method.then(sg.Absolute()) for name, method in methods.items()},
    measures=measures,
    regions=net.sample_regions(ROWS),
)
summary = judged.scores.summary().set_index(["measure", "method"])
display(judged.scores.figure())

# %% [markdown]
# ## The number of samples
#
# The error of a mean falls as $1/\sqrt n$: four times the samples, half the error. We compare with the limit (another
# seed), and with the
# eye: the *structural similarity* (SSIM) of the two maps as pictures, capped at their 99th percentile as they are
# shown. 1 is the same
# picture.

# %%
COUNTS = (3, 6, 12, 25, 50, 100, 200)
NOISE = 0.15


def shown(maps: torch.Tensor) -> np.ndarray:
    """Absolute values summed over colours and capped, as a figure shows them: (N, H, W) from 0 to 1."""
    strength = maps.abs().sum(1)
    cap = strength.flatten(1).quantile(0.99, dim=1)[:, None, None]
    return (strength / cap).clamp(max=1).numpy()


far, claimed, alike = [], [], []
end = shown(middle.maps)
for count in COUNTS:
    result = sg.explain(net, x, method=sg.smoothgrad(NOISE, count))
    far.append(float(distance(result.maps, middle.maps).mean()))
    claimed.append(float((result.stderr.flatten(1).norm(dim=1) / middle.maps.flatten(1).norm(dim=1)).mean()))
    now = shown(result.maps)
    alike.append(np.mean([structural_similarity(a, b, data_range=1.0) for a, b in zip(now, end, strict=True)]))
slope = float(np.polyfit(np.log(COUNTS), np.log(far), 1)[0])

fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
axes[0].loglog(COUNTS, far, "o-", color="black", label="distance from the limit")
axes[0].loglog(COUNTS, claimed, "x", color="tab:orange", label="standard error, as the map says it")
axes[0].loglog(COUNTS, [far[0] * (COUNTS[0] / n) ** 0.5 for n in COUNTS], ":", color="grey", label="1/√n")
axes[0].set(xlabel="samples", ylabel="share of the limit's norm")
axes[0].legend(fontsize=8)
axes[1].semilogx(COUNTS, alike, "o-", color="black")
axes[1].set(xlabel="samples", ylabel="SSIM with the limit", ylim=(0, 1.03))
display(fig)
plt.close(fig)

# %% [markdown]
# ## Ask for a tolerance
#
# `Until(tolerance=0.1)` draws until the relative error of a row is below 0.1, or says that it is not. Rows stop one by one.

# %%
until = sg.explain(net, x, method=sg.smoothgrad(NOISE, sg.Until(tolerance=0.1, most=512 if QUICK else 4096)))
needed = until.draws.double()
reached = int(until.converged.sum())
print([int(draws) for draws in until.draws])

# %% [markdown]
# ## Draws that are spread evenly
#
# Antithetic pairs take $+\varepsilon$ and $-\varepsilon$; stratified and Sobol draws cover the distribution in blocks
# of eight. What counts
# is the error at an equal number of samples, here 48, averaged over seeds.

# %%
SEEDS = 2 if QUICK else 8
spread = {}
for sampling in ("independent", "antithetic", "stratified", "sobol"):
    method = sg.smoothgrad(NOISE, 48, sampling=sampling)
    squares = [
        distance(sg.explain(net, x, method=method, seed=10 + seed).maps, middle.maps).square() for seed in range(SEEDS)
    ]
    spread[sampling] = float(torch.stack(squares).mean())
saved = {name: 1 - square / spread["independent"] for name, square in spread.items()}  # error² goes with 1/n
print({name: f"{share:+.0%}" for name, share in saved.items()})

# %% [markdown]
# ## What was seen

# %%
seen = dict(zip(LEVELS, zip(own, to_gradient, still, said, strict=True), strict=True))
best = {
    name: summary.loc[name].drop(index=list(judged.scores.controls))["mean"].agg(how)
    for name, how in {"deletion": "idxmin", "insertion": "idxmax", "localisation": "idxmax"}.items()
}
enough = next((n for n, value in zip(COUNTS, alike, strict=True) if value > 0.95), None)
eye = f"from {enough} samples on" if enough else f"at none of them ({alike[-1]:.2f} at {COUNTS[-1]})"
rest = {name: share for name, share in saved.items() if name != "independent"}
display(
    Markdown(f"""
Over {ROWS} scenes:

* How sure: at 5 % the map of {SAMPLES} samples has a cosine of {seen[0.05][0]:.2f} with its own limit, at
  20 % {seen[0.2][0]:.2f}, at
  50 % {seen[0.5][0]:.2f}.
* Still about this picture? The limit's cosine with the gradient is {seen[0.05][1]:.2f} at 5 %,
  {seen[0.2][1]:.2f} at 20 % and
  {seen[0.5][1]:.2f} at 50 %. Of the noisy copies the network gives {seen[0.05][2]:.0%}, {seen[0.2][2]:.0%} and
  {seen[0.5][2]:.0%} the same name.
* Of the levels, deletion likes {best["deletion"]} best, insertion {best["insertion"]}, and the truth {best["localisation"]}
  (localisation AUC {summary.loc[("localisation", best["localisation"]), "mean"]:.2f}, against
  {summary.loc[("localisation", "0 %"), "mean"]:.2f} of the gradient). Mind the intervals in the figure.
* The error falls as $n^{{{slope:.2f}}}$, where $-0.5$ is expected. At 50 samples it is still
  {far[COUNTS.index(50)]:.2f} of the limit's size, and
  the map's own standard error says {claimed[COUNTS.index(50)]:.2f}.
* Of the numbers tried, the picture is the limit's to the eye (SSIM above 0.95) {eye}.
* A relative error of 0.1 took from {int(needed.min())} to {int(needed.max())} samples; {reached} of {ROWS} pictures reached it.
* At 48 samples, spreading the draws saves {", ".join(f"{share:+.0%} ({name})" for name, share in rest.items())} of the
  samples, from {SEEDS} seeds.
""")
)
