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
# # 5. Judging maps
#
# A sharp map is no proof. You will learn four ways to judge one by numbers:
#
# * **faithfulness**: does the score fall when what the map marks goes?
# * **localisation**: does the map lie on the thing, where the truth is known?
# * **sanity**: is the map of another class another map?
# * **a planted error**: on a network that is known to look at the wrong thing, does the map say so?
#
# Each method stands beside controls that know nothing of the network: a random map, the picture's edges, a uniform
# map. The pictures are
# *scenes*, made by the library: one shape before a texture, with the truth which pixels are the shape's.

# %%
import os

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
ROWS, SAMPLES = (6, 10) if QUICK else (30, 50)

net = sg.load("scenes")
x, regions = net.samples(ROWS), net.sample_regions(ROWS)
methods = {
    "gradient": sg.gradient(),
    "SmoothGrad": sg.smoothgrad(0.15, SAMPLES),
    "IG, black": sg.integrated_gradients(32, baseline=sg.Black()),
    "guided backprop": sg.guided_backprop(),
    "Grad-CAM": sg.grad_cam(),
}
display(sg.compare(net, x[:3], methods=methods).figure())

# %% [markdown]
# ## One table of scores
#
# Where a map lies is judged on absolute values: in a signed map of colours, plus and minus would cancel. `compare`
# adds the controls, and
# gives means over pictures with bootstrap intervals.

# %%
judged = sg.compare(
    net,
    x,
    methods={name: method.then(sg.Absolute()) for name, method in methods.items()},
    measures={
        "deletion": sg.Deletion(steps=16),
        "insertion": sg.Insertion(steps=16),
        "localisation AUC": sg.LocalisationAuc(),
        "same map for another class": sg.RandomLogit(),
    },
    regions=regions,
)
scores = judged.scores
summary = scores.summary().set_index(["measure", "method"])
display(scores.figure())

# %% [markdown]
# The curves behind two of the scores: the probability of the class as pixels go, and as they come.

# %%
display(scores.curve_figure(["deletion", "insertion"]))

# %% [markdown]
# ## Is the difference real?
#
# Two methods are compared in pairs, on the same pictures; p-values are corrected for the number of pairs (Holm 1979).
# `better` names the
# winner only where the difference is more than chance.

# %%
pairs = scores.differences()
between = pairs[pairs.method.isin(methods) & pairs.other.isin(methods)]
print(between[["measure", "method", "other", "difference", "p_adjusted", "better"]].round(3).to_string(index=False))

# %% [markdown]
# ## A planted error
#
# `scenes-shortcut` is a network that was trained to look at a small patch in the corner and at nothing else; the patch
# tells the class.
# It names such scenes rightly for a wrong reason. A map that deserves trust should lie on the patch, not on the shape.

# %%
cheat = sg.load("scenes-shortcut")
seen, patch = cheat.samples(ROWS), cheat.sample_regions(ROWS)
right = float((cheat(seen).argmax(1) == cheat.sample_labels(ROWS)).float().mean())
display(sg.compare(cheat, seen[:2], methods=methods).figure())

on_patch = sg.compare(
    cheat,
    seen,
    methods={name: method.then(sg.Absolute()) for name, method in methods.items()},
    measures={"share on the patch": sg.EnergyInside()},
    regions=patch,
)
shares = on_patch.scores.summary().set_index("method")
area = float(patch.float().mean())

fig, axes = plt.subplots(figsize=(5, 2.2), layout="constrained")
order = shares["mean"].sort_values()
axes.barh(
    order.index,
    order,
    color=["lightgrey" if name in on_patch.scores.controls else "tab:orange" for name in order.index],
)
axes.axvline(area, color="black", linestyle=":", label="the patch's share of the picture")
axes.set(xlabel="share of the map on the patch, mean over pictures", xlim=(0, 1))
axes.legend(fontsize=7)
display(fig)
plt.close(fig)

# %% [markdown]
# ## Randomise the weights
#
# A last check (Adebayo et al. 2018): give the network random weights, from the top down, and see whether the map
# changes. A map that does
# not cannot be about what the network learned.

# %%
FEW = x[: 3 if QUICK else 10]
random = sg.compare(
    net,
    FEW,
    methods={name: method.then(sg.Absolute()) for name, method in methods.items() if name != "Grad-CAM"},
    measures={"likeness after randomising": sg.CascadingRandomisation()},
)
likeness = random.scores.summary().set_index("method")["mean"]
display(random.scores.figure())

# %% [markdown]
# ## What was seen

# %%
own = summary.drop(index=list(scores.controls), level="method")["mean"]
control = summary.loc[(slice(None), list(scores.controls)), "mean"]
wins = {measure: between[(between.measure == measure) & (between.better != "")] for measure in scores.measures}
told = own["same map for another class"]
alone = likeness.drop(index=list(random.scores.controls))
display(
    Markdown(f"""
Over {ROWS} scenes, {SAMPLES} samples for SmoothGrad:

* Deletion: {own["deletion"].idxmin()} is lowest ({own["deletion"].min():.3f}), {own["deletion"].idxmax()} highest
  ({own["deletion"].max():.3f}); the best control has {control["deletion"].min():.3f}. Of
  {len(between) // len(scores.measures)} pairs of methods
  {len(wins["deletion"])} differ by more than chance.
* Insertion: {own["insertion"].idxmax()} is highest ({own["insertion"].max():.3f}); the best control has
  {control["insertion"].max():.3f}.
  {len(wins["insertion"])} pairs differ by more than chance.
* Localisation: {own["localisation AUC"].idxmax()} finds the shape best (AUC {own["localisation AUC"].max():.2f}); the
  gradient has
  {own[("localisation AUC", "gradient")]:.2f}, SmoothGrad {own[("localisation AUC", "SmoothGrad")]:.2f}, the best control
  {control["localisation AUC"].max():.2f}.
* The map of another class is most alike for {told.idxmax()} ({told.max():.2f}) and least for {told.idxmin()}
  ({told.min():.2f}).
* The cheating network names {right:.0%} of its scenes rightly. The patch is {area:.1%} of the picture, and gets
  {", ".join(f"{shares.loc[name, 'mean']:.0%} ({name})" for name in methods)} of the map.
* With random weights {alone.idxmax()} stays most like itself ({alone.max():.2f}), {alone.idxmin()} least ({alone.min():.2f}).
""")
)
