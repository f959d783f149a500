"""A label tells an experiment from the others in words that people would use."""

from lottery.results.labels import called


def test_the_name_of_an_option_is_called_by_what_it_is_of():
    assert called("prune.allocation.name") == "allocation"
    assert called("train.optimizer.lr") == "lr"
    assert called("name") == "name"
