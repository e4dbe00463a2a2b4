"""Whole architectures on cells: residual networks, transformers, and those of Hugging Face."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from synfab.torch import (
    PulsedSGD,
    bake,
    conversion_report,
    convert,
    hardware_aware,
    program,
    to_torch,
)

QUIET = {"noise": False, "linear": True}
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


class Block(nn.Module):
    """Block of a ResNet with a projection of its input."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), norm()
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), norm()
        self.conv3, self.bn3 = nn.Conv2d(2, 4, 1, stride=2, bias=False), norm()

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.bn3(self.conv3(x))).relu()


def norm():
    made = nn.BatchNorm2d(4)
    with torch.no_grad():
        for values in (made.weight, made.bias, made.running_mean):
            values.uniform_(0.5, 1.5)
        made.running_var.uniform_(0.05, 2.0)
    return made


def folded(block):
    made = copy.deepcopy(block)
    for k in (1, 2, 3):
        fused = fuse_conv_bn_eval(getattr(made, f"conv{k}"), getattr(made, f"bn{k}"))
        setattr(made, f"conv{k}", fused)
        setattr(made, f"bn{k}", nn.Identity())
    return made


@pytest.mark.parametrize("fold", [False, True], ids=["kept", "folded"])
def test_a_residual_block_with_batch_norm(fold):
    torch.manual_seed(0)
    block = Block().eval()
    x = torch.randn(3, 2, 8, 8)
    chip = convert(folded(block) if fold else block, seed=1, strict=True, **QUIET)
    assert (conversion_report(chip).place == "cells").sum() == 3
    torch.testing.assert_close(chip(x), block(x), **CLOSE)
    torch.testing.assert_close(to_torch(chip)(x), block(x), **CLOSE)


def test_a_block_with_kept_batch_norm_trains_in_situ():
    torch.manual_seed(0)
    chip = convert(Block(), seed=1)
    before = chip.bn1.running_mean.clone(), chip.conv1.tiles.states()
    optimizer = PulsedSGD(chip, lr=0.1)
    chip(torch.randn(3, 2, 8, 8)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(chip.bn1.running_mean, before[0])
    assert not np.array_equal(chip.conv1.tiles.states(), before[1])


def test_a_transformer_with_encoder_and_decoder():
    torch.manual_seed(0)
    network = nn.Transformer(8, 2, 1, 1, 12, batch_first=True).eval()
    source, target = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    chip = convert(network, seed=1, strict=True, **QUIET)
    found = chip(source, target, tgt_mask=mask)
    torch.testing.assert_close(found, network(source, target, tgt_mask=mask), **CLOSE)
    assert (conversion_report(chip).place == "cells").sum() == 3 * 4 + 2 * 2
    back = to_torch(chip)(source, target, tgt_mask=mask)
    torch.testing.assert_close(back, found, **CLOSE)


# ---- models of the package transformers, with random weights -------------------------------------


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings(action="ignore"):  # of the packages that it imports
        return pytest.importorskip("transformers")


@pytest.fixture
def gpt2(transformers):
    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return transformers.GPT2LMHeadModel(config).eval()


TOKENS = torch.tensor([[3, 7, 1, 12, 9], [4, 4, 18, 2, 11]])
EMBEDDINGS = {nn.Embedding: None}  # stay in software without a warning


def test_gpt2_is_on_cells_with_its_transposed_linear_layers(gpt2):
    chip = convert(gpt2, seed=1, exceptions=EMBEDDINGS, **QUIET)
    rows = conversion_report(chip)
    on_cells = {name.rpartition(".")[0] for name in rows.index[rows.cells > 0]}
    assert {f"transformer.h.0.{part}" for part in ("attn.c_attn", "mlp.c_fc")} <= on_cells
    assert rows.place["lm_head"] == "cells"
    torch.testing.assert_close(chip(TOKENS).logits, gpt2(TOKENS).logits, **CLOSE)
    back = to_torch(chip)
    assert type(back.transformer.h[0].mlp.c_fc) is type(gpt2.transformer.h[0].mlp.c_fc)
    torch.testing.assert_close(back(TOKENS).logits, chip(TOKENS).logits, **CLOSE)
    options = {"max_new_tokens": 3, "do_sample": False, "attention_mask": torch.ones_like(TOKENS)}
    assert torch.equal(chip.generate(TOKENS, **options), gpt2.generate(TOKENS, **options))


def test_gpt2_is_programmed_trained_and_saved(gpt2):
    chip = convert(gpt2, seed=1, exceptions=EMBEDDINGS)
    assert len(program(chip, "open-loop")) == 5
    optimizer = PulsedSGD(chip, lr=0.1)
    chip(TOKENS, labels=TOKENS).loss.backward()
    optimizer.step()
    other = convert(gpt2, seed=2, exceptions=EMBEDDINGS)
    other.load_state_dict(chip.state_dict())
    with torch.no_grad():
        assert torch.equal(other(TOKENS).logits, chip(TOKENS).logits)


def test_gpt2_trains_hardware_aware(gpt2):
    kept = {nn.Embedding: None, "lm_head": None}
    aware = hardware_aware(gpt2, seed=1, bits=6, exceptions=kept)
    aware(TOKENS, labels=TOKENS).loss.backward()
    plain = bake(aware)
    torch.testing.assert_close(plain(TOKENS).logits, gpt2(TOKENS).logits, **CLOSE)


def test_bert_is_on_cells(transformers):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=12, max_position_embeddings=16,
    )  # fmt: skip
    network = transformers.BertModel(config).eval()
    chip = convert(network, seed=1, exceptions=EMBEDDINGS, **QUIET)
    assert (conversion_report(chip).place == "cells").sum() == 7
    found, wanted = chip(TOKENS).last_hidden_state, network(TOKENS).last_hidden_state
    torch.testing.assert_close(found, wanted, **CLOSE)
