"""Build any classification net of torchvision by its name there."""

from typing import Any

from torch import nn

from lottery.errors import UsageError
from lottery.machine import libraries
from lottery.nets.initializers import check_forward, image_shape, initialize
from lottery.terms.task import Shaped
from lottery.wording.settings import choose
from lottery.wording.text import first_line


def torchvision(task: Shaped, *, net: str, init: str, bn_scale: str) -> nn.Module:
    """Return torchvision's `net`, untrained, for the channels and classes of the task.

    Where images do not have three channels, the first convolution is made anew with torch's own
    initialisation. The auxiliary outputs of GoogLeNet and Inception are left out. Raises UsageError
    for an unknown net and for images too small for it.
    """
    models = libraries.torchvision("models")
    names = models.list_models(module=models)
    choose({name: name for name in names}, net, "model.net")
    shape = image_shape(task.input_shape, net)
    try:
        model: nn.Module = models.get_model(
            net, weights=None, num_classes=task.outputs, **own_settings(net, shape, init)
        )
        fit_channels_(model, shape[0])
        check_forward(model, shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        channels, height, width = shape
        reason = first_line(error)
        raise UsageError(
            f"model: torchvision's {net} cannot take images of {channels}x{height}x{width} "
            f"({reason}); choose larger images or type model.net=resnet18"
        ) from error
    initialize(model, init, bn_scale)
    model.torchvision_net = net  # type: ignore[assignment]  # for start=pretrained
    return model


def own_settings(net: str, shape: tuple[int, int, int], init: str) -> dict[str, Any]:
    """Return the arguments that only this family of nets takes."""
    _, height, width = shape
    # Without init_weights these two warn.
    plain = {"aux_logits": False, "init_weights": init == "default"}
    families: dict[str, dict[str, Any]] = {
        "googlenet": plain,
        "inception": plain,
        "vit": {"image_size": height},
        "maxvit": {"input_size": (height, width)},
    }
    return families.get(net.split("_")[0], {})


def fit_channels_(model: nn.Module, channels: int) -> None:
    """Replace the first convolution, in place, by one for that many input channels."""
    name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels == channels:
        return
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        old.groups,
        old.bias is not None,
        old.padding_mode,
    )
    model.set_submodule(name, new)
