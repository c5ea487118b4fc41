"""Where each piece comes from: BibTeX for the methods in use."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """What it takes to find a paper."""

    kind: str  # "inproceedings" or "article"
    authors: str
    title: str
    venue: str
    year: int

    @property
    def short(self) -> str:
        """Author and year, as one writes it in a text.

        >>> PAPERS["smilkov2017"].short
        'Smilkov et al. 2017'
        """
        names = [author.split(",")[0] for author in self.authors.split(" and ")]
        who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        return f"{who} {self.year}"

    def bibtex(self, key: str) -> str:
        place = "journal" if self.kind == "article" else "booktitle"
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            place: self.venue,
            "year": str(self.year),
        }
        return "\n".join([f"@{self.kind}{{{key},", *(f"  {name} = {{{text}}}," for name, text in fields.items()), "}"])


PAPERS: dict[str, Paper] = {
    "simonyan2013": Paper(
        "article",
        "Simonyan, Karen and Vedaldi, Andrea and Zisserman, Andrew",
        "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
        "arXiv:1312.6034",
        2013,
    ),
    "zeiler2013": Paper(
        "article",
        "Zeiler, Matthew D. and Fergus, Rob",
        "Visualizing and Understanding Convolutional Networks",
        "arXiv:1311.2901",
        2013,
    ),
    "springenberg2014": Paper(
        "article",
        "Springenberg, Jost Tobias and Dosovitskiy, Alexey and Brox, Thomas and Riedmiller, Martin",
        "Striving for Simplicity: The All Convolutional Net",
        "arXiv:1412.6806",
        2014,
    ),
    "shrikumar2016": Paper(
        "article",
        "Shrikumar, Avanti and Greenside, Peyton and Shcherbina, Anna and Kundaje, Anshul",
        "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
        "arXiv:1605.01713",
        2016,
    ),
    "smilkov2017": Paper(
        "article",
        "Smilkov, Daniel and Thorat, Nikhil and Kim, Been and Viégas, Fernanda and Wattenberg, Martin",
        "SmoothGrad: removing noise by adding noise",
        "arXiv:1706.03825",
        2017,
    ),
    "sundararajan2017": Paper(
        "inproceedings",
        "Sundararajan, Mukund and Taly, Ankur and Yan, Qiqi",
        "Axiomatic Attribution for Deep Networks",
        "International Conference on Machine Learning",
        2017,
    ),
    "adebayo2018": Paper(
        "article",
        "Adebayo, Julius and Gilmer, Justin and Goodfellow, Ian and Kim, Been",
        "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values",
        "arXiv:1810.03307",
        2018,
    ),
    "seo2018": Paper(
        "article",
        "Seo, Junghoon and Choe, Jeongyeol and Koo, Jamyoung and Jeon, Seunghyeon and Kim, Beomsu and Jeon, Taegyun",
        "Noise-adding Methods of Saliency Map as Series of Higher Order Partial Derivative",
        "arXiv:1806.03000",
        2018,
    ),
    "hooker2019": Paper(
        "inproceedings",
        "Hooker, Sara and Erhan, Dumitru and Kindermans, Pieter-Jan and Kim, Been",
        "A Benchmark for Interpretability Methods in Deep Neural Networks",
        "Advances in Neural Information Processing Systems",
        2019,
    ),
    "kim2019": Paper(
        "inproceedings",
        "Kim, Beomsu and Seo, Junghoon and Jeon, Seunghyeon and Koo, Jamyoung and Choe, Jeongyeol and Jeon, Taegyun",
        "Why are Saliency Maps Noisy? Cause of and Solution to Noisy Saliency Maps",
        "IEEE/CVF International Conference on Computer Vision Workshops",
        2019,
    ),
    "erion2019": Paper(
        "article",
        "Erion, Gabriel and Janizek, Joseph D. and Sturmfels, Pascal and Lundberg, Scott M. and Lee, Su-In",
        "Improving performance of deep learning models with axiomatic attribution priors and expected gradients",
        "arXiv:1906.10670",
        2019,
    ),
    "goh2021": Paper(
        "inproceedings",
        "Goh, Gary S. W. and Lapuschkin, Sebastian and Weber, Leander and Samek, Wojciech and Binder, Alexander",
        "Understanding Integrated Gradients with SmoothTaylor for Deep Neural Network Attribution",
        "International Conference on Pattern Recognition",
        2021,
    ),
    "hammersley1956": Paper(
        "article",
        "Hammersley, John M. and Morton, Keith W.",
        "A new Monte Carlo technique: antithetic variates",
        "Mathematical Proceedings of the Cambridge Philosophical Society",
        1956,
    ),
    "sobol1967": Paper(
        "article",
        "Sobol, Ilya M.",
        "On the distribution of points in a cube and the approximate evaluation of integrals",
        "USSR Computational Mathematics and Mathematical Physics",
        1967,
    ),
    "mckay1979": Paper(
        "article",
        "McKay, Michael D. and Beckman, Richard J. and Conover, William J.",
        "A Comparison of Three Methods for Selecting Values of Input Variables in the Analysis of Output from a Computer Code",
        "Technometrics",
        1979,
    ),
    "owen1997": Paper(
        "article",
        "Owen, Art B.",
        "Monte Carlo Variance of Scrambled Net Quadrature",
        "SIAM Journal on Numerical Analysis",
        1997,
    ),
}
