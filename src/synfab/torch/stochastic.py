"""Training in situ by stochastic pulse trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from synfab.common import checks
from synfab.programming.pulser import DURATION
from synfab.torch.cell_optimizer import CellOptimizer, Parameters
from synfab.torch.core import CrossbarLayer
from synfab.torch.layer_writer import Group
from synfab.torch.open_loop import REFRESH_EVERY, OpenLoopWriter
from synfab.torch.optimizer import check_pulses
from synfab.torch.staircases import equal_pulses, linear_staircase
from synfab.torch.trains import Trains, record, vectors_of

SLOTS = 31  # of a pulse train; as in Gokmen and Haensch (2020)
MAX_SLOTS = 1024


class StochasticPulseSGD(CellOptimizer):
    """Stochastic gradient descent by random pulse trains, whose coincidences pulse the cells.

    For each input vector x of a layer and the gradient d = dL/dy of its outputs y (Gokmen and
    Vlasov, Front. Neurosci. 10:333, 2016), rows and columns fire at random in each of L slots:

        n_ij = sum over slots of A_i B_j,   P(A_i) = C_d |d_i|,  P(B_j) = C_x |x_j|
        W_ij <- W_ij - w n_ij sign(d_i x_j),   C_x C_d = lr / (L w)

    so that the mean change is -lr d x^T. Here a pulse is a RESET of G- (the weight rises) or of G+
    (it falls), and w stands for the change of conductance ``granularity``. Nothing is read between
    pulses: every ``refresh_every`` updates, all cells are read and exhausted pairs are refreshed.

    In the published technology a second pulse of the same voltage changes nothing, so identical
    pulses, as the method wants them, move a cell once per refresh. By default each pulse of a cell
    is therefore larger than its last one, by the voltage that changes the typical device by
    ``granularity``; this needs a driver with a memory per cell. ``voltage`` gives identical pulses.

    The vectors are those of the backward passes since the last step or ``zero_grad``; changes of
    ``.grad``, such as clipping, have no effect on cells. Random numbers are those of stream 7.

    Parameters
    ----------
    network, params
        As for ``PulsedSGD``.
    lr
        Learning rate.
    momentum, weight_decay
        Of the parameters that are updated digitally. Weights on cells have neither: the product is
        formed in the crossbar, and no digital gradient exists.
    slots
        Length of the pulse trains, L.
    voltage
        Of identical pulses, V; None: a staircase per cell.
    granularity
        Change of conductance that a pulse stands for, S; None: 2 % of the window.
    refresh_every
        Number of updates between refreshes.
    duration
        Of each pulse, s.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or the network has no layers on cells.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float = 0.05,
        *,
        params: Parameters | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        slots: int = SLOTS,
        voltage: float | None = None,
        granularity: float | None = None,
        refresh_every: int = REFRESH_EVERY,
        duration: float = DURATION,
    ) -> None:
        self.granularity, self.duration = check_pulses(granularity, duration)
        self.slots = checks.count("slots", slots, MAX_SLOTS)
        self.voltage = None if voltage is None else checks.positive("voltage", voltage)
        self.refresh_every = checks.count("refresh_every", refresh_every)
        super().__init__(network, params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def writer(self, layer: CrossbarLayer[nn.Module]) -> OpenLoopWriter:
        """Return what pulses the cells of a layer."""
        return _Writer(layer, self)


class _Writer(OpenLoopWriter):
    """Pulse trains on the lines of one layer."""

    def __init__(self, layer: CrossbarLayer[nn.Module], method: StochasticPulseSGD) -> None:
        self.trains, self.voltage = Trains(layer.tiles, method.slots), method.voltage or 0.0
        super().__init__(layer, method.granularity, method.duration, method.refresh_every)
        record(layer, self.recorded)
        self.staircase = (
            linear_staircase(layer.options.model, layer.options.g_window, self.granularity)
            if method.voltage is None
            else equal_pulses(method.voltage)
        )

    def update(self, gradient: Tensor, group: Group) -> None:
        """Send the pulse trains of all recorded vectors."""
        if self.recorded:
            x, d = vectors_of(self.recorded)
            strength = group["lr"] / self.weight_per_pulse
            counts = self.trains.coincidences(x, d, strength)
            self.pairs.pulse_times(counts, self.staircase)
        self.forget()
        self.finish()

    def settings(self) -> dict[str, float]:
        """Return settings that must agree with those of a state."""
        return {**super().settings(), "slots": self.trains.slots, "voltage": self.voltage}

    def dump(self) -> dict[str, Any]:
        """Return the state, in tensors and numbers."""
        return {**super().dump(), "vectors": self.trains.vectors}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``dump``."""
        super().restore(state)
        self.trains.vectors = int(state["vectors"])
        self.forget()
