"""Records of normalised features with a known history."""

import numpy as np


def generated(history, devices, cycles, seed=1):
    """Records of cells with a history, from their stationary state, minus their means."""
    rng = np.random.default_rng(seed)
    state = rng.standard_normal((devices, 4 * history.slots)) @ history.stationary_factor.T
    x = np.empty((devices, cycles, 4))
    for n in range(cycles):
        state = state @ history.companion.T
        state = state + rng.standard_normal((devices, 4)) @ history.excitation.T
        x[:, n] = state[:, :4]
    return [(np.arange(cycles), one - one.mean(axis=0)) for one in x]
