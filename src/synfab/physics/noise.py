"""Read noise: the variance of a measured current as a sum of terms.

    variance = 4 k_B T B g + 2 e B abs(i) + further terms, in A**2

with the current i of a cell, its conductance g = abs(I/U) (dI/dU at U = 0), the temperature T and
the bandwidth B of the measurement.

To add a term, write one file that defines a ``NoiseTerm`` and registers it::

    def over_the_band(bandwidth: float, temperature: float) -> float:
        return 1e-4


    def of_current_squared(g, i):
        return i * i


    register(NoiseTerm("flicker", over_the_band, of_current_squared))

Every later read has it: of cells, crossbars and layers, on every engine. ``ReadNoise.variance`` is
the one place where the formula stands for arrays. Johnson and shot noise are linear in the state of
a cell, which kernels and matrix products make use of; with any further term, all that reads cells
evaluates ``variance`` cell by cell instead, which is slower but needs nothing else from a term.
Circuit models have Johnson and shot noise only, and warn of other terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.model.cell_model import CellModel
from synfab.physics import rules
from synfab.random.streams import Stream

Array = Any  # of any Array API namespace; where stated, a number

BOLTZMANN = 1.380649e-23  # J/K
ELEMENTARY_CHARGE = 1.602176634e-19  # C
TEMPERATURE = 300.0  # K


class NoiseTerm(NamedTuple):
    """One cause of read noise: its variance is ``coefficient`` times ``shape``.

    Both are functions at the top of a module, so that a term can be sent to other processes.
    """

    name: str
    coefficient: Callable[[float, float], float]
    """Of the bandwidth (Hz) and the temperature (K), at least 0."""
    shape: Callable[[Array, Array], Array]
    """Of the conductance g (S) and the current i (A), at least 0; operators and ``abs`` only."""


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

# By name, in the order in which they are summed.
TERMS = {term.name: term for term in LINEAR}


def register(term: NoiseTerm) -> None:
    """Add a term to the noise of every later read.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        It is no ``NoiseTerm``, or a term of this name is registered.
    """
    checks.instance("term", term, NoiseTerm)
    checks.text("term: name", term.name)
    checks.function("term: coefficient", term.coefficient)
    checks.function("term: shape", term.shape)
    if term.name in TERMS:
        raise InvalidValueError(f"term: a noise term {checks.shown(term.name)} already exists")
    TERMS[term.name] = term


@dataclass(frozen=True)
class ReadNoise:
    """Noise of one kind of read; ``NONE`` is a read without noise.

    Attributes
    ----------
    terms
        Causes of the noise.
    coefficients
        One for each term, at this bandwidth and temperature.
    """

    terms: tuple[NoiseTerm, ...]
    coefficients: tuple[float, ...]

    @classmethod
    def of_bandwidth(cls, bandwidth: float, temperature: float = TEMPERATURE) -> ReadNoise:
        """Noise of a measurement of ``bandwidth`` (Hz) at ``temperature`` (K): all terms.

        Raises
        ------
        InvalidTypeError, InvalidValueError
            The bandwidth is negative, the temperature not positive, or a coefficient negative.
        """
        width = checks.number("bandwidth", bandwidth, minimum=0.0)
        if temperature is not TEMPERATURE:  # a read of few cells takes as long as a few checks
            temperature = checks.positive("temperature", temperature)
        return _made(tuple(TERMS.values()), width, temperature)

    @property
    def linear(self) -> bool:
        """Whether the variance is linear in the state r: the terms are Johnson and shot noise."""
        return self.terms == LINEAR

    def variance(self, g: Array, i: Array) -> Array:
        """Variance (A**2) of cells of conductance ``g`` (S) that carry ``i`` (A).

        With 1 S, ``i`` is the voltage: that is the variance over g where the noise is linear.
        """
        first, *rest = (
            coefficient * term.shape(g, i)
            for term, coefficient in zip(self.terms, self.coefficients, strict=True)
        )
        for summand in rest:
            first = first + summand
        return first

    def at_voltage(self, g: Array, u: Array) -> Array:
        """Variance (A**2) of cells of static conductance ``g`` (S) at ``u`` (V)."""
        if self.linear:
            return g * self.variance(1.0, u)
        return self.variance(g, g * u)

    def per_ampere(self, u: Array) -> Array:
        """Variance (A**2) over abs(i) at ``u`` (V), not 0; only where the noise is linear."""
        johnson, shot = self.coefficients
        return johnson / abs(u) + shot

    def scaled(self, unit: float) -> ReadNoise:
        """Return the noise whose variance is in units of ``unit`` A**2."""
        return ReadNoise(self.terms, tuple(c / unit for c in self.coefficients))


NONE = ReadNoise(LINEAR, (0.0, 0.0))


@lru_cache(maxsize=64)
def _made(terms: tuple[NoiseTerm, ...], bandwidth: float, temperature: float) -> ReadNoise:
    found = (
        checks.number(f"{t.name}: coefficient", t.coefficient(bandwidth, temperature), minimum=0.0)
        for t in terms
    )
    return ReadNoise(terms, tuple(found))


# ---- cells that are read ------------------------------------------------------------------------


def static_conductance(i: Array, u: Array, slope: Array) -> Array:
    """Return abs(I/U), and ``slope`` (dI/dU at 0 V) where ``u`` is 0, in S."""
    xp = array_namespace(i)
    zero = u == 0.0
    return xp.where(zero, slope, xp.abs(i / xp.where(zero, 1.0, u)))


def read_normals(key: Any, counter: tuple[Array, Array], index: Array, lane: Array) -> Array:
    """Normal numbers of a read: number ``lane`` of the four that a cell's counter gives."""
    z = rules.draw_normals(key, counter, index, Stream.READ_NOISE)
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
    """Currents (A) of cells in the states ``r`` at ``u`` (V), with the normal numbers ``z``.

    What JAX compiles is for ``terms``; ``coefficients`` are arguments of it.
    """
    xp = array_namespace(r)
    current, variance = _current_and_variance(model, ReadNoise(terms, coefficients), r, u)
    return current + xp.sqrt(variance) * z


def row_variance(model: CellModel, noise: ReadNoise, r: Array, batch: Array) -> Array:
    """Variance (A**2) of the currents of a crossbar's rows, summed cell by cell.

    Parameters
    ----------
    r
        States, (rows, columns).
    batch
        Voltages of the columns (V), (B, columns).

    Returns
    -------
    array
        (rows, B).
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
