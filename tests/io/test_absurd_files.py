"""A right checksum does not make sense of absurd content, which is refused in one line."""

import io
import json
import random
import warnings
import zipfile

import numpy as np
import pytest

import synfab as sf
from synfab.cells.files import dump_cells, restore_cells
from synfab.cli.app import app
from synfab.cli.demo import random_voltages
from synfab.io.archive import open_checked, write_archive
from synfab.programming.pulser import DirectPulser
from synfab.programming.write_verify import WriteVerify
from synfab.random.arrays import to_numpy

KINDS = {
    "float32": {},
    "compact": {"history": "compact"},
    "array": {"engine": "array"},
    "torch": {"engine": "array", "arrays": "torch"},
    "jax": {"engine": "array", "arrays": "jax"},
}
NAN, INFINITY = float("nan"), float("inf")
# Where in the arrays of an engine, and what.
TILES = {
    "r": ("r", 3, NAN),
    "an HRS of negative resistance": ("r", 0, 5.0),
    "an endless LRS": ("r", 3, -1e30),
    "a threshold": ("switch", (0, 0, 2), INFINITY),
    "u_set": ("switch", (0, 1, 2), NAN),
    "r(R_HRS)": ("switch", (0, 2, 2), 9.0),
    "a device parameter": ("devices", (1, 0, 3, 4), -INFINITY),
    "both flags": ("status", 4, 7),
    "the history": ("history", (0, 1, 0, 1, 2), NAN),
}
RULES = {
    "r": ("r", 3, NAN),
    "an HRS of negative resistance": ("r", 0, 5.0),
    "a threshold": ("threshold", 1, INFINITY),
    "the history": ("block", (0, 1, 2), NAN),
    "a device parameter": ("parameters", (7, 2), NAN),
    "both flags": (("in_hrs", "in_lrs"), 4, True),
}
ABSURD = {
    "float32": TILES,
    "compact": {
        "both flags": ("status", 4, 7),
        "a matrix": ("step", (0, 0), NAN),
        "a history that grows": ("step", (0, 0), 3.0),
    },
    "array": RULES,
    "torch": {**RULES, "a negative cycle": ("cycle", 0, -1)},
    "jax": RULES,
}
CASES = [(kind, what) for kind, found in ABSURD.items() for what in found]


def make(kind):
    if kind in ("torch", "jax"):
        pytest.importorskip(kind)
    cells = sf.CellArray("published", 20, seed=1, order=2, **KINDS[kind])
    return cells.apply_voltage(np.where(np.arange(20) % 2, -2.0, 0.0).astype(np.float32))


def spoil(arrays, names, place, value):
    for name in (names,) if isinstance(names, str) else names:
        arrays[name] = np.array(arrays[name])
        arrays[name][place] = value


def rewrite(path, change):
    """Change the arrays and the manifest of a file; its checksum is right afterwards."""
    with open_checked(path, "a file") as found:
        manifest = found.manifest
        arrays = {name: found.array(name) for name in found.names}
    change(manifest, arrays)
    write_archive(path, manifest, arrays)


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_absurd_cells_are_refused(tmp_path, kind, what):
    cells, path = make(kind), tmp_path / "cells.npz"
    cells.save(path)
    rewrite(path, lambda _, arrays: None)
    assert np.array_equal(sf.CellArray.load(path).r, cells.r)
    rewrite(path, lambda _, arrays: spoil(arrays, *ABSURD[kind][what]))
    with pytest.raises(sf.FileFormatError, match=r"^\S*cells\.npz: ") as caught:
        sf.CellArray.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_absurd_cells_of_a_checkpoint_change_nothing(kind, what):
    state, cells = dump_cells(make(kind)), make(kind).apply_voltage(1.0)
    spoil(state["storage"], *ABSURD[kind][what])
    before = np.array(to_numpy(cells.r)), cells.read_number
    with pytest.raises(sf.FileFormatError):
        restore_cells(cells, state)
    assert np.array_equal(to_numpy(cells.r), before[0])
    assert cells.read_number == before[1]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_cells_have_been_through_they_load(published, tmp_path, kind):
    if kind in ("torch", "jax"):
        pytest.importorskip(kind)
    cells = sf.CellArray(published, 3000, seed=2, **KINDS[kind])
    for k in range(6):
        cells.apply_voltage(random_voltages((3000,), k) * np.float32(1.5))
    some = np.arange(3000) % 3 == 0
    cells.set_conductance(np.linspace(2e-5, 1e-4, 3000).astype(np.float32), where=some)
    cells.apply_voltage(1e30).apply_voltage(-1e30)
    cells.apply_voltage(random_voltages((3000,), 9), where=some)
    cells.save(tmp_path / "cells.npz")
    assert np.array_equal(sf.CellArray.load(tmp_path / "cells.npz").r, cells.r)


@pytest.mark.parametrize(
    ("field", "value"),
    [("read_number", -1), ("readout_number", 2**32), ("first_cell", -1), ("first_cell", 2**64),
     ("seed", -1), ("seed", 1.5), ("order", 0), ("order", True), ("shape", [-20]), ("shape", []),
     ("history", "float16"), ("engine", "magic"), ("engine", None)],
)  # fmt: skip
def test_absurd_fields_of_an_array_are_refused(tmp_path, field, value):
    path = tmp_path / "cells.npz"
    make("float32").save(path)
    rewrite(path, lambda manifest, _: manifest.update({field: value}))
    with pytest.raises(sf.FileFormatError, match=r"^\S*cells\.npz: ") as caught:
        sf.CellArray.load(path)
    assert "\n" not in str(caught.value)


def test_an_array_that_nobody_named_is_refused(tmp_path):
    path = tmp_path / "cells.npz"
    make("float32").save(path)
    rewrite(path, lambda _, arrays: arrays.update(secret=np.zeros(3)))
    with pytest.raises(sf.FileFormatError, match="secret: not a part of an array"):
        sf.CellArray.load(path)


class Twice(dict):
    """Arrays for an archive, of which one is written a second time."""

    def items(self):
        return [*super().items(), self.second]


def write_twice(path, name):
    with open_checked(path, "a file") as found:
        manifest = found.manifest
        arrays = Twice({key: found.array(key) for key in found.names})
        key = name.removesuffix(".npy")
        arrays.second = (key, found.array(key))
    write_archive(path, manifest, arrays)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["r.npy", "manifest.npy"])
def test_members_that_are_there_twice_are_refused(tmp_path, name):
    path, run = tmp_path / "cells.npz", tmp_path / "run"
    make("float32").save(path)
    write_twice(path, name)
    with pytest.raises(sf.FileFormatError, match=f"{name}: occurs twice in the archive"):
        sf.CellArray.load(path)
    with sf.Checkpoints(run, interval=0.0).open({}) as opened:
        opened.save(1, {"r": np.zeros(3)})
    (step,) = (file for file in run.rglob("*") if zipfile.is_zipfile(file))
    write_twice(step, "manifest.npy")
    with (
        pytest.raises(sf.FileFormatError, match="occurs twice in the archive"),
        sf.Checkpoints(run, resume=True).open({}),
    ):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_measurements_with_an_array_twice_are_refused(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "loops.npz", "w") as file:
        for _ in range(2):
            file.writestr("voltage.npy", array.getvalue())
    with pytest.raises(sf.FileFormatError, match=r"voltage\.npy: occurs twice in the archive"):
        sf.learn.read_sweeps(tmp_path / "loops.npz")


def test_absurd_states_of_layers_change_nothing():
    torch = pytest.importorskip("torch")
    layer = sf.torch.CrossbarLinear(3, 4, seed=1)
    state = layer.state_dict()
    before = layer(torch.ones(3)).detach()
    (key,) = [name for name in state if name.endswith("_extra_state")]
    state[key]["tile 0"]["r"] = torch.full_like(state[key]["tile 0"]["r"], NAN)
    state[key]["version"] = 1  # of earlier versions, which wrote no digest
    state["weight"] = torch.zeros_like(state["weight"])
    with pytest.raises(sf.SynfabError, match="tile 0: r: expected finite numbers"):
        layer.load_state_dict(state)
    layer.readout_number = 0
    assert torch.equal(layer(torch.ones(3)), before)


@pytest.mark.parametrize(
    ("field", "value"),
    [("energy", np.full((4, 4), NAN)), ("energy", np.full((4, 4), -1.0)), ("energy", np.zeros(3)),
     ("pending", [-1]), ("pending", ["many"]), ("error", [NAN]), ("cells", {}), ("cells", 3)],
)  # fmt: skip
def test_absurd_states_of_programming_change_nothing(field, value):
    cells = sf.CellArray("published", (4, 4), seed=1)
    targets = np.full((4, 4), 1e-4)
    course = WriteVerify(DirectPulser(cells), targets, tolerance=1e-6, retries=3)
    state = course.dump()
    before = cells.r
    with pytest.raises(sf.SynfabError):
        course.restore({**state, field: value})
    assert np.array_equal(cells.r, before)
    assert course.pending == []
    course.restore(state)


@pytest.mark.parametrize(
    ("field", "value"), [("g", NAN), ("wanted", INFINITY), ("count", -1), ("energy", -1.0)]
)
def test_absurd_states_of_an_optimizer_are_refused(field, value):
    torch = pytest.importorskip("torch")
    layer = sf.torch.CrossbarLinear(3, 4, seed=1)
    optimizer = sf.torch.PulsedSGD(layer, lr=0.1)
    state = optimizer.state_dict()
    places = [part for part in _nested(state) if field in part]
    assert places
    for part in places:
        part[field] = torch.full_like(part[field], value)
    with pytest.raises(sf.SynfabError, match=f"{field}: expected (finite )?numbers"):
        optimizer.load_state_dict(state)


def _nested(value):
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _nested(part)


# ---- models -------------------------------------------------------------------------------------


def test_no_flipped_bit_makes_another_model_without_a_word(published, tmp_path):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    whole = path.read_bytes()
    choose, told = random.Random(1), 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                model = sf.load_model(path)
            except sf.FileFormatError:
                continue
        told += len(caught)
        assert caught or model == published
    assert told


def test_a_model_that_was_edited_loads_with_one_warning(published, tmp_path):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    content = json.loads(path.read_text())
    content["conduction"]["u_max"] = 1.47
    path.write_text(json.dumps(content))
    with pytest.warns(sf.EditedFileWarning, match=r"model\.json: edited or damaged") as caught:
        model = sf.load_model(path)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert model.conduction.u_max == 1.47
    sf.save_model(model, path)
    assert sf.load_model(path) == model


@pytest.mark.parametrize("layout", ["indented", "compact", "sorted", "whole numbers without .0"])
def test_a_model_that_was_only_laid_out_differently_is_the_same(published, tmp_path, layout):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    content = json.loads(path.read_text())
    assert len(content["sha256"]) == 64
    if layout.startswith("whole"):
        content = json.loads(path.read_text(), parse_float=lambda t: _whole(float(t)))
    options = {"indented": {"indent": 7}, "compact": {"separators": (",", ":")}}
    path.write_text(json.dumps(content, sort_keys=layout == "sorted", **options.get(layout, {})))
    assert sf.load_model(path) == published


def _whole(number):
    return int(number) if number.is_integer() else number


def test_models_of_earlier_versions_load_without_a_warning(published, tmp_path):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert sf.load_model(path) == published


@pytest.mark.parametrize("digest", [None, 5, ["0" * 64]])
def test_a_digest_is_text(published, tmp_path, digest):
    path = tmp_path / "model.json"
    sf.save_model(published, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": digest}))
    with pytest.raises(sf.FileFormatError, match="sha256: expected text"):
        sf.load_model(path)


def test_the_command_line_warns_in_one_line(published, tmp_path, capsys):
    from synfab.cli.terminal import show_warnings_in_one_line

    path = tmp_path / "model.json"
    sf.save_model(published, path)
    path.write_text(path.read_text().replace('"published"', '"mine"'))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        show_warnings_in_one_line()
        app(["info", str(path), "--json"], standalone_mode=False)
    found = capsys.readouterr()
    assert json.loads(found.out)["name"] == "mine"
    (line,) = found.err.splitlines()
    assert line.startswith(f"synfab: warning: {path}: edited or damaged")
