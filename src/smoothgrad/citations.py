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
    "robnik2008": Paper(
        "article",
        "Robnik-Šikonja, Marko and Kononenko, Igor",
        "Explaining Classifications For Individual Instances",
        "IEEE Transactions on Knowledge and Data Engineering",
        2008,
    ),
    "petsiuk2018": Paper(
        "inproceedings",
        "Petsiuk, Vitali and Das, Abir and Saenko, Kate",
        "RISE: Randomized Input Sampling for Explanation of Black-box Models",
        "British Machine Vision Conference",
        2018,
    ),
    "abnar2020": Paper(
        "inproceedings",
        "Abnar, Samira and Zuidema, Willem",
        "Quantifying Attention Flow in Transformers",
        "Annual Meeting of the Association for Computational Linguistics",
        2020,
    ),
    "chefer2021": Paper(
        "inproceedings",
        "Chefer, Hila and Gur, Shir and Wolf, Lior",
        "Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder Transformers",
        "IEEE/CVF International Conference on Computer Vision",
        2021,
    ),
    "felzenszwalb2004": Paper(
        "article",
        "Felzenszwalb, Pedro F. and Huttenlocher, Daniel P.",
        "Efficient Graph-Based Image Segmentation",
        "International Journal of Computer Vision",
        2004,
    ),
    "kapishnikov2019": Paper(
        "inproceedings",
        "Kapishnikov, Andrei and Bolukbasi, Tolga and Viégas, Fernanda and Terry, Michael",
        "XRAI: Better Attributions Through Regions",
        "IEEE/CVF International Conference on Computer Vision",
        2019,
    ),
    "xu2020": Paper(
        "inproceedings",
        "Xu, Shawn and Venugopalan, Subhashini and Sundararajan, Mukund",
        "Attribution in Scale and Space",
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        2020,
    ),
    "kapishnikov2021": Paper(
        "inproceedings",
        "Kapishnikov, Andrei and Venugopalan, Subhashini and Avci, Besim and Wedin, Ben and Terry, Michael and Bolukbasi, Tolga",
        "Guided Integrated Gradients: An Adaptive Path Method for Removing Noise",
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        2021,
    ),
    "bykov2021": Paper(
        "article",
        "Bykov, Kirill and Hedström, Anna and Nakajima, Shinichi and Höhne, Marina M.-C.",
        "NoiseGrad: Enhancing Explanations by Introducing Stochasticity to Model Weights",
        "arXiv:2106.10185",
        2021,
    ),
    "erhan2009": Paper(
        "article",
        "Erhan, Dumitru and Bengio, Yoshua and Courville, Aaron and Vincent, Pascal",
        "Visualizing Higher-Layer Features of a Deep Network",
        "Technical Report 1341, University of Montreal",
        2009,
    ),
    "mahendran2015": Paper(
        "inproceedings",
        "Mahendran, Aravindh and Vedaldi, Andrea",
        "Understanding Deep Image Representations by Inverting Them",
        "IEEE Conference on Computer Vision and Pattern Recognition",
        2015,
    ),
    "mordvintsev2015": Paper(
        "article",
        "Mordvintsev, Alexander and Olah, Christopher and Tyka, Mike",
        "Inceptionism: Going Deeper into Neural Networks",
        "Google Research Blog",
        2015,
    ),
    "kingma2015": Paper(
        "inproceedings",
        "Kingma, Diederik P. and Ba, Jimmy",
        "Adam: A Method for Stochastic Optimization",
        "International Conference on Learning Representations",
        2015,
    ),
    "radford2016": Paper(
        "inproceedings",
        "Radford, Alec and Metz, Luke and Chintala, Soumith",
        "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        "International Conference on Learning Representations",
        2016,
    ),
    "nguyen2016": Paper(
        "inproceedings",
        "Nguyen, Anh and Dosovitskiy, Alexey and Yosinski, Jason and Brox, Thomas and Clune, Jeff",
        "Synthesizing the preferred inputs for neurons in neural networks via deep generator networks",
        "Advances in Neural Information Processing Systems",
        2016,
    ),
    "olah2017": Paper(
        "article",
        "Olah, Chris and Mordvintsev, Alexander and Schubert, Ludwig",
        "Feature Visualization",
        "Distill",
        2017,
    ),
    "montavon2018": Paper(
        "article",
        "Montavon, Grégoire and Samek, Wojciech and Müller, Klaus-Robert",
        "Methods for Interpreting and Understanding Deep Neural Networks",
        "Digital Signal Processing",
        2018,
    ),
    "bach2015": Paper(
        "article",
        "Bach, Sebastian and Binder, Alexander and Montavon, Grégoire and Klauschen, Frederick and Müller, Klaus-Robert and "
        "Samek, Wojciech",
        "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation",
        "PLoS ONE",
        2015,
    ),
    "montavon2017": Paper(
        "article",
        "Montavon, Grégoire and Lapuschkin, Sebastian and Binder, Alexander and Samek, Wojciech and Müller, Klaus-Robert",
        "Explaining Nonlinear Classification Decisions with Deep Taylor Decomposition",
        "Pattern Recognition",
        2017,
    ),
    "montavon2019": Paper(
        "inproceedings",
        "Montavon, Grégoire and Binder, Alexander and Lapuschkin, Sebastian and Samek, Wojciech and Müller, Klaus-Robert",
        "Layer-Wise Relevance Propagation: An Overview",
        "Explainable AI: Interpreting, Explaining and Visualizing Deep Learning",
        2019,
    ),
    "lapuschkin2019": Paper(
        "article",
        "Lapuschkin, Sebastian and Wäldchen, Stephan and Binder, Alexander and Montavon, Grégoire and Samek, Wojciech and "
        "Müller, Klaus-Robert",
        "Unmasking Clever Hans predictors and assessing what machines really learn",
        "Nature Communications",
        2019,
    ),
    "kohlbrenner2020": Paper(
        "inproceedings",
        "Kohlbrenner, Maximilian and Bauer, Alexander and Nakajima, Shinichi and Binder, Alexander and Samek, Wojciech and "
        "Lapuschkin, Sebastian",
        "Towards Best Practice in Explaining Neural Network Decisions with LRP",
        "International Joint Conference on Neural Networks",
        2020,
    ),
    "andeol2021": Paper(
        "article",
        "Andéol, Léo and Kawakami, Yusei and Wada, Yuichiro and Kanamori, Takafumi and Müller, Klaus-Robert and "
        "Montavon, Grégoire",
        "Learning Domain Invariant Representations by Joint Wasserstein Distance Minimization",
        "arXiv:2106.04923",
        2021,
    ),
    "achtibat2024": Paper(
        "inproceedings",
        "Achtibat, Reduan and Hatefi, Sayed Mohammad Vakilzadeh and Dreyer, Maximilian and Jain, Aakriti and "
        "Wiegand, Thomas and Lapuschkin, Sebastian and Samek, Wojciech",
        "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers",
        "International Conference on Machine Learning",
        2024,
    ),
    "zhou2016": Paper(
        "inproceedings",
        "Zhou, Bolei and Khosla, Aditya and Lapedriza, Agata and Oliva, Aude and Torralba, Antonio",
        "Learning Deep Features for Discriminative Localization",
        "IEEE Conference on Computer Vision and Pattern Recognition",
        2016,
    ),
    "selvaraju2017": Paper(
        "inproceedings",
        "Selvaraju, Ramprasaath R. and Cogswell, Michael and Das, Abhishek and Vedantam, Ramakrishna and Parikh, Devi and "
        "Batra, Dhruv",
        "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based Localization",
        "IEEE International Conference on Computer Vision",
        2017,
    ),
    "chattopadhay2018": Paper(
        "inproceedings",
        "Chattopadhay, Aditya and Sarkar, Anirban and Howlader, Prantik and Balasubramanian, Vineeth N.",
        "Grad-CAM++: Generalized Gradient-Based Visual Explanations for Deep Convolutional Networks",
        "IEEE Winter Conference on Applications of Computer Vision",
        2018,
    ),
    "omeiza2019": Paper(
        "article",
        "Omeiza, Daniel and Speakman, Skyler and Cintas, Celia and Weldermariam, Komminist",
        "Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for Deep Convolutional Neural Network Models",
        "arXiv:1908.01224",
        2019,
    ),
    "desai2020": Paper(
        "inproceedings",
        "Desai, Saurabh and Ramaswamy, Harish G.",
        "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization",
        "IEEE Winter Conference on Applications of Computer Vision",
        2020,
    ),
    "draelos2020": Paper(
        "article",
        "Draelos, Rachel Lea and Carin, Lawrence",
        "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
        "arXiv:2011.08891",
        2020,
    ),
    "fu2020": Paper(
        "inproceedings",
        "Fu, Ruigang and Hu, Qingyong and Dong, Xiaohu and Guo, Yulan and Gao, Yinghui and Li, Biao",
        "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
        "British Machine Vision Conference",
        2020,
    ),
    "muhammad2020": Paper(
        "inproceedings",
        "Muhammad, Mohammed Bany and Yeasin, Mohammed",
        "Eigen-CAM: Class Activation Map using Principal Components",
        "International Joint Conference on Neural Networks",
        2020,
    ),
    "wang2020": Paper(
        "inproceedings",
        "Wang, Haofan and Wang, Zifan and Du, Mengnan and Yang, Fan and Zhang, Zijian and Ding, Sirui and Mardziel, Piotr and "
        "Hu, Xia",
        "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks",
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
        2020,
    ),
    "jiang2021": Paper(
        "article",
        "Jiang, Peng-Tao and Zhang, Chang-Bin and Hou, Qibin and Cheng, Ming-Ming and Wei, Yunchao",
        "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
        "IEEE Transactions on Image Processing",
        2021,
    ),
    "shrikumar2017": Paper(
        "inproceedings",
        "Shrikumar, Avanti and Greenside, Peyton and Kundaje, Anshul",
        "Learning Important Features Through Propagating Activation Differences",
        "International Conference on Machine Learning",
        2017,
    ),
    "lundberg2017": Paper(
        "inproceedings",
        "Lundberg, Scott M. and Lee, Su-In",
        "A Unified Approach to Interpreting Model Predictions",
        "Advances in Neural Information Processing Systems",
        2017,
    ),
    "srinivas2019": Paper(
        "inproceedings",
        "Srinivas, Suraj and Fleuret, François",
        "Full-Gradient Representation for Neural Network Visualization",
        "Advances in Neural Information Processing Systems",
        2019,
    ),
    "adebayo2018checks": Paper(
        "inproceedings",
        "Adebayo, Julius and Gilmer, Justin and Muelly, Michael and Goodfellow, Ian and Hardt, Moritz and Kim, Been",
        "Sanity Checks for Saliency Maps",
        "Advances in Neural Information Processing Systems",
        2018,
    ),
    "hedstrom2023": Paper(
        "inproceedings",
        "Hedström, Anna and Weber, Leander and Lapuschkin, Sebastian and Höhne, Marina M.-C.",
        "Sanity Checks Revisited: An Exploration to Repair the Model Parameter Randomisation Test",
        "XAI in Action: Past, Present, and Future Applications (workshop at NeurIPS)",
        2023,
    ),
    "sixt2020": Paper(
        "inproceedings",
        "Sixt, Leon and Granz, Maximilian and Landgraf, Tim",
        "When Explanations Lie: Why Many Modified BP Attributions Fail",
        "International Conference on Machine Learning",
        2020,
    ),
    "samek2017": Paper(
        "article",
        "Samek, Wojciech and Binder, Alexander and Montavon, Grégoire and Lapuschkin, Sebastian and Müller, Klaus-Robert",
        "Evaluating the Visualization of What a Deep Neural Network Has Learned",
        "IEEE Transactions on Neural Networks and Learning Systems",
        2017,
    ),
    "rieger2020": Paper(
        "article",
        "Rieger, Laura and Hansen, Lars Kai",
        "IROF: A Low Resource Evaluation Metric for Explanation Methods",
        "arXiv:2003.08747",
        2020,
    ),
    "rong2022": Paper(
        "inproceedings",
        "Rong, Yao and Leemann, Tobias and Borisov, Vadim and Kasneci, Gjergji and Kasneci, Enkelejda",
        "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
        "International Conference on Machine Learning",
        2022,
    ),
    "bluecher2024": Paper(
        "article",
        "Blücher, Stefan and Vielhaben, Johanna and Strodthoff, Nils",
        "Decoupling Pixel Flipping and Occlusion Strategy for Consistent XAI Benchmarks",
        "Transactions on Machine Learning Research",
        2024,
    ),
    "ancona2018": Paper(
        "inproceedings",
        "Ancona, Marco and Ceolini, Enea and Öztireli, Cengiz and Gross, Markus",
        "Towards better understanding of gradient-based attribution methods for Deep Neural Networks",
        "International Conference on Learning Representations",
        2018,
    ),
    "bhatt2020": Paper(
        "inproceedings",
        "Bhatt, Umang and Weller, Adrian and Moura, José M. F.",
        "Evaluating and Aggregating Feature-based Model Explanations",
        "International Joint Conference on Artificial Intelligence",
        2020,
    ),
    "alvarezmelis2018": Paper(
        "inproceedings",
        "Alvarez-Melis, David and Jaakkola, Tommi S.",
        "Towards Robust Interpretability with Self-Explaining Neural Networks",
        "Advances in Neural Information Processing Systems",
        2018,
    ),
    "alvarezmelis2018b": Paper(
        "article",
        "Alvarez-Melis, David and Jaakkola, Tommi S.",
        "On the Robustness of Interpretability Methods",
        "arXiv:1806.08049",
        2018,
    ),
    "arya2019": Paper(
        "article",
        "Arya, Vijay and Bellamy, Rachel K. E. and Chen, Pin-Yu and Dhurandhar, Amit and Hind, Michael and Hoffman, Samuel C. "
        "and Houde, Stephanie and Liao, Q. Vera and Luss, Ronny and Mojsilović, Aleksandra and others",
        "One Explanation Does Not Fit All: A Toolkit and Taxonomy of AI Explainability Techniques",
        "arXiv:1909.03012",
        2019,
    ),
    "nguyen2020": Paper(
        "article",
        "Nguyen, An-phi and Martínez, María Rodríguez",
        "On quantitative aspects of model interpretability",
        "arXiv:2007.07584",
        2020,
    ),
    "yeh2019": Paper(
        "inproceedings",
        "Yeh, Chih-Kuan and Hsieh, Cheng-Yu and Suggala, Arun Sai and Inouye, David I. and Ravikumar, Pradeep",
        "On the (In)fidelity and Sensitivity of Explanations",
        "Advances in Neural Information Processing Systems",
        2019,
    ),
    "agarwal2022": Paper(
        "article",
        "Agarwal, Chirag and Johnson, Nari and Pawelczyk, Martin and Krishna, Satyapriya and Saxena, Eshika and "
        "Zitnik, Marinka and Lakkaraju, Himabindu",
        "Rethinking Stability for Attribution-based Explanations",
        "arXiv:2203.06877",
        2022,
    ),
    "zhang2018": Paper(
        "article",
        "Zhang, Jianming and Bargal, Sarah Adel and Lin, Zhe and Brandt, Jonathan and Shen, Xiaohui and Sclaroff, Stan",
        "Top-Down Neural Attention by Excitation Backprop",
        "International Journal of Computer Vision",
        2018,
    ),
    "arras2022": Paper(
        "article",
        "Arras, Leila and Osman, Ahmed and Samek, Wojciech",
        "CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of Neural Network Explanations",
        "Information Fusion",
        2022,
    ),
    "theiner2022": Paper(
        "inproceedings",
        "Theiner, Jonas and Müller-Budack, Eric and Ewerth, Ralph",
        "Interpretable Semantic Photo Geolocation",
        "IEEE/CVF Winter Conference on Applications of Computer Vision",
        2022,
    ),
    "mann1947": Paper(
        "article",
        "Mann, Henry B. and Whitney, Donald R.",
        "On a Test of Whether One of Two Random Variables is Stochastically Larger than the Other",
        "The Annals of Mathematical Statistics",
        1947,
    ),
    "fawcett2006": Paper(
        "article",
        "Fawcett, Tom",
        "An Introduction to ROC Analysis",
        "Pattern Recognition Letters",
        2006,
    ),
    "chalasani2020": Paper(
        "inproceedings",
        "Chalasani, Prasad and Chen, Jiefeng and Roy Chowdhury, Amrita and Wu, Xi and Jha, Somesh",
        "Concise Explanations of Neural Networks using Adversarial Training",
        "International Conference on Machine Learning",
        2020,
    ),
    "hurley2009": Paper(
        "article",
        "Hurley, Niall and Rickard, Scott",
        "Comparing Measures of Sparsity",
        "IEEE Transactions on Information Theory",
        2009,
    ),
    "hill1973": Paper(
        "article",
        "Hill, Mark O.",
        "Diversity and Evenness: A Unifying Notation and Its Consequences",
        "Ecology",
        1973,
    ),
    "rudin1992": Paper(
        "article",
        "Rudin, Leonid I. and Osher, Stanley and Fatemi, Emad",
        "Nonlinear Total Variation Based Noise Removal Algorithms",
        "Physica D: Nonlinear Phenomena",
        1992,
    ),
    "kindermans2017": Paper(
        "article",
        "Kindermans, Pieter-Jan and Hooker, Sara and Adebayo, Julius and Alber, Maximilian and Schütt, Kristof T. and Dähne, Sven "
        "and Erhan, Dumitru and Kim, Been",
        "The (Un)reliability of Saliency Methods",
        "arXiv:1711.00867",
        2017,
    ),
    "friedman2004": Paper(
        "article",
        "Friedman, Eric J.",
        "Paths and Consistency in Additive Cost Sharing",
        "International Journal of Game Theory",
        2004,
    ),
    "dombrowski2019": Paper(
        "inproceedings",
        "Dombrowski, Ann-Kathrin and Alber, Maximilian and Anders, Christopher J. and Ackermann, Marcel and Müller, Klaus-Robert "
        "and Kessel, Pan",
        "Explanations Can Be Manipulated and Geometry Is to Blame",
        "Advances in Neural Information Processing Systems",
        2019,
    ),
}
