"""CellModel: all parameters of a memory technology as one immutable value."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks
from synfab.common.array_checks import numbers
from synfab.common.checks import freeze
from synfab.common.errors import InvalidValueError
from synfab.common.types import FloatArray
from synfab.model.conditions import Conditions
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.population import Population

FEATURES = ("r_hrs", "u_set", "r_lrs", "u_reset")

# The pieces of a piecewise marginal cover -PIECES_END … PIECES_END.
PIECES_END = 5.0


def _marginals(value: npt.ArrayLike) -> FloatArray:
    pieces = checks.real_array("marginals", value).ndim == 3
    return numbers("marginals", value, (len(FEATURES), *((None, None) if pieces else (None,))))


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
    """

    name: str
    marginals: FloatArray
    histories: Mapping[int, History]
    population: Population
    conduction: Conduction
    provenance: Mapping[str, object]
    conditions: Conditions | None

    def __init__(
        self,
        name: str,
        marginals: npt.ArrayLike,
        histories: Mapping[int, History],
        population: Population,
        conduction: Conduction,
        provenance: Mapping[str, object] | None = None,
        conditions: Conditions | None = None,
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
        freeze(
            self,
            name=name,
            marginals=_marginals(marginals),
            histories=MappingProxyType(dict(sorted(histories.items()))),
            population=population,
            conduction=conduction,
            provenance=MappingProxyType(given),
            conditions=checks.optional("conditions", conditions, Conditions),
        )

    @property
    def orders(self) -> tuple[int, ...]:
        """Available orders of the history, ascending."""
        return tuple(self.histories)

    def history(self, order: int | None = None) -> History:
        """Return the history of an order; None: the highest.

        Raises
        ------
        InvalidValueError
            The model has no history of that order. Longer histories are not truncated.
        """
        if order is None:
            return self.histories[self.orders[-1]]
        found = checks.integer("order", order)
        if found not in self.histories:
            offered = ", ".join(map(str, self.orders))
            raise InvalidValueError(f"order: the model has no order {found}; allowed: {offered}")
        return self.histories[found]

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
        means = self.population.means.copy()
        means[:, : len(FEATURES)] += self.conditions.shift(found)
        population = Population(self.population.weights, means, self.population.factors)
        return CellModel(
            self.name, self.marginals, self.histories, population, self.conduction,
            {**self.provenance, "condition": found},
        )  # fmt: skip

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

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (
            self.name,
            self.marginals,
            dict(self.histories),
            self.population,
            self.conduction,
            dict(self.provenance),
            self.conditions,
        )
        return type(self), arguments

    def __repr__(self) -> str:
        components = len(self.population.weights)
        return (
            f"CellModel({self.name!r}, orders {self.orders[0]}…{self.orders[-1]}, "
            f"{components} device components, {self.fingerprint[:8]})"
        )
