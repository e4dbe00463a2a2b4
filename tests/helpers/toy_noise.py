"""Toy noise term: 1/f noise of the current, integrated from 1 Hz to the bandwidth."""

import math

from synfab.physics.noise import NoiseTerm


def over_the_band(bandwidth, temperature):
    return 1e-4 * math.log(max(bandwidth, 1.0))


def of_current_squared(g, i):
    return i * i


FLICKER = NoiseTerm("flicker", over_the_band, of_current_squared)
