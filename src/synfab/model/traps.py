"""Optional part of a model that changes with time: traps that capture and release electrons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray

MAX_TRAPS = 32
MAX_NODES = 64
# Temperature (K) at which the time constants are given.
NOMINAL_TEMPERATURE = 300.0
# Arguments of ``Traps``.
ARRAYS = (
    *("time_constants", "spectrum", "conductance", "amplitude", "raising"),
    *("initial_occupancy", "occupancy"),
)
NUMBERS = ("trap_spread", "cell_spread", "attempt_time")
BOLTZMANN_EV = 8.617333262e-5  # eV/K


@dataclass(frozen=True, eq=False)
class Traps:
    """Two-state traps in a cell, the cause of relaxation, telegraph and 1/f noise, and retention.

    Each of the K traps of a cell is occupied or empty. Its time constant tau is log-uniform within
    its interval of ``time_constants``, and its activation energy is
    E = k_B 300 K ln(tau / attempt_time), so at temperature T
    tau(T) = attempt_time (tau / attempt_time)**(300 K / T).
    After a time t, a trap is occupied with the probability q + (b - q) exp(-t / tau(T)).
    An occupied trap k lowers the conductance G of the cell by
    A(G) d_k exp(s z_k + s_c z_c - s**2 - s_c**2), with normal numbers z_k of the trap in this
    cycle and z_c of the cell. Reads see G - sum_k a_k (b_k - b_k at the moment of programming).
    A share of the traps, given by ``raising``, increases the conductance when occupied instead.

    Parameters
    ----------
    time_constants
        Edges (s) of the K adjacent intervals of time constants at 300 K, ascending, (K + 1,).
    spectrum
        d_k, relative amplitudes of the traps, (K,), or one for all.
    conductance
        Nodes (S) of the amplitude A(G), ascending, (n,).
    amplitude
        A (S) at the nodes, (n,); linear between them, constant outside.
    raising
        Probability at the nodes that a trap raises the conductance when it is occupied, (n,), or
        one for all; between them and outside as the amplitude.
    trap_spread
        s, spread of the amplitudes of traps: standard deviation of their natural logarithm.
    cell_spread
        s_c, the same of cells.
    initial_occupancy
        p_0, probability that a trap is occupied right after a switching event, (K,), or one for
        all.
    occupancy
        q, the same in equilibrium.
    attempt_time
        Attempt time tau_0 (s) of all traps, below all time constants.

    Raises
    ------
    InvalidValueError
        A number is out of range, or a shape is wrong.

    Examples
    --------
    >>> traps = sf.model.Traps([1e-3, 1.0, 1e3], 0.5, [0.0], [5e-6])
    >>> cells = sf.CellArray(sf.load_model().replace(traps=traps), 4, seed=1)
    >>> cells.wait(60.0).conductance().shape
    (4,)
    """

    time_constants: FloatArray
    spectrum: FloatArray
    conductance: FloatArray
    amplitude: FloatArray
    raising: FloatArray
    trap_spread: float
    cell_spread: float
    initial_occupancy: FloatArray
    occupancy: FloatArray
    attempt_time: float

    def __init__(
        self,
        time_constants: npt.ArrayLike,
        spectrum: npt.ArrayLike,
        conductance: npt.ArrayLike,
        amplitude: npt.ArrayLike,
        *,
        raising: npt.ArrayLike = 0.0,
        trap_spread: SupportsFloat = 0.5,
        cell_spread: SupportsFloat = 0.0,
        initial_occupancy: npt.ArrayLike = 0.5,
        occupancy: npt.ArrayLike = 0.5,
        attempt_time: SupportsFloat = 1e-13,
    ) -> None:
        edges = numbers("time_constants", time_constants, (None,))
        count = len(edges) - 1
        if not 1 <= count <= MAX_TRAPS:
            raise InvalidValueError(
                f"time_constants: expected 2 to {MAX_TRAPS + 1} edges, found {count + 1}"
            )
        nodes = numbers("conductance", conductance, (None,))
        freeze(
            self,
            time_constants=edges,
            spectrum=_for_each("spectrum", spectrum, count),
            conductance=nodes,
            amplitude=numbers("amplitude", amplitude, (len(nodes),)),
            raising=_for_each("raising", raising, len(nodes)),
            trap_spread=checks.number("trap_spread", trap_spread, minimum=0.0, maximum=3.0),
            cell_spread=checks.number("cell_spread", cell_spread, minimum=0.0, maximum=3.0),
            initial_occupancy=_for_each("initial_occupancy", initial_occupancy, count),
            occupancy=_for_each("occupancy", occupancy, count),
            attempt_time=checks.positive("attempt_time", attempt_time),
        )
        self._check()

    def _check(self) -> None:
        if not (self.time_constants[0] > 0.0 and (np.diff(self.time_constants) > 0.0).all()):
            raise InvalidValueError("time_constants: expected ascending times above 0 s")
        if len(self.conductance) > MAX_NODES:
            raise InvalidValueError(f"conductance: expected up to {MAX_NODES} nodes")
        if not (self.conductance[0] >= 0.0 and (np.diff(self.conductance) > 0.0).all()):
            raise InvalidValueError("conductance: expected ascending conductances from 0 S on")
        for name in ("spectrum", "amplitude"):
            if not (getattr(self, name) >= 0.0).all():
                raise InvalidValueError(f"{name}: expected numbers from 0 on")
        for name in ("raising", "initial_occupancy", "occupancy"):
            found = getattr(self, name)
            if not ((found >= 0.0) & (found <= 1.0)).all():
                raise InvalidValueError(f"{name}: expected probabilities, 0 to 1")
        if not self.attempt_time < self.time_constants[0]:
            raise InvalidValueError(
                f"attempt_time: expected less than the shortest time constant, "
                f"{self.time_constants[0]:g} s, found {self.attempt_time:g} s"
            )

    @property
    def count(self) -> int:
        """Number of traps of a cell, K."""
        return len(self.spectrum)

    def amplitude_at(self, g: npt.ArrayLike) -> FloatArray:
        """Return A(G) (S) at conductances ``g`` (S)."""
        given = checks.real_array("g", g).astype(np.float64)
        return np.asarray(np.interp(given, self.conductance, self.amplitude))

    def raising_at(self, g: npt.ArrayLike) -> FloatArray:
        """Return the share of traps that raise the conductance at conductances ``g`` (S)."""
        given = checks.real_array("g", g).astype(np.float64)
        return np.asarray(np.interp(given, self.conductance, self.raising))

    def times_at(self, temperature: SupportsFloat = NOMINAL_TEMPERATURE) -> FloatArray:
        """Return the edges (s) of the intervals of time constants at a temperature (K)."""
        kelvin = checks.positive("temperature", temperature)
        with np.errstate(over="ignore"):  # infinite in the cold
            ratio = (self.time_constants / self.attempt_time) ** (NOMINAL_TEMPERATURE / kelvin)
        return np.asarray(self.attempt_time * ratio)

    @property
    def activation_energy(self) -> FloatArray:
        """Activation energies (eV) at the edges of the intervals, (K + 1,)."""
        return np.asarray(
            BOLTZMANN_EV * NOMINAL_TEMPERATURE * np.log(self.time_constants / self.attempt_time)
        )

    # ---- closed forms: averages over cells and over the time constants within each interval ------

    def remaining(
        self, seconds: npt.ArrayLike, temperature: SupportsFloat = NOMINAL_TEMPERATURE
    ) -> FloatArray:
        """Return the mean of exp(-t / tau) of each trap at times (s), (…, K)."""
        from scipy.special import exp1

        t = checks.real_array("seconds", seconds).astype(np.float64)[..., None]
        edges = self.times_at(temperature)
        # Integral of exp(-t / tau) over ln tau: E1(t / tau_high) - E1(t / tau_low).
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (exp1(t / edges[1:]) - exp1(t / edges[:-1])) / np.log(edges[1:] / edges[:-1])
        return np.asarray(np.where(t > 0.0, part, 1.0))

    def mean_change(
        self,
        seconds: npt.ArrayLike,
        g: npt.ArrayLike,
        temperature: SupportsFloat = NOMINAL_TEMPERATURE,
    ) -> FloatArray:
        """Return the mean change (S) of conductances ``g`` (S) a time after programming.

        ``seconds`` and ``g`` broadcast. Clamping to physical conductances is not included.
        """
        moved = 1.0 - self.remaining(seconds, temperature)
        # The mean of exp(s z - s**2) is exp(-s**2 / 2).
        mean = self.spectrum * math.exp(-0.5 * (self.trap_spread**2 + self.cell_spread**2))
        shift = (moved * (self.occupancy - self.initial_occupancy) * mean).sum(axis=-1)
        return np.asarray((2.0 * self.raising_at(g) - 1.0) * self.amplitude_at(g) * shift)

    def autocovariance(
        self, lag: npt.ArrayLike, g: npt.ArrayLike, temperature: SupportsFloat = NOMINAL_TEMPERATURE
    ) -> FloatArray:
        """Return the autocovariance (S**2) of conductances ``g`` (S) in equilibrium at lags (s).

        ``lag`` and ``g`` broadcast.
        """
        lags = np.abs(checks.real_array("lag", lag).astype(np.float64))
        each = self.spectrum**2 * self.occupancy * (1.0 - self.occupancy)
        return np.asarray(
            self.amplitude_at(g) ** 2 * (self.remaining(lags, temperature) * each).sum(-1)
        )

    def spectral_density(
        self,
        frequency: npt.ArrayLike,
        g: npt.ArrayLike,
        temperature: SupportsFloat = NOMINAL_TEMPERATURE,
    ) -> FloatArray:
        """Return the one-sided spectral density (S**2/Hz) of conductances (S) in equilibrium.

        ``frequency`` (Hz) and ``g`` broadcast. A trap contributes
        4 a**2 q (1 - q) tau / (1 + (2 pi f tau)**2), averaged over its tau.
        """
        return np.asarray(self.amplitude_at(g) ** 2 * self.unit_density(frequency, temperature))

    def unit_density(
        self, frequency: npt.ArrayLike, temperature: SupportsFloat = NOMINAL_TEMPERATURE
    ) -> FloatArray:
        """Return the spectral density (1/Hz) of the conductance divided by A(G)**2."""
        omega = 2.0 * np.pi * checks.real_array("frequency", frequency).astype(np.float64)
        if not (omega > 0.0).all():
            raise InvalidValueError("frequency: expected frequencies above 0 Hz")
        edges, omega = self.times_at(temperature), omega[..., None]
        angle = np.arctan(omega * edges[1:]) - np.arctan(omega * edges[:-1])
        each = self.spectrum**2 * self.occupancy * (1.0 - self.occupancy)
        mean = 4.0 * angle / (omega * np.log(edges[1:] / edges[:-1]))
        return np.asarray((mean * each).sum(axis=-1))


def _for_each(name: str, value: npt.ArrayLike, count: int) -> FloatArray:
    """Return one number for each trap or node; one number counts for all."""
    found = checks.real_array(name, value)
    return numbers(name, np.full(count, found) if found.ndim == 0 else found, (count,))
