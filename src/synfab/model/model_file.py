"""Model files in a versioned JSON layout; ``published`` reads the published layout."""

from __future__ import annotations

import json
import os
import warnings
from functools import cache, partial
from typing import Any

import numpy as np

from synfab.common import checks
from synfab.common.errors import (
    EditedFileWarning,
    FileFormatError,
    InvalidTypeError,
    InvalidValueError,
    SynfabError,
)
from synfab.common.messages import reason_of
from synfab.common.types import FloatArray
from synfab.io.files import atomic_path
from synfab.io.json_file import Fields, digest, newer, read_object
from synfab.io.limits import read_whole, require_order
from synfab.model import optional_parts
from synfab.model.cell_model import FEATURES, CellModel
from synfab.model.conditions import UNITS, Conditions
from synfab.model.conduction import Conduction
from synfab.model.history import History
from synfab.model.population import N_PARAMETERS, Population
from synfab.model.published import is_published, published_document, read_published

FORMAT = "synfab-model"
# Models without optional parts are written as version 1, which earlier releases read.
PLAIN_VERSION, VERSION = 1, 2
DIGEST = "sha256"  # field of a file, of all the others
# Types of marginals, and how deep the lists of their coefficients are nested.
MARGINALS = {"polynomial": 2, "pieces": 3}


def load_model(source: str | os.PathLike[str] | CellModel = "published") -> CellModel:
    """Return a model: ``"published"``, or the content of a model file in either layout.

    Warns
    -----
    EditedFileWarning
        The file was edited or damaged since ``save_model`` wrote it, but is still a valid model.
        Files without a digest (the published layout, earlier versions) load without a warning.

    Raises
    ------
    FileFormatError
        The file is missing, damaged or not valid; the message names the field.

    Examples
    --------
    >>> model = sf.load_model()  # the published one; or sf.load_model("mine.json")
    >>> model.name
    'published'
    """
    if isinstance(source, CellModel):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidTypeError(
            f'model: expected "published", a path or a CellModel, found {checks.kind_of(source)}'
        )
    if isinstance(source, str) and source == "published":
        return _published()
    path = checks.path("model", source)
    return parse(read_whole(path, "the model file"), str(path))


@cache
def _published() -> CellModel:
    """Return the published model, which is read once and shared, because it is immutable."""
    return parse(*published_document())


def save_model(model: CellModel, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to a JSON file; an error leaves an existing file unchanged.

    The file ends with the SHA-256 of its content, by which ``load_model`` detects changes.

    Examples
    --------
    >>> sf.save_model(sf.load_model(), "mine.json")
    >>> sf.load_model("mine.json") == sf.load_model()
    True
    """
    checks.instance("model", model, CellModel)
    target = checks.path("path", path)
    content = _document_of(model)
    text = _pretty({**content, DIGEST: digest(content)}) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _document_of(model: CellModel) -> dict[str, object]:
    """Return the content of a model file after checking that JSON can hold the provenance."""
    found = document(model)
    try:
        # As it will be read: JSON turns the keys into text.
        found["provenance"] = json.loads(json.dumps(found["provenance"], allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"model: provenance: expected JSON values: {reason_of(error)}"
        ) from None
    return found


def parse(data: bytes, where: str) -> CellModel:
    """Return the model in the bytes of a file; ``where`` names the file in errors."""
    document = read_object(data, where)
    try:
        if is_published(document):
            return read_published(document)
        written = _written_digest(document)
        model = _from_own(document)
    except SynfabError as error:
        raise FileFormatError(f"{where}: {reason_of(error)}") from None
    except (OverflowError, np.linalg.LinAlgError) as error:
        raise FileFormatError(f"{where}: a number is too large: {reason_of(error)}") from None
    if written not in (None, digest(document)):
        warnings.warn(
            f"{where}: edited or damaged since it was written: the sha256 does not match the "
            f"content; if the change is intended, save the loaded model to update it",
            EditedFileWarning,
            stacklevel=3,
        )
    return model


def _written_digest(document: dict[str, object]) -> str | None:
    """Remove and return the digest of a document; None if an earlier version wrote it."""
    if DIGEST not in document:
        return None
    written = document.pop(DIGEST)
    if not isinstance(written, str):
        raise FileFormatError(f"{DIGEST}: expected text")
    return written


def _from_own(document: dict[str, object]) -> CellModel:
    if document.get("format") != FORMAT:
        raise FileFormatError(f'format: expected "{FORMAT}"')
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise FileFormatError(f"version: expected {VERSION}")
    if version > VERSION:
        raise newer(version, VERSION)
    top = Fields(
        document,
        "",
        (
            *("format", "version", "name", "features", "conduction", "marginals"),
            *("histories", "population", "provenance"),
            *(("conditions",) if "conditions" in document else ()),
        ),
        optional_parts.NAMES if version > PLAIN_VERSION else (),
    )
    if document["features"] != list(FEATURES):
        raise FileFormatError(f"features: expected {', '.join(FEATURES)}")
    provenance = document["provenance"]
    if not isinstance(provenance, dict):
        raise FileFormatError("provenance: expected a JSON object")
    return CellModel(
        name=top.text("name"),
        marginals=_read_marginals(document["marginals"]),
        histories=_read_histories(top.items("histories"), version),
        population=optional_parts.read_spread(top, _read_population(top.items("population"))),
        conduction=_read_conduction(document["conduction"]),
        provenance=provenance,
        **optional_parts.read_parts(top),
        conditions=_read_conditions(top.items("conditions")) if "conditions" in document else None,
    )


def _read_marginals(content: object) -> FloatArray:
    fields = Fields(content, "marginals", ("type", "coefficients"))
    kind = fields.text("type")
    if kind not in MARGINALS:
        raise FileFormatError(f"marginals.type: expected {' or '.join(MARGINALS)}")
    return fields.array("coefficients", depth=MARGINALS[kind])


def _read_histories(items: list[object], version: int) -> dict[int, History]:
    histories: dict[int, History] = {}
    optional = optional_parts.OF_HISTORY if version > PLAIN_VERSION else ()
    for index, item in enumerate(items):
        fields = Fields(item, f"histories[{index}]", ("order", "innovation", "lags"), optional)
        innovation, lags = fields.array("innovation", depth=2), fields.array("lags", depth=3)
        require_order(f"histories[{index}]", len(lags), histories)
        averages = optional_parts.read_averages(fields)
        history = fields.make(partial(History, innovation, lags, **averages))
        order = fields.content["order"]
        if order != history.order or isinstance(order, bool):
            raise FileFormatError(
                f"histories[{index}].order: expected {history.order}, the number of its lags"
            )
        if history.order in histories:
            raise FileFormatError(f"histories[{index}].order: {history.order} occurs twice")
        histories[history.order] = history
    return histories


def _read_population(items: list[object]) -> Population:
    weights, means, factors = [], [], []
    for index, item in enumerate(items):
        fields = Fields(item, f"population[{index}]", ("weight", "mean", "factor"))
        weights.append(fields.array("weight", depth=0))
        means.append(fields.array("mean", depth=1))
        factors.append(fields.array("factor", depth=2))
        if means[-1].shape != (N_PARAMETERS,) or factors[-1].shape != (N_PARAMETERS,) * 2:
            raise FileFormatError(
                f"population[{index}]: expected a mean of 8 numbers and a factor of 8 x 8"
            )
    try:
        return Population(np.array(weights), np.array(means), np.array(factors))
    except SynfabError as error:
        raise FileFormatError(f"population.{error}") from None


def _read_conduction(content: object) -> Conduction:
    names = ("hhrs", "llrs", "eta", "u_max", "u_0", "voltage_range")
    fields = Fields(content, "conduction", names)
    values = [fields.array(n, depth=int(n in ("hhrs", "llrs", "voltage_range"))) for n in names]
    return fields.make(lambda: Conduction(*values))


def _read_conditions(items: list[object]) -> Conditions:
    names, scales, reference, ranges, coefficients = [], [], [], [], []
    for index, item in enumerate(items):
        known = ("name", "unit", "reference", "range", "scale", "coefficients")
        fields = Fields(item, f"conditions[{index}]", known)
        names.append(fields.text("name"))
        scales.append(fields.text("scale"))
        reference.append(fields.array("reference", depth=0))
        ranges.append(fields.array("range", depth=1))
        coefficients.append(fields.array("coefficients", depth=1))
        unit = UNITS.get(names[-1])
        if unit is None or fields.text("unit") != unit:
            raise FileFormatError(
                f"conditions[{index}]: expected a condition among "
                f"{', '.join(f'{name} ({unit})' for name, unit in UNITS.items())}"
            )
        if ranges[-1].shape != (2,) or coefficients[-1].shape != (len(FEATURES),):
            raise FileFormatError(
                f"conditions[{index}]: expected a range of 2 numbers and 4 coefficients"
            )
    try:
        return Conditions(
            tuple(names), np.array(reference), np.array(ranges), tuple(scales),
            np.array(coefficients),
        )  # fmt: skip
    except SynfabError as error:
        raise FileFormatError(f"conditions.{error}") from None


def document(model: CellModel) -> dict[str, object]:
    """Return the content of a model file."""
    conduction, population = model.conduction, model.population
    found: dict[str, Any] = {
        "format": FORMAT,
        "version": PLAIN_VERSION,
        "name": model.name,
        "features": list(FEATURES),
        "conduction": {
            "hhrs": conduction.hhrs.tolist(),
            "llrs": conduction.llrs.tolist(),
            "eta": conduction.eta,
            "u_max": conduction.u_max,
            "u_0": conduction.u_0,
            "voltage_range": list(conduction.voltage_range),
        },
        "marginals": {
            "type": {depth: kind for kind, depth in MARGINALS.items()}[model.marginals.ndim],
            "coefficients": model.marginals.tolist(),
        },
        "histories": [
            {
                "order": p,
                "innovation": h.innovation.tolist(),
                "lags": h.lags.tolist(),
                **optional_parts.written_averages(h),
            }
            for p, h in model.histories.items()
        ],
        "population": [
            {"weight": float(w), "mean": m.tolist(), "factor": f.tolist()}
            for w, m, f in zip(
                population.weights, population.means, population.factors, strict=True
            )
        ],
        **optional_parts.written_parts(model),
        "provenance": dict(model.provenance),
        **({} if model.conditions is None else {"conditions": model.conditions.document()}),
    }
    if optional_parts.has_parts(found):
        found["version"] = VERSION
    return found


def _pretty(value: object, indent: str = "") -> str:
    """Return readable JSON with one line per row of numbers."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{json.dumps(k)}: {_pretty(v, deeper)}" for k, v in value.items()]
        return "{\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        return "[\n" + ",\n".join(deeper + _pretty(v, deeper) for v in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)
