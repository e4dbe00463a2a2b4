"""Read noise: variance of a measured current as a sum of terms.

    variance = 4 k_B T B g + 2 e B abs(i) + further terms, in A**2

where i is the current of a cell, g = abs(I/U) its conductance (dI/dU at U = 0), T the temperature
and B the bandwidth of the measurement.

To add a term, write one file that defines a ``NoiseTerm`` and registers it::

    def over_the_band(bandwidth: float, temperature: float) -> float:
        return 1e-4


    def of_current_squared(g, i):
        return i * i


    register(NoiseTerm("flicker", over_the_band, of_current_squared))

All later reads of cells, crossbars and layers then include it, on every engine. The variance of
arrays is computed by ``ReadNoise.variance`` only. Johnson and shot noise are linear in the state of
a cell, which kernels and matrix products exploit. With any further term, reads evaluate
``variance`` for each cell instead, which is slower but requires no other method of a term.
Circuit models include only Johnson and shot noise, and warn about other terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of
from synfab.common.types import AnyArray as Array
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.random.streams import Stream

BOLTZMANN = 1.380649e-23  # J/K
ELEMENTARY_CHARGE = 1.602176634e-19  # C
TEMPERATURE = 300.0  # K


class NoiseTerm(NamedTuple):
    """Source of read noise whose variance (A**2) is ``coefficient`` times ``shape``.

    Both must be module-level functions, so that a term can be pickled for other processes.
    """

    name: str
    coefficient: Callable[[float, float], float]
    """Function of the bandwidth (Hz) and the temperature (K); not negative."""
    shape: Callable[[Array, Array], Array]
    """Function of conductance g (S) and current i (A), not negative; operators and ``abs`` only."""


def _johnson(bandwidth: float, temperature: float) -> float:
    return 4.0 * BOLTZMANN * temperature * bandwidth


def _shot(bandwidth: float, temperature: float) -> float:
    return 2.0 * ELEMENTARY_CHARGE * bandwidth


def _conductance(g: Array, i: Array) -> Array:
    return g


def _magnitude(g: Array, i: Array) -> Array:
    return abs(i)


JOHNSON = NoiseTerm("johnson", _johnson, _conductance)
SHOT = NoiseTerm("shot", _shot, _magnitude)
LINEAR = (JOHNSON, SHOT)

# Registered terms by name, in the order of summation.
TERMS = {term.name: term for term in LINEAR}


def register(term: NoiseTerm) -> None:
    """Add a term to the noise of all later reads.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        ``term`` is not a ``NoiseTerm``, or a term of this name is already registered.
    """
    checks.instance("term", term, NoiseTerm)
    checks.text("term: name", term.name)
    checks.function("term: coefficient", term.coefficient)
    checks.function("term: shape", term.shape)
    if term.name in TERMS:
        raise InvalidValueError(f"term: a noise term {checks.shown(term.name)} already exists")
    currents = np.array([-1e-6, 1e-6])  # A, as of cells at a negative and a positive voltage
    try:
        shape = np.broadcast_to(term.shape(np.full(2, 1e-5), currents), 2)
        coefficient = term.coefficient(1e8, TEMPERATURE)
    except Exception as error:  # a function of the user can raise any
        pass_on(error)
        raise InvalidValueError(f"term: {term.name} fails: {reason_of(error)}") from None
    checks.number("term: coefficient at 1e8 Hz", coefficient, minimum=0.0)
    for i, found in zip(currents, shape, strict=True):
        checks.number(f"term: shape at {i:g} A", found, minimum=0.0)
    TERMS[term.name] = term
    _made.cache_clear()


@dataclass(frozen=True)
class ReadNoise:
    """Noise of reads at one bandwidth and temperature; ``NONE`` is the noiseless read.

    Attributes
    ----------
    terms
        Sources of the noise.
    coefficients
        Coefficient of each term at this bandwidth and temperature.
    """

    terms: tuple[NoiseTerm, ...]
    coefficients: tuple[float, ...]

    @classmethod
    def of_bandwidth(cls, bandwidth: float, temperature: float = TEMPERATURE) -> ReadNoise:
        """Return the noise of all registered terms at ``bandwidth`` (Hz) and ``temperature`` (K).

        Raises
        ------
        InvalidTypeError, InvalidValueError
            The bandwidth is negative, the temperature not positive, or a coefficient negative.
        """
        if type(bandwidth) is not float:
            bandwidth = checks.number("bandwidth", bandwidth, minimum=0.0)
        if type(temperature) is not float:
            temperature = checks.positive("temperature", temperature)
        return _made(bandwidth, temperature, tuple(TERMS))

    @property
    def linear(self) -> bool:
        """Whether the variance is linear in the state r: only Johnson and shot noise."""
        return self.terms == LINEAR

    def variance(self, g: Array, i: Array) -> Array:
        """Return the variance (A**2) of cells of conductance ``g`` (S) at the current ``i`` (A).

        For g = 1 S, ``i`` equals the voltage, and the result is variance / g if noise is linear.
        """
        first, *rest = (
            coefficient * term.shape(g, i)
            for term, coefficient in zip(self.terms, self.coefficients, strict=True)
        )
        for summand in rest:
            first = first + summand
        return first

    def at_voltage(self, g: Array, u: Array) -> Array:
        """Return the variance (A**2) of cells of static conductance ``g`` (S) at ``u`` (V)."""
        if self.linear:
            return g * self.variance(1.0, u)
        return self.variance(g, g * u)

    def per_ampere(self, u: Array) -> Array:
        """Return variance / abs(i), in A, at nonzero ``u`` (V); the noise must be linear."""
        johnson, shot = self.coefficients
        return johnson / abs(u) + shot

    def scaled(self, unit: float) -> ReadNoise:
        """Return the noise with the variance in units of ``unit`` A**2."""
        return ReadNoise(self.terms, tuple(c / unit for c in self.coefficients))


MAX_BANDWIDTH = 1e15  # Hz; beyond it, variances would exceed float32
NONE = ReadNoise(LINEAR, (0.0, 0.0))


@lru_cache(maxsize=64)
def _made(bandwidth: float, temperature: float, names: tuple[str, ...]) -> ReadNoise:
    width = checks.number("bandwidth", bandwidth, minimum=0.0, maximum=MAX_BANDWIDTH)
    kelvin = checks.positive("temperature", temperature)
    terms = tuple(TERMS[name] for name in names)
    found = (
        checks.number(f"{t.name}: coefficient", t.coefficient(width, kelvin), minimum=0.0)
        for t in terms
    )
    return ReadNoise(terms, tuple(found))


# ---- reads of cells -----------------------------------------------------------------------------


def static_conductance(i: Array, u: Array, slope: Array) -> Array:
    """Return the conductance abs(I/U), or ``slope`` (dI/dU at 0 V) where ``u`` is 0, in S."""
    xp = array_namespace(i)
    zero = u == 0.0
    return xp.where(zero, slope, xp.abs(i / xp.where(zero, 1.0, u)))


def read_normals(key: Any, counter: tuple[Array, Array], index: Array, lane: Array) -> Array:
    """Return the normal numbers of a read: number ``lane`` of the four per cell counter."""
    z = drawing.draw_normals(key, counter, index, Stream.READ_NOISE)
    xp = array_namespace(z)
    noise = z[0, :]
    for k in range(1, 4):
        noise = xp.where(lane == k, z[k, :], noise)
    return noise


def noisy_current(
    model: CellModel,
    terms: tuple[NoiseTerm, ...],
    r: Array,
    u: Array,
    z: Array,
    coefficients: tuple[Array, ...],
) -> Array:
    """Return noisy currents (A) of cells in the states ``r`` at ``u`` (V); ``z`` is normal.

    JAX compiles this for fixed ``terms``, with ``coefficients`` as arguments.
    """
    xp = array_namespace(r)
    current, variance = _current_and_variance(model, ReadNoise(terms, coefficients), r, u)
    return current + xp.sqrt(variance) * z


def row_variance(model: CellModel, noise: ReadNoise, r: Array, batch: Array) -> Array:
    """Return the variance (A**2) of the row currents of a crossbar, summed over cells.

    Parameters
    ----------
    r
        Mixing states, (rows, columns).
    batch
        Column voltages (V), (B, columns).

    Returns
    -------
    array
        Variances, (rows, B).
    """
    xp = array_namespace(r)
    each = (_current_and_variance(model, noise, r, batch[b, :])[1] for b in range(batch.shape[0]))
    return xp.stack([xp.sum(variance, axis=1) for variance in each], axis=1)


def _current_and_variance(
    model: CellModel, noise: ReadNoise, r: Array, u: Array
) -> tuple[Array, Array]:
    current = rules.current(model, r, u)
    slope_llrs, slope_hhrs = model.conduction.slopes_at_zero
    g = static_conductance(current, u, slope_llrs + r * (slope_hhrs - slope_llrs))
    return current, noise.variance(g, current)
