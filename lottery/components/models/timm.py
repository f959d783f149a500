"""Build any net of timm by its name there."""

from types import ModuleType
from typing import Any

from torch import nn

from lottery.errors import UsageError
from lottery.machine import libraries
from lottery.nets.initializers import check_forward, check_patch, image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import at_least, choose
from lottery.wording.text import first_line


def timm(task: Shaped, *, net: str, patch: int | None, init: str, bn_scale: str) -> nn.Module:
    """Return timm's `net`, untrained, for the channels, size and classes of the task.

    The size of the images, and that of patches where `patch` is given, are told to nets that take
    them. Nothing is fetched. Raises UsageError where timm is not installed, for an unknown net, for
    images that it does not take, and for patches of a net that has none.
    """
    library = libraries.opened("timm", "timm", "model=timm")
    check_name(library.list_models(), net)
    shape = image_shape(task.input_shape, net)
    if patch is not None:
        at_least(1, patch=patch)
        check_patch(patch, *shape[1:])
    try:
        model = created(library, net, shape, patch, task.outputs)
        for side in own_patch(model):  # else it leaves out pixels at the border
            check_patch(side, *shape[1:])
        check_forward(model, shape)
    except UsageError:
        raise
    except Exception as error:  # (a thousand nets, each with errors of its own)
        channels, height, width = shape
        raise UsageError(
            f"model: timm's {net} cannot take images of {channels}x{height}x{width} "
            f"({first_line(error) or type(error).__name__}); choose larger images or another "
            "model.net, or, for one of patches, type model.patch=2"
        ) from error
    initialize(model, init, bn_scale)
    return model


def check_name(names: list[str], net: str) -> None:
    """Raise UsageError for a name that timm has not, with one that it has."""
    bare = net.partition(".")[0]
    if net not in names and bare in names:
        raise UsageError(
            f"model.net: '{net}' names trained weights of {bare}, and nets are made untrained; "
            f"type model.net={bare}"
        )
    begun = [name for name in names if name.startswith(net)] if net else []
    choose(dict.fromkeys(names if net in names or not begun else begun), net, "model.net")


def own_patch(model: nn.Module) -> tuple[int, ...]:
    """Return height and width of a net's patches, where it cuts images into such."""
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "patch_size", None)
    if not isinstance(size, tuple) or getattr(embed, "dynamic_img_pad", False):
        return ()
    return size


def created(
    library: ModuleType, net: str, shape: tuple[int, int, int], patch: int | None, outputs: int
) -> nn.Module:
    """Return a net with what it takes of the images' size and the patches' size."""
    channels, *size = shape
    settings: dict[str, Any] = {"num_classes": outputs, "in_chans": channels, "img_size": size}
    settings |= {} if patch is None else {"patch_size": patch}
    while True:
        try:
            model: nn.Module = library.create_model(net, pretrained=False, **settings)
            return model
        except TypeError as error:
            if "'patch_size'" in str(error):
                raise UsageError(
                    f"model.patch: timm's {net} does not take a size of patches; type "
                    "model.patch=null"
                ) from error
            if "'img_size'" not in str(error) or "img_size" not in settings:
                raise
            del settings["img_size"]
