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
# # 1. SmoothGrad from first principles
#
# You will learn
#
# * what a gradient map is, and how to make one in three lines of PyTorch;
# * why it is noisy: a network of ReLUs has a slope that jumps;
# * what SmoothGrad does about it, as a loop of five lines, and that `smoothgrad()` is that loop;
# * that the map is an *estimate*, with a standard error, and how to check it against a case whose answer is known.
#
# Everything runs on a small network that comes with the package, on scans of handwritten digits of 8 × 8 pixels.

# %%
import math
import os

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from torch import nn

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
ROWS = 4 if QUICK else 20

net = sg.load("digits")
x = net.samples(ROWS)  # (N, 1, 8, 8), values from 0 to 1; the network was not trained on these
print(tuple(x.shape))

# %% [markdown]
# ## The gradient
#
# The network gives a score $s_c(x)$ to each class. Which pixels does the score of its best class $c$ depend on? The
# gradient says how
# much the score rises per unit of each pixel (Simonyan et al. 2013):
#
# $$ M(x) = \frac{\partial s_c(x)}{\partial x} $$
#
# In PyTorch:

# %%
best = net(x).argmax(1)


def gradient(points: torch.Tensor) -> torch.Tensor:
    """d s_c / dx at each row of points (N, 1, 8, 8), for the class that is best on the clean picture."""
    points = points.clone().requires_grad_()
    scores = net(points).gather(1, best[:, None])
    return torch.autograd.grad(scores.sum(), points)[0]


ours = gradient(x)
theirs = sg.explain(net, x, method=sg.gradient())
same = float((ours - theirs.maps).abs().max())
print(f"largest difference between the three lines and sg.gradient(): {same:.1e}")

# %% [markdown]
# ## Why it is noisy
#
# A network of ReLUs is made of linear pieces. Inside a piece the gradient is constant; at its border it jumps. Walk
# from a picture $x$
# to a noisy copy of it, $x + t\,\varepsilon$, and watch the gradient of five pixels (Smilkov et al. 2017, figure 2):

# %%
ONE = 3  # a picture of the digit 3
rng = torch.Generator().manual_seed(0)
direction = 0.15 * torch.randn(x[ONE].shape, generator=rng)
t = torch.linspace(0, 1, 400)
walk = x[ONE] + t[:, None, None, None] * direction
walk.requires_grad_()
slopes = torch.autograd.grad(net(walk)[:, best[ONE]].sum(), walk)[0].flatten(1)  # (400, 64)
moves = (slopes[1:] - slopes[:-1]).abs().amax(1)
jumps = int((moves > 1e-6).sum())
strongest = slopes[0].abs().topk(5).indices

fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for style, pixel in zip(("-", "--", ":", "-.", (0, (1, 4))), strongest.tolist(), strict=True):
    axes.plot(t, slopes[:, pixel].detach(), linestyle=style, label=f"row {pixel // 8}, column {pixel % 8}")
axes.set(xlabel="t, share of the way to the noisy copy", ylabel="gradient, score per unit")
axes.legend(fontsize=7, title="pixel", title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
display(fig)
plt.close(fig)

# %% [markdown]
# The lines are stairs. Two pictures that look the same to you may lie on two stairs with different gradients: what the
# map shows of
# such a stair is an accident of where the picture happens to lie.
#
# ## SmoothGrad
#
# So ask at many points around the picture, and take the mean (Smilkov et al. 2017):
#
# $$ \hat M(x) = \frac{1}{n} \sum_{k=1}^{n} M(x + \varepsilon_k), \qquad \varepsilon_k \sim N(0, \sigma^2), \qquad
# \sigma = \text{noise} \cdot (\max x - \min x) $$
#
# As a loop, which keeps the squares too: they give the *standard error* of the mean, $\sqrt{\mathrm{Var}_k M / n}$.

# %%
NOISE, SAMPLES = 0.15, 50
scale = NOISE * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
draws = torch.stack([gradient(x + scale * torch.randn(x.shape, generator=rng)) for _ in range(SAMPLES)])
loop, loop_error = draws.mean(0), draws.std(0) / math.sqrt(SAMPLES)

smooth = sg.explain(net, x, method=sg.smoothgrad(noise=NOISE, samples=SAMPLES), seed=0)

# %% [markdown]
# The two maps are not equal: they drew other noise. But each knows its error. If both estimate the same thing, then
# their difference,
# in units of its own standard error, should be a standard normal number: about zero on average, with a spread of about one.

# %%
known = (smooth.stderr > 0) & (loop_error > 0)
z = ((loop - smooth.maps) / (loop_error**2 + smooth.stderr**2).sqrt())[known]
print(f"mean of z {float(z.mean()):+.2f}, spread of z {float(z.std()):.2f}, from {z.numel()} values")

# %% [markdown]
# And this is what it looks like: the gradient, SmoothGrad, and beside it the standard error that no picture of a map
# should be without.
# Orange raises the score, blue lowers it.

# %%
table = sg.compare(net, x[:4], methods={"gradient": sg.gradient(), "smoothgrad": sg.smoothgrad(NOISE, SAMPLES)})
display(table.figure())
display(smooth[ONE].figure())

# %% [markdown]
# ## How far from the limit?
#
# With more samples the map goes to a limit. How alike are the gradient, 50 samples and the limit? The *cosine* of two
# maps is 1 where
# they point the same way, 0 where they have nothing in common.

# %%
MANY = 1000 if QUICK else 8000
limit = sg.explain(net, x, method=sg.smoothgrad(NOISE, MANY), seed=1)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(N,) of maps (N, ...)."""
    return torch.cosine_similarity(a.flatten(1), b.flatten(1))


plain_to_limit = cosine(theirs.maps, limit.maps)
smooth_to_limit = cosine(smooth.maps, limit.maps)
distance = (smooth.maps - limit.maps).flatten(1).norm(dim=1) / limit.maps.flatten(1).norm(dim=1)

# %% [markdown]
# ## A case whose answer is known
#
# For a single ReLU unit, $f(x) = \max(0, w \cdot x + c)$, the limit can be written down. With
# $z = (w \cdot x + c) / (\sigma \lVert w \rVert)$ it is
#
# $$ \mathrm{E}[\nabla f(x + \varepsilon)] = w\,\Phi(z), $$
#
# since the gradient is $w$ whenever the noisy copy is on the active side, which has probability $\Phi(z)$. The plain
# gradient knows only
# $w$ or $0$. Does SmoothGrad hit this, within its own standard error?

# %%


class Unit(nn.Module):
    """max(0, w.x + c) as a score of one class."""

    def __init__(self, weight: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.linear = nn.Linear(len(weight), 1)
        self.linear.weight.data[0] = weight
        self.linear.bias.data[0] = bias

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.linear(rows).relu()


w, c, sigma = torch.tensor([2.0, -1.0, 0.5]), 0.1, 0.4
points = torch.randn(200, 3, generator=rng)
unit = sg.explain(Unit(w, c).eval(), points, method=sg.smoothgrad(sigma, 400, unit="absolute"), target=0)
active = torch.special.ndtr((points @ w + c) / (sigma * w.norm()))
truth = active[:, None] * w
sure = unit.stderr[:, 0] > 0  # where some copies were active and others not
off = ((unit.maps - truth) / unit.stderr)[sure][:, 0]  # one number per row: the three pixels share their draws

fig, axes = plt.subplots(figsize=(4.5, 2.6), layout="constrained")
order = active.argsort()
axes.plot(active[order], truth[order, 0], color="black", label="truth, w Φ(z)")
axes.plot(active, unit.maps[:, 0], ".", color="tab:orange", markersize=3, label="SmoothGrad, 400 samples")
axes.set(xlabel="Φ(z), share of active copies", ylabel="map of the first value")
axes.legend(fontsize=8)
display(fig)
plt.close(fig)

# %% [markdown]
# ## What was seen

# %%
display(
    Markdown(f"""
* Three lines of autograd and `sg.gradient()` differ by at most {same:.1e}.
* On the way to one noisy copy the gradient changed in {jumps} of 399 small steps, and stood still in the others.
* The loop and `sg.smoothgrad()`: z, their difference in units of its error, has mean {float(z.mean()):+.2f} and spread
  {float(z.std()):.2f} (0 and 1 are expected).
* Over {ROWS} digits the plain gradient has a cosine of {float(plain_to_limit.mean()):.2f} with the limit ({MANY} samples; from
  {float(plain_to_limit.min()):.2f} to {float(plain_to_limit.max()):.2f}), SmoothGrad with {SAMPLES} samples
  {float(smooth_to_limit.mean()):.3f}.
* Its true distance from the limit is {float(distance.mean()):.3f} of the limit's size; it said
  {float(smooth.relative_error.mean()):.3f} of itself, without knowing the limit.
* On the ReLU unit, where w Φ(z) is the truth, the errors in units of their standard error have mean
  {float(off.mean()):+.2f} and spread
  {float(off.std()):.2f}, over {int(sure.sum())} rows whose copies were on both sides.
""")
)
