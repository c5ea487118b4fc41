"""Class activation maps: where in a layer's positions the score is made."""

from __future__ import annotations

from smoothgrad.core.explainer import Explainer
from smoothgrad.core.sampler import Until
from smoothgrad.explainers.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from smoothgrad.explainers.cam_pooled import Cam
from smoothgrad.explainers.cam_scores import MOST, AblationCam, ScoreCam
from smoothgrad.explainers.combine import Product
from smoothgrad.explainers.gradient import Gradient
from smoothgrad.methods.method import Method
from smoothgrad.rules.relu import Guided
from smoothgrad.samplers.baseline import Baseline, Zero
from smoothgrad.samplers.cloud import Gaussian, Unit
from smoothgrad.samplers.spread import Sampling


def cam() -> Explainer:
    """What the last linear layer makes of the maps that are averaged:  sum_c w_c A_c,  of a score  b + sum_c w_c mean_p A_cp.

    Map (N, 1, grid), signed, in units of the score: its mean is the score less the bias. Only for networks with global average
    pooling and then nothing but linear layers, of which it reads A and w: there is no layer to choose. One pass. Zhou et al. 2016.

    Raises `UnsupportedModel` for networks of another form; `grad_cam()` takes those.

    >>> cam()
    Cam()
    """
    return Cam()


def grad_cam(layer: str | None = None) -> Explainer:
    """The activation of a layer, each channel weighed by its mean gradient:  relu( sum_c w_c A_c ),  w_c = mean_p d s / d A_cp.

    Map (N, 1, grid), never negative, in units of the score. `layer`: a name; None takes the last layer with positions, and in a
    vision transformer the last norm whose patches the score depends on. One pass. Selvaraju et al. 2017.

    Raises `UnknownName` for a layer that there is not, and `BadModel` for one that has no positions.

    >>> grad_cam("layer4")
    GradCam(layer='layer4')
    """
    return GradCam(layer)


def grad_cam_plus_plus(layer: str | None = None) -> Explainer:
    """Grad-CAM with higher derivatives:  relu( sum_c w_c A_c ),  w_c = sum_p relu(g_cp) / (2 + g_cp sum_q A_cq).

    Map (N, 1, grid), never negative. g = d s / d A; the derivatives are those of exp(s), for a score that is linear in A nearby.
    `layer` as in `grad_cam`; one that is read behind its ReLU. One pass. Chattopadhay et al. 2018.

    >>> grad_cam_plus_plus().passes
    1
    """
    return GradCamPlusPlus(layer)


def layer_cam(layer: str | None = None) -> Explainer:
    """The activation times the positive gradient at the same place:  relu( sum_c relu(g_c) A_c ),  g = d s / d A.

    Map (N, 1, grid), never negative, in units of the score. Of use at early layers too, with a finer grid. `layer` as in
    `grad_cam`. One pass. Jiang et al. 2021.

    >>> layer_cam("features.10")
    LayerCam(layer='features.10')
    """
    return LayerCam(layer)


def x_grad_cam(layer: str | None = None) -> Explainer:
    """Grad-CAM with gradients averaged where the channel is active:  relu( sum_c w_c A_c ),  w_c = sum_p A_cp g_cp / sum_p A_cp.

    Map (N, 1, grid), never negative, in units of the score. g = d s / d A. `layer` as in `grad_cam`; one that is read behind
    its ReLU. One pass. Fu et al. 2020.

    >>> x_grad_cam().unit
    'score'
    """
    return XGradCam(layer)


def hires_cam(layer: str | None = None) -> Explainer:
    """The activation times the gradient at the same place:  sum_c g_c A_c,  g = d s / d A.

    Map (N, 1, grid), signed, in units of the score. Exact where the score is linear behind the layer: each position has its own
    contribution. `layer` as in `grad_cam`. One pass. Draelos and Carin 2020.

    >>> hires_cam().unsigned
    False
    """
    return HiResCam(layer)


def eigen_cam(layer: str | None = None) -> Explainer:
    """The activation along its first principal direction:  O v,  O (positions, channels), v its first right singular vector.

    Map (N, 1, grid), signed, positive where the activation is large. The same for every class. `layer` as in `grad_cam`. One pass.
    Muhammad and Yeasin 2020.

    >>> eigen_cam().unit
    'activation'
    """
    return EigenCam(layer)


def score_cam(layer: str | None = None, *, baseline: Baseline = Zero(), channels: int = MOST) -> Explainer:
    """Channels weighed by the score of what they show of the input:  relu( sum_c w_c A_c ),  w = softmax_c s(b + M_c (x - b)).

    Map (N, 1, grid), never negative. M_c is channel c at the input's size, scaled to [0, 1]. No gradient, but one pass for each
    channel and baseline, and one more. `channels` is the most that are weighed: of a layer with more, those that vary most.
    `layer` as in `grad_cam`. Wang et al. 2020.

    >>> score_cam(channels=64).passes
    65
    """
    return ScoreCam(layer, baseline, channels)


def ablation_cam(layer: str | None = None, *, channels: int = MOST) -> Explainer:
    """Channels weighed by how far the score falls without them:  relu( sum_c w_c A_c ),  w_c = (s - s without A_c) / |s|.

    Map (N, 1, grid), never negative. No gradient, but one pass for each channel, and one more. `channels` is the most that are
    weighed: of a layer with more, those with the largest activation. `layer` as in `grad_cam`. Desai and Ramaswamy 2020.

    >>> ablation_cam("layer4", channels=512).passes
    513
    """
    return AblationCam(layer, channels)


def guided_grad_cam(layer: str | None = None) -> Explainer:
    """Guided backprop times Grad-CAM, brought to the input's size:  guided(x) * grad_cam(x).

    Map (N, *S), signed: fine lines where Grad-CAM says that the class is. `layer` as in `grad_cam`. Two passes. Selvaraju et
    al. 2017.

    Raises `RuleDidNothing` for networks without ReLUs.

    >>> guided_grad_cam().passes
    2
    """
    return Product(Gradient(Guided()), GradCam(layer))


def smooth_grad_cam(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    layer: str | None = None,
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The mean of Grad-CAM over noisy copies of the input:  E_e[ grad_cam(x + e) ],  e ~ N(0, (noise * range(x))^2).

    Map (N, 1, grid), with its Monte-Carlo standard error. `layer` as in `grad_cam`. Selvaraju et al. 2017, Smilkov et al. 2017.

    >>> smooth_grad_cam(noise=0.1, samples=20)
    GradCam().over(Gaussian(noise=0.1, samples=20))
    """
    return GradCam(layer).over(Gaussian(noise, samples, unit, sampling))


def smooth_grad_cam_plus_plus(
    noise: float = 0.15,
    samples: int | Until = 50,
    *,
    layer: str | None = None,
    unit: Unit = "range",
    sampling: Sampling = "independent",
) -> Explainer:
    """The mean of Grad-CAM++ over noisy copies of the input:  E_e[ grad_cam_plus_plus(x + e) ].

    Map (N, 1, grid), with its Monte-Carlo standard error. Omeiza et al. 2019 average the first, second and third derivatives
    over the noisy copies, and weigh the activation with those means once. Here the maps are averaged, each of which has its own
    copy's activation: only so are there independent draws, and an error that is known. Both have Grad-CAM++ as their limit for
    little noise. `layer` as in `grad_cam`.

    >>> smooth_grad_cam_plus_plus(samples=8).passes
    8
    """
    return GradCamPlusPlus(layer).over(Gaussian(noise, samples, unit, sampling))


ROWS: tuple[Method, ...] = (
    Method(cam, "Σ_c w_c A_c,  s = b + Σ_c w_c · mean_p A_cp", ("zhou2016",)),
    Method(grad_cam, "(Σ_c mean_p(∂s/∂A_c) A_c)⁺", ("selvaraju2017",)),
    Method(grad_cam_plus_plus, "(Σ_c w_c A_c)⁺,  w_c = Σ_p g⁺ / (2 + g Σ_q A_c)", ("chattopadhay2018",)),
    Method(layer_cam, "(Σ_c (∂s/∂A_c)⁺ · A_c)⁺", ("jiang2021",)),
    Method(x_grad_cam, "(Σ_c w_c A_c)⁺,  w_c = Σ_p A_c g_c / Σ_p A_c", ("fu2020",)),
    Method(hires_cam, "Σ_c ∂s/∂A_c · A_c", ("draelos2020",)),
    Method(eigen_cam, "O v₁,  O = U Σ Vᵀ the activation", ("muhammad2020",)),
    Method(score_cam, "(Σ_c w_c A_c)⁺,  w = softmax s(M_c · x)", ("wang2020",)),
    Method(ablation_cam, "(Σ_c w_c A_c)⁺,  w_c = (s − s without A_c) / |s|", ("desai2020",)),
    Method(guided_grad_cam, "guided backprop · Grad-CAM", ("springenberg2014", "selvaraju2017")),
    Method(smooth_grad_cam, "E[Grad-CAM(x+ε)],  ε ~ N(0, σ²)", ("selvaraju2017", "smilkov2017")),
    Method(smooth_grad_cam_plus_plus, "E[Grad-CAM++(x+ε)],  ε ~ N(0, σ²)", ("omeiza2019", "chattopadhay2018")),
)

PIECES: dict[str, tuple[str, ...]] = {
    "Cam": ("zhou2016",),
    "GradCam": ("selvaraju2017",),
    "GradCamPlusPlus": ("chattopadhay2018",),
    "LayerCam": ("jiang2021",),
    "XGradCam": ("fu2020",),
    "HiResCam": ("draelos2020",),
    "EigenCam": ("muhammad2020",),
    "ScoreCam": ("wang2020",),
    "AblationCam": ("desai2020",),
}
