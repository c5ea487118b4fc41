"""The heart: queries, explainers, samplers, reductions, keyed noise. Read `explainer.py` first."""
