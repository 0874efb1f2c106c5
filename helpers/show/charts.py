"""Five charts serve the playbook. One theme, one accent, grey for the rest, alt text on each."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from helpers.show import findings, words

ACCENT, GREY, INK, SOFT, BAND = "#0f6b66", "#a9b1b5", "#1d2327", "#5b6670", "#d9ebe9"
EMPTY = "Nothing to draw: this client's data hold no rows for it."


def theme() -> None:
    """Set the look of every chart, once a notebook."""
    plt.switch_backend("agg")
    sns.set_theme(
        style="ticks",
        rc={
            "figure.figsize": (8, 3.6),
            "figure.dpi": 144,
            "axes.edgecolor": "#c9cdcf",
            "axes.labelcolor": SOFT,
            "axes.titlecolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 12.5,
            "axes.titleweight": "bold",
            "axes.titlepad": 12,
            "axes.labelsize": 10,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.labelsize": 9.5,
            "ytick.labelsize": 9.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#eceae4",
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "lines.linewidth": 1.8,
            "lines.solid_capstyle": "round",
            "font.family": "DejaVu Sans",
            "legend.frameon": False,
        },
    )


def lines(
    frame: pd.DataFrame,
    x: str,
    y: str | list[str],
    title: str,
    *,
    band: tuple[str, str] | None = None,
    unit: str = "",
    percent: bool = False,
    alt: str = "",
) -> None:
    """One or more lines over time or order; the first in the accent colour, labelled at their ends.

    `band` names two columns to shade between (an interval).
    """
    if _nothing(frame):
        return
    _fig, ax = plt.subplots()
    ys = [y] if isinstance(y, str) else y
    if band:
        ax.fill_between(frame[x], frame[band[0]].astype(float), frame[band[1]].astype(float), color=BAND, linewidth=0)
    for i, name in enumerate(reversed(ys)):
        drawn = frame[[x, name]].dropna()
        color = ACCENT if name == ys[0] else plt.colormaps["Greys"](0.75 - 0.4 * i / max(len(ys) - 1, 1))
        ax.plot(drawn[x], drawn[name], color=color, zorder=3 if name == ys[0] else 2)
    if len(ys) > 1:
        _label_ends(ax, frame, x, ys)
    ax.grid(axis="x", visible=False)
    _finish(
        ax,
        title,
        x,
        unit or (ys[0] if len(ys) == 1 else ""),
        percent,
        alt or _alt("Line chart", title, frame, ys[0], x, percent),
    )


def bars(
    frame: pd.DataFrame,
    label: str,
    value: str,
    title: str,
    *,
    highlight: object = None,
    unit: str = "",
    percent: bool = False,
    alt: str = "",
    most: int = 15,
) -> None:
    """Horizontal bars with the value written at each; upright where the labels are numbers or dates.

    `highlight` is the label (or labels) drawn in the accent colour; with none, all are.
    """
    if _nothing(frame):
        return
    frame = frame.head(most) if not pd.api.types.is_numeric_dtype(frame[label]) else frame
    named = {highlight} if isinstance(highlight, str | int) else set(frame[label] if highlight is None else highlight)
    colors = [ACCENT if v in named else GREY for v in frame[label]]
    alt = alt or _alt("Bar chart", title, frame, value, label, percent)
    if pd.api.types.is_numeric_dtype(frame[label]):
        _fig, ax = plt.subplots()
        ax.bar(frame[label], frame[value], color=colors, width=0.8)
        ax.grid(axis="x", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _finish(ax, title, label, unit or value, percent, alt)
    _fig, ax = plt.subplots(figsize=(8, 0.9 + 0.34 * len(frame)))
    drawn = ax.barh([_short(v) for v in frame[label]], frame[value], color=colors, height=0.68)
    ax.bar_label(drawn, [_tick(v, percent) for v in frame[value]], padding=4, color=SOFT, fontsize=9.5)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.tick_params(left=False, bottom=False, labelbottom=False)
    ax.spines[["bottom"]].set_visible(False)
    ax.margins(x=0.12)
    _finish(ax, title, unit, "", False, alt)


def dots(
    frame: pd.DataFrame,
    label: str,
    value: str,
    low: str,
    high: str,
    title: str,
    *,
    line: float | None = None,
    unit: str = "",
    percent: bool = False,
    alt: str = "",
) -> None:
    """A dot and its interval a row; `line` draws a reference, such as zero or the mean."""
    if _nothing(frame):
        return
    _fig, ax = plt.subplots(figsize=(8, 1.1 + 0.3 * len(frame)))
    at = np.arange(len(frame))
    if line is not None:
        ax.axvline(line, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    ax.hlines(at, frame[low].astype(float), frame[high].astype(float), color=ACCENT, alpha=0.4, linewidth=4)
    ax.scatter(frame[value], at, color=ACCENT, zorder=3, s=34)
    ax.set_yticks(at, [_short(v) for v in frame[label]])
    ax.set_ylim(-0.7, len(frame) - 0.3)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.tick_params(left=False)
    ax.spines[["left"]].set_visible(False)
    if percent:
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    elif (frame[[value, low, high]].astype(float).dropna() % 1 == 0).all(axis=None):  # ranks and counts
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(
        ax,
        title,
        unit or value,
        "",
        False,
        alt or _alt("Dots with intervals", title, frame, value, label, percent),
        own_x=True,
    )


def heat(frame: pd.DataFrame, title: str, *, x: str = "", y: str = "", percent: bool = False, alt: str = "") -> None:
    """A heat map of a wide frame: index down, columns across, the value written in each cell."""
    if _nothing(frame):
        return
    _fig, ax = plt.subplots(figsize=(8, max(2.0, 1.2 + 0.34 * len(frame))))
    text = frame.map(
        lambda v: (
            ""
            if pd.isna(v)
            else f"{v * 100:.0f}"
            if percent
            else words.count(v)
            if v == round(v) and abs(v) < 1000
            else words.money(v)
        )
    )
    sns.heatmap(
        frame.astype(float),
        ax=ax,
        cmap=sns.light_palette(ACCENT, as_cmap=True),
        annot=text,
        fmt="",
        cbar=False,
        linewidths=1.2,
        linecolor="white",
        annot_kws={"fontsize": 8.5},
    )
    ax.tick_params(left=False, bottom=False)
    plt.setp(ax.get_yticklabels(), rotation=0)
    plt.setp(ax.get_xticklabels(), rotation=0 if frame.shape[1] < 16 else 90)
    _finish(
        ax,
        title,
        x,
        y,
        False,
        alt
        or f"Heat map. {title} {len(frame)} rows by {frame.shape[1]} columns, from "
        f"{_tick(np.nanmin(frame.to_numpy(float)), percent)} to {_tick(np.nanmax(frame.to_numpy(float)), percent)}.",
        own_x=True,
    )


def scatter(
    frame: pd.DataFrame,
    x: str,
    y: str,
    title: str,
    *,
    group: str = "",
    labels: dict[str, str] | None = None,
    cross: tuple[float, float] | None = None,
    log: bool = False,
    alt: str = "",
) -> None:
    """Points; `group` colours them, `cross` draws two cut lines, `labels` renames the axes."""
    if _nothing(frame):
        return
    _fig, ax = plt.subplots(figsize=(8, 4.6))
    names = list(dict.fromkeys(frame[group])) if group else [""]
    palette = dict(zip(names, [ACCENT, *sns.color_palette("Greys", len(names) + 1)[1:]], strict=False))
    for name in reversed(names):
        part = frame[frame[group] == name] if group else frame
        ax.scatter(part[x], part[y], s=9, alpha=0.5, color=palette[name], label=str(name), linewidths=0)
    if group:
        handles, labelled = ax.get_legend_handles_labels()
        ax.legend(handles[::-1], labelled[::-1], loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
    if log:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda v, _: words.money(v)))
    for value, draw in zip(cross or (), (ax.axvline, ax.axhline), strict=False):
        draw(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    names_of = {x: x, y: y} | (labels or {})
    alt = alt or _alt("Scatter plot", title, frame, y, x)
    _finish(ax, title, names_of[x], names_of[y], False, alt, own_x=True)


def _finish(ax: Axes, title: str, x: str, y: str, percent: bool, alt: str, own_x: bool = False) -> None:
    ax.set_title(title, x=0, wrap=True)
    ax.set_xlabel(_say(x))
    ax.set_ylabel(_say(y))
    if (not own_x and ax.lines) or (ax.patches and ax.get_ylabel()):
        ax.yaxis.set_major_formatter(
            PercentFormatter(1, decimals=0) if percent else FuncFormatter(lambda v, _: words.money(v) if v else "0")
        )
    picture = BytesIO()
    ax.figure.savefig(
        picture, format="png", bbox_inches="tight", dpi=144, facecolor="white", metadata={"Software": None}
    )
    plt.close(ax.figure)
    display(Image(data=picture.getvalue(), width=ax.figure.get_figwidth() * 96, alt=alt))


def _label_ends(ax: Axes, frame: pd.DataFrame, x: str, ys: list[str]) -> None:
    ends = sorted((float(frame[n].dropna().iloc[-1]), n) for n in ys if frame[n].notna().any())
    span, at = np.ptp(ax.get_ylim()) * 0.075, -np.inf
    for value, name in ends:
        at = max(value, at + span)
        last = frame[[x, name]].dropna()[x].iloc[-1]
        ax.annotate(
            _say(name),
            (last, at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=ACCENT if name == ys[0] else SOFT,
            annotation_clip=False,
        )


def _nothing(frame: pd.DataFrame) -> bool:
    if len(frame):
        return False
    findings.text(EMPTY)
    return True


def _alt(kind: str, title: str, frame: pd.DataFrame, value: str, by: str, percent: bool = False) -> str:
    v = frame[value].astype(float)
    at = frame.loc[v.idxmax(), by] if v.notna().any() else ""
    at = words.day(at) if isinstance(at, pd.Timestamp) else _tick(at, False) if isinstance(at, float) else at
    return (
        f"{kind}. {title} {len(frame)} points from {_tick(v.min(), percent)} to {_tick(v.max(), percent)}, "
        f"the highest at {at}."
    )


def _tick(value: float, percent: bool) -> str:
    return words.percent(value, 1 if abs(value) < 0.1 else 0) if percent else words.money(value)


def _say(name: str) -> str:
    return name.replace("_", " ")


def _short(label: object, most: int = 34) -> str:
    # A dollar sign would start mathematics in matplotlib.
    text = str(label).replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1] + "…"
