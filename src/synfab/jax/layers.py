"""Linear layers of Equinox whose weights are cells."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Self, TypeAlias, Unpack, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import GridShape, PathLike
from synfab.jax.arguments import Array, floats_of, word_of
from synfab.jax.chip import Chip, fabricate_numbered
from synfab.jax.options import LinearOptions, check_names
from synfab.jax.programming import Programmed, set_conductance, write_verify
from synfab.jax.readout import Readout, outputs
from synfab.jax.words import Words
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.physics.noise import ReadNoise
from synfab.programming.pairs import check_bits, check_window, normalised
from synfab.programming.pulser import DURATION
from synfab.programming.tiles import pair_numbers
from synfab.programming.write_verify import MAX_PASSES, RETRIES
from synfab.random.streams import MAX_SEED, check_seed

Method: TypeAlias = Literal["ideal", "write-verify"]


class Mapped(NamedTuple):
    """How weights are mapped to conductances; see ``CrossbarLinear``."""

    g_window: tuple[float, float]
    weight_range: float | None
    bits: int | None


@no_array("layer.weight, layer.cell_weight or layer(x)")
class CrossbarLinear(eqx.Module):
    """``equinox.nn.Linear`` on differential pairs of virtual cells.

    The outputs are those of ``synfab.torch.CrossbarLinear`` with the same seed, weights and
    options, noise included. A layer is immutable. After an update of ``weight`` the cells still
    hold the earlier weights; ``program`` returns a layer whose cells hold the present ones.

    Parameters
    ----------
    in_features, out_features, use_bias, key
        As in ``equinox.nn.Linear``; ``key`` draws the initial weights.
    model
        Technology: a ``CellModel``, ``"published"``, or the path of a model file.
    seed
        Seed of the chip, 0 … 2**64 - 1.
    first_cell
        Number of the layer's first cell on the chip; ``convert`` assigns consecutive numbers.
    tile
        Maximum (rows, columns) of a crossbar; it determines which cell holds which weight.
    g_window
        Conductances (g_min, g_max) that weights are mapped to, S; None: those that nearly every
        device reaches.
    weight_range
        Weight that is mapped to the whole window; None: the largest magnitude of each output.
    bits
        Each cell is programmed to one of 2**bits levels; None: to any conductance.
    input_range
        Input that is applied as ``read_voltage``; larger inputs are clipped. None: the largest
        magnitude of each input vector.
    read_voltage
        V.
    dac
        Bits of the converters that drive the columns; None: no converters.
    noise, bandwidth
        Whether readouts have Johnson and shot noise, and their bandwidth, Hz.
    order
        Of the history; None: the model's highest.

    Attributes
    ----------
    weight, bias
        Parameters; gradients are those of a linear layer with the weights that the cells hold.
    readout_number
        Number of the next input vector, which determines its noise; ``advance`` counts it up.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.

    Examples
    --------
    >>> layer = sf.jax.CrossbarLinear(16, 8, seed=1, order=1, key=jax.random.key(0))
    >>> layer(np.ones((5, 16))).shape
    (5, 8)
    """

    weight: Array
    bias: Array | None
    readout_number: Array
    # The cells and the weight ranges, as words, so that no optimizer changes them.
    words: Words = eqx.field(repr=False)
    in_features: int = eqx.field(static=True)
    out_features: int = eqx.field(static=True)
    model: CellModel = eqx.field(static=True, repr=False)
    first_cell: int = eqx.field(static=True)
    mapped: Mapped = eqx.field(static=True)
    readout: Readout = eqx.field(static=True, repr=False)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        use_bias: bool = True,
        *,
        key: Array,
        model: CellModel | PathLike = "published",
        seed: int,
        first_cell: int = 0,
        tile: GridShape = (256, 256),
        g_window: tuple[float, float] | None = None,
        weight_range: float | None = None,
        bits: int | None = None,
        input_range: float | None = None,
        read_voltage: float = 0.2,
        dac: int | None = None,
        noise: bool = True,
        bandwidth: float = 1e8,
        order: int | None = None,
    ) -> None:
        self.model = load_model(model)
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        shape = (self.out_features, self.in_features)
        size = 2 * math.prod(shape)
        self.first_cell = checks.integer("first_cell", first_cell, 0, MAX_SEED - size)
        self.mapped = Mapped(
            check_window(self.model, g_window),
            _positive_or_none("weight_range", weight_range),
            check_bits("bits", bits),
        )
        width = checks.number("bandwidth", bandwidth, minimum=0.0)
        used = ReadNoise.of_bandwidth(width) if checks.flag("noise", noise) else None
        self.readout = Readout(
            checks.positive("read_voltage", read_voltage),
            _positive_or_none("input_range", input_range),
            check_bits("dac", dac),
            used,
        )
        number = pair_numbers(shape, tile) + np.uint64(self.first_cell)
        depth = self.model.history(order).order
        self.weight, self.bias = _initial(shape, key, checks.flag("use_bias", use_bias))
        self.readout_number = jnp.uint32(0)
        chip = fabricate_numbered(self.model, number, check_seed(seed), depth)
        self.words = self._ideal(chip)

    # ---- Equinox --------------------------------------------------------------------------------

    @classmethod
    def from_equinox(cls, linear: eqx.nn.Linear, **options: Unpack[LinearOptions]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of a layer of Equinox.

        Options are those of the class; ``seed`` is required.
        """
        checks.instance("linear", linear, eqx.nn.Linear, "an equinox.nn.Linear")
        inputs, outputs_ = linear.in_features, linear.out_features
        if not isinstance(inputs, int) or not isinstance(outputs_, int):
            raise InvalidValueError("linear: expected numbers of features, found a scalar")
        check_names(options)
        made = cls(inputs, outputs_, linear.use_bias, key=jax.random.key(0), **options)
        return made.with_weights(linear.weight, linear.bias).program("ideal")[0]

    def to_equinox(self) -> eqx.nn.Linear:
        """Return a layer of Equinox with the weights that the cells hold, and the bias."""
        made = eqx.nn.Linear(
            self.in_features, self.out_features, self.bias is not None, key=jax.random.key(0)
        )
        found: eqx.nn.Linear = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            made,
            (self.cell_weight, self.bias),
            is_leaf=lambda part: part is None,
        )
        return found

    # ---- cells ----------------------------------------------------------------------------------

    @property
    def chip(self) -> Chip:
        """The cells, of shape (2, out_features, in_features): G+ and G-."""
        found: Chip = self.words.value[0]
        return found

    @property
    def cell_weight(self) -> Array:
        """Weights that the cells hold, read without noise at U_0, (out_features, in_features)."""
        chip, largest = self.words.value
        siemens = (chip.seen[1] - chip.seen[0]) * self.model.conduction.g_span
        found: Array = siemens * self._weight_per_siemens(largest)
        return found

    def _weight_per_siemens(self, largest: Array) -> Array:
        """Return the weight of 1 S for each output, (out_features, 1)."""
        low, high = self.mapped.g_window
        return largest[:, None] / np.float32(high - low)

    def with_weights(self, weight: Array, bias: Array | None) -> Self:
        """Return the layer with other parameters, whose cells have not changed."""
        parts: list[Array | None] = []
        for name, value, now in (("weight", weight, self.weight), ("bias", bias, self.bias)):
            if value is None and now is None:
                parts.append(None)
                continue
            given = floats_of(name, value)
            if now is None or given.shape != now.shape:
                wanted = "none" if now is None else str(now.shape)
                raise InvalidValueError(f"{name}: expected {wanted}, found shape {given.shape}")
            parts.append(jnp.asarray(given))
        changed: Self = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias), self, tuple(parts),
            is_leaf=lambda part: part is None,
        )  # fmt: skip
        return changed

    def targets(self) -> tuple[Array, Array]:
        """Return the conductances of G+ and G- for the present weights, S, and weight ranges.

        The shapes are (2, out_features, in_features) and (out_features,).
        """
        largest, (low, high) = self.mapped.weight_range, self.mapped.g_window
        if largest is None:
            found = jnp.abs(self.weight).max(axis=1)
            ranges = jnp.where(found > 0.0, found, 1.0)
        else:
            ranges = jnp.full(self.out_features, np.float32(largest))
        part = self.weight / ranges[:, None]
        levels = jnp.clip(jnp.stack([part, -part]), 0.0, 1.0)
        if self.mapped.bits is not None:
            top = 2**self.mapped.bits - 1
            levels = jnp.round(levels * top) / top
        return low + (high - low) * levels, ranges

    def _ideal(self, chip: Chip) -> Words:
        siemens, ranges = self.targets()
        return Words.of((set_conductance(self.model, chip, siemens), ranges))

    def program(
        self,
        method: Method = "write-verify",
        *,
        tolerance: float | None = None,
        retries: int = RETRIES,
        max_passes: int = MAX_PASSES,
        duration: float = DURATION,
    ) -> tuple[Self, Programmed | None]:
        """Return a layer whose cells are programmed to the present ``weight``, and the result.

        ``"ideal"`` sets the cells without pulses, and has no result; ``"write-verify"`` takes the
        other arguments, as ``write_verify`` does. Both can be compiled; compiled functions cannot
        raise errors, and clip weights beyond a ``weight_range``.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            An argument is not allowed, or a weight is not finite, or beyond a ``weight_range``.
        """
        checks.choice("method", method, get_args(Method))
        if not isinstance(self.weight, jax.core.Tracer):
            largest = np.inf if self.mapped.weight_range is None else self.mapped.weight_range
            normalised(np.asarray(self.weight), np.asarray(largest))
        if method == "ideal":
            return self._with(self._ideal(self.chip)), None
        siemens, ranges = self.targets()
        chip, result = write_verify(
            self.model, self.chip, siemens, tolerance=tolerance, retries=retries,
            max_passes=max_passes, duration=duration,
        )  # fmt: skip
        return self._with(Words.of((chip, ranges))), result

    def _with(self, words: Words) -> Self:
        changed: Self = eqx.tree_at(lambda layer: layer.words, self, words)
        return changed

    def advance(self, readouts: int) -> Self:
        """Return a layer whose next readouts have other noise: their numbers are higher."""
        number = self.readout_number + np.uint32(checks.word("readouts", readouts))
        changed: Self = eqx.tree_at(lambda layer: layer.readout_number, self, number)
        return changed

    # ---- reading --------------------------------------------------------------------------------

    def __call__(
        self, x: Array, *, number: int | Array | None = None, key: Array | None = None
    ) -> Array:
        """Multiply (…, in_features) with the cells' weights and add the bias: (…, out_features).

        Input vectors are consecutive readouts, and those of a batch mapped with ``vmap``, too.

        Parameters
        ----------
        number
            Number of the first readout; None: ``readout_number``.
        key
            Not used, as in ``equinox.nn.Linear``.
        """
        x = jnp.asarray(floats_of("x", x))
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise InvalidValueError(f"x: expected (…, {self.in_features}), found {x.shape}")
        index = self.readout_number if number is None else word_of("number", number)
        chip, largest = self.words.value
        vectors = x.reshape(-1, self.in_features)
        read = outputs(
            self.model, self.readout, self.first_cell, jax.lax.stop_gradient(vectors), index,
            chip.devices.seed, chip.seen, self._weight_per_siemens(largest)[:, 0],
        )  # fmt: skip
        y = straight_through(vectors, self.weight, self.cell_weight, read)
        y = y.reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias


def _read_only(x: Array, weight: Array, held: Array, read: Array) -> Array:
    """Return ``read``, with the derivatives of a linear layer with the weights ``held``."""
    return read


def _linear(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    x, _, held, read = primals
    dx, dw, *_ = tangents
    return read, dx @ held.T + x @ dw.T


straight_through = jax.custom_jvp(_read_only)
straight_through.defjvp(_linear)


def _initial(shape: tuple[int, int], key: Array, use_bias: bool) -> tuple[Array, Array | None]:
    """Return initial weights and bias, as those of ``equinox.nn.Linear``."""
    try:
        plain = eqx.nn.Linear(shape[1], shape[0], use_bias, key=key)
    except (TypeError, ValueError, AttributeError):
        raise InvalidTypeError(
            f"key: expected a key of JAX, as jax.random.key(0) returns, found {checks.kind_of(key)}"
        ) from None
    return plain.weight, plain.bias


def _positive_or_none(name: str, value: float | None) -> float | None:
    return None if value is None else checks.positive(name, value)
