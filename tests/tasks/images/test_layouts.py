"""The layouts in which data sets are published, against brute force and torchvision."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery.tasks.images import layouts


def idx_file(*sizes, kind=8):
    values = bytes(n % 251 for n in range(int(np.prod(sizes))))
    return struct.pack(f">4B{len(sizes)}I", 0, 0, kind, len(sizes), *sizes) + values


def test_an_idx_file_is_read_row_by_row():
    found = layouts.idx(idx_file(2, 3, 4), 3)
    assert found.shape == (2, 3, 4)
    assert [[[int(v) for v in row] for row in image] for image in found] == [
        [[12 * i + 4 * r + c for c in range(4)] for r in range(3)] for i in range(2)
    ]


@pytest.mark.parametrize(
    ("data", "axes"),
    [
        (b"", 1),
        (b"\0\0\x08", 1),
        (idx_file(5)[:6], 1),
        (idx_file(5)[:-1], 1),
        (idx_file(5) + b"x", 1),
        (idx_file(5), 3),
        (idx_file(2, 3, 4), 1),
        (idx_file(5, kind=13), 1),
        (b"\x80\x04" + idx_file(5)[2:], 1),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), 3),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 4), 3),
    ],
)
def test_an_idx_file_that_lies_is_refused(data, axes):
    with pytest.raises(ValueError, match="IDX|header"):
        layouts.idx(data, axes)


@given(st.binary(max_size=64), st.sampled_from([1, 3]))
def test_any_bytes_are_an_idx_file_or_a_value_error(data, axes):
    try:
        found = layouts.idx(data, axes)
    except ValueError:
        return
    assert found.numel() == len(data) - 4 - 4 * axes


@pytest.mark.parametrize("labels", [1, 2])
def test_records_are_labels_and_then_three_planes(labels):
    rows = np.random.default_rng(0).integers(0, 256, (7, labels + 3072), np.uint8)
    parts = {"a.bin": rows[:3].tobytes(), "b.bin": rows[3:5].tobytes(), "test.bin": rows[5:].tobytes()}
    found = layouts.record_files(parts, labels=labels, examples={"train": 5, "test": 2})
    for split, of in (("train", rows[:5]), ("test", rows[5:])):
        for i, row in enumerate(of):
            assert found[f"{split}_labels"][i] == row[labels - 1]
            for c, y, x in ((0, 0, 0), (0, 0, 1), (1, 2, 3), (2, 31, 31)):
                assert found[f"{split}_pixels"][i, c, y, x] == row[labels + c * 1024 + y * 32 + x]


@pytest.mark.parametrize("cut", [1, 3073])
def test_records_that_are_cut_are_refused(cut):
    data = bytes(4 * 3073)
    parts = {"a.bin": data[:-cut], "test.bin": data}
    with pytest.raises(ValueError, match="no whole number|instead of 4"):
        layouts.record_files(parts, labels=1, examples={"train": 4, "test": 4})
