"""Products with a weight that is laid out once, as the kernels of a CPU want it, instead of at every call."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812


def has_amx() -> bool:
    """Whether this CPU multiplies bfloat16 by AMX, as far as this torch can tell."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())  # older torch lacks it: bool() is False


class Product:
    """Multiplies rows by a weight, as ``F.linear`` does, to the bit.

    For bfloat16 on a CPU torch calls oneDNN, which lays a weight out anew in every product: a quarter of the
    time of one with a few dozen rows. torch keeps what lays it out once for its own compiler. It is taken
    where it is there and its first product is that of ``F.linear``; otherwise ``F.linear`` goes on. Threads
    may share a product.
    """

    def __init__(self) -> None:
        self._laid_out: torch.Tensor | None = None
        self._is_first = True

    def __call__(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T``, (..., m).

        Args:
            rows: (..., n).
            weight: (m, n), the same at every call.
        """
        fits = rows.dtype == weight.dtype == torch.bfloat16 and rows.device.type == "cpu"
        if fits and self._laid_out is not None:
            return _multiplied(rows, self._laid_out)
        out = F.linear(rows, weight)
        if fits and self._is_first:
            self._laid_out, self._is_first = _laid_out(weight, rows, out), False
        return out

    def __reduce__(self) -> tuple[type[Product], tuple[()]]:
        return Product, ()  # what is laid out cannot be copied, and is made again


def _laid_out(weight: torch.Tensor, rows: torch.Tensor, product: torch.Tensor) -> torch.Tensor | None:
    """Lay a weight out; None where that cannot be done or gives another product."""
    try:
        found: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
        return found if torch.equal(_multiplied(rows, found), product) else None
    except (AttributeError, RuntimeError, TypeError):  # another torch, or one without oneDNN
        return None


def _multiplied(rows: torch.Tensor, laid_out: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, laid_out, None, "none", [], "")
    return out
