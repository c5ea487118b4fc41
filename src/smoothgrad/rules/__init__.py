"""Backward rules: what happens to the gradient on its way back through each function."""
