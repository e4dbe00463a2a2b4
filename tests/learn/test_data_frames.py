"""Tables of pandas, Polars, Arrow and others: the same features as from a file, or one line."""

import decimal
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import synfab as sf
from synfab import learn

LIBRARIES = ("pandas", "polars", "arrow", "capsule", "protocol")


@dataclass
class Capsule:
    """A table of an unknown library, with nothing but the Arrow PyCapsule interface."""

    table: pa.Table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


@dataclass
class Protocol:
    """A table of an older library, with nothing but the dataframe protocol."""

    table: pa.Table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self.table.__dataframe__(nan_as_null, allow_copy)


def made_by(library, columns):
    if library == "pandas":  # its index has no meaning
        rows = len(next(iter(columns.values())))
        return pd.DataFrame(columns, index=np.arange(rows)[::-1] // 2)
    if library == "polars":
        return pl.DataFrame(columns)
    table = pa.table(columns)
    return {"arrow": table, "capsule": Capsule(table), "protocol": Protocol(table)}[library]


@pytest.fixture(scope="module")
def features():
    """Features of 3 devices x 60 cycles, and the table without ``build``."""
    cells = sf.CellArray("published", 3, seed=4)
    rows = []
    for cycle in range(60):
        found = cells.features
        rows += [
            {"device": f"D{k}", "cycle": cycle, **{n: float(v[k]) for n, v in found.items()}}
            for k in range(3)
        ]
        cells.apply_voltage(-2.0).apply_voltage(2.0)
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.fixture(scope="module")
def loops():
    """Loops of 2 devices x 12 cycles, V and A."""
    u = np.concatenate([np.linspace(0, -1.5, 50), np.linspace(-1.5, 1.5, 100),
                        np.linspace(1.5, 0, 50)])  # fmt: skip
    cells = sf.CellArray("published", 2, seed=4)
    i = np.array([cells.apply_program(u, read="pulse", noise=False) for _ in range(12)], np.float64)
    cycle, _, device = np.meshgrid(np.arange(12), u, [0, 1], indexing="ij")
    return {
        "device": [f"D{k}" for k in device.ravel()],
        "cycle": cycle.ravel(),
        "voltage": np.broadcast_to(u[None, :, None], i.shape).ravel(),
        "current": i.ravel(),
    }


@pytest.fixture(scope="module")
def read(features):
    return learn.read_features(pd.DataFrame(features))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_is_fitted_to_a_table_of_any_library(features, read, library):
    table = made_by(library, features)
    expected = learn.fit(read, order=1)
    found = learn.fit(table, order=1)
    assert found.model == expected.model
    compared = learn.compare(found.model, table).summary()
    assert compared == learn.compare(expected.model, read).summary()
    assert learn.find_drift(table) == learn.find_drift(read)
    assert learn.detrended(table).digest() == learn.detrended(read).digest()


@pytest.mark.parametrize("library", LIBRARIES)
def test_features_are_extracted_from_a_table_of_any_library(loops, library):
    table = made_by(library, loops)
    expected = learn.extract_features(learn.read_sweeps(pd.DataFrame(loops)))
    found = learn.extract_features(table)
    assert found.digest() == expected.digest()
    assert len(found) > 20
    assert learn.fit_conduction(table).conduction.u_0 == expected.notes["u_0"]
    assert learn.fit(found, table, order=1).diagnostics["conduction"].startswith("polynomials")


def test_a_report_shows_the_loops_of_a_table(loops, tmp_path):
    table = pl.DataFrame(loops)
    features = learn.extract_features(table)
    found = learn.compare(sf.load_model(), features)
    sf.report.save_report(found, tmp_path / "table.html", sweeps=table)
    sf.report.save_report(found, tmp_path / "sweeps.html", sweeps=learn.read_sweeps(table))
    sizes = [(tmp_path / name).stat().st_size for name in ("table.html", "sweeps.html")]
    assert abs(sizes[0] - sizes[1]) < 100


def typed(columns):
    """The same numbers as categories, decimals, nullable numbers and text."""
    r_hrs = [decimal.Decimal(repr(value)) for value in columns["r_hrs"]]
    plain = pd.DataFrame(columns)
    yield "pandas nullable", plain.assign(
        device=plain.device.astype("category"), cycle=plain.cycle.astype("Int64"),
        r_lrs=plain.r_lrs.astype("Float64"), u_set=plain.u_set.astype("category"), r_hrs=r_hrs,
    )  # fmt: skip
    yield "pandas with Arrow's types", plain.convert_dtypes(dtype_backend="pyarrow")
    yield "pandas with text", plain.astype({"u_reset": "string", "r_lrs": str})
    yield "a named index", plain.set_index(pd.Index(range(len(plain)), name="device").rename("row"))
    exact = pl.Series("r_hrs", r_hrs, dtype=pl.Decimal(38, 20))
    yield (
        "Polars",
        pl.DataFrame(columns).with_columns(
            exact, pl.col("device").cast(pl.Categorical), pl.col("cycle").cast(pl.UInt16)
        ),
    )
    table = pa.table(columns)
    names = table["device"].dictionary_encode()
    yield "Arrow", table.set_column(0, "device", names)
    yield "batches", pa.Table.from_batches(table.to_batches(max_chunksize=7))
    yield "one batch", pa.RecordBatch.from_pydict(columns)
    yield "a stream", pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def test_types_of_columns_do_not_change_the_features(features, read):
    for name, table in typed(features):
        found = learn.read_features(table)
        assert found.names == read.names, name
        np.testing.assert_allclose(found.values, read.values, rtol=1e-15, err_msg=name)


@pytest.mark.parametrize("library", LIBRARIES)
def test_nulls_are_missing_features(features, library):
    columns = {**features, "r_lrs": [None, *features["r_lrs"][1:]]}
    found = learn.read_features(made_by(library, columns))
    assert np.isnan(found.values).sum() == 1
    assert not found.complete()[0]


# The dataframe protocol has no columns without a type.
@pytest.mark.parametrize("library", LIBRARIES[:-1])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"u_set": None},
            "features: no column for u_set; the table has 'device', 'cycle', 'r_hrs'",
        ),
        ({"device": ["A", None]}, "device: expected a name .* found none in data row 2"),
        ({"cycle": [0, None]}, "cycle: expected whole numbers, found none in data row 2"),
        ({"cycle": [0.0, 1.5]}, "cycle: expected whole numbers, found 1.5 in data row 2"),
        ({"r_hrs": ["a", "b"]}, "r_hrs: expected numbers, found 'a' in data row 1"),
        ({"r_hrs": [True, False]}, "r_hrs: expected numbers, found bool"),
        ({"r_hrs": [None, None]}, "r_hrs: found no number in any row"),
        ({"u_set": np.array(["2020-01-01"] * 2, "datetime64[us]")}, "u_set: expected numbers, fo"),
    ],
)
def test_a_wrong_table_of_features_is_refused_in_one_line(features, library, change, message):
    columns = {name: values[:2] for name, values in features.items()} | {"cycle": [0, 1]}
    columns = {name: values for name, values in {**columns, **change}.items() if values is not None}
    with pytest.raises(sf.SynfabError, match=message) as error:
        learn.fit(made_by(library, columns))
    assert "\n" not in str(error.value)


# The dataframe protocol has no columns without a type.
@pytest.mark.parametrize("library", LIBRARIES[:-1])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"current": None}, "columns: none for current; found 'device', 'cycle', 'voltage'"),
        ({"device": [None] * 9}, "device: expected a name .* found none in data row 1"),
        ({"cycle": [0] * 8 + [None]}, "cycle: device D0 has points without a cycle number"),
        ({"voltage": [None] * 9}, "voltage: found no number in any row"),
        ({"current": [False] * 9}, "current: expected numbers, found bool"),
    ],
)
def test_a_wrong_table_of_loops_is_refused_in_one_line(loops, library, change, message):
    columns = {**{n: v[1:10] for n, v in loops.items()}, "device": ["D0"] * 9, **change}
    columns = {name: values for name, values in columns.items() if values is not None}
    with pytest.raises(sf.SynfabError, match=message) as error:
        learn.extract_features(made_by(library, columns))
    assert "\n" not in str(error.value)


def test_features_and_loops_are_not_confused(features, loops):
    with pytest.raises(
        sf.InvalidValueError, match="extract_features returns the features of these"
    ):
        learn.fit(pl.DataFrame(loops))
    with pytest.raises(sf.InvalidValueError, match="sweeps: expected the columns voltage and curr"):
        learn.extract_features(pa.table(features))


@pytest.mark.parametrize("name", ["device", "cycle"])
def test_a_quantity_in_the_index_is_refused(features, name):
    with pytest.raises(sf.InvalidValueError, match=rf"{name} is in the index .* reset_index\(\)"):
        learn.fit(pd.DataFrame(features).set_index(name))
    both = pd.DataFrame(features).set_index(["device", "cycle"])
    with pytest.raises(sf.InvalidValueError, match="features: device is in the index"):
        learn.fit(both)


def test_a_lazy_frame_is_refused_with_the_call_that_is_missing(features, loops):
    with pytest.raises(sf.InvalidTypeError, match=r"features: .* LazyFrame.* pass its collect\(\)"):
        learn.fit(pl.DataFrame(features).lazy())
    with pytest.raises(sf.InvalidTypeError, match=r"source: .* LazyFrame.* pass its collect\(\)"):
        learn.read_sweeps(pl.DataFrame(loops).lazy())


@pytest.mark.parametrize(
    "value", [3, None, [1, 2], {"r_hrs": [1.0]}, np.zeros((3, 4)), pd.DataFrame, pl.DataFrame]
)
def test_what_is_not_a_table_is_refused(value):
    with pytest.raises(sf.InvalidTypeError, match=r"^features: expected a FeatureTable"):
        learn.compare(sf.load_model(), value)
    with pytest.raises(sf.InvalidTypeError, match=r"^sweeps: expected Sweeps"):
        learn.extract_features(value)


def test_a_table_that_cannot_be_read_is_refused_in_one_line():
    class Broken:
        def __arrow_c_stream__(self, requested_schema=None):
            raise OSError("two\nlines")

    for table in (Broken(), pl.Series([1.0])):
        with pytest.raises(
            sf.InvalidTypeError, match=r"features: .* cannot be read as a table"
        ) as e:
            learn.fit(table)
        assert "\n" not in str(e.value)


def test_features_become_tables_of_other_libraries(read):
    frame = read.to_pandas()
    assert pl.DataFrame(read).to_dict(as_series=False) == frame.to_dict(orient="list")
    assert pa.table(read).column_names == list(frame.columns)
    assert learn.read_features(pl.DataFrame(read)).digest() == read.digest()
