"""Turn an image of any depth and mode that Pillow opens into 8 bits of grey or colour.

Of several frames the first counts. Transparency is left out, as is the rotation that a camera
notes in a file (EXIF), both as torchvision's loader does. More than 8 bits are scaled, never
clipped: 16 bits from their whole range; 32-bit integers as 16 bits where they fit into those;
floats from the smallest of 0 to 1, 0 to 255 and 0 to 65,535 that holds them all; numbers beyond
that from the lowest to the highest of the image.
"""

import numpy as np
from PIL import Image, ImageCms

PILLOW_MODES = {1: "L", 3: "RGB"}
DEEP = 65_535
FLOATS = (1.0, 255.0, float(DEEP))  # what a float for white may be
BY_WAY_OF = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}  # what Pillow turns into nothing else


def flat(image: Image.Image, channels: int) -> Image.Image:
    """Return an image in L (1 channel) or RGB (3); raises ValueError for numbers that are none."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(eight_bits(np.asarray(image), image.mode))
    elif image.mode == "LAB":
        lab, colour = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, colour, outputMode="RGB") or image
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way
    elif image.mode in BY_WAY_OF:
        image = image.convert(BY_WAY_OF[image.mode])
    if image.mode == PILLOW_MODES[channels]:
        image.load()  # as it is: `convert` would hold a copy beside it
        return image
    return image.convert(PILLOW_MODES[channels])


def eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Return uint8 [H, W] of deeper values; raises ValueError where none of them is a number."""
    if mode.startswith("I;16"):
        return (values >> 8).astype(np.uint8)
    exact = values.astype(np.float64)
    finite = np.isfinite(exact)
    if not finite.any():
        raise ValueError("none of its values is a number")
    low, high = float(exact[finite].min()), float(exact[finite].max())
    exact = np.clip(np.nan_to_num(exact, nan=low), low, high)
    if low >= 0 and mode == "I" and high <= DEEP:
        return (exact.astype(np.int64) >> 8).astype(np.uint8)
    if low >= 0 and mode == "F" and high <= DEEP:
        white = next(most for most in FLOATS if high <= most)
        return (exact * (255 / white)).round().astype(np.uint8)
    return ((exact - low) * 255 / max(high - low, 1e-300)).round().astype(np.uint8)
