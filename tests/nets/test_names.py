"""A tensor may have several names."""

import pytest
import torch
import zoo

from lottery import mask as masks


class Task:
    input_shape, outputs = (1, 4, 4), 4


@pytest.mark.parametrize(
    ("net", "first", "every"),
    [
        (zoo.tied_embedding, "embedding.weight", ("embedding.weight", "words.weight")),
        (zoo.tied_layers, "a.weight", ("a.weight", "b.weight")),
        (zoo.two_names, "block.bias", ("block.bias", "again.bias", "every.0.bias")),
        (zoo.called_twice, "block.weight", ("block.weight",)),
    ],
)
def test_names_of_a_tensor_are_those_of_the_state_dict(net, first, every):
    model = net(Task)
    names = masks.names(model)
    assert names[first] == every
    assert sorted(n for found in names.values() for n in found) == sorted(model.state_dict())


def test_what_is_known_of_the_first_name_is_said_of_all():
    names = {"a": ("a", "b"), "c": ("c",)}
    one = torch.tensor(1)
    found = masks.everywhere({"a": one, "d": torch.tensor(2)}, names)
    assert found == {"a": 1, "b": 1, "d": 2}
    assert found["b"].data_ptr() != one.data_ptr()  # safetensors writes no memory twice


def test_nets_are_chosen_like_those_of_a_package(zoo):
    folder = zoo("called_twice", "prune=imp", "levels=1")
    assert (folder / "metrics.csv").exists()
    assert "is wanted" in zoo.refusal("image_out")
