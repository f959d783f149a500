"""Offer Fashion-MNIST."""

from pathlib import Path
from typing import Unpack

from lottery.tasks.images.augmentation import ClassOptions
from lottery.tasks.images.downloads import Published, Source, downloaded
from lottery.tasks.images.images import ImageTask
from lottery.tasks.images.layouts import idx_files
from lottery.tasks.images.outline import Outline

FILES = Published(
    title="Fashion-MNIST",
    shape=(1, 28, 28),
    examples={"train": 60_000, "test": 10_000},
    folder="FashionMNIST/raw",
    unpacked="FashionMNIST/raw",
    addresses=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sources=(
        Source(
            "train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            {"train-images-idx3-ubyte": 47_040_016},
        ),
        Source(
            "train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            {"train-labels-idx1-ubyte": 60_008},
        ),
        Source(
            "t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            {"t10k-images-idx3-ubyte": 7_840_016},
        ),
        Source(
            "t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            {"t10k-labels-idx1-ubyte": 10_008},
        ),
    ),
)


def fashion_mnist(root: Path, **options: Unpack[ClassOptions]) -> ImageTask | Outline:
    """Return 60,000 + 10,000 pieces of clothing, [1, 28, 28] (Xiao et al. 2017).

    Downloaded to `root`/FashionMNIST/raw at the first use, then cached below `root`. The files may
    lie there already, packed or not.
    """
    return downloaded(
        root, options, name="fashion_mnist", classes=10, published=FILES, parse=idx_files
    )
