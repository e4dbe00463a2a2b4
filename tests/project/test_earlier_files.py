"""Files of version 0.1.0 with its first layout load, and what is loaded continues to the same bits.

``fixtures/before_layout`` holds the files and what that version computed from them.
"""

import shutil
import sys

import numpy as np
import pytest
from earlier import MODEL, assert_as_recorded, cells, unpack

import synfab as sf

# Libraries, and solvers of linear equations, round in an order that depends on the processor.
CLOSE = 1e-5
# Cells with int16 history continue with a float32 history; differences of 6e-5 were measured.
UNROUNDED = 1e-3
# Names of engines that stood for the reference on arrays of a library.
LIBRARIES = {"torch", "jax"}
# Engines whose powers and logarithms are those of a library: NumPy's depend on the processor.
BY_LIBRARY = LIBRARIES | {"array"}


@pytest.fixture
def model(tmp_path):
    unpack("models", tmp_path)
    return sf.load_model(tmp_path / MODEL)


@pytest.fixture
def resumed(tmp_path):
    """Return a function: checkpoints of one kind, to resume from."""

    def find(kind, name=""):
        return sf.Checkpoints(unpack(kind, tmp_path) / name, resume=True)

    return find


# ---- arrays and models --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "jax" else ()) for name in cells.ARRAYS],
)
def test_an_array_file_loads_and_continues_to_the_same_bits(tmp_path, name):
    options = cells.ARRAYS[name]
    if options.get("engine") in LIBRARIES:
        pytest.importorskip(options["engine"])
    rtol = CLOSE if options.get("engine") in BY_LIBRARY else 0.0
    of_later_cycles = UNROUNDED if name == "int16" else rtol
    array = sf.CellArray.load(unpack("arrays", tmp_path) / f"{name}.npz")
    by_library = options.get("engine") in LIBRARIES  # in the words of that version
    assert array.engine == ("array" if by_library else options.get("engine", "numba"))
    assert array.arrays == (options["engine"] if by_library else "numpy")
    assert array.history == ("compact" if name == "compact" else "float32")
    assert array.first_cell == options.get("first_cell", 0)
    assert_as_recorded(f"array {name}", cells.state(array), rtol)
    assert_as_recorded(f"array {name} continued", cells.after_more(array), of_later_cycles)


@pytest.mark.parametrize("name", ["published", "order-1", "compact", "array"])
def test_an_array_file_written_again_is_the_same_file(tmp_path, name):
    """What a loaded array saves is what the earlier version would have saved, byte for byte."""
    path = unpack("arrays", tmp_path) / f"{name}.npz"
    sf.CellArray.load(path).save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", cells.MODELS)
def test_a_model_file_loads_and_makes_the_same_cells(tmp_path, name):
    """Without a warning, also where there is no digest."""
    model = sf.load_model(unpack("models", tmp_path) / f"{name}.json")
    assert_as_recorded(f"model {name}", cells.content(model))


@pytest.mark.parametrize("name", ["published", "small", "pieces", "learned"])
def test_a_model_file_written_again_is_the_same_file(tmp_path, name):
    path = unpack("models", tmp_path) / f"{name}.json"
    sf.save_model(sf.load_model(path), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


# ---- simulations --------------------------------------------------------------------------------


def test_a_simulation_that_was_stopped_is_resumed_after_its_finished_blocks(tmp_path, model):
    pytest.importorskip("zarr")
    path, begun = unpack("simulations", tmp_path) / "stopped", []
    assert cells.results(path)["done"].tolist() == [1, 1, 0]
    cells.simulate(path, model, begun=begun, resume=True)
    assert begun == [2 * cells.BLOCK]
    assert_as_recorded("simulation", cells.results(path))


def test_a_finished_simulation_is_read_and_left_as_it_was(tmp_path, model, caplog):
    pytest.importorskip("zarr")
    path = unpack("simulations", tmp_path) / "finished"

    def chunks():
        return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.glob("*/c/**/*")
                if p.is_file()}  # fmt: skip

    before = chunks()
    assert_as_recorded("finished simulation", cells.results(path))
    cells.simulate_last(path, model, resume=True)
    assert chunks() == before
    assert not caplog.records


# ---- checkpoints --------------------------------------------------------------------------------


def assert_equal(found, wanted):
    """Compare nested states, types included."""
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_equal(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted, strict=True):
            assert_equal(ours, theirs)
    else:
        assert getattr(found, "dtype", None) == getattr(wanted, "dtype", None)
        assert np.array_equal(found, wanted, equal_nan=isinstance(wanted, float))


def test_a_checkpoint_is_loaded_with_values_of_every_kind(resumed):
    place = resumed("checkpoints")
    with place.open(cells.SETTINGS) as run:
        assert run.step == 5
        assert_equal(run.state, cells.anything())
        assert run.load(3) == {"early": True}
        run.save(6, {"next": 1})
    with place.open(cells.SETTINGS) as run:
        assert (run.step, run.state) == (6, {"next": 1})
    with pytest.raises(sf.InvalidValueError, match=r"^rate: "), place.open({"job": "anything"}):
        pass


@pytest.mark.parametrize(("name", "rtol"), [("float32", CLOSE), ("int16", UNROUNDED)])
def test_programming_of_a_crossbar_is_resumed_and_ends_the_same(resumed, model, name, rtol, caplog):
    """The cells were not fresh when it began: begun from the start, it would end otherwise."""
    bar = cells.crossbar(model)
    found = cells.programmed(bar, resumed("crossbars", name))
    assert_as_recorded(f"crossbar {name}", found, rtol)
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert ["int16 history are loaded as float32" in line for line in warned] == (
        [True] if name == "int16" else []
    )


# ---- clusters -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as found,
    ):  # fmt: skip
        yield found


of_clusters = pytest.mark.filterwarnings("ignore")  # Dask's, on busy ports


@of_clusters
@pytest.mark.parametrize("name", ["saved", "compact"])
def test_a_folder_of_a_cluster_loads_and_continues_to_the_same_bits(tmp_path, client, name):
    folder = unpack("clusters", tmp_path) / name
    array = sf.cluster.ShardedCellArray.load(folder, client)
    assert_as_recorded(f"cluster {name}", cells.sharded_state(array))
    assert_as_recorded(f"cluster {name} continued", cells.sharded_after_more(array))
    array.close()


@of_clusters
def test_checkpoints_of_a_cluster_are_resumed_and_continue_to_the_same_bits(tmp_path, client):
    folder = unpack("clusters", tmp_path) / "checkpoints"
    array = sf.cluster.ShardedCellArray.resume(folder, client, every=4)
    assert array.pulses == 8
    assert_as_recorded("cluster checkpoints", cells.sharded_state(array))
    assert_as_recorded("cluster checkpoints continued", cells.sharded_after_more(array))
    array.close()


# ---- PyTorch ------------------------------------------------------------------------------------


@pytest.fixture
def networks():
    pytest.importorskip("torch")
    from earlier import networks

    return networks


@pytest.mark.parametrize("name", ["linear", "compact", "torch", "wired", "convolution"])
def test_the_state_of_a_layer_loads_and_continues_the_same(tmp_path, networks, model, name):
    import torch

    layer = networks.LAYERS[name](model)
    path = unpack("layers", tmp_path) / f"{name}.pt"
    layer.load_state_dict(torch.load(path, weights_only=True))
    assert_as_recorded(f"layer {name}", networks.read(layer), CLOSE)
    networks.pulse(layer, 6, 12)
    assert_as_recorded(f"layer {name} continued", networks.read(layer), CLOSE)


@pytest.mark.parametrize("name", ["pulses", "aware"])
def test_states_of_network_and_optimizer_load_and_training_continues(
    tmp_path, networks, model, name
):
    import torch

    network, optimizer, _ = networks.training(name, model, shift=2)
    path = unpack("states", tmp_path) / f"{name}.pt"
    ours, theirs = torch.load(path, weights_only=True)
    network.load_state_dict(ours)
    optimizer.load_state_dict(theirs)
    assert_as_recorded(f"state {name}", networks.outcome(network, optimizer), CLOSE)
    networks.train(network, optimizer, 3, 6)
    assert_as_recorded(f"state {name} continued", networks.outcome(network, optimizer), CLOSE)


@pytest.mark.parametrize("name", ["pulses", "aware"])
def test_training_that_was_stopped_is_resumed_and_ends_the_same(resumed, networks, model, name):
    """Other weights stand in the network before: begun from the start, it would end otherwise."""
    network, optimizer, scheduler = networks.training(name, model)
    rates = networks.fit(network, optimizer, scheduler, resumed("trainings", name))
    found = {"rates": np.asarray(rates), **networks.outcome(network, optimizer)}
    assert_as_recorded(f"training {name}", found, CLOSE)


def test_programming_of_a_network_is_resumed_and_ends_the_same(resumed, networks, model):
    """Cells of the finished tiles were not fresh when it began."""
    found = networks.programmed(networks.tiled(model), resumed("programs"))
    assert_as_recorded("programming", found, CLOSE)


# ---- circuits -----------------------------------------------------------------------------------


def test_a_folder_that_keeps_the_files_of_a_run_serves_the_next(tmp_path):
    """Its record says which files are synfab's own: those may be replaced, others not."""
    folder = unpack("runs", tmp_path)
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "deck.cir").write_text("mine")

    def run(keep):
        sf.circuit.run_ngspice("title\n.op\n", keep=keep, ngspice=sys.executable)

    with pytest.raises(sf.SynfabError) as caught:
        run(folder)
    assert "already exists" not in str(caught.value)  # but that Python is not ngspice
    assert (folder / "deck.cir").read_text().startswith("title")
    with pytest.raises(sf.InvalidValueError, match=r"^keep: .*deck\.cir already exists"):
        run(other)
    assert (other / "deck.cir").read_text() == "mine"
