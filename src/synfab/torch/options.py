"""Options of layers on cells and of programming: their types, and one place that checks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Required, Self, TypeAlias, TypedDict, cast, get_args

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.common.types import Array, GridShape, HistoryName, PathLike, ProgramMethod
from synfab.engines.registry import check_engine
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.network.wires import Resistance
from synfab.programming.pairs import check_bits, check_window
from synfab.programming.tiles import check_size
from synfab.random.streams import MAX_SEED, check_seed
from synfab.torch import presets
from synfab.torch.slicing import check_input_slices, check_weight_slices

WireModel: TypeAlias = Literal["solve", "transfer"]
Scale: TypeAlias = Literal["layer", "output", "tile"]
TrainingScale: TypeAlias = Literal["layer", "output"]
InputScale: TypeAlias = Literal["vector", "tile"]
MappingName: TypeAlias = Literal["differential", "offset"]
MethodName: TypeAlias = Literal["ideal", "refresh"] | ProgramMethod
ModelLike: TypeAlias = CellModel | PathLike
CheckedResistance: TypeAlias = float | Array | tuple[float | Array, float | Array]


class ProgramOptions(TypedDict, total=False):
    """Options of programming, as in ``Crossbar.program``.

    Attributes
    ----------
    tolerance, retries, max_passes
        Of ``"write-verify"`` and ``"refresh"``.
    step
        Of ``"open-loop"``, V.
    duration
        Of each pulse, s.
    """

    tolerance: float | None
    retries: int
    max_passes: int
    step: float
    duration: float


class SharedLayerOptions(TypedDict, total=False):
    """Options that all layers of a network may share; ``LayerOptions`` describes them.

    ``preset`` is a name of ``synfab.torch.presets``, whose options apply where none are given.
    """

    preset: str
    tile: GridShape
    g_window: tuple[float, float] | None
    weight_range: float | None
    scale: Scale
    bits: int | None
    slices: int
    mapping: MappingName
    input_range: float | None
    input_scale: InputScale
    input_bits: int | None
    read_voltage: float
    dac: int | None
    adc: int | tuple[int, float] | None
    noise: bool
    bandwidth: float
    wire_resistance: Resistance
    wire_model: WireModel
    linear: bool
    order: int | None
    engine: str
    history: HistoryName
    device: object  # of PyTorch or JAX, or its name


class LayerOptionsDict(SharedLayerOptions, total=False):
    """Keyword arguments of a layer on cells; ``LayerOptions`` describes them."""

    model: ModelLike
    seed: Required[int]
    first_cell: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerOptions:
    """Options of a layer on cells, checked; immutable.

    A layer keeps them as ``layer.options``. To read a layer in another way, such as without noise,
    assign ``layer.options = dataclasses.replace(layer.options, noise=False)``.

    Parameters
    ----------
    model
        ``CellModel``; layers also accept ``"published"`` (their default) or the path of a model
        file.
    seed
        Seed of the chip, 0 … 2**64 - 1; required.
    first_cell
        Number of the layer's first cell on the chip, 0. ``convert`` assigns consecutive numbers to
        the layers of a network.
    tile
        Maximum (rows, columns) of cells in a crossbar, (256, 256); each output takes two rows.
    g_window
        Conductances (g_min, g_max) that weights are mapped to, S. Layers accept None (their
        default) for ``default_window``.
    weight_range
        Weight that is mapped to the whole window; None (default): the largest magnitude at each
        programming.
    scale
        Whether there is one weight range per ``"output"`` (default), one per ``"layer"``, or one
        per ``"tile"``: of each output in each block of columns. With one per layer, a single weight
        much larger than all others leaves them a small part of the window. A given
        ``weight_range`` is that of all outputs.
    bits
        Each cell is programmed to one of 2**bits levels; None (default): to any conductance.
    slices
        Number of cells, or of pairs, that hold a weight as digits of ``bits`` bits, the most
        significant first, 1. The converted currents are shifted and added.
    mapping
        ``"differential"`` (default), a weight is the difference of two cells, whose currents are
        subtracted before conversion; ``"offset"``, a weight is one cell, and the converted current
        of a reference row of the tile at the middle of the window is subtracted.
    input_range
        Input that is applied as ``read_voltage``; larger inputs are clipped. None (default): the
        largest magnitude of each input vector.
    input_scale
        Without an ``input_range``, whether each input ``"vector"`` has one range (default), or
        each part of it that drives a ``"tile"``.
    input_bits
        Bits of the magnitude of inputs that are sent as slices of ``dac`` bits one after another,
        the most significant first; the sign is the polarity of the voltage. Each slice is read
        with noise and conversion of its own. None (default): inputs are sent at once.
    read_voltage
        V, 0.2.
    dac
        Bits of the converters that drive the columns, from minus to plus ``read_voltage``, or with
        ``input_bits`` of each slice, from 0; None (default): no converters.
    adc
        Bits of the converter of each pair of rows in a tile (with offset mapping, of each row);
        None (default): no converters. Layers also accept (bits, adc_range).
    adc_range
        Largest current of these converters, A; None (default): from the conductances of the cells,
        see ``calibrate``.
    noise
        Whether every forward pass has read noise, True.
    bandwidth
        Bandwidth of a readout, Hz, 1e8.
    wire_resistance
        Ohm per segment as in ``Crossbar``; 0 (default): ideal wires.
    wire_model
        How nonlinear cells behind wires are read: ``"solve"`` (default), the network is solved for
        every input vector; ``"transfer"``, one matrix per tile is computed after each programming,
        and the nonlinearity is corrected to first order. Cells with ``linear`` always have a
        matrix, which is exact.
    linear
        Whether cells are resistors with their conductance at U_0, False.
    order, engine, history, device
        Of the cells, as in ``CellArray``; the layer's own tensors move with ``.to``.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An option is not allowed.
    """

    model: CellModel
    seed: int
    g_window: tuple[float, float]
    first_cell: int = 0
    tile: GridShape = (256, 256)
    weight_range: float | None = None
    scale: Scale = "output"
    bits: int | None = None
    slices: int = 1
    mapping: MappingName = "differential"
    input_range: float | None = None
    input_scale: InputScale = "vector"
    input_bits: int | None = None
    read_voltage: float = 0.2
    dac: int | None = None
    adc: int | None = None
    adc_range: float | None = None
    noise: bool = True
    bandwidth: float = 1e8
    wire_resistance: CheckedResistance = 0.0
    wire_model: WireModel = "solve"
    linear: bool = False
    order: int | None = None
    engine: str = "auto"
    history: HistoryName = "float32"
    device: object = None

    def __post_init__(self) -> None:
        checks.instance("model", self.model, CellModel)
        check_engine(self.engine, self.history)
        if self.order is not None:
            self.model.history(self.order)
        checks.freeze(
            self,
            seed=check_seed(self.seed),
            first_cell=checks.integer("first_cell", self.first_cell, 0, MAX_SEED),
            tile=check_size(self.tile),
            g_window=check_window(self.model, self.g_window),
            weight_range=positive_or_none("weight_range", self.weight_range),
            scale=checks.choice("scale", self.scale, get_args(Scale)),
            bits=check_bits("bits", self.bits),
            slices=checks.count("slices", self.slices),
            mapping=checks.choice("mapping", self.mapping, get_args(MappingName)),
            input_range=positive_or_none("input_range", self.input_range),
            input_scale=checks.choice("input_scale", self.input_scale, get_args(InputScale)),
            input_bits=check_bits("input_bits", self.input_bits),
            read_voltage=checks.positive("read_voltage", self.read_voltage),
            dac=check_bits("dac", self.dac),
            adc=check_bits("adc", self.adc),
            adc_range=positive_or_none("adc", self.adc_range),
            noise=checks.flag("noise", self.noise),
            bandwidth=checks.number("bandwidth", self.bandwidth, minimum=0.0),
            wire_resistance=check_resistance(self.wire_resistance),
            wire_model=checks.choice("wire_model", self.wire_model, get_args(WireModel)),
            linear=checks.flag("linear", self.linear),
        )
        check_weight_slices(self.mapping, self.bits, self.slices, self.tile)
        check_input_slices(self.input_bits, self.dac)
        if self.input_scale == "tile" and self.input_range is not None:
            raise InvalidValueError("input_scale: expected vector with an input_range")

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Self:
        """Return the options that keyword arguments (``LayerOptionsDict``) describe.

        ``preset`` is a name of ``synfab.torch.presets``; other arguments have precedence.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            An option is missing, unknown or not allowed.
        """
        if "seed" not in checks.mapping("options", options):
            raise InvalidTypeError("seed: expected the seed of a chip, found nothing")
        check_names(options)
        named = presets.load(options["preset"]) if "preset" in options else {}  # type: ignore[arg-type]
        named |= {name: value for name, value in options.items() if name != "preset"}
        given = cast(LayerOptionsDict, named)
        model = load_model(given.get("model", "published"))
        window = check_window(model, given.get("g_window"))
        adc, adc_range = bits_and_range(given.get("adc"))
        found: dict[str, Any] = {**given, "model": model, "g_window": window}
        return cls(**{**found, "adc": adc, "adc_range": adc_range})


def check_names(names: Iterable[object]) -> None:
    """Raise unless all names are those of options of a layer."""
    known = LayerOptionsDict.__annotations__
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InvalidTypeError(
                f"{name if isinstance(name, str) else checks.shown(name)}: not an option of a "
                f"layer; expected one of {', '.join(known)}"
            )


def check_resistance(resistance: object) -> CheckedResistance:
    """Return ohm per segment, a number or an array, or a pair of them, as for ``Crossbar``."""
    if not isinstance(resistance, tuple):
        return _number_or_array(resistance)
    if len(resistance) != 2 or any(isinstance(part, tuple) for part in resistance):
        raise InvalidValueError(
            "wire_resistance: expected a number or a pair (rows, columns) of numbers or arrays"
        )
    return _number_or_array(resistance[0]), _number_or_array(resistance[1])


def _number_or_array(resistance: object) -> float | Array:
    found = checks.real_array("wire_resistance", resistance)
    return found if found.ndim else float(found)


def bits_and_range(adc: int | tuple[int, float] | None) -> tuple[int | None, float | None]:
    """Return the bits of a converter and its range, as given, from either form of ``adc``."""
    if not isinstance(adc, (tuple, list)):
        return adc, None
    if len(list(adc)) != 2:
        raise InvalidValueError(f"adc: expected bits, or (bits, A), found {len(adc)} items")
    return adc[0], adc[1]


def positive_or_none(name: str, value: object) -> float | None:
    """Return a number above 0, or None."""
    return None if value is None else checks.positive(name, value)
