"""Axioms as an automatic check: does a method keep on a model what it was proved, or is believed, to keep?

Each axiom speaks of networks of a certain kind: two that compute the same, one that ignores a part of its input, one in which two
places have the same part. The user's own network is put into a network for which that is so by construction, and the method is
asked there. A failure comes with its counter-example. That none was found is no proof: see `Verdict`.
"""

from smoothgrad.axioms.check import ALL, AXIOMS, Axiom, check_axioms
from smoothgrad.axioms.verdict import AxiomReport, Counterexample, Verdict

__all__ = ["ALL", "AXIOMS", "Axiom", "AxiomReport", "Counterexample", "Verdict", "check_axioms"]
