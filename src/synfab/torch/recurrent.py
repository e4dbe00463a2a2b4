"""Recurrent layers as linear layers: for each layer and direction, inputs and last outputs.

LSTM:  i, f, g, o = W_ih x + b_ih + W_hh h + b_hh;  c' = s(f) c + s(i) tanh(g);  h' = s(o) tanh(c')
GRU:   r, z from the sums;  n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 - z) n + z h
RNN:   h' = tanh or relu (W_ih x + b_ih + W_hh h + b_hh)

with s the logistic function, as in PyTorch. The products are of linear layers, in software or on
cells; all else is computed digitally.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from synfab.common.errors import InvalidValueError
from synfab.torch.composites import Composite, linear_of, splits

State: TypeAlias = tuple[Tensor, ...]  # (h,), or (h, c) of an LSTM
GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
SIZES = ("input_size", "hidden_size", "bias")


def step(mode: str, of_input: Tensor, of_state: Tensor, state: State) -> State:
    """Return the next state for the products with the input and with the last output."""
    if mode == "LSTM":
        i, f, g, o = (of_input + of_state).chunk(4, dim=1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if mode == "GRU":
        (r, z, n), (r_h, z_h, n_h) = of_input.chunk(3, dim=1), of_state.chunk(3, dim=1)
        z = (z + z_h).sigmoid()
        n = (n + (r + r_h).sigmoid() * n_h).tanh()
        return ((1.0 - z) * n + z * state[0],)
    total = of_input + of_state
    return (total.tanh() if mode == "RNN_TANH" else total.relu(),)


@splits(nn.LSTMCell, nn.GRUCell, nn.RNNCell)
class SplitCell(Composite):
    """``nn.LSTMCell``, ``nn.GRUCell`` or ``nn.RNNCell`` with two linear layers."""

    mode: str
    input_size: int
    hidden_size: int
    ih: nn.Module
    hh: nn.Module

    @classmethod
    def split(cls, layer: nn.RNNCellBase) -> Self:
        """Return the same cell with linear layers."""
        made = cls()
        kinds: dict[type, str] = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU"}
        found = [mode for kind, mode in kinds.items() if isinstance(layer, kind)]
        made.mode = found[0] if found else f"RNN_{str(layer.nonlinearity).upper()}"
        made.input_size, made.hidden_size = layer.input_size, layer.hidden_size
        made.ih = linear_of(layer.weight_ih, layer.bias_ih if layer.bias else None)
        made.hh = linear_of(layer.weight_hh, layer.bias_hh if layer.bias else None)
        return made.train(layer.training)

    def joined(self, linear: Callable[[str], nn.Linear]) -> nn.Module:
        """Return the cell of PyTorch with the weights of the linear layers."""
        ih, hh = linear("ih"), linear("hh")
        sizes = (self.input_size, self.hidden_size, ih.bias is not None)
        made: Any = (
            nn.LSTMCell(*sizes) if self.mode == "LSTM"
            else nn.GRUCell(*sizes) if self.mode == "GRU"
            else nn.RNNCell(*sizes, nonlinearity=self.mode.removeprefix("RNN_").lower())
        )  # fmt: skip
        made.to(ih.weight)
        with torch.no_grad():
            for name, part in (("ih", ih), ("hh", hh)):
                getattr(made, f"weight_{name}").copy_(part.weight)
                if part.bias is not None:
                    getattr(made, f"bias_{name}").copy_(part.bias)
        done: nn.Module = made.train(self.training)
        return done

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        """Return the next state for inputs (B, inputs) or (inputs,), as the cell of PyTorch."""
        inputs = x if x.ndim == 2 else x[None]
        given: State = () if hx is None else hx if self.mode == "LSTM" else (hx,)
        state = tuple(part if x.ndim == 2 else part[None] for part in given)
        if not state:
            zeros = inputs.new_zeros(len(inputs), self.hidden_size)
            state = (zeros, zeros) if self.mode == "LSTM" else (zeros,)
        found = step(self.mode, self.ih(inputs), self.hh(state[0]), state)
        found = found if x.ndim == 2 else tuple(part[0] for part in found)
        return found if self.mode == "LSTM" else found[0]


@splits(nn.LSTM, nn.GRU, nn.RNN)
class SplitRecurrent(Composite):
    """``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` with two linear layers per layer and direction.

    Their names are ``ih_l0``, ``hh_l0``, ``ih_l0_reverse`` and so on; ``hr_l0`` projects the
    outputs of an LSTM with ``proj_size``.
    """

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    proj_size: int
    bias: bool
    batch_first: bool
    bidirectional: bool
    dropout: float

    @classmethod
    def split(cls, layer: nn.RNNBase) -> Self:
        """Return the same layer with linear layers."""
        made = cls()
        for name in (*SIZES, "mode", "num_layers", "batch_first", "dropout", "bidirectional",
                     "proj_size"):  # fmt: skip
            setattr(made, name, getattr(layer, name))
        for end in made._ends():
            for part in ("ih", "hh", *(("hr",) if made.proj_size else ())):
                bias = getattr(layer, f"bias_{part}{end}", None) if made.bias else None
                made.add_module(part + end, linear_of(getattr(layer, f"weight_{part}{end}"), bias))
        return made.train(layer.training)

    def _ends(self) -> list[str]:
        """Return the ends of the names of layers and directions, in order."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{k}{direction}" for k in range(self.num_layers) for direction in directions]

    def joined(self, linear: Callable[[str], nn.Linear]) -> nn.Module:
        """Return the layer of PyTorch with the weights of the linear layers."""
        parts = {name: linear(name) for name, _ in self.named_children()}
        options: dict[str, Any] = {"proj_size": self.proj_size} if self.mode == "LSTM" else {}
        if self.mode.startswith("RNN_"):
            options["nonlinearity"] = self.mode.removeprefix("RNN_").lower()
        kind: Any = getattr(nn, self.mode.partition("_")[0])
        made: nn.RNNBase = kind(
            self.input_size, self.hidden_size, self.num_layers, bias=self.bias,
            batch_first=self.batch_first, dropout=self.dropout,
            bidirectional=self.bidirectional, **options,
        ).to(next(iter(parts.values())).weight)  # fmt: skip
        with torch.no_grad():
            for name, part in parts.items():
                getattr(made, f"weight_{name}").copy_(part.weight)
                if part.bias is not None:
                    getattr(made, f"bias_{name}").copy_(part.bias)
        return made.train(self.training)

    def flatten_parameters(self) -> None:
        """Do nothing; PyTorch's layers arrange their weights in memory with it."""

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return outputs and the last state for sequences, padded or packed, as in PyTorch."""
        packed = isinstance(x, PackedSequence)
        data, counts, order, back = self._arranged(x)
        begin = self._begin(data, counts[0], hx, order, unbatched=not packed and x.ndim == 2)
        ends, last = self._ends(), []
        width = 2 if self.bidirectional else 1
        for k in range(self.num_layers):
            if k and self.dropout and self.training:
                data = functional.dropout(data, self.dropout)
            found = []
            for d, end in enumerate(ends[k * width : (k + 1) * width]):
                state = tuple(part[k * width + d] for part in begin)
                outputs, state = self._run(end, data, counts, state, backwards=d == 1)
                found.append(outputs)
                last.append(state)
            data = torch.cat(found, dim=1)
        states = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
        if packed:
            states = states if back is None else tuple(part[:, back] for part in states)
            y: Any = PackedSequence(data, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        else:
            y = data.reshape(len(counts), counts[0], data.shape[1])
            if x.ndim == 2:
                y, states = y[:, 0], tuple(part[:, 0] for part in states)
            elif self.batch_first:
                y = y.transpose(0, 1)
        return y, states if self.mode == "LSTM" else states[0]

    def _arranged(self, x: Any) -> tuple[Tensor, list[int], Tensor | None, Tensor | None]:
        """Return vectors in the order of time, how many belong to each time, and the orders."""
        if isinstance(x, PackedSequence):
            return x.data, x.batch_sizes.tolist(), x.sorted_indices, x.unsorted_indices
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise InvalidValueError(
                f"input: expected sequences (…, {self.input_size}) with two or three axes, found "
                f"{tuple(x.shape)}"
            )
        steps = x[:, None] if x.ndim == 2 else x.transpose(0, 1) if self.batch_first else x
        return steps.flatten(0, 1), [steps.shape[1]] * len(steps), None, None

    def _begin(
        self, data: Tensor, count: int, hx: Any, order: Tensor | None, *, unbatched: bool
    ) -> State:
        """Return the first state, (layers * directions, B, …) each."""
        if hx is not None:
            given: State = tuple(hx) if self.mode == "LSTM" else (hx,)
            given = tuple(part[:, None] for part in given) if unbatched else given
            return given if order is None else tuple(part[:, order] for part in given)
        layers = len(self._ends())
        h = data.new_zeros(layers, count, self.proj_size or self.hidden_size)
        if self.mode != "LSTM":
            return (h,)
        return h, data.new_zeros(layers, count, self.hidden_size)

    def _run(
        self, end: str, data: Tensor, counts: list[int], begin: State, *, backwards: bool
    ) -> tuple[Tensor, State]:
        """Return outputs (vectors, …) and last state of one layer in one direction.

        Packed sequences end at different times: ``counts`` falls. Forwards, the state loses the
        sequences that have ended; backwards, it gains those that begin.
        """
        of_inputs = self.get_submodule("ih" + end)(data).split(counts)
        hidden = self.get_submodule("hh" + end)
        project = self.get_submodule("hr" + end) if self.proj_size else None
        outputs: list[Tensor] = []
        ended: list[State] = []
        state = tuple(part[: counts[-1] if backwards else counts[0]] for part in begin)
        for of_input in reversed(of_inputs) if backwards else of_inputs:
            have, need = len(state[0]), len(of_input)
            if need < have:
                ended.append(tuple(part[need:] for part in state))
                state = tuple(part[:need] for part in state)
            elif need > have:
                pairs = zip(state, begin, strict=True)
                state = tuple(torch.cat([part, first[have:need]]) for part, first in pairs)
            state = step(self.mode, of_input, hidden(state[0]), state)
            state = state if project is None else (project(state[0]), *state[1:])
            outputs.append(state[0])
        whole = zip(state, *reversed(ended), strict=True)
        return (
            torch.cat(outputs[::-1] if backwards else outputs),
            tuple(torch.cat(parts) for parts in whole),
        )
