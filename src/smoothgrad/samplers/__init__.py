"""Where a method asks: clouds of noise around the input, paths to it, and the baselines that paths start from."""
