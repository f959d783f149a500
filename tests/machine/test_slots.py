"""Devices are dealt out evenly and never twice."""

import pytest

from lottery.machine.slots import Slots, devices_here


def test_two_jobs_share_a_device_and_none_is_overfull():
    slots = Slots(["0", "1", "2", "3"], 0.5, jobs=8)
    dealt = [slots.take() for _ in range(8)]
    assert sorted(slot.devices for slot in dealt) == [("0",)] * 2 + [("1",)] * 2 + [("2",)] * 2 + [("3",)] * 2
    assert [slot.devices for slot in dealt[:4]] == [("0",), ("1",), ("2",), ("3",)]  # the emptiest first
    assert slots.take() is None
    assert set(slots.taken.values()) == {1.0}
    slots.give(dealt[5])
    assert slots.take().devices == dealt[5].devices


def test_thirds_fill_a_device():
    slots = Slots(["0"], 1 / 3, jobs=9)
    assert [bool(slots.take()) for _ in range(4)] == [True, True, True, False]


def test_a_job_may_have_two_devices():
    slots = Slots(["0", "1", "2"], 2, jobs=9)
    assert slots.take().devices == ("0", "1")
    assert slots.take() is None


def test_a_job_alone_waits_for_an_empty_device():
    slots = Slots(["0"], 0.5, jobs=9)
    first = slots.take()
    assert slots.take(alone=True) is None
    slots.give(first)
    assert slots.take(alone=True).share == 1.0
    assert slots.take() is None


def test_without_devices_only_the_number_counts():
    slots = Slots([], 0, jobs=2)
    assert slots.take().devices == () and slots.take().devices == ()
    assert slots.take() is None


@pytest.mark.parametrize(
    ("listed", "devices"),
    [("GPU-8932f937,MIG-GPU-1/2/3", ["GPU-8932f937", "MIG-GPU-1/2/3"]), ("2,0", ["2", "0"]), ("", []), ("-1", [])],
)
def test_a_mask_of_devices_is_taken_as_it_stands(listed, devices):
    assert devices_here({"CUDA_VISIBLE_DEVICES": listed}) == devices
