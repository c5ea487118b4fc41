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
# # 8. Side channels and radio: does the map find the leak?
#
# A chip that encrypts uses a little more power when more bits flip. Who records its power can learn the key. Where in
# the recording does the
# secret leak? A network trained to guess a part of the secret has learned it, and a map of that network should tell.
#
# You will learn to read maps of signals, on two kinds of data where **the truth is known**:
#
# * power traces of AES-128 (10,000 simulated ones from the data folder, `SMOOTHGRAD_DATA`; where it is absent, traces
#   made here in the same
#   way): the leaking moments are 2, 3, 4 and 5, four bytes of the key each;
# * a radio burst: a known piece of the signal tells which of two kinds of modulation was sent.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from torch import Tensor, nn

import smoothgrad as sg

# %matplotlib inline
QUICK = os.environ.get("SMOOTHGRAD_QUICK") == "1"  # smaller numbers, for a test
DATA = Path(os.environ.get("SMOOTHGRAD_DATA", "../../shared/data"))
TRACES = DATA / "signals" / "aes128_simulated_power.npz"

# %% [markdown]
# ## What leaks
#
# In its first round AES replaces each byte $p_j \oplus k_j$ of plaintext and key by $S(p_j \oplus k_j)$, $S$ being a
# fixed table. The power at
# that moment goes with the number of ones in it, its *Hamming weight* $\mathrm{HW}(S(p_j \oplus k_j))$. The table,
# from its definition: the
# inverse in the field of 256 elements, then a fixed mixing of bits.

# %%


def times(a: int, b: int) -> int:
    """The product of two bytes in the field of AES, modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def sbox_of(byte: int) -> int:
    """S(byte): its inverse (the 254th power), then b ^ b<<<1 ^ b<<<2 ^ b<<<3 ^ b<<<4 ^ 0x63."""
    inverse = 1
    for _ in range(254):
        inverse = times(inverse, byte)
    mixed = inverse
    for turn in range(1, 5):
        mixed ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xFF
    return mixed ^ 0x63


SBOX = np.array([sbox_of(byte) for byte in range(256)], np.uint8)
ONES = np.array([bin(byte).count("1") for byte in range(256)])
assert SBOX[0x00] == 0x63 and SBOX[0x53] == 0xED, "as in FIPS 197"  # noqa: PT018


def made_traces(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Traces (count, 54), plaintexts (count, 16) and a key (16,): weights of four bytes at 2 to 5, of chance elsewhere."""
    rng = np.random.default_rng(0)
    key = rng.integers(0, 256, 16, dtype=np.uint8)
    plaintexts = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    traces = rng.binomial(32, 0.5, (count, 54))
    weights = ONES[SBOX[plaintexts ^ key]]
    for word in range(4):
        traces[:, 2 + word] = weights[:, 4 * word : 4 * word + 4].sum(1)
    return traces, plaintexts, key


if TRACES.is_file():
    with np.load(TRACES) as file:
        traces, plaintexts, key = (file[name] for name in ("traces", "plaintexts", "key"))
    source = "the simulated traces of the data folder"
else:
    traces, plaintexts, key = made_traces(10_000)
    source = "traces made here"
traces = traces.astype(np.float32)
weights = ONES[SBOX[plaintexts ^ key]]  # (10000, 16) Hamming weights
LEAK = 2 + np.arange(16) // 4  # where each byte leaks
print(f"{source}: {traces.shape[0]} of {traces.shape[1]} moments")

# %% [markdown]
# ## A network that guesses
#
# For a byte $j$: is its weight above 4, or below? (Traces with exactly 4 are left out.) The network sees 54 moments,
# to which we add the noise of
# a bad probe, and nothing else. It gets a fifth of the traces to be judged on.

# %%
PROBE = 2.0  # standard deviation of the noise; that of the traces is 2.8
rng = np.random.default_rng(1)
noisy = traces + PROBE * rng.standard_normal(traces.shape).astype(np.float32)
rows = torch.tensor((noisy - noisy.mean(0)) / noisy.std(0))
EPOCHS = 4 if QUICK else 8


def fit(rows: Tensor, labels: Tensor) -> nn.Module:
    """A small network, trained from a fixed seed."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(rows.shape[1], 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.1)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(rows)).split(64):
            loss = F.cross_entropy(net(rows[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def guesser(byte: int, guess: int) -> tuple[nn.Module, float, Tensor]:
    """A network for a byte of the key under a guess of it; how often it is right on held-out traces, and these."""
    weight = ONES[SBOX[plaintexts[:, byte] ^ guess]]
    clear = torch.tensor(weight != 4)
    labels = torch.tensor(weight > 4).long()
    held = torch.arange(len(rows)) >= 8 * len(rows) // 10
    net = fit(rows[clear & ~held], labels[clear & ~held])
    with torch.no_grad():
        right = net(rows[clear & held]).argmax(1) == labels[clear & held]
    return net, float(right.float().mean()), rows[clear & held]


# %% [markdown]
# ## Where does it look?
#
# The map of a trace says which moments raise the score of "above 4" *rather than* "below": the contrast of the two
# classes. Averaged in
# absolute value over held-out traces, its peak is where the network believes the byte to leak. Beside it the classic
# answer: the correlation of each moment
# with the weight, which needs no network.

# %%
BYTES = (0, 5, 10, 15) if QUICK else tuple(range(16))
TOLD = 50 if QUICK else 200
METHODS = {"gradient": sg.gradient(), "SmoothGrad": sg.smoothgrad(0.15, 25), "IG": sg.integrated_gradients(16)}
above = sg.Contrast(sg.Class(1), sg.Class(0))
profiles: dict[str, list[np.ndarray]] = {name: [] for name in METHODS}
singles: dict[str, list[float]] = {name: [] for name in METHODS}
rights, correlations = [], []
for byte in BYTES:
    net, right, held_out = guesser(byte, int(key[byte]))
    rights.append(right)
    with np.errstate(invalid="ignore"):
        correlations.append(np.abs(np.corrcoef(noisy.T, weights[:, byte])[-1, :-1]))
    for name, method in METHODS.items():
        maps = sg.explain(net, held_out[:TOLD], method=method, target=above).maps.abs()
        profiles[name].append((maps.mean(0) / maps.mean(0).sum()).numpy())
        singles[name].append(float((maps.argmax(1) == int(LEAK[byte])).float().mean()))
found = {
    name: [int(profile.argmax()) == LEAK[byte] for profile, byte in zip(each, BYTES, strict=True)]
    for name, each in profiles.items()
}
by_correlation = [int(one.argmax()) == LEAK[byte] for one, byte in zip(correlations, BYTES, strict=True)]
share = {
    name: float(np.mean([p[LEAK[byte]] for p, byte in zip(each, BYTES, strict=True)]))
    for name, each in profiles.items()
}

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
for one, values, title in (
    (axes[0], np.stack(correlations), "correlation, no network"),
    (axes[1], np.stack(profiles["SmoothGrad"]), "SmoothGrad, mean |map| over traces"),
):
    shades = one.imshow(values, cmap="Greys", aspect="auto", vmin=0)
    one.set_yticks(range(len(BYTES)), BYTES)
    one.set(xlabel="moment", title=title)
    one.plot(LEAK[list(BYTES)], range(len(BYTES)), "o", color="tab:orange", markerfacecolor="none", label="the truth")
    fig.colorbar(shades, ax=one, label="|r|" if one is axes[0] else "share of the map")
axes[0].set_ylabel("byte of the key")
axes[1].legend(fontsize=8)
display(fig)
plt.close(fig)

# %% [markdown]
# ## A wrong key
#
# With a wrong guess of the byte the labels mean nothing, and the network can learn nothing. Its map still shows
# *something*. The accuracy on held-out
# traces tells the two apart, and so does how peaked the map is.

# %%
wrong = []
for byte in BYTES[:4]:
    net, right, held_out = guesser(byte, int(key[byte]) ^ 0x5A)
    maps = sg.explain(net, held_out[:TOLD], method=METHODS["SmoothGrad"], target=above).maps.abs().mean(0)
    wrong.append((right, float(maps.max() / maps.sum()), int(maps.argmax()) == LEAK[byte]))
right_peak = float(np.mean([profile.max() for profile in profiles["SmoothGrad"]]))
wrong_right, wrong_peak = float(np.mean([w[0] for w in wrong])), float(np.mean([w[1] for w in wrong]))

# %% [markdown]
# ## A radio burst
#
# Two kinds of burst on a carrier in noise: in one, 32 of the 256 moments are shifted in phase by half a turn (BPSK);
# in the other, these moments
# have another frequency (FSK). Before and after, the two are the same: only there can they be told apart. The two
# channels are the
# in-phase and quadrature parts, $I$ and $Q$. The place differs from row to row, and is known.

# %%
T, SHIFTED = 256, 32


def bursts(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (count, 2, T) of I and Q, their kind (count,), and where they differ (count, T), bool."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 2
    begin = rng.integers(16, T - 16 - SHIFTED, count)
    time = np.arange(T)
    inside = (time >= begin[:, None]) & (time < begin[:, None] + SHIFTED)
    turned = np.where(inside, np.pi, 0.0)  # half a turn
    faster = 2 * np.pi * 0.07 * np.clip(time - begin[:, None], 0, SHIFTED)  # 0.07 turns more at each moment
    phase = 2 * np.pi * 0.05 * time + rng.uniform(0, 2 * np.pi, (count, 1)) + np.where(kind[:, None], faster, turned)
    clean = np.stack([np.cos(phase), np.sin(phase)], 1)
    x = clean + 0.3 * rng.standard_normal(clean.shape)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(kind), torch.tensor(inside)


class Receiver(nn.Module):
    """Scores for (N, 2, T): three convolutions, the largest answer of each channel over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(2, 16, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(16, 24, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(24, 24, 9, padding=4),
            nn.ReLU(),
        )
        self.head = nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).amax(2))


torch.manual_seed(0)
receiver = Receiver()
train_x, train_kind, _ = bursts(1000 if QUICK else 3000, seed=1)
optimizer = torch.optim.Adam(receiver.parameters(), 2e-3)
for _ in range(6 if QUICK else 10):
    for chosen in torch.randperm(len(train_x)).split(32):
        loss = F.cross_entropy(receiver(train_x[chosen]), train_kind[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
receiver.eval()
x, kind, where = bursts(20 if QUICK else 60, seed=2)
with torch.no_grad():
    heard = float((receiver(x).argmax(1) == kind).float().mean())

radio = {name: sg.explain(receiver, x, method=method, target=kind) for name, method in METHODS.items()}
display(radio["SmoothGrad"][1].figure())
display(radio["gradient"][1].figure())

# %%
near = F.max_pool1d(where.float()[:, None], 2 * 12 + 1, stride=1, padding=12)[
    :, 0
].bool()  # within 12 moments: what it can see at once
in_burst, hits = {}, {}
for name, one in radio.items():
    size = one.maps.abs().sum(1)
    in_burst[name] = float(((size * near).sum(1) / size.sum(1)).mean())
    hits[name] = float(near[torch.arange(len(x)), size.argmax(1)].float().mean())
area = float(near.float().mean())

# %% [markdown]
# ## What was seen

# %%
lines = "\n".join(
    f"| {name} | {sum(found[name])} of {len(BYTES)} | {np.mean(singles[name]):.0%} | {share[name]:.0%} "
    f"| {in_burst[name]:.0%} | {hits[name]:.0%} |"
    for name in METHODS
)
display(
    Markdown(f"""
| method | AES: leaks found by the mean map | by single traces | share on the leak | radio: share on the piece | peak on it |
|---|---|---|---|---|---|
{lines}

* AES ({source}, probe noise {PROBE:g}): the networks are right on {np.mean(rights):.0%} of held-out traces
  ({min(rights):.0%} to
  {max(rights):.0%}). Correlation, without a network, finds {sum(by_correlation)} of {len(BYTES)} leaks. By chance a
  moment is right once in
  {traces.shape[1]}.
* With a wrong key byte the networks are right on {wrong_right:.0%}; the peak of their mean map holds {wrong_peak:.0%}
  of it, against
  {right_peak:.0%} with the right key, and is the leak in {sum(w[2] for w in wrong)} of {len(wrong)} cases.
* Radio: {heard:.0%} of {len(x)} new bursts are told apart. The piece in which they differ, and 12 moments on both
  sides, is {area:.0%} of the
  time; the map's share of it stands in the table.
""")
)
