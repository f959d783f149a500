"""The jobs of a sweep, which share what was read, are those that each of them is alone."""

import pytest

from lottery.config.compose import compose_each
from lottery.errors import UsageError

SWEEPS = [
    ["dataset=digits,synthetic", "model=lenet_300_100,resnet20", "prune=imp,gem_miner", "prune.include=[conv*],[x]"],
    *(pytest.param(words, marks=pytest.mark.slow) for words in (
        ["experiment=lth_lenet_mnist,missing_the_mark_digits", "branch=[],[reinit,shuffle]", "rewind=init,step"],
        ["train/optimizer=sgd,adam", "train.optimizer.groups={},{a:{match:[x],lr:0.1}}", "+model.extra=1,2"],
    )),
]


def composed(words):
    """Return what is known of each job, as text, since a dict says no order of its keys."""
    found = []
    compose_each(words, found.append)
    return [(str(job.filled), str(job.choices), " ".join(job.words)) for job in found]


@pytest.mark.parametrize("words", SWEEPS, ids=lambda words: words[0].partition("=")[0])
def test_a_job_of_a_sweep_is_that_job_alone(words):
    sweep = composed(["-m", *words])
    assert len(set(sweep)) == 2 ** len(words)
    for job in sweep:
        assert composed(job[-1].split(" ")) == [job]


def test_the_first_job_is_known_before_the_others_are_composed():
    told = []
    compose_each(["-m", "replicate=0,1"], lambda job: told.append(("job", job.number)), lambda job: told.append(("first", job.number)))
    assert told == [("first", 0), ("job", 0), ("job", 1)]


def test_a_setting_may_be_one_of_the_options_that_are_swept_alone():
    jobs = []  # resnet20, which the data set names, has no model.hidden, and xor_stack no model.init
    compose_each(["-m", "model=conv2,conv4", "model.hidden=[32]", "model.init=zeros", "prune.include=[a]"], jobs.append)
    assert [job.filled["model"]["hidden"] for job in jobs] == [[32], [32]]
    jobs = []
    with pytest.raises(UsageError, match="model has no setting 'hiden'; did you mean 'hidden'"):
        compose_each(["-m", "model=conv2,conv4", "model.hiden=[32]"], jobs.append)
