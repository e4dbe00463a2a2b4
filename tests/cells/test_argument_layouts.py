"""Arrays of any layout give the bits of a contiguous copy, on every engine."""

from collections import UserList, deque

import numpy as np
import pandas as pd
import pytest

import synfab as sf
from synfab.cells.state import get_state, with_state

SHAPE = (4, 8)
ENGINES = [("numba", "float32"), ("numba", "compact"), ("array", "float32")]
BOOLEANS = np.arange(32).reshape(SHAPE) % 3 == 0


def read_only(array):
    result = array.copy()
    result.setflags(write=False)
    return result


def negative(array):
    return array[::-1, ::-1].copy()[::-1, ::-1]


def every_second(array):
    result = np.zeros((2 * array.shape[0], 2 * array.shape[1]), array.dtype)
    result[::2, ::2] = array
    return result[::2, ::2]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "transposed": lambda a: a.T.copy().T,
    "strided": every_second,
    "negative": negative,
    "read-only": read_only,
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}
MASKS = {
    **{name: lambda layout=layout: layout(BOOLEANS) for name, layout in LAYOUTS.items()},
    "true": lambda: True,
    "numpy-true": lambda: np.True_,
    "0-d": lambda: np.array(True),
    "row": lambda: BOOLEANS[0],
    "column": lambda: BOOLEANS[:, :1],
    "broadcast": lambda: np.broadcast_to(BOOLEANS[0], SHAPE),
    "list": BOOLEANS.tolist,
    "frame": lambda: pd.DataFrame(BOOLEANS),
}
VOLTAGES = np.linspace(-2.0, 1.5, 32, dtype=np.float32).reshape(SHAPE)
NUMBERS = {
    **{name: lambda layout=layout: layout(VOLTAGES) for name, layout in LAYOUTS.items()},
    "big-endian": lambda: VOLTAGES.astype(">f4"),
    "big-endian doubles": lambda: VOLTAGES.astype(">f8"),
    "halves": lambda: VOLTAGES.astype(np.float16),
    "long doubles": lambda: VOLTAGES.astype(np.longdouble),
    "row": lambda: VOLTAGES[0],
    "broadcast": lambda: np.broadcast_to(VOLTAGES[0], SHAPE),
    "list": VOLTAGES.tolist,
    "unsigned": lambda: np.arange(32, dtype=np.uint64).reshape(SHAPE) % 3,
    "bytes": lambda: np.arange(32, dtype=np.uint8).reshape(SHAPE) % 3,
}


def fresh(engine, history):
    return sf.CellArray("published", SHAPE, seed=2, order=1, engine=engine, history=history)


def plain(value, kind):
    """Bring an array of any layout into the plainest one."""
    return np.array(np.broadcast_to(np.asarray(value), SHAPE), kind, order="C")


def bits(array):
    return {name: value.tobytes() for name, value in get_state(array).items()}


@pytest.mark.parametrize(("engine", "history"), ENGINES)
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_any_layout_selects_the_cells_of_its_copy(engine, history, name):
    mask = MASKS[name]()
    given = fresh(engine, history).apply_voltage(-2.0, where=mask)
    wanted = fresh(engine, history).apply_voltage(-2.0, where=plain(mask, bool))
    assert bits(given) == bits(wanted)


@pytest.mark.parametrize(("engine", "history"), ENGINES)
@pytest.mark.parametrize("name", NUMBERS)
def test_voltages_of_any_layout_are_those_of_their_copy(engine, history, name):
    u = NUMBERS[name]()
    copy = plain(u, np.float32)
    given, wanted = (fresh(engine, history).apply_voltage(x, where=BOOLEANS) for x in (u, copy))
    assert bits(given) == bits(wanted)
    assert given.read(u).tobytes() == wanted.read(copy).tobytes()
    assert given.current(u).tobytes() == wanted.current(copy).tobytes()


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(("engine", "history"), ENGINES)
def test_conductances_of_any_layout_are_those_of_their_copy(engine, history, name):
    g = np.linspace(1e-5, 5e-5, 32).reshape(SHAPE)
    given = fresh(engine, history).set_conductance(LAYOUTS[name](g), where=LAYOUTS[name](BOOLEANS))
    assert bits(given) == bits(fresh(engine, history).set_conductance(g, where=BOOLEANS))


@pytest.mark.parametrize(("engine", "history"), [*ENGINES[:1], *ENGINES[2:]])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_state_of_any_layout_is_that_of_its_copy(engine, history, name):
    cells = fresh(engine, history).apply_voltage(VOLTAGES)
    state = {key: LAYOUTS[name](value) for key, value in get_state(cells).items()}
    assert bits(with_state(cells, state).apply_voltage(1.0)) == bits(
        cells.copy().apply_voltage(1.0)
    )


@pytest.mark.parametrize(("engine", "history"), ENGINES)
def test_restored_arrays_are_not_the_callers(engine, history):
    cells = fresh(engine, history)
    cells.apply_voltage(VOLTAGES)
    held = {n: np.array(value, order="F") for n, value in cells.engine_instance.storage().items()}
    for value in held.values():
        value.setflags(write=False)
    before = {name: value.tobytes() for name, value in held.items()}
    other = fresh(engine, history)
    other.engine_instance.restore(held)
    cells.apply_voltage(-2.0, where=BOOLEANS)
    assert bits(other.apply_voltage(-2.0, where=BOOLEANS)) == bits(cells)
    assert {name: value.tobytes() for name, value in held.items()} == before


@pytest.mark.parametrize(
    "masked",
    [
        np.ma.masked_array(np.full(SHAPE, -2.0), mask=BOOLEANS),
        np.ma.masked,
        [[np.ma.masked] * 8] * 4,
        deque([np.ma.masked_array(np.full(SHAPE[1], -2.0), mask=BOOLEANS[0])] * SHAPE[0]),
        UserList([np.ma.masked_array(np.full(SHAPE[1], -2.0), mask=BOOLEANS[0])] * SHAPE[0]),
    ],
    ids=["array", "constant", "nested", "deque", "list-like"],
)
@pytest.mark.parametrize("name", ["apply_voltage", "read", "current", "set_conductance"])
def test_a_masked_array_is_refused_and_changes_nothing(name, masked):
    cells = fresh("numba", "float32")
    before = bits(cells)
    with pytest.raises(sf.InvalidTypeError, match="masked arrays"):
        getattr(cells, name)(masked)
    assert bits(cells) == before


def test_words_are_no_flags(tmp_path):
    cells = fresh("numba", "float32")
    with pytest.raises(sf.InvalidTypeError, match=r"^noise: expected True or False, found 'False'"):
        cells.read(noise="False")
    with pytest.raises(sf.InvalidTypeError, match=r"^resume: expected True or False, found 'no'"):
        sf.Checkpoints(tmp_path, resume="no")
    with pytest.raises(sf.InvalidTypeError, match=r"^allow_pickle: expected True or False"):
        sf.learn.read_any(tmp_path / "a.pkl", allow_pickle="no")


def test_numbers_of_numpy_describe_a_simulation(tmp_path):
    pytest.importorskip("zarr")
    program, cells = np.array([-2.0, 0.9]), np.int64(16)
    found = tmp_path / "numpy.zarr"
    sf.simulate.simulate(
        program, cells, found, seed=np.int64(1), order=np.int32(1), block=np.uint8(8),
        read_voltage=np.float32(0.25), bandwidth=np.float64(1e8), noise=np.True_,
    )  # fmt: skip
    sf.simulate.simulate(
        [-2.0, 0.9], 16, tmp_path / "plain.zarr", seed=1, order=1, block=8, read_voltage=0.25,
    )  # fmt: skip
    import zarr

    one, other = (zarr.open_group(tmp_path / f"{n}.zarr", mode="r") for n in ("numpy", "plain"))
    assert np.array_equal(one["current"][:], other["current"][:])


def test_a_refused_simulation_leaves_nothing_behind(tmp_path):
    pytest.importorskip("zarr")
    for wrong in ({"seed": "1"}, {"seed": 1, "noise": "no"}, {"seed": 1, "block": 0}):
        with pytest.raises(sf.SynfabError):
            sf.simulate.simulate("-2", 16, tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []


class BecomesMasked:
    """Converts itself to a masked array, as tables of other packages do."""

    def __array__(self, *_, **__):
        return np.ma.masked_array(np.full(SHAPE, -2.0), mask=BOOLEANS)


def test_what_becomes_a_masked_array_is_refused():
    cells = sf.CellArray("published", SHAPE, seed=1)
    with pytest.raises(sf.InvalidTypeError, match=r"u: .*becomes a masked array"):
        cells.apply_voltage(BecomesMasked())


def nested(depth):
    found = 1.0
    for _ in range(depth):
        found = [found]
    return found


def test_lists_without_end_are_refused():
    endless = []
    endless.append(endless)
    cells = sf.CellArray("published", SHAPE, seed=1)
    for value in (nested(40), nested(80), endless):
        with pytest.raises(sf.SynfabError, match=r"^u: "):
            cells.apply_voltage(value)


@pytest.mark.filterwarnings("ignore:.*prototype:UserWarning")
@pytest.mark.parametrize("engine", ["numba", "array"])
def test_tensors_that_are_no_plain_arrays_are_refused(engine):
    torch = pytest.importorskip("torch")
    cells = sf.CellArray("published", (2, 2), seed=1, engine=engine, arrays="torch")
    masked = torch.masked.masked_tensor(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))
    ragged = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    for value in (torch.ones(2, 2).to_sparse(), masked, ragged):
        with pytest.raises(sf.InvalidTypeError, match=r"^u: cannot be read"):
            cells.apply_voltage(value)
    with pytest.raises(sf.InvalidTypeError, match=r"^v: cannot be read"):
        _ = cells @ torch.ones(2).to_sparse()
    half = torch.full((2,), 0.125, dtype=torch.bfloat16)
    assert torch.equal(cells.matvec(half, number=0), cells.matvec(half.float(), number=0))


@pytest.mark.parametrize("engine", ["numba", "array"])
def test_keys_of_jax_are_no_voltages(engine):
    jax = pytest.importorskip("jax")
    cells = sf.CellArray("published", 4, seed=1, engine=engine, arrays="jax")
    with pytest.raises(sf.InvalidTypeError, match=r"^u: "):
        cells.apply_voltage(jax.random.key(0))


@pytest.mark.parametrize("arrays", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("engine", ["numba", "array"])
def test_large_integers_are_large_voltages(engine, arrays):
    """JAX without float64 would keep the lower 32 bits."""
    pytest.importorskip(arrays)
    cells = sf.CellArray("published", 4, seed=1, engine=engine, arrays=arrays)
    for u in (2**32 - 2, np.uint32(2**32 - 2), np.int64(2**32 - 2)):
        assert bool(cells.apply_voltage(-2.0).in_lrs.all())
        assert bool(cells.apply_voltage(u).in_hrs.all())
    with pytest.raises(sf.InvalidValueError, match=r"^u: expected finite"):
        cells.apply_voltage(1e39)
