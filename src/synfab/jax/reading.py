"""Currents of the cells of a chip, and of the rows of a crossbar, with read noise."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.types import ArrayLike
from synfab.jax.arguments import Array, floats_of, voltages_of, word_of
from synfab.jax.chip import Chip, check_chip
from synfab.model.cell_model import CellModel
from synfab.physics import drawing, rules
from synfab.physics.noise import NoiseTerm, ReadNoise, noisy_current, read_normals
from synfab.random.jax_backend import full_products
from synfab.random.streams import Stream

Terms = tuple[NoiseTerm, ...]


def advance(chip: Chip, *, reads: int = 0, readouts: int = 0) -> Chip:
    """Return the chip with its numbers of reads and readouts increased, for new noise.

    Pure functions cannot count: ``read`` and ``matvec`` of one chip always have the same noise.

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.fabricate(model, 8, seed=1)
    >>> first = sf.jax.read(model, chip)
    >>> second = sf.jax.read(model, sf.jax.advance(chip, reads=1))
    >>> bool((first == second).any())
    False
    """
    checks.instance("chip", chip, Chip)
    more = (checks.word("reads", reads), checks.word("readouts", readouts))
    now = (chip.read_number, chip.readout_number)
    # Words: they wrap around at 2**32, as in the noise generator.
    read_number, readout_number = (
        jnp.asarray(number, np.uint32) + np.uint32(count)
        for number, count in zip(now, more, strict=True)
    )
    return chip._replace(read_number=read_number, readout_number=readout_number)


def current(model: CellModel, chip: Chip, u: Array | ArrayLike) -> Array:
    """Return the noise-free current (A) of every cell at ``u`` (V).

    Examples
    --------
    >>> model = sf.load_model()
    >>> sf.jax.current(model, sf.jax.fabricate(model, 8, seed=1), 0.2).shape
    (8,)
    """
    volts = voltages_of(u, check_chip(model, chip))
    found: Array = _current(model, chip.seen, volts)
    return found


_current = partial(jax.jit, static_argnums=0)(rules.current)


def read(
    model: CellModel,
    chip: Chip,
    u: Array | ArrayLike = 0.2,
    *,
    number: int | Array | None = None,
    bandwidth: float = 1e8,
) -> Array:
    """Return the current (A) of every cell at ``u`` (V), with Johnson and shot noise.

    Equal ``number`` of the read, equal noise; None: the chip's ``read_number``, which ``advance``
    counts up. ``bandwidth`` is in Hz.
    """
    volts = voltages_of(u, check_chip(model, chip))
    noise = ReadNoise.of_bandwidth(bandwidth)
    index = chip.read_number if number is None else word_of("number", number)
    found: Array = _read(model, noise.terms, chip, volts, index, noise.coefficients)
    return found


@partial(jax.jit, static_argnums=(0, 1))
def _read(
    model: CellModel,
    terms: Terms,
    chip: Chip,
    u: Array,
    number: Array,
    coefficients: tuple[Array, ...],
) -> Array:
    low, high = chip.devices.number
    counter = ((low >> 2) | (high << 30), high >> 2)
    z = read_normals(chip.devices.seed, counter, low * 0 + number, low & 3)
    return noisy_current(model, terms, chip.seen, u, z, coefficients)


def matvec(
    model: CellModel,
    chip: Chip,
    v: Array | ArrayLike,
    *,
    number: int | Array | None = None,
    noise: bool = True,
    bandwidth: float = 1e8,
) -> Array:
    """Return the row currents (A) of a crossbar with ideal wires, as ``CellArray.matvec`` does.

    Parameters
    ----------
    chip
        Of shape (rows, columns).
    v
        Voltage of each column (V), (columns,), or (columns, B) for B input vectors.
    number
        Number of the first input vector; None: the chip's ``readout_number``, which ``advance``
        counts up.
    noise
        Johnson and shot noise of every cell, summed in each row.
    bandwidth
        Hz.

    Returns
    -------
    array
        float32, (rows,) or (rows, B).

    Examples
    --------
    >>> model = sf.load_model()
    >>> chip = sf.jax.fabricate(model, (2, 3), seed=1)
    >>> sf.jax.matvec(model, chip, [0.2, 0.2, 0.0]).shape
    (2,)
    """
    shape = check_chip(model, chip)
    if len(shape) != 2:
        raise InvalidValueError(f"chip: expected shape (rows, columns), found {shape}")
    volts = floats_of("v", v)
    if volts.ndim not in (1, 2) or volts.shape[0] != shape[1] or volts.size == 0:
        raise InvalidValueError(
            f"v: expected shape ({shape[1]},) or ({shape[1]}, B), found {volts.shape}"
        )
    if isinstance(volts, np.ndarray) and not np.isfinite(volts).all():
        raise InvalidValueError("v: expected finite voltages, found NaN or infinity")
    kind = ReadNoise.of_bandwidth(bandwidth)
    terms = kind.terms if checks.flag("noise", noise) else ()
    index = chip.readout_number if number is None else word_of("number", number)
    batch = volts.reshape(shape[1], -1).T
    found: Array = _matvec(model, terms, chip, batch, index, kind.coefficients)
    return found[:, 0] if volts.ndim == 1 else found


@partial(jax.jit, static_argnums=(0, 1))
@full_products
def _matvec(
    model: CellModel,
    terms: Terms,
    chip: Chip,
    batch: Array,
    number: Array,
    coefficients: tuple[Array, ...],
) -> Array:
    q_low, q = static_conductances(model, batch)
    r = chip.seen
    result = (batch * q_low).sum(axis=1, keepdims=True) - (batch * q) @ r.T
    if terms:
        noise = ReadNoise(terms, coefficients)
        unit = sum(coefficients)
        factors = (q_low, q)
        variance = row_variances(noise.scaled(unit), batch, factors, r)
        rows = np.arange(r.shape[0], dtype=np.uint32)
        z = readout_normals(chip.devices.seed, (rows, rows * 0), number, len(batch))
        result += jnp.sqrt(jnp.maximum(variance, 0.0) * unit) * z
    return result.T


# ---- products -----------------------------------------------------------------------------------


def static_conductances(model: CellModel, v: Array) -> tuple[Array, Array]:
    """Return q_L = P_LLRS(v) / v and q = (P_LLRS - P_HHRS)(v) / v, in S.

    A cell in the state r carries v (q_L - r q).
    """
    conduction = model.conduction
    llrs, hhrs = conduction.padded
    inside = jnp.clip(v, *(np.float32(end) for end in conduction.voltage_range))
    return (
        drawing.polynomial(llrs[:-1], inside),
        drawing.polynomial((llrs - hhrs)[:-1], inside),
    )


def row_variances(noise: ReadNoise, v: Array, factors: tuple[Array, Array], r: Array) -> Array:
    """Return the variance of row currents, (B, rows), in units of that of ``noise``.

    Parameters
    ----------
    noise
        Scaled, so that sums do not leave the range of float32.
    v, factors
        Voltages (B, columns), and their ``static_conductances``.
    r
        Mixing states, (rows, columns).
    """
    q_low, q = factors
    if noise.linear:
        factor = noise.variance(1.0, v)
        return (factor * q_low).sum(axis=1, keepdims=True) - (factor * q) @ r.T

    def of_vector(v: Array, q_low: Array, q: Array) -> Array:
        return noise.at_voltage(q_low - q * r, v).sum(axis=1)

    return jax.vmap(of_vector)(v, q_low, q)


def readout_normals(
    seed: tuple[Array, Array], rows: tuple[Array, Array], number: Array, count: int
) -> Array:
    """Return the normal numbers of ``count`` consecutive readouts, (count, rows)."""
    index = jnp.arange(count, dtype=np.uint32)[:, None] + jnp.asarray(number, np.uint32)
    cells = (jnp.asarray(rows[0])[None, :], jnp.asarray(rows[1])[None, :])
    return drawing.draw_normals(seed, cells, index, Stream.READOUT_NOISE)[0]
