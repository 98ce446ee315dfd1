"""A classifier drives a language model's reasoning: benchmarks of key points, runs, scores, stability."""
