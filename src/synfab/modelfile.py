"""Model files: our own versioned JSON, and the layout of the published trained parameters."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from synfab.conduction import Conduction
from synfab.errors import FileFormatError, InvalidTypeError, SynfabError
from synfab.files import atomic_path
from synfab.history import N_FEATURES, History
from synfab.jsonfile import read_object
from synfab.limits import read_whole
from synfab.model import FEATURES, CellModel
from synfab.population import N_PARAMETERS, Population

FORMAT, VERSION = "synfab-model", 1
PUBLISHED_SHA256 = "b59bbfa2845f10310335efcef3f1cd3a01f2d1a929138b6a49bb935d5db59313"
INSTALL = 'pip install "synaptogen>=0.2,<0.3"'

# A history of order p is a matrix of (4 p)**2 numbers, and judging it takes (4 p)**3 steps.
HIGHEST_ORDER, ALL_ORDERS = 100, 1000

# Types of marginals, and how deep the lists of their coefficients are nested.
MARGINALS = {"polynomial": 2, "pieces": 3}

# The published file does not say over which voltages its curves were trained: -1.5 V … U_max.
PUBLISHED_LOWEST_VOLTAGE = -1.5
# Keys of the published file, by what they mean.
GREEK = {
    "marginals": "\u03b3",
    "means": "\u03bcDtD",
    "factors": "LDtD",
    "eta": "\u03b7",
    "u_0": "U\u2080",
}


def load_model(source: str | os.PathLike[str] | CellModel = "published") -> CellModel:
    """Load a model: ``"published"``, or the path of a file in either layout.

    Raises
    ------
    FileFormatError
        The file cannot be used; one line that names the file and the field.
    """
    if isinstance(source, CellModel):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidTypeError(
            f'model: expected "published", a path or a CellModel, found {type(source).__name__}'
        )
    if source == "published":
        return _published()
    path = Path(source)
    return parse(read_whole(path, "the model file"), str(path))


def save_model(model: CellModel, path: str | os.PathLike[str]) -> None:
    """Write ``model`` to a JSON file of our own layout, whole or not at all."""
    text = _pretty(document(model)) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parse(data: bytes, where: str) -> CellModel:
    """Make a model of the bytes of a file; ``where`` names the file in errors."""
    document = read_object(data, where)
    try:
        if "wk" in document or GREEK["means"] in document:
            return _from_published(document)
        return _from_own(document)
    except SynfabError as error:
        raise FileFormatError(f"{where}: {' '.join(str(error).split())}") from None
    except (OverflowError, np.linalg.LinAlgError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"{where}: a number is too large: {reason}") from None


def _published() -> CellModel:
    try:
        distribution = metadata.distribution("synaptogen")
    except metadata.PackageNotFoundError:
        raise FileFormatError(
            f"model: the published numbers come with the package synaptogen: {INSTALL}"
        ) from None
    path = Path(str(distribution.locate_file("synaptogen/default_params.json")))
    data = read_whole(path, "the model file")
    if hashlib.sha256(data).hexdigest() != PUBLISHED_SHA256:
        raise FileFormatError(
            f"{path}: not the published numbers (synaptogen {distribution.version}): {INSTALL}"
        )
    return parse(data, str(path))


class _Fields:
    """The fields of one JSON object, each taken once, under a readable name."""

    def __init__(self, content: Any, name: str, required: tuple[str, ...]) -> None:
        if not isinstance(content, dict):
            raise FileFormatError(f"{name or 'file'}: expected a JSON object")
        self.content, self.prefix = content, f"{name}." if name else ""
        for key in required:
            if key not in content:
                raise FileFormatError(f"{self.prefix}{key}: missing")
        for key in content:
            if key not in required:
                raise FileFormatError(f"{self.prefix}{key[:40]!r}: unknown field")

    def make(self, build: Callable[[], Any]) -> Any:
        """Run ``build``, putting the object's name before the field an error names."""
        try:
            return build()
        except SynfabError as error:
            raise FileFormatError(f"{self.prefix}{error}") from None

    def array(self, key: str, *, depth: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Nested lists of numbers; anything else in them is an error that names the field."""
        _check_numbers(self.content[key], self.prefix + key, depth)
        try:
            return np.array(self.content[key], dtype=np.float64)
        except (ValueError, OverflowError):
            raise FileFormatError(f"{self.prefix}{key}: expected rows of equal length") from None

    def text(self, key: str) -> str:
        value = self.content[key]
        if not isinstance(value, str):
            raise FileFormatError(f"{self.prefix}{key}: expected text, found {_kind(value)}")
        return value

    def items(self, key: str) -> list[Any]:
        value = self.content[key]
        if not isinstance(value, list) or not value:
            raise FileFormatError(f"{self.prefix}{key}: expected a list that is not empty")
        return value


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", bool: "a boolean"}.get(
        type(value), "null" if value is None else "a number"
    )


def _check_numbers(value: Any, name: str, depth: int) -> None:
    if depth:
        if not isinstance(value, list) or not value:
            raise FileFormatError(f"{name}: expected a list of numbers, found {_kind(value)}")
        for item in value:
            _check_numbers(item, name, depth - 1)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FileFormatError(f"{name}: expected a number, found {_kind(value)}")
    elif not abs(value) <= 1e300:
        raise FileFormatError(f"{name}: expected a finite number")


def _from_own(document: dict[str, Any]) -> CellModel:
    if document.get("format") != FORMAT:
        raise FileFormatError(f'format: expected "{FORMAT}"')
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise FileFormatError(f"version: expected {VERSION}")
    if version > VERSION:
        raise FileFormatError(
            f"version: the file has version {version}, this synfab reads up to {VERSION}"
        )
    top = _Fields(
        document,
        "",
        (
            *("format", "version", "name", "features", "conduction", "marginals"),
            *("histories", "population", "provenance"),
        ),
    )
    if document["features"] != list(FEATURES):
        raise FileFormatError(f"features: expected {', '.join(FEATURES)}")
    provenance = document["provenance"]
    if not isinstance(provenance, dict):
        raise FileFormatError("provenance: expected a JSON object")
    return CellModel(
        name=top.text("name"),
        marginals=_read_marginals(document["marginals"]),
        histories=_read_histories(top.items("histories")),
        population=_read_population(top.items("population")),
        conduction=_read_conduction(document["conduction"]),
        provenance=provenance,
    )


def _read_marginals(content: Any) -> Any:
    fields = _Fields(content, "marginals", ("type", "coefficients"))
    kind = fields.text("type")
    if kind not in MARGINALS:
        raise FileFormatError(f"marginals.type: expected {' or '.join(MARGINALS)}")
    return fields.array("coefficients", depth=MARGINALS[kind])


def _read_histories(items: list[Any]) -> dict[int, History]:
    histories: dict[int, History] = {}
    for index, item in enumerate(items):
        fields = _Fields(item, f"histories[{index}]", ("order", "innovation", "lags"))
        innovation, lags = fields.array("innovation", depth=2), fields.array("lags", depth=3)
        _check_order(f"histories[{index}]", len(lags), histories)
        history = fields.make(lambda b=innovation, a=lags: History(b, a))  # type: ignore[misc]
        if item["order"] != history.order or isinstance(item["order"], bool):
            raise FileFormatError(
                f"histories[{index}].order: expected {history.order}, the number of its lags"
            )
        if history.order in histories:
            raise FileFormatError(f"histories[{index}].order: {history.order} stands there twice")
        histories[history.order] = history
    return histories


def _check_order(name: str, order: int, others: Iterable[int]) -> None:
    """Refuse histories whose matrices would take all memory, or minutes to judge."""
    if order > HIGHEST_ORDER:
        raise FileFormatError(f"{name}: expected up to {HIGHEST_ORDER} lags, found {order}")
    if order + sum(others) > ALL_ORDERS:
        raise FileFormatError(f"{name}: expected up to {ALL_ORDERS} lags in all histories together")


def _read_population(items: list[Any]) -> Population:
    weights, means, factors = [], [], []
    for index, item in enumerate(items):
        fields = _Fields(item, f"population[{index}]", ("weight", "mean", "factor"))
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


def _read_conduction(content: Any) -> Conduction:
    names = ("hhrs", "llrs", "eta", "u_max", "u_0", "voltage_range")
    fields = _Fields(content, "conduction", names)
    values = [fields.array(n, depth=int(n in ("hhrs", "llrs", "voltage_range"))) for n in names]
    result: Conduction = fields.make(lambda: Conduction(*values))
    return result


def _from_published(document: dict[str, Any]) -> CellModel:
    orders = sorted(key for key in document if key.startswith("VAR_"))
    names = ("HHRS", "LLRS", "Umax", "wk", *GREEK.values(), *orders)
    fields = _Fields(document, "", names)
    if not orders:
        raise FileFormatError("VAR: missing")
    histories: dict[int, History] = {}
    for key in orders:
        matrix = fields.array(key, depth=2)
        columns = matrix.shape[1]
        if matrix.shape[0] != N_FEATURES or columns % N_FEATURES or columns < 2 * N_FEATURES:
            raise FileFormatError(f"{key}: expected 4 x 4(p + 1) numbers, found {matrix.shape}")
        blocks = matrix.reshape(N_FEATURES, -1, N_FEATURES).transpose(1, 0, 2)
        _check_order(key, len(blocks) - 1, histories)
        # [B | A_p | … | A_1]: the last block is lag 1.
        history = _named(key, lambda b=blocks: History(b[0], b[:0:-1]))  # type: ignore[misc]
        if key != f"VAR_{history.order:03d}":
            raise FileFormatError(f"{key}: has {history.order} lags")
        histories[history.order] = history
    weights = fields.array("wk", depth=1)
    means = fields.array(GREEK["means"], depth=2)
    side_by_side = fields.array(GREEK["factors"], depth=2)
    if side_by_side.shape != (N_PARAMETERS, N_PARAMETERS * len(weights)):
        raise FileFormatError(
            f"LDtD: expected 8 x {N_PARAMETERS * len(weights)} numbers, found {side_by_side.shape}"
        )
    factors = side_by_side.reshape(N_PARAMETERS, len(weights), N_PARAMETERS).transpose(1, 0, 2)
    u_max = fields.array("Umax", depth=0)
    conduction = Conduction(
        fields.array("HHRS", depth=1),
        fields.array("LLRS", depth=1),
        fields.array(GREEK["eta"], depth=0),
        u_max,
        fields.array(GREEK["u_0"], depth=0),
        (PUBLISHED_LOWEST_VOLTAGE, float(u_max)),
    )
    return CellModel(
        name="published",
        marginals=fields.array(GREEK["marginals"], depth=2),
        histories=histories,
        population=Population(weights, means.T, factors),
        conduction=conduction,
        provenance={
            "papers": "Front. Neurosci. 16:941753 (2022); IEEE TED (2024), arXiv 2404.06344",
            "measurement": "512 devices x 6000 cycles of a 1T1R array",
            "source": "trained parameters in the layout of synaptogen 0.2.0",
        },
    )


def _named(name: str, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except SynfabError as error:
        raise FileFormatError(f"{name}: {error}") from None


def document(model: CellModel) -> dict[str, Any]:
    """Return the content of a model file."""
    conduction, population = model.conduction, model.population
    return {
        "format": FORMAT,
        "version": VERSION,
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
            {"order": p, "innovation": h.innovation.tolist(), "lags": h.lags.tolist()}
            for p, h in model.histories.items()
        ],
        "population": [
            {"weight": float(w), "mean": m.tolist(), "factor": f.tolist()}
            for w, m, f in zip(
                population.weights, population.means, population.factors, strict=True
            )
        ],
        "provenance": dict(model.provenance),
    }


def _pretty(value: Any, indent: str = "") -> str:
    """JSON with one line for each row of numbers, so that a person can read it."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{json.dumps(k)}: {_pretty(v, deeper)}" for k, v in value.items()]
        return "{\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (list, dict)) for item in value):
        return "[\n" + ",\n".join(deeper + _pretty(v, deeper) for v in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)
