"""Small classification tasks that require no download, and a training loop."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import FileFormatError, InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.common.messages import reason_of
from synfab.common.types import Array, PathLike
from synfab.io.checkpoints import Checkpoints, Run, as_checkpoints
from synfab.io.memory import require_memory
from synfab.random.arrays import digest
from synfab.torch.training import (
    Stateful,
    optimizer_settings,
    restore_training,
    training_state,
)

Note = TypeVar("Note")

MNIST = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
IDX_BYTES = 8  # IDX type code of unsigned bytes
MAX_AXES = 8


class Task(NamedTuple):
    """Training set and test set: inputs (samples, inputs), float32, and labels (samples,).

    Inputs of ``recall`` are sequences, (samples, steps, inputs).
    """

    x: Tensor
    label: Tensor
    x_test: Tensor
    label_test: Tensor

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of inputs and number of classes."""
        return self.x.shape[-1], int(self.label.max()) + 1


def digits() -> Task:
    """Return scikit-learn's handwritten digits, 8 x 8 pixels in [0, 1]; a quarter is test data."""
    x, label = load_digits(return_X_y=True)
    return _split(x / 16.0, label)


def synthetic(samples: int = 600, inputs: int = 16, classes: int = 4) -> Task:
    """Return points in one cluster per class; a quarter is test data."""
    x, label = make_classification(
        samples, inputs, n_informative=inputs // 2, n_redundant=0, n_classes=classes,
        n_clusters_per_class=1, class_sep=2.0, random_state=0,
    )  # fmt: skip
    return _split(x / np.abs(x).max(), label)


def recall(samples: int = 2400, pairs: int = 6, symbols: int = 8) -> Task:
    """Return sequences of pairs (key, value) and a key, whose value is the label.

    A network needs attention or memory for this task (associative recall; Ba et al., 2016,
    arXiv 1610.06258). Keys and values are symbols, one-hot; a quarter is test data.

    Parameters
    ----------
    samples
        Number of sequences.
    pairs
        Number of pairs, with different keys, in a sequence.
    symbols
        Number of keys, and of values.

    Returns
    -------
    Task
        Inputs (samples, pairs + 1, 2 symbols), float32: key, then value. The last step of a
        sequence has no value.
    """
    samples, symbols = checks.count("samples", samples), checks.count("symbols", symbols)
    pairs = checks.count("pairs", pairs, symbols)
    generator = np.random.default_rng(0)  # noqa: TID251 - of data, not of devices
    keys = generator.permuted(np.tile(np.arange(symbols), (samples, 1)), axis=1)[:, :pairs]
    values = generator.integers(0, symbols, (samples, pairs))
    asked = generator.integers(0, pairs, samples)
    every = np.arange(samples)
    x = np.zeros((samples, pairs + 1, 2 * symbols))
    x[every[:, None], np.arange(pairs), keys] = 1.0
    x[every[:, None], np.arange(pairs), symbols + values] = 1.0
    x[every, pairs, keys[every, asked]] = 1.0
    return _split(x, values[every, asked])


def _split(x: Array, label: Array) -> Task:
    x, x_test, label, label_test = train_test_split(
        x.astype(np.float32), label.astype(np.int64), test_size=0.25, random_state=0, stratify=label
    )
    return Task(*map(torch.from_numpy, (x, label, x_test, label_test)))


def mnist(folder: PathLike) -> Task:
    """Return MNIST from a folder with its four IDX files, plain or .gz; pixels in [0, 1].

    Raises
    ------
    FileFormatError
        A file is missing, or does not contain the images or labels that its name indicates.
    """
    sets: list[Array] = []
    for images, labels in MNIST:
        x, label = read_idx(Path(folder) / images), read_idx(Path(folder) / labels)
        if x.ndim != 3 or label.ndim != 1 or len(x) != len(label):
            raise FileFormatError(
                f"{images}: expected images and as many labels, found {x.shape}, {label.shape}"
            )
        sets += [x.reshape(len(x), -1).astype(np.float32) / 255.0, label.astype(np.int64)]
    return Task(*map(torch.from_numpy, sets))


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array of unsigned bytes in an IDX file, plain or with suffix .gz.

    Raises
    ------
    FileFormatError
        The file is missing, corrupt, or of another type.
    CapacityError
        The size in its header exceeds available memory.
    """
    packed = path.with_name(path.name + ".gz")
    try:
        with path.open("rb") if path.exists() else gzip.open(packed) as file:
            return _idx(file, path)
    except (OSError, EOFError, zlib.error) as error:
        pass_on(error)
        raise FileFormatError(f"{path}: cannot read: {reason_of(error)}") from None


def _idx(file: io.BufferedIOBase, path: Path) -> npt.NDArray[np.uint8]:
    """Return the array of an IDX file; reads at most one byte more than its header declares."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != IDX_BYTES:
        raise FileFormatError(f"{path}: not an IDX file of bytes")
    axes = head[3]
    if not 1 <= axes <= MAX_AXES:
        raise FileFormatError(f"{path}: expected 1 … {MAX_AXES} axes, found {axes}")
    lengths = file.read(4 * axes)
    shape = tuple(int(n) for n in np.frombuffer(lengths[: len(lengths) // 4 * 4], ">u4"))
    size = math.prod(shape)
    if len(shape) == axes:
        require_memory(2 * size, str(path))
        data = file.read(size + 1)
    if len(shape) != axes or len(data) != size:
        raise FileFormatError(f"{path}: expected {shape} bytes after its header")
    return np.frombuffer(data, np.uint8).reshape(shape)


def perceptron(task: Task, hidden: int = 64, seed: int = 0) -> nn.Sequential:
    """Return a network with one hidden layer; ``seed`` seeds PyTorch's generator."""
    inputs, classes = task.sizes
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    epochs: int,
    *,
    batch: int = 32,
    seed: int = 0,
    after: Callable[[int], Note] | None = None,
    stateful: Sequence[Stateful] = (),
    checkpoints: Checkpoints | PathLike | None = None,
) -> list[Note]:
    """Train a network with cross-entropy loss and return the result of ``after`` per epoch.

    Parameters
    ----------
    network, optimizer, task
        Network to train, its optimizer and the task.
    epochs, batch, seed
        Number of epochs, samples per batch, and seed of the shuffling.
    after
        Called with the epoch number at the end of each epoch; its results are returned. With
        checkpoints they must be JSON-serialisable.
    stateful
        Other objects whose ``state_dict`` is saved in checkpoints, such as a learning-rate
        scheduler stepped by ``after``.
    checkpoints
        Where to save checkpoints. A stopped training run resumes with
        ``Checkpoints(folder, resume=True)`` and gives bit-identical results; ``epochs`` may then
        be larger.

    Returns
    -------
    list
        Result of ``after`` for each epoch, including epochs before a stop.
    """
    order, begin = torch.Generator().manual_seed(seed), 0
    notes: list[Note] = []
    settings = {
        "job": "fit", "batch": batch, "seed": seed, "task": digest(*task),
        **optimizer_settings(optimizer),
    }  # fmt: skip
    with _run(checkpoints, settings) as run:

        def state() -> Mapping[str, object]:
            return {**training_state(network, optimizer, *stateful), "notes": notes}

        if run is not None and run.state is not None:
            if run.step > epochs * -(-len(task.x) // batch):
                raise InvalidValueError(
                    f"epochs: expected at least {len(run.state['notes'])}, which are completed, "
                    f"found {epochs}"
                )
            restore_training(run.state, network, optimizer, *stateful)
            notes, begin = run.state["notes"], run.step
        step = 0
        for epoch in range(epochs):
            if step >= begin:  # on resuming, the checkpoint has restored the mode
                network.train()
            for part in torch.split(torch.randperm(len(task.x), generator=order), batch):
                step += 1
                if step <= begin:
                    continue
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(task.x[part]), task.label[part])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if run is not None:
                    run.tick(step, state)
            if after is not None and epoch >= len(notes):
                notes.append(after(epoch))
        if run is not None and step > begin:
            run.save(step, state())
    return notes


def _run(
    checkpoints: Checkpoints | PathLike | None, settings: Mapping[str, object]
) -> AbstractContextManager[Run | None]:
    return nullcontext() if checkpoints is None else as_checkpoints(checkpoints).open(settings)


def accuracy(network: nn.Module, task: Task) -> float:
    """Return the accuracy on the test set, 0 to 1; puts the network in evaluation mode."""
    network.eval()
    with torch.no_grad():
        right = network(task.x_test).argmax(dim=1) == task.label_test
    return float(right.double().mean())
