"""A tensor may have several names."""

import pytest
import torch
import zoo

from lottery.errors import UsageError
from lottery.nets import graph
from lottery.nets.compact import compact
from lottery.nets.heads import heads
from lottery.nets.taking import taken
from lottery.tasks.images.outline import Outline
from lottery.terms import mask as masks
from lottery.terms.prunable import bare

Task = Outline({}, "", input_shape=(1, 4, 4), outputs=4, fingerprint="")


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


@pytest.mark.parametrize("net", [zoo.gru, zoo.attention_by_hand, zoo.standardised, zoo.autoencoder])
def test_a_net_whose_channels_cannot_be_followed_is_refused_in_a_line(net):
    with pytest.raises(UsageError, match="channels cannot be followed") as refusal:
        graph.trace(taken(net(Task), Task), Task)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("net", "kind"), [(zoo.lstm, "an LSTM"), (zoo.gru, "a GRU"), (zoo.rnn_bidirectional, "an RNN"), (zoo.gru_cell, "a GRUCell")])
def test_a_recurrent_layer_is_named_and_what_writes_its_net_whole(net, kind):
    made = taken(net(Task), Task)
    with pytest.raises(UsageError, match=rf"^prune: channels cannot be followed through {kind} \(cell\); choose prune/structure=filter"):
        graph.trace(made, Task)
    with pytest.raises(UsageError, match=rf"through {kind} \(cell\), so none can be cut off; type as=folder or as=onnx for lottery export"):
        compact(made, {}, Task)


@pytest.mark.parametrize(
    ("net", "found"),
    [
        (zoo.head_first, {"head.weight"}),
        (zoo.head_first_conv, {"head.weight"}),
        (zoo.conv_head, {"head.weight"}),
        (zoo.two_heads, {"main.weight", "second.weight"}),
        (zoo.functional, {"head.weight"}),
        (zoo.lstm, {"head.weight"}),
    ],
)
def test_heads_are_found_wherever_they_are_defined(net, found):
    assert heads(taken(net(Task), Task), Task) == found


@pytest.mark.parametrize(
    ("net", "masked", "left"),
    [
        (zoo.lstm, ["cell.weight_ih_l0", "cell.weight_hh_l0", "head.weight"], []),
        (zoo.weight_norm, ["head.weight"], ["a.parametrizations.weight.original0"]),
        (zoo.spectral_norm, ["head.weight", "b.parametrizations.weight.original"], []),
        (zoo.bare, ["a.weight", "head.weight"], ["matrix", "every.0"]),
        (zoo.tied_embedding, ["hidden.weight", "head.weight"], ["embedding.weight"]),
    ],
)
def test_the_table_says_what_is_pruned_and_what_is_left(net, masked, left):
    model = net(Task)
    mask = masks.dense(model)
    assert set(masked) <= set(mask) and not set(left) & set(mask)
    assert set(left) <= set(bare(model, mask))


def test_an_embedding_is_pruned_where_a_pattern_names_it():
    net = torch.nn.Sequential(torch.nn.Embedding(4, 3), torch.nn.Linear(3, 2))
    assert list(masks.dense(net)) == ["1.weight"]
    assert list(masks.dense(net, ["*", "0"])) == ["0.weight", "1.weight"]
    tied = taken(zoo.tied_embedding(Task), Task)  # by either of its names
    for pattern in ("embedding", "words"):
        assert "embedding.weight" in masks.dense(tied, ["*", pattern])
