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
# # 9. Text
#
# Words are no numbers: one cannot add noise to "good". But a network for text turns each word into a vector, its
# *embedding*, and at that layer
# everything works: noise, baselines, gradients. `at="embedding"` asks there. You will learn to
#
# * train a small network for the sentiment of a sentence, and map it word by word;
# * compare methods by what happens when the marked word is taken away.
#
# The sentences are film reviews (SST-2) from the data folder (`SMOOTHGRAD_DATA`); where it is absent, sentences made
# here from a few words whose
# meaning is known.

# %%
import html
import itertools
import os
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from IPython.display import HTML, Markdown, display
from torch import Tensor, nn

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
DATA = Path(os.environ.get("SMOOTHGRAD_DATA", "../../shared/data"))
FOLDER = DATA / "text" / "sst2"
LENGTH = 32  # words of a row; longer sentences are cut


def read(file: Path) -> list[tuple[list[str], int]]:
    """Sentences as words, with 1 for a good review and 0 for a bad one."""
    lines = (line.rsplit("\t", 1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return [(sentence.split()[:LENGTH], int(label)) for sentence, label in lines]


def made() -> list[tuple[list[str], int]]:
    """Sentences whose sentiment is that of one word."""
    good, bad = (
        ("wonderful", "moving", "funny", "brilliant", "charming"),
        ("dull", "awful", "boring", "clumsy", "empty"),
    )
    things, places = (
        ("film", "story", "script", "cast", "ending"),
        ("at times", "on the whole", "for a long while", "to the end"),
    )
    return [
        (f"the {thing} is {word} {place} and the {other} is there".split(), int(word in good))
        for thing, word, place, other in itertools.product(things, good + bad, places, things)
        if thing != other
    ]


if FOLDER.is_dir():
    source, train, test = "SST-2", read(FOLDER / "train.tsv"), read(FOLDER / "dev.tsv")
else:
    sentences = made()
    source, train, test = "made sentences", sentences[::2], sentences[1::2]
print(f"{source}: {len(train)} sentences to train on, {len(test)} to test on")

# %% [markdown]
# ## The network
#
# Embeddings of 32 numbers, a convolution over three words, and the largest answer over the sentence. Place 0 of the
# vocabulary stands for
# *no word* and is a vector of zeros, place 1 for rare words.

# %%
counts = Counter(word for words, _ in train for word in words)
vocabulary = ["", "<rare>", *(word for word, count in counts.most_common() if count > 1)]
number = {word: place for place, word in enumerate(vocabulary)}


def coded(sentences: list[list[str]]) -> Tensor:
    """(N, LENGTH) numbers of words, filled with 0."""
    rows = torch.zeros(len(sentences), LENGTH, dtype=torch.long)
    for row, words in zip(rows, sentences, strict=True):
        row[: len(words)] = torch.tensor([number.get(word, 1) for word in words])
    return rows


class Reader(nn.Module):
    """Two scores for sentences (N, LENGTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary), 32, padding_idx=0)
        self.drop = nn.Dropout(0.4)
        self.conv = nn.Conv1d(32, 48, 3, padding=1)
        self.head = nn.Linear(96, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens > 0)[:, None]
        words = self.drop(self.embedding(tokens)).transpose(1, 2)  # (N, 32, LENGTH)
        heard = self.conv(words).relu() * there
        mean = heard.sum(2) / there.sum(2).clamp(min=1)
        return self.head(self.drop(torch.cat([heard.amax(2), mean], 1)))


tokens, labels = coded([words for words, _ in train]), torch.tensor([label for _, label in train])
held, truth = coded([words for words, _ in test]), torch.tensor([label for _, label in test])

torch.manual_seed(0)
net = Reader()
optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
for _ in range(3 if QUICK else 6):
    for chosen in torch.randperm(len(tokens)).split(50):
        loss = F.cross_entropy(net(tokens[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    right = float((net(held).argmax(1) == truth).float().mean())
print(f"{right:.1%} of the test sentences are read rightly")

# %% [markdown]
# ## A map, word by word
#
# The map has a value for each of the 32 numbers of each word. Times the embedding and summed over these, it is in
# units of the score and says how
# much the word speaks for the class: $R_w = \sum_d h_{w,d}\, \overline{\partial s / \partial h_{w,d}}$. Integrated
# Gradients from a sentence of
# zeros does the same along a path, and adds up.

# %%
ROWS = 40 if QUICK else 300
METHODS = {
    "gradient × input": sg.input_x_gradient(),
    "SmoothGrad × input": sg.smoothgrad(0.1, 20 if QUICK else 50).then(sg.TimesInput()),
    "Integrated Gradients": sg.integrated_gradients(16 if QUICK else 32),
    "random": sg.random_map(),
}
x = held[:ROWS]
results = {name: sg.explain(net, x, method=method, at="embedding") for name, method in METHODS.items()}
words = {name: result.maps.sum(2) * (x > 0) for name, result in results.items()}  # (N, LENGTH)
display(results["SmoothGrad × input"][0].figure())

# %% [markdown]
# The same as coloured text: orange words speak for the class that the network found, blue ones against it.


# %%
def coloured(row: int, values: Tensor) -> str:
    """A sentence, each word on a ground as strong as its value."""
    size = values[row].abs().max()
    parts = []
    for token, value in zip(test[row][0], (values[row] / size).tolist(), strict=False):
        ground = (230, 97, 1) if value > 0 else (94, 60, 153)
        parts.append(
            f'<span style="background: rgba{(*ground, round(0.75 * abs(value), 2))}">{html.escape(token)}</span>'
        )
    result = results["SmoothGrad × input"]
    kind = "good" if int(result.target[row]) else "bad"
    return f"<p><b>{kind}</b>, score {float(result.score[row]):.1f}: {' '.join(parts)}</p>"


display(HTML("".join(coloured(row, words["SmoothGrad × input"]) for row in range(0, ROWS, ROWS // 6))))

# %% [markdown]
# ## Take the marked words away
#
# The test of a map: replace the word that it marks most by *no word*, then the next, and watch the probability of the
# class. A good map makes it fall
# fast. The random map is the yardstick.

# %%
target = results["gradient × input"].target


def after(values: Tensor, gone: int) -> Tensor:
    """The probability of the class (N,) with the `gone` most marked words of each sentence taken away."""
    values = values.masked_fill(x == 0, -torch.inf)
    order = values.argsort(dim=1, descending=True).argsort(dim=1)
    with torch.no_grad():
        return net(x.masked_fill(order < gone, 0)).softmax(1).gather(1, target[:, None])[:, 0]


STEPS = range(6)
curves = {name: [float(after(values, gone).mean()) for gone in STEPS] for name, values in words.items()}
flipped = {name: float((after(values, 1) < 0.5).float().mean()) for name, values in words.items()}

fig, axes = plt.subplots(figsize=(5, 2.8), layout="constrained")
for (name, curve), style in zip(curves.items(), ("o:", "s-", "^--", "x-."), strict=True):
    axes.plot(STEPS, curve, style, label=name, markersize=4)
axes.set(xlabel="words taken away, the most marked first", ylabel="probability of the class", ylim=(0, 1))
axes.legend(fontsize=8)
display(fig)
plt.close(fig)

# %% [markdown]
# ## What the network reads
#
# Which words does it mark most often, for good and for bad reviews? And what does *not* do?

# %%
smooth = words["SmoothGrad × input"]
marked = {0: Counter(), 1: Counter()}
for row in range(ROWS):
    best = int(smooth[row].argmax())
    marked[int(target[row])][vocabulary[int(x[row, best])]] += 1
often = {kind: [word for word, _ in counter.most_common(8)] for kind, counter in marked.items()}

known = "wonderful" if "wonderful" in number else "good"
pair = coded([["the", "film", "is", known], ["the", "film", "is", "not", known]])
with torch.no_grad():
    good, not_good = net(pair).softmax(1)[:, 1].tolist()
pair_map = sg.explain(net, pair, method=METHODS["SmoothGrad × input"], target=1, at="embedding").maps.sum(2)

complete = results["Integrated Gradients"].completeness
plain, steady = (words[name].flatten(1) for name in ("gradient × input", "SmoothGrad × input"))
alike = float(torch.cosine_similarity(plain, steady).mean())
path_alike = float(torch.cosine_similarity(words["Integrated Gradients"], steady).mean())

# %% [markdown]
# ## What was seen

# %%
display(
    Markdown(f"""
On {source}, {ROWS} test sentences:

* The network reads {right:.1%} of {len(test)} test sentences rightly.
* Without the most marked word the probability of the class falls from {curves["random"][0]:.2f} to
  {", ".join(f"{curve[1]:.2f} ({name})" for name, curve in curves.items())}; without five words to
  {", ".join(f"{curve[5]:.2f} ({name})" for name, curve in curves.items())}.
* One word less changes the network's mind in {", ".join(f"{share:.0%} ({name})" for name, share in flipped.items())}
  of the sentences.
* Word by word, SmoothGrad × input has a cosine of {alike:.2f} with gradient × input and {path_alike:.2f} with
  Integrated Gradients, whose sums are
  complete to within {float(complete.error.median()):.1%} (median). SmoothGrad's relative error is
  {float(results["SmoothGrad × input"].relative_error.mean()):.2f}.
* Most often marked in good reviews: {", ".join(often[1])}; in bad ones: {", ".join(often[0])}.
* "the film is {known}" is good with probability {good:.2f}, "the film is not {known}" with {not_good:.2f}. In the
  second, *not* has
  {float(pair_map[1, 3]):+.2f} of the score for good, and *{known}* {float(pair_map[1, 4]):+.2f} (without *not*:
  {float(pair_map[0, 3]):+.2f}).
""")
)
