"""The recall of each head that a survey found, by layer and head, as text and as a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.checks import check_plots
from s3_retriever.disk import new_file
from s3_retriever.encode.sae import Floats
from s3_retriever.host.taps import QueryHead

if TYPE_CHECKING:
    from rich.table import Table

_SHADES = " ░▒▓█"


def heat_table(recalls: Mapping[QueryHead, float], chosen: Collection[QueryHead] = ()) -> Table:
    """Return recalls as a table for ``rich``: a row per layer, a column per head, in percent.

    The block before a number is darker the closer it is to the best one. A star marks chosen heads.
    """
    from rich.table import Table
    from rich.text import Text

    layers, grid = _grid(recalls)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("layer", justify="right", style="dim")
    for head in range(grid.shape[1]):
        table.add_column(str(head), justify="right", no_wrap=True)
    best = max(recalls.values(), default=0.0)
    for layer, row in zip(layers, grid, strict=True):
        cells = []
        for head, recall in enumerate(row.tolist()):
            if np.isnan(recall):
                cells.append(Text(""))
                continue
            mark = "*" if QueryHead(layer, head) in chosen else " "
            shade = _SHADES[round(recall / best * (len(_SHADES) - 1))] if best else " "
            cells.append(Text(f"{shade}{100 * recall:2.0f}{mark}", style="bold cyan" if mark == "*" else ""))
        table.add_row(str(layer), *cells)
    return table


def save_heat_map(
    path: Path, recalls: Mapping[QueryHead, float], chosen: Collection[QueryHead] = (), *, title: str = ""
) -> None:
    """Write a PNG of the recalls, layers down and heads across; chosen heads have a frame.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OSError: The file cannot be written.
    """
    check_plots()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    layers, grid = _grid(recalls)
    # Not pyplot, which keeps figures in global state and may look for a display.
    figure = Figure(figsize=(2 + 0.45 * grid.shape[1], 1.5 + 0.4 * len(layers)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(grid, vmin=0, aspect="auto")
    figure.colorbar(image, label="evidence recall alone")
    axes.set(xlabel="query head", ylabel="layer", title=title, xticks=range(grid.shape[1]))
    axes.set_yticks(range(len(layers)), [str(layer) for layer in layers])
    for head in chosen:
        corner = (head.head - 0.5, layers.index(head.layer) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="red", linewidth=2))
    with new_file(path, "wb", follow=True) as file:
        canvas.print_png(file)


def _grid(recalls: Mapping[QueryHead, float]) -> tuple[list[int], Floats]:
    """Return the layers, and recalls (layers, heads), NaN where a layer lacks a head."""
    layers = sorted({head.layer for head in recalls})
    grid = np.full((len(layers), 1 + max((head.head for head in recalls), default=-1)), np.nan, np.float32)
    for head, recall in recalls.items():
        grid[layers.index(head.layer), head.head] = recall
    return layers, grid
