import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import synfab as sf
from synfab.torch import tasks

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_digits_and_synthetic_tasks_need_no_download():
    task = tasks.digits()
    assert task.sizes == (64, 10)
    assert float(task.x.max()) == 1.0
    assert len(task.x_test) == 450
    assert tasks.synthetic().sizes == (16, 4)


def test_the_value_to_recall_follows_its_key():
    task = tasks.recall(samples=200, pairs=3, symbols=5)
    assert task.sizes == (10, 5)
    key, value = task.x[:, :-1, :5], task.x[:, :-1, 5:]
    asked = task.x[:, -1, :5]
    assert (key.sum(dim=1).max(dim=1).values == 1.0).all()  # no key twice
    found = ((key * asked[:, None]).sum(dim=2, keepdim=True) * value).sum(dim=1)
    assert (found.sum(dim=1) == 1.0).all()
    assert (found.argmax(dim=1) == task.label).all()
    assert len(task.x_test) == 50


def test_more_keys_than_symbols_are_refused():
    with pytest.raises(sf.InvalidValueError, match=r"^pairs: "):
        tasks.recall(pairs=9, symbols=8)


def write_idx(path, array, pack=False):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    data = header + array.astype(np.uint8).tobytes()
    (path.with_name(path.name + ".gz") if pack else path).write_bytes(
        gzip.compress(data) if pack else data
    )


def test_mnist_is_read_from_idx_files(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (6, 28, 28))
    for (images, labels), pack in zip(tasks.MNIST, (False, True), strict=True):
        write_idx(tmp_path / images, pictures, pack)
        write_idx(tmp_path / labels, np.arange(6), pack)
    task = tasks.mnist(tmp_path)
    assert task.sizes == (784, 6)
    np.testing.assert_allclose(task.x_test[2].numpy(), pictures[2].ravel() / 255.0, rtol=1e-6)


@pytest.mark.parametrize("damage", [b"", b"\0\0\x0d\x01", b"\0\0\x08\x01\0\0\0\x09abc"])
def test_a_damaged_idx_file_is_named(tmp_path, damage):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(damage)
    with pytest.raises(sf.FileFormatError, match="train-images-idx3-ubyte"):
        tasks.read_idx(path)
    with pytest.raises(sf.FileFormatError, match="cannot read"):
        tasks.mnist(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("ml_inference", ["--chips", "2", "--epochs", "6"]),
        ("ml_hardware_aware", ["--chips", "2", "--epochs", "6", "--aware-epochs", "1"]),
        ("ml_in_situ", ["--epochs", "2"]),
        ("ml_over_time", ["--chips", "2", "--epochs", "6", "--times", "3", "--refresh", "4"]),
    ],
)
def test_workflows_run_at_small_size(tmp_path, script, arguments):
    picture = tmp_path / "picture.png"
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{script}.py"), *arguments]
    done = subprocess.run(
        [*command, "--task", "synthetic", "--hidden", "12", "--output", str(picture)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "accuracy" in done.stdout or "software" in done.stdout
