"""The structural similarity index (Wang et al. 2004), as Bergmann et al. (VISAPP 2019, section 3.1.4, equation 8) train
and score with it.

Their text says c1 = 0.01 and c2 = 0.03. In Wang et al. these are K1 and K2, of which the constants are the squares for
values in [0, 1]; so it is here.
"""

import torch
from torch import Tensor
from torch.nn import functional

from runtime.errors import InputError

LUMINANCE, CONTRAST = 0.01**2, 0.03**2  # c1 and c2, for pixels in [0, 1]


def ssim(a: Tensor, b: Tensor, window: int = 11) -> Tensor:
    """SSIM in [−1, 1] of every window×window square inside images [n, c, H, W] of values in [0, 1]:
    [n, c, H − window + 1, W − window + 1].

    A uniform window; covariances are the biased ones. Raises `InputError` for a window larger than the image.
    """
    if not 1 <= window <= min(a.shape[2:]):
        raise InputError(f"a window of {window} pixels does not fit into {a.shape[2]}×{a.shape[3]}; use a smaller one")

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, window, 1)

    mean_a, mean_b = mean(a), mean(b)
    variance_a = (mean(a * a) - mean_a.square()).clamp(min=0)
    variance_b = (mean(b * b) - mean_b.square()).clamp(min=0)
    covariance = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + LUMINANCE) / (mean_a.square() + mean_b.square() + LUMINANCE)
    return luminance * (2 * covariance + CONTRAST) / (variance_a + variance_b + CONTRAST)


def dissimilarity_map(a: Tensor, b: Tensor, window: int = 11) -> Tensor:
    """1 − SSIM, averaged over the channels, at the centre of each window, [n, H, W]; borders repeat the nearest."""
    before = (window - 1) // 2
    inner = 1 - ssim(a, b, window).mean(dim=1, keepdim=True)
    behind = window - 1 - before
    padded: Tensor = functional.pad(inner, (before, behind, before, behind), mode="replicate")
    return torch.squeeze(padded, 1)
