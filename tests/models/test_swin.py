"""Swin-T against its definition written out cell by cell, and against torchvision where that is installed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bevdeploy.errors import ContractError
from bevdeploy.models.swin import Block, DropPath, PatchMerging, SwinT
from bevdeploy.models.swin_weights import swin_weights
from bevdeploy.models.window_attention import shift_mask, whole_windows, window_rows, windows_of

WINDOW = 4


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """No bias, norm or table stays at its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            noise = torch.randn(value.shape, generator=generator) * (0.1 if value.ndim > 1 else 0.2)
            value.copy_(noise + float("norm" in name and name.endswith("weight")))
    return module.eval()


def attended_by_loop(block: Block, x: Tensor) -> Tensor:
    """A block of one image [H, W, C]: every cell looks for the cells that it shares a shifted window with."""
    height, width, channels = x.shape
    rows, columns = whole_windows((height, width), WINDOW)
    normed = torch.zeros(rows, columns, channels)
    normed[:height, :width] = torch.nn.functional.layer_norm(x, (channels,), block.norm1.weight, block.norm1.bias)
    attention, heads = block.attn, block.attn.heads
    size = channels // heads
    q, k, v = attention.qkv(normed).reshape(rows, columns, 3, heads, size).unbind(2)  # [rows, columns, heads, size]
    up, left = block.shift

    def window(place: int, shift: int) -> int:
        """Cells before the shift form a window of their own, cut off at the edge."""
        return (place - shift) // WINDOW

    joined = torch.zeros(rows, columns, channels)
    for r in range(rows):
        for c in range(columns):
            seen = [
                (i, j)
                for i in range(rows)
                for j in range(columns)
                if window(i, up) == window(r, up) and window(j, left) == window(c, left)
            ]
            for head in range(heads):
                logits = torch.stack(
                    [
                        q[r, c, head] @ k[i, j, head] / math.sqrt(size)
                        + attention.relative_position_bias_table[
                            (r - i + WINDOW - 1) * (2 * WINDOW - 1) + c - j + WINDOW - 1, head
                        ]
                        for i, j in seen
                    ]
                )
                values = torch.stack([v[i, j, head] for i, j in seen])
                joined[r, c, head * size : (head + 1) * size] = logits.softmax(0) @ values
    x = x + attention.proj(joined)[:height, :width]
    normed = torch.nn.functional.layer_norm(x, (channels,), block.norm2.weight, block.norm2.bias)
    return x + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(normed)))


@torch.no_grad()
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("hw", [(8, 8), (6, 11), (3, 9), (4, 4)], ids=str)
def test_a_block_is_the_loop_over_cells(hw: tuple[int, int], shifted: bool) -> None:
    """Whole windows, padded ones, a map that is one window high, and one that is a single window."""
    block = randomised(Block(12, 3, WINDOW, hw, shifted, 0.0))
    assert isinstance(block, Block)
    x = torch.randn(2, *hw, 12, generator=torch.Generator().manual_seed(1))
    got = block(x, shift_mask(hw, WINDOW))
    want = torch.stack([attended_by_loop(block, image) for image in x])
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_windows_and_back() -> None:
    x = torch.arange(2 * 8 * 12 * 3.0).reshape(2, 8, 12, 3)
    windows = windows_of(x, WINDOW)
    assert windows.shape == (2, 6, 16, 3)
    torch.testing.assert_close(windows[1, 4], x[1, 4:8, 4:8].reshape(16, 3), rtol=0, atol=0)
    torch.testing.assert_close(window_rows(windows, WINDOW, (8, 12)), x, rtol=0, atol=0)


@torch.no_grad()
def test_merging_joins_neighbours_column_by_column() -> None:
    merge = randomised(PatchMerging(3))
    x = torch.randn(1, 3, 4, 3, generator=torch.Generator().manual_seed(2))
    padded = torch.cat([x, torch.zeros(1, 1, 4, 3)], 1)
    cell = torch.cat([padded[0, 2 + row, column] for column in (0, 1) for row in (0, 1)])
    want = merge.reduction(torch.nn.functional.layer_norm(cell, (12,), merge.norm.weight, merge.norm.bias))
    assert merge(x).shape == (1, 2, 2, 6)
    torch.testing.assert_close(merge(x)[0, 1, 0], want)


def test_the_published_size() -> None:
    """28.29 M of torchvision's swin_t without its classifier (0.77 M) and last norm, with three norms of outputs."""
    backbone = SwinT((256, 704))
    count = sum(p.numel() for p in backbone.parameters())
    assert count == 28_288_354 - 769_000 - 2 * 768 + 2 * (192 + 384 + 768)
    assert backbone.channels == (192, 384, 768)
    meta = SwinT((256, 704)).to("meta")
    maps = meta(torch.zeros(1, 3, 256, 704, device="meta"))
    assert [tuple(each.shape) for each in maps] == [(1, 192, 32, 88), (1, 384, 16, 44), (1, 768, 8, 22)]


@torch.no_grad()
def test_odd_images_are_rounded_up_and_others_refused() -> None:
    backbone = SwinT((50, 83), embed=12).eval()
    maps = backbone(torch.zeros(1, 3, 50, 83))
    assert [tuple(each.shape[2:]) for each in maps] == [(7, 11), (4, 6), (2, 3)]
    with pytest.raises(ContractError, match=r"built for images of \(50, 83\), got \(64, 83\)"):
        backbone(torch.zeros(1, 3, 64, 83))


def test_drop_path_keeps_the_mean_and_rests_in_evaluation() -> None:
    drop, x = DropPath(0.3), torch.ones(20_000, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = drop(x)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0.0, 1 / 0.7])
    assert torch.equal(dropped[:, 0], dropped[:, 1]), "a sample as a whole"
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(drop.eval()(x), x)
    depths = [
        block.drop_path.probability for stage in SwinT((32, 32), 12, drop_path=0.3).layers for block in stage.blocks
    ]
    assert depths == pytest.approx([0.3 * n / 11 for n in range(12)])


@torch.no_grad()
@pytest.mark.parametrize("hw", [(64, 176), (100, 180)], ids=str)
def test_torchvisions_swin_says_the_same(hw: tuple[int, int]) -> None:
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
    theirs = randomised(torchvision.models.swin_t())
    ours = SwinT(hw).eval()
    ours.load_state_dict({**ours.state_dict(), **swin_weights(theirs.state_dict())})
    images = torch.randn(1, 3, *hw, generator=torch.Generator().manual_seed(3))
    x, want = images, []
    for index, layer in enumerate(theirs.features):
        x = layer(x)
        if index in (3, 5, 7):
            want.append(torch.nn.functional.layer_norm(x, x.shape[-1:]).permute(0, 3, 1, 2))
    for got, expected in zip(ours(images), want, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
