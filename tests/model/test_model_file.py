"""Model files: whole, understood and valid, or one line that names the field."""

import json
from importlib import metadata
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import synfab as sf
from synfab.model.model_file import document, parse

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.floats(), max_size=3),
)


def published_file() -> Path:
    located = metadata.distribution("synaptogen").locate_file("synaptogen/default_params.json")
    return Path(str(located))


def places(node, path=()):
    """Every place below a node of a JSON document."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*path, key))


def accept_or_refuse(data: bytes) -> None:
    refusal = None
    try:
        assert isinstance(parse(data, "model.json"), sf.CellModel)
    except sf.FileFormatError as error:
        refusal = str(error)
    assert refusal is None or (refusal.startswith("model.json: ") and "\n" not in refusal)


def test_a_model_survives_its_file(published, tmp_path):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    assert sf.load_model(path) == published
    assert max(map(len, path.read_text().splitlines())) < 400


def test_the_published_numbers_arrive_as_they_are(published):
    raw = json.loads(published_file().read_text(encoding="utf-8"))
    matrix = np.array(raw["VAR_002"])
    history = published.history(2)
    np.testing.assert_array_equal(history.innovation, matrix[:, :4])
    np.testing.assert_array_equal(history.lags[0], matrix[:, 8:])
    np.testing.assert_array_equal(history.lags[1], matrix[:, 4:8])
    np.testing.assert_array_equal(published.population.factors[1], np.array(raw["LDtD"])[:, 8:16])
    assert published.orders == tuple(range(1, 11))
    assert published.conduction.voltage_range == (-1.5, 1.46)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("conduction", "eta"), "three", "conduction.eta"),
        (("conduction", "eta"), True, "conduction.eta"),
        (("conduction", "u_max"), None, "conduction.u_max"),
        (("conduction", "hhrs"), [[1.0]], "conduction.hhrs"),
        (("marginals", "type"), "spline", "marginals.type"),
        (("marginals", "coefficients"), [[1.0, 2.0], [1.0]], "marginals.coefficients"),
        (("histories", 2, "order"), 7, "histories[2].order"),
        (("histories", 0, "lags"), [[[2.0 if i == j else 0.0 for j in range(4)] for i in range(4)]],
         "histories[0].lags"),
        (("population", 1, "weight"), -1.0, "population.weights"),
        (("population", 1, "mean"), [1.0], "population[1]"),
        (("features",), ["r_hrs"], "features"),
        (("version",), 3, "version"),
        (("format",), "other", "format"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(published, path, value, field):
    content = json.loads(json.dumps(document(published)))
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(sf.FileFormatError) as error:
        parse(json.dumps(content).encode(), "model.json")
    assert str(error.value).startswith(f"model.json: {field}")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b"\xff\xfe", b"null", b'{"a": NaN}', b"[" * 100_000, b'{"a":1,"a":2}'],
)
def test_rubbish_is_refused_in_one_line(data):
    with pytest.raises(sf.FileFormatError) as error:
        parse(data, "model.json")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    for path in (tmp_path, tmp_path / "none.json", "bad\0name"):
        with pytest.raises(sf.FileFormatError):
            sf.load_model(path)


@hypothesis.settings(max_examples=150)
@hypothesis.given(data=st.data())
def test_mutated_files_are_refused_or_valid(published, data):
    content = json.loads(json.dumps(document(published)))
    path = data.draw(st.sampled_from(list(places(content))))
    node = content
    for key in path[:-1]:
        node = node[key]
    if data.draw(st.booleans()):
        del node[path[-1]]
    else:
        node[path[-1]] = data.draw(LEAVES)
    accept_or_refuse(json.dumps(content).encode())


@hypothesis.settings(max_examples=150)
@hypothesis.given(data=st.data())
def test_damaged_files_are_refused_or_valid(published, data):
    raw = bytearray(json.dumps(document(published)).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw = raw[:place]
    else:
        raw[place] = data.draw(st.integers(0, 255))
    accept_or_refuse(bytes(raw))


@hypothesis.settings(max_examples=60)
@hypothesis.given(data=st.data())
def test_mutations_of_the_published_layout_are_refused_or_valid(data):
    content = json.loads(published_file().read_text(encoding="utf-8"))
    key = data.draw(st.sampled_from(sorted(content)))
    if data.draw(st.booleans()):
        del content[key]
    else:
        content[key] = data.draw(LEAVES)
    accept_or_refuse(json.dumps(content).encode())
