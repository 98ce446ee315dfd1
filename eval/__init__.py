"""Scores: metrics as pure functions, runs over datasets, and the results file they leave.

Names are imported when they are first used, so ``import voxzoo.eval`` costs nothing.

Example:
    >>> import numpy as np
    >>> from voxzoo.eval import dice
    >>> dice(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
    0.5
"""
