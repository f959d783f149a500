"""Score translations as everybody does: BLEU by sacrebleu."""

from collections.abc import Sequence

from lottery.machine.libraries import opened
from lottery.tasks.text.translation import Judge
from lottery.terms.metric import Metric

BLEU = Metric("bleu", unit="points", tolerance=0.2, error="ceiling_minus")


def bleu(setting: str) -> Judge:
    """Return what measures corpus BLEU of 0 to 100: one reference, 13a tokens, case kept.

    `setting` is what asks for it. Raises UsageError where sacrebleu is not installed.
    """
    measure = opened("sacrebleu", "translate", setting).BLEU(force=True)  # no advice on stderr

    def score(said: Sequence[str], wanted: Sequence[str]) -> float:
        return float(measure.corpus_score([*said], [[*wanted]]).score)

    score(["a"], ["a"])  # which the signature waits for
    return Judge(BLEU, score, str(measure.get_signature()))
