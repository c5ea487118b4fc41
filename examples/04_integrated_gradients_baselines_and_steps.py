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
# # 4. Integrated Gradients: baselines and steps
#
# You will learn
#
# * what Integrated Gradients is, and that its map adds up;
# * how many steps it needs, by which quadrature rule;
# * that the baseline is half of the question: seven of them on the same digits, judged by what the network does.
#
# $$ M_i(x) = (x_i - b_i) \int_0^1 \frac{\partial s_c}{\partial x_i}\bigl(b + a\,(x - b)\bigr)\, da, \qquad
# \sum_i M_i = s_c(x) - s_c(b) $$
#
# The second equation is *completeness* (Sundararajan et al. 2017): what the map gives to the pixels is all that the
# score gained on the way
# from the baseline $b$ to the picture $x$. A sum of $m$ terms stands for the integral.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display
from torch import nn

import smoothgrad as sg
from smoothgrad.training.data import data_set

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
ROWS = 5 if QUICK else 30

net = sg.load("digits")
x = net.samples(ROWS)

# %% [markdown]
# ## By hand
#
# The midpoint rule with 50 steps, in a few lines, beside the library's. And the sum of the map beside the change of the score.

# %%
best = net(x).argmax(1)
places = (torch.arange(50) + 0.5) / 50
black = torch.zeros_like(x)
total = torch.zeros_like(x)
for a in places:
    point = (black + a * (x - black)).requires_grad_()
    score = net(point).gather(1, best[:, None]).sum()
    total += torch.autograd.grad(score, point)[0]
by_hand = (x - black) * total / len(places)

result = sg.explain(net, x, method=sg.integrated_gradients(50, baseline=sg.Black(), quadrature="midpoint"))
same = float((by_hand - result.maps).abs().max())
gap = float(result.completeness.error.max())
print(f"largest difference {same:.1e}; sums are off by at most {gap:.2%} of the change of the score")

# %% [markdown]
# ## A case whose answer is known
#
# For $f(x) = x^p$ from 0 to 1 the map is exactly 1. Gauss-Legendre quadrature with $m$ steps is exact while the
# gradient, $p x^{p-1}$, is of
# degree at most $2m - 1$; the midpoint rule only up to degree 1.

# %%


class Power(nn.Module):
    """x^p, as a score of one class."""

    def __init__(self, p: int) -> None:
        super().__init__()
        self.p = p

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows**self.p


one = torch.ones(1, 1, dtype=torch.float64)
powers = range(2, 11)
off = {}
for rule in ("gauss-legendre", "midpoint"):
    method = sg.integrated_gradients(3, quadrature=rule)
    off[rule] = [abs(float(sg.explain(Power(p).eval(), one, method=method, target=0).maps) - 1) for p in powers]
for p, gauss, middle in zip(powers, off["gauss-legendre"], off["midpoint"], strict=True):
    print(f"x^{p:<2} with 3 steps: Gauss-Legendre off by {gauss:.0e}, midpoint by {middle:.0e}")
exact = max(p for p, error in zip(powers, off["gauss-legendre"], strict=True) if error < 1e-9)

# %% [markdown]
# ## How many steps on a network?
#
# A network of ReLUs is no polynomial: its gradient jumps. The error of completeness,
# $\lvert \sum M - \Delta s \rvert / \lvert \Delta s \rvert$,
# is what one can see of the error without knowing the integral.

# %%
STEPS = (5, 9, 17, 33, 65, 129)
RULES = ("left", "midpoint", "trapezoid", "simpson", "gauss-legendre")
errors = {
    rule: [
        float(
            sg.explain(
                net, x, method=sg.integrated_gradients(steps, baseline=sg.Black(), quadrature=rule)
            ).completeness.error.median()
        )
        for steps in STEPS
    ]
    for rule in RULES
}
slopes = {rule: float(np.polyfit(np.log(STEPS), np.log(errors[rule]), 1)[0]) for rule in RULES}

fig, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
for rule, style in zip(RULES, ("o:", "s-", "^--", "v-.", "x-"), strict=True):
    axes.loglog(STEPS, errors[rule], style, label=f"{rule}, order {-slopes[rule]:.1f}", markersize=4)
axes.axhline(0.05, color="grey", linewidth=0.7)
axes.text(STEPS[0], 0.052, "the paper's 5 %", fontsize=7, color="grey", va="bottom")
axes.set(xlabel="steps (evaluations of the gradient)", ylabel="error of completeness, median")
axes.legend(fontsize=7)
display(fig)
plt.close(fig)

# %% [markdown]
# Or say how exact it should be: with `tolerance=` intervals are halved until completeness holds.

# %%
tight = sg.explain(net, x, method=sg.integrated_gradients(baseline=sg.Black(), tolerance=0.01))
print("steps to within 1 %:", tight.draws.tolist())

# %% [markdown]
# ## The baseline
#
# The baseline says what *absent* means. Where picture and baseline are equal, the map is zero, whatever the network
# thinks: with a black
# baseline the black ground of these digits can never count, though a missing stroke tells a 3 from an 8.

# %%
train = data_set("digits").train
rows = train.x[:200].float() / 255
baselines = {
    "black": sg.Black(),
    "white": sg.White(),
    "noise": sg.Noise(noise=0.25, samples=10),
    "blurred": sg.Blurred(sigma=2.0),
    "adversarial": sg.Adversarial(radius=0.3),
    "data": sg.FromData(rows, samples=10),
    "own picture": sg.Given(x),
}
methods = {name: sg.integrated_gradients(64, baseline=baseline) for name, baseline in baselines.items()}
results = {name: sg.explain(net, x, method=method) for name, method in methods.items()}
for_figure = methods | {"own picture": sg.integrated_gradients(64, baseline=sg.Given(x[:3]))}
display(sg.compare(net, x[:3], methods=for_figure).figure())

# %%
ground = x == 0
on_ground = {
    name: float((one.maps.abs() * ground).sum() / one.maps.abs().sum())
    for name, one in results.items()
    if name != "own picture"
}
nothing = float(results["own picture"].maps.abs().max())
print({name: f"{share:.0%}" for name, share in on_ground.items()}, "own picture:", nothing)

# %% [markdown]
# Which is best? *Deletion* (low is good) and *keep-top* (is the class still right when only the top share of pixels is
# left? high is good)
# ask the network. But note the catch: removing a pixel means to put something else there, and that is a baseline too.
# Here it is black,
# and then it is grey, and the order of the baselines may change.

# %%
BASELINES = [name for name in results if name != "own picture"]  # a map of zeros ranks nothing
GREY = sg.Replaced(sg.Constant(0.5))
judged = sg.compare(
    net,
    x,
    methods={name: methods[name] for name in BASELINES},
    measures={
        "deletion to black": sg.Deletion(steps=16),
        "deletion to grey": sg.Deletion(steps=16, removal=GREY),
        "keep-top on black": sg.KeepTop(),
        "keep-top on grey": sg.KeepTop(removal=GREY),
    },
)
display(judged.scores.figure())
summary = judged.scores.summary().set_index(["measure", "method"])
print(summary[["mean", "low", "high"]].round(3).to_string())

# %% [markdown]
# ## What was seen

# %%
means = summary.drop(index=list(judged.scores.controls), level="method")["mean"]
best_of = {
    name: means[name].idxmin() if name.startswith("deletion") else means[name].idxmax()
    for name in judged.scores.measures
}
controls = summary.loc[(slice(None), list(judged.scores.controls)), "mean"]
needed = {
    rule: next((steps for steps, error in zip(STEPS, errors[rule], strict=True) if error < 0.05), None)
    for rule in RULES
}
display(
    Markdown(f"""
Over {ROWS} digits:

* The loop by hand and the library differ by at most {same:.1e}; 50 midpoint steps are complete to within {gap:.2%}.
* On $x^p$, 3 steps of Gauss-Legendre are exact up to $p = {exact}$ (gradient of degree {exact - 1}; $2m - 1 = 5$).
* On the network, errors fall as steps to the power
  {", ".join(f"{slope:.1f} ({rule})" for rule, slope in slopes.items())}. An error under 5 % takes, of the numbers tried,
  {", ".join(f"{steps or 'more'} steps ({rule})" for rule, steps in needed.items())}. To within 1 % it took
  {int(tight.draws.min())} to
  {int(tight.draws.max())} steps of the trapezoid rule.
* The black ground of the picture gets {on_ground["black"]:.0%} of the map with a black baseline,
  {on_ground["white"]:.0%} with a white one,
  {on_ground["data"]:.0%} with baselines from the data. With its own picture as baseline the map is {nothing:.0f} everywhere.
* Best by deletion to black: {best_of["deletion to black"]}
  ({means[("deletion to black", best_of["deletion to black"])]:.3f}); to grey:
  {best_of["deletion to grey"]} ({means[("deletion to grey", best_of["deletion to grey"])]:.3f}). Best by keep-top on black:
  {best_of["keep-top on black"]} ({means[("keep-top on black", best_of["keep-top on black"])]:.2f}); on grey:
  {best_of["keep-top on grey"]} ({means[("keep-top on grey", best_of["keep-top on grey"])]:.2f}).
* The best control, a map that knows nothing of the network, has {controls["deletion to black"].min():.3f} by deletion
  to black and
  {controls["deletion to grey"].min():.3f} to grey, {controls["keep-top on black"].max():.2f} and
  {controls["keep-top on grey"].max():.2f} by keep-top.
""")
)
