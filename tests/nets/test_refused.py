"""Nets that cannot be trained here are refused before anything is written, in one true line."""

import pytest
import zoo as nets


@pytest.mark.parametrize("net", nets.REFUSED)
def test_a_net_is_refused_for_what_it_is(net, zoo):
    assert nets.REFUSED[net] in zoo.refusal(net, "prune=imp", "levels=1")
