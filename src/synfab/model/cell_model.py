"""CellModel: all parameters of a memory technology as one immutable value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.no_array import no_array
from synfab.common.types import FloatArray
from synfab.model.conditions import Conditions
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.html import model_card
from synfab.model.population import Population
from synfab.model.scale import KINDS, PUBLISHED, Scale
from synfab.model.traps import ARRAYS, NUMBERS, Traps
from synfab.model.wear import Failure, WearIn

FEATURES = ("r_hrs", "u_set", "r_lrs", "u_reset")

# The pieces of a piecewise marginal cover -PIECES_END … PIECES_END.
PIECES_END = 5.0


def _marginals(value: npt.ArrayLike) -> FloatArray:
    pieces = checks.real_array("marginals", value).ndim == 3
    return numbers("marginals", value, (len(FEATURES), *((None, None) if pieces else (None,))))


@no_array("sf.CellArray(model, shape, seed=1) for cells")
@dataclass(frozen=True, eq=False)
class CellModel:
    """Parameters of the Synaptogen model (Hennen et al. 2022, 2024).

    Parameters
    ----------
    name
        Name for people; it does not influence the cells.
    marginals
        Gamma: one polynomial per feature, (4, degree + 1), highest power first; or piecewise
        polynomials, (4, n, degree + 1), on n equal pieces of -5 <= x* <= 5, as functions of the
        position 0 … 1 within the piece and extrapolated linearly outside.
    histories
        ``History`` of each available order.
    population
        Device-to-device variability.
    conduction
        I-V curves.
    provenance
        Origin of the parameters, as JSON values.
    conditions
        Effect of conditions such as the compliance; None: not known. See ``at``.
    scales
        ``Scale`` of each feature; None: those of the published model, log10 of R_HRS and the
        others linear and unlimited.
    wear_in
        Deviation of the first cycles; None: the first cycles are as later ones.
    failure
        Failure of cells; None: they do not fail.
    traps
        Traps that change the conductance over time; None: it does not change between pulses.

    Examples
    --------
    >>> model = sf.load_model()
    >>> model.name, model.history().order
    ('published', 10)
    """

    name: str
    marginals: FloatArray
    histories: Mapping[int, History]
    population: Population
    conduction: Conduction
    provenance: Mapping[str, object]
    conditions: Conditions | None
    scales: tuple[Scale, ...]
    wear_in: WearIn | None
    failure: Failure | None
    traps: Traps | None

    def __init__(
        self,
        name: str,
        marginals: npt.ArrayLike,
        histories: Mapping[int, History],
        population: Population,
        conduction: Conduction,
        provenance: Mapping[str, object] | None = None,
        conditions: Conditions | None = None,
        *,
        scales: Sequence[Scale] | None = None,
        wear_in: WearIn | None = None,
        failure: Failure | None = None,
        traps: Traps | None = None,
    ) -> None:
        checks.text("name", name)
        checks.instance("population", population, Population)
        checks.instance("conduction", conduction, Conduction)
        given = {} if provenance is None else dict(checks.mapping("provenance", provenance))
        if not checks.mapping("histories", histories):
            raise InvalidValueError("histories: expected at least one order, found none")
        for order, history in histories.items():
            checks.instance("histories", history, History, "a History for each order")
            if history.order != checks.integer("histories", order):
                raise InvalidValueError(
                    f"histories: order {order} has {history.order} lag matrices"
                )
        if len({len(history.rates) for history in histories.values()}) > 1:
            raise InvalidValueError("histories: expected the same number of averages in each order")
        freeze(
            self,
            name=name,
            marginals=_marginals(marginals),
            histories=MappingProxyType(dict(sorted(histories.items()))),
            population=population,
            conduction=conduction,
            provenance=MappingProxyType(given),
            conditions=checks.optional("conditions", conditions, Conditions),
            scales=_scales(scales),
            wear_in=checks.optional("wear_in", wear_in, WearIn),
            failure=checks.optional("failure", failure, Failure),
            traps=checks.optional("traps", traps, Traps),
        )

    @property
    def orders(self) -> tuple[int, ...]:
        """Available orders of the history, ascending."""
        return tuple(self.histories)

    @property
    def averages(self) -> int:
        """Number of averages of earlier cycles that each history has; none: 0."""
        return self.history().slots - self.history().order

    def history(self, order: int | None = None) -> History:
        """Return the history of an order; None: the highest.

        Raises
        ------
        InvalidValueError
            The model has no history of that order. Longer histories are not truncated.

        Examples
        --------
        >>> sf.load_model().history(4).order
        4
        """
        if order is None:
            return self.histories[self.orders[-1]]
        found = checks.integer("order", order)
        if found not in self.histories:
            offered = ", ".join(map(str, self.orders))
            raise InvalidValueError(f"order: the model has no order {found}; allowed: {offered}")
        return self.histories[found]

    @property
    def is_plain(self) -> bool:
        """Whether the features are those of the published model: no scale, wear-in, failure."""
        return (
            self.scales[0].kind == "log"
            and all(scale.kind == "linear" for scale in self.scales[1:])
            and all(scale.is_plain for scale in self.scales)
            and self.wear_in is None
            and self.failure is None
        )

    @property
    def depends_on_cycle(self) -> bool:
        """Whether features depend on the cycle number itself: wear-in or failure."""
        return self.wear_in is not None or self.failure is not None

    def to_y(self, features: npt.ArrayLike) -> FloatArray:
        """Return features (…, 4), in ohm and V, on the scales of the model; NaN without a value.

        Examples
        --------
        >>> sf.load_model().to_y(np.array([[1e5, -0.8, 4e3, 0.7]])).shape
        (1, 4)
        """
        given = _of_features("features", features)
        return np.stack([s.y(given[..., f]) for f, s in enumerate(self.scales)], axis=-1)

    def to_features(self, y: npt.ArrayLike) -> FloatArray:
        """Return the features (…, 4), in ohm and V, of values on the scales of the model.

        Examples
        --------
        >>> model, features = sf.load_model(), np.array([[1e5, -0.8, 4e3, 0.7]])
        >>> bool(np.allclose(model.to_features(model.to_y(features)), features))
        True
        """
        given = _of_features("y", y)
        return np.stack([s.feature(given[..., f]) for f, s in enumerate(self.scales)], axis=-1)

    @property
    def compliance(self) -> float:
        """Compliance (A) in the loops of these cells; infinite if none is known."""
        if self.conditions is not None and "compliance" in self.conditions.names:
            return self.conditions.complete({})["compliance"]
        # A model at a condition, and one that was fitted to loops of one compliance.
        for place, name in (("condition", "compliance"), ("notes", "compliance_A")):
            held = self.provenance.get(place)
            value = held.get(name) if isinstance(held, Mapping) else None
            if isinstance(value, (int, float)) and value > 0.0:
                return float(value)
        return math.inf

    @property
    def contains_transistor(self) -> bool:
        """Whether the I-V curves contain the select transistor of the cells that were measured.

        A transistor in a circuit then comes on top of it. This is so if ``provenance`` has the word
        1T1R in its entry ``measurement``, as that of the published model.
        """
        return "1T1R" in str(self.provenance.get("measurement", ""))

    def at(self, **condition: float) -> CellModel:
        """Return the model of cells measured at other conditions than the reference.

        The means of the population are shifted; the result has no conditions, and its provenance
        records them.

        Parameters
        ----------
        **condition
            Values of conditions, such as ``compliance=50e-6`` (A) and ``stop_voltage=1.4`` (V);
            others have their reference value.

        Raises
        ------
        InvalidValueError
            The model has no such condition, or the value is outside the measured range.
        """
        if self.conditions is None:
            if not condition:
                return self
            raise InvalidValueError(
                f"condition: expected none, because the model has no conditions; found "
                f"{checks.shown(next(iter(condition)))}"
            )
        found = self.conditions.complete(condition)
        population = self.population
        means = population.means.copy()
        means[:, : len(FEATURES)] += self.conditions.shift(found)
        shifted = Population(population.weights, means, population.factors, population.log_spread)
        return self.replace(
            population=shifted, conditions=None, provenance={**self.provenance, "condition": found}
        )

    def _numbers(self) -> Iterator[FloatArray]:
        conduction, population = self.conduction, self.population
        yield self.marginals
        for history in self.histories.values():
            yield from (history.innovation, history.lags)
        yield from (population.weights, population.means, population.factors)
        yield from (conduction.hhrs, conduction.llrs)
        yield np.array(
            [conduction.eta, conduction.u_max, conduction.u_0, *conduction.voltage_range]
        )
        yield from self._optional_numbers()

    def _optional_numbers(self) -> Iterator[FloatArray]:
        """Yield the numbers of the parts that the published model does not have."""
        for history in self.histories.values():
            if len(history.rates):
                yield from (history.rates, history.couplings)
        if self.population.log_spread:
            yield np.array([1.0])
        if self.scales != PUBLISHED:
            yield np.array([
                [KINDS.index(s.kind), s.sign, s.shift, s.low, s.high] for s in self.scales
            ])  # fmt: skip
        if self.wear_in is not None:
            wear = self.wear_in
            yield np.concatenate([wear.cycles[:, None], wear.shift, wear.log_spread], axis=1)
        if self.failure is not None:
            failure = self.failure
            yield np.array([failure.scale, failure.shape, failure.share, failure.stuck_hrs])
        if self.traps is not None:
            yield from (getattr(self.traps, name) for name in ARRAYS)
            yield np.array([getattr(self.traps, name) for name in NUMBERS])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the parameters; models with equal fingerprints produce the same cells."""
        digest = hashlib.sha256()
        for array in self._numbers():
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array, "<f8").tobytes())
        if self.conditions is not None:
            digest.update(self.conditions.text().encode())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellModel):
            return NotImplemented
        return (self.name, self.fingerprint, dict(self.provenance)) == (
            other.name,
            other.fingerprint,
            dict(other.provenance),
        )

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint))

    def replace(self, **changes: Any) -> CellModel:
        """Return the model with other values of some arguments of ``CellModel``.

        Examples
        --------
        >>> sf.load_model().replace(name="mine").name
        'mine'
        """
        arguments = self._arguments()
        for name in changes:
            checks.choice("changes", name, arguments)
        return CellModel(**{**arguments, **changes})

    def _arguments(self) -> dict[str, Any]:
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: dict(value) if isinstance(value, MappingProxyType) else value
            for name, value in given.items()
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._arguments(),)

    def __repr__(self) -> str:
        components = len(self.population.weights)
        return (
            f"CellModel({self.name!r}, orders {self.orders[0]}…{self.orders[-1]}, "
            f"{components} device components, {self.fingerprint[:8]})"
        )

    def _repr_html_(self) -> str:
        return model_card(self)


def _rebuilt(arguments: dict[str, Any]) -> CellModel:
    """Return the model of pickled arguments."""
    return CellModel(**arguments)


def _of_features(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return numbers whose last axis is the four features, float64."""
    found = checks.real_array(name, value).astype(np.float64)
    if found.ndim == 0 or found.shape[-1] != len(FEATURES):
        raise InvalidValueError(
            f"{name}: expected {len(FEATURES)} features along the last axis, found shape "
            f"{found.shape}"
        )
    return found


def _scales(given: Sequence[Scale] | None) -> tuple[Scale, ...]:
    if given is None:
        return PUBLISHED
    found = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for scale in found:
        checks.instance("scales", scale, Scale, "four scales")
    if len(found) != len(FEATURES):
        raise InvalidValueError(f"scales: expected {len(FEATURES)}, found {len(found)}")
    return found
