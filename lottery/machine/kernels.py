"""Choose the kernels that torch computes with."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextlib.contextmanager
def plain(net: nn.Module) -> Iterator[None]:
    """Let attention and recurrent layers be plain products, which have second derivatives."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    onednn = torch._C._get_mkldnn_enabled()
    recurrent = any(isinstance(m, nn.RNNBase) for m in net.modules())
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if recurrent:
                torch._C._set_mkldnn_enabled(False)  # its public form warns of TF32
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)


@contextlib.contextmanager
def derivable(net: nn.Module) -> Iterator[None]:
    """Let a net have gradients in evaluation mode: cuDNN's recurrent layers have none there."""
    before = torch._C._get_cudnn_enabled()
    recurrent = any(isinstance(m, nn.RNNBase) for m in net.modules())
    try:
        if recurrent and not net.training:
            torch._C._set_cudnn_enabled(False)
        yield
    finally:
        torch._C._set_cudnn_enabled(before)
