"""How long and how much memory: this library beside captum, saliency and zennit, in one run. See README.md.

It stays outside the package: what it compares with lives in an environment of its own.
"""
