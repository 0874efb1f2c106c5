"""A few charts serve the playbook. One theme, one accent, grey for the rest, alt text on each."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache, wraps
from inspect import signature
from io import BytesIO
from textwrap import fill, wrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, display
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from helpers.languages import fixed
from helpers.show import boxes, phrases, words

ACCENT, GREY, INK, SOFT, BAND = "#0f6b66", "#a9b1b5", "#1d2327", "#5b6670", "#d9ebe9"
PICTURE = {
    "format": "png",
    "dpi": 144,
    "bbox_inches": "tight",
    "facecolor": "white",
    "metadata": {"Software": None},
}
CHINESE = [  # fonts for the client's own words, the first that is installed
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC"),
    *("Hiragino Sans GB", "Microsoft YaHei", "SimHei", "WenQuanYi Zen Hei"),
]
EMPTY = "Nothing to draw: this client's data hold no rows for it."


@cache
def fonts() -> list[str]:
    """DejaVu Sans, and for what it cannot write the first Chinese font that is installed."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *[name for name in CHINESE if name in installed][:1]]


@cache
def theme() -> None:
    """Set the look of every chart, once a kernel, before the first is drawn."""
    plt.switch_backend("agg")
    sns.set_theme(
        style="ticks",
        rc={
            "figure.figsize": (8, 3.6),
            "figure.dpi": 144,
            "axes.edgecolor": "#c9cdcf",
            "axes.labelcolor": SOFT,
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
            "font.family": fonts(),
            "legend.frameon": False,
        },
    )


def _worded(draw: Callable[..., None]) -> Callable[..., None]:
    """Let the title of a chart name an entry of the notebook's words, which gives title and labels.

    Keywords that the chart does not have fill these.
    """
    known = signature(draw)

    @wraps(draw)
    def worded(*args: object, **keywords: object) -> None:
        own = {k: v for k, v in keywords.items() if k in known.parameters}
        more = {k: v for k, v in keywords.items() if k not in known.parameters}
        call = known.bind(*args, **own)
        given = phrases.find("charts", call.arguments["title"])
        if more and not given:
            raise TypeError(f"{draw.__name__} knows no {', '.join(more)}")
        call.arguments |= {part: _said(text, more) for part, text in (given or {}).items()}
        draw(*call.args, **call.kwargs)

    return worded


def _said(text: str | dict[str, str], values: dict[str, object]) -> str | dict[str, str]:
    if isinstance(text, dict):
        return {name: phrases.say(part, values) for name, part in text.items()}
    return phrases.say(text, values)


def _axes(**size: tuple[float, float]) -> Axes:
    theme()
    return plt.subplots(**size)[1]


@_worded
def lines(
    frame: pd.DataFrame,
    x: str,
    y: str | list[str],
    title: str,
    *,
    band: tuple[str, str] | None = None,
    marks: dict[str, float] | None = None,
    unit: str = "",
    percent: bool = False,
    alt: str = "",
) -> None:
    """One or more lines over time or order; the first in the accent colour, labelled at their ends.

    `band` names two columns to shade between (an interval), `marks` places on the x axis by name.
    """
    ys = [y] if isinstance(y, str) else y
    if _nothing(frame, ys):
        return
    ax = _axes()
    if band:
        ax.fill_between(
            frame[x],
            frame[band[0]].astype(float),
            frame[band[1]].astype(float),
            color=BAND,
            linewidth=0,
        )
    for i, name in enumerate(reversed(ys)):
        drawn = frame[[x, name]].dropna()
        color = (
            ACCENT
            if name == ys[0]
            else plt.colormaps["Greys"](0.75 - 0.4 * i / max(len(ys) - 1, 1))
        )
        ax.plot(drawn[x], drawn[name], color=color, zorder=3 if name == ys[0] else 2)
    if len(ys) > 1:
        _label_ends(ax, frame, x, ys)
    for name, place in (marks or {}).items():
        ax.axvline(place, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        at = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        ax.annotate(_named(name), (place, 0.94), (5, 0), color=SOFT, fontsize=9.5, **at)
    ax.grid(axis="x", visible=False)
    _finish(
        ax,
        title,
        x,
        unit or (ys[0] if len(ys) == 1 else ""),
        percent,
        alt or _alt("Line chart", title, frame, ys[0], x, percent),
    )


@_worded
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
    """Horizontal bars with the value written at each; upright where the labels are numbers or
    dates.

    `highlight` is the label (or labels) drawn in the accent colour; with none, all are.
    """
    if _nothing(frame, [value]):
        return
    frame = frame.head(most) if not pd.api.types.is_numeric_dtype(frame[label]) else frame
    named = (
        {highlight}
        if isinstance(highlight, str | int)
        else set(frame[label] if highlight is None else highlight)
    )
    colors = [ACCENT if v in named else GREY for v in frame[label]]
    alt = alt or _alt("Bar chart", title, frame, value, label, percent)
    if pd.api.types.is_numeric_dtype(frame[label]):
        ax = _axes()
        ax.bar(frame[label], frame[value], color=colors, width=0.8)
        ax.grid(axis="x", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _finish(ax, title, label, unit or value, percent, alt)
    ax = _axes(figsize=(8, 0.9 + 0.34 * len(frame)))
    drawn = ax.barh([_short(v) for v in frame[label]], frame[value], color=colors, height=0.68)
    ax.bar_label(
        drawn, [_tick(v, percent) for v in frame[value]], padding=4, color=SOFT, fontsize=9.5
    )
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.tick_params(left=False, bottom=False, labelbottom=False)
    ax.spines[["bottom"]].set_visible(False)
    if (frame[value] < 0).any():
        ax.spines[["left"]].set_visible(False)
        ax.axvline(0, color=GREY, linewidth=1)
    ax.margins(x=0.12)
    _finish(ax, title, unit, "", False, alt, own_x=True)


@_worded
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
    if _nothing(frame, [value]):
        return
    ax = _axes(figsize=(8, 1.1 + 0.3 * len(frame)))
    at = np.arange(len(frame))
    if line is not None:
        ax.axvline(line, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    ax.hlines(
        at,
        frame[low].astype(float),
        frame[high].astype(float),
        color=ACCENT,
        alpha=0.4,
        linewidth=4,
    )
    ax.scatter(frame[value], at, color=ACCENT, zorder=3, s=34)
    ax.set_yticks(at, [_short(v) for v in frame[label]])
    ax.set_ylim(-0.7, len(frame) - 0.3)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.tick_params(left=False)
    ax.spines[["left"]].set_visible(False)
    if percent:
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    # ranks and counts
    elif (frame[[value, low, high]].astype(float).dropna() % 1 == 0).all(axis=None):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not percent and frame[[value, low, high]].abs().max(axis=None) >= 1000:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    _finish(
        ax,
        title,
        unit or value,
        "",
        False,
        alt or _alt("Dots with intervals", title, frame, value, label, percent),
        own_x=True,
    )


@_worded
def heat(
    frame: pd.DataFrame,
    title: str,
    *,
    x: str = "",
    y: str = "",
    percent: bool = False,
    alt: str = "",
) -> None:
    """A heat map of a wide frame: index down, columns across, the value written in each cell."""
    if _nothing(frame[frame.notna().any(axis=1)]):
        return
    frame = frame.rename(columns=lambda name: fill(name, 10) if isinstance(name, str) else name)
    ax = _axes(figsize=(8, max(2.0, 1.2 + 0.34 * len(frame))))
    text = frame.map(
        lambda v: (
            ""
            if pd.isna(v)
            else (
                f"{v * 100:.0f}"
                if percent
                else words.count(v)
                if v == round(v) and abs(v) < 1000
                else words.money(v)
            )
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
    ax.grid(False)  # an empty cell stays empty
    plt.setp(ax.get_yticklabels(), rotation=0)
    plt.setp(ax.get_xticklabels(), rotation=0 if frame.shape[1] < 16 else 90)
    _finish(ax, title, x, y, False, alt or _heat_seen(frame, title, percent), own_x=True)


def _heat_seen(frame: pd.DataFrame, title: str, percent: bool) -> str:
    cells = frame.to_numpy(float)
    lowest, highest = _tick(np.nanmin(cells), percent), _tick(np.nanmax(cells), percent)
    size = f"{len(frame)} rows by {frame.shape[1]} columns"
    return f"Heat map. {title} {size}, from {lowest} to {highest}."


@_worded
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
    names: str = "",
    size: str = "",
    alt: str = "",
) -> None:
    """Points; `group` colours them, `cross` draws two cut lines, `labels` renames the axes.

    For a map of few things, `names` is a column written at each point, and `size` one that its area
    shows.
    """
    if _nothing(frame, [y]):
        return
    ax = _axes(figsize=(8, 4.6))
    groups = list(dict.fromkeys(frame[group])) if group else [""]
    palette = dict(
        zip(groups, [ACCENT, *sns.color_palette("Greys", len(groups) + 1)[1:]], strict=False)
    )
    for name in reversed(groups):
        part = frame[frame[group] == name] if group else frame
        area = 30 + 1200 * (part[size] / frame[size].max()).astype(float) if size else 9
        looks = {"alpha": 0.7 if size else 0.5, "color": palette[name], "linewidths": 0}
        ax.scatter(part[x], part[y], s=area, label=_named(str(name)), **looks)
    if names:
        _write_names(ax, frame, x, y, names, size)
    elif group:
        handles, labelled = ax.get_legend_handles_labels()
        ax.legend(
            handles[::-1], labelled[::-1], loc="upper left", bbox_to_anchor=(1, 1), markerscale=2
        )
    if log:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(_factor))
    for value, draw in zip(cross or (), (ax.axvline, ax.axhline), strict=False):
        draw(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    names_of = {x: x, y: y} | (labels or {})
    alt = alt or _alt("Scatter plot", title, frame, y, x)
    _finish(ax, title, names_of[x], names_of[y], False, alt, own_x=True)


def _write_names(ax: Axes, frame: pd.DataFrame, x: str, y: str, names: str, size: str) -> None:
    for _at, row in frame.iterrows():
        up = np.sqrt((30 + 1200 * row[size] / frame[size].max()) / np.pi) + 3 if size else 5
        at = {"textcoords": "offset points", "ha": "center", "fontsize": 9.5}
        ax.annotate(_short(row[names]), (row[x], row[y]), (0, up), **at)
    ax.margins(0.15, 0.25)


@_worded
def tree(fitted: object, names: list[str], title: str, *, says: str = "yes", alt: str = "") -> None:
    """A fitted decision tree of scikit-learn with few questions, read from left to right, for
    teaching.

    `names` are its features in words, `says` what the share in each box does. The darker a box, the
    larger its share.
    """
    t = fitted.tree_
    share, seen = t.value[:, 0, -1] / t.value[:, 0].sum(axis=1), t.n_node_samples
    at, depth = _tree_places(t), fitted.get_depth()
    leaves = max(place for _x, place in at.values()) + 1
    ax = _axes(figsize=(8, max(0.62 * leaves, 1.6)))
    shade = sns.light_palette(ACCENT, as_cmap=True)
    for node, (x, y) in at.items():
        for child, word in ((t.children_left[node], "yes"), (t.children_right[node], "no")):
            if child >= 0:
                x2, y2 = at[child]
                ax.plot([x, x2], [y, y2], color=GREY, linewidth=1.2, zorder=1)
                spot = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
                ax.text(
                    x + 0.5 * (x2 - x),
                    y + 0.5 * (y2 - y),
                    word,
                    fontsize=8,
                    color=SOFT,
                    ha="center",
                    bbox=spot,
                )
        cut = t.threshold[node]
        cut = np.floor(cut) if cut % 1 == 0.5 else cut  # halfway between two whole numbers
        limit = f"{cut:,.0f}" if abs(cut) >= 100 else f"{cut:.3g}"
        asked = (
            "" if t.feature[node] < 0 else f"{_wrap(names[t.feature[node]])}\nat most {limit}?\n"
        )
        label = f"{asked}{words.percent(share[node])} {says} ({words.count(seen[node])})"
        box = {
            "boxstyle": "round,pad=0.35",
            "facecolor": shade(0.08 + 0.62 * share[node]),
            "edgecolor": "#c9cdcf",
        }
        ax.text(x, y, label, fontsize=7.6, color=INK, ha="center", va="center", bbox=box, zorder=2)
    ax.set(xlim=(-0.5, depth + 0.45), ylim=(leaves - 0.4, -0.6))
    ax.axis("off")
    first = names[t.feature[0]] if t.feature[0] >= 0 else "nothing"
    ends = share[t.children_left < 0]
    alt = alt or (
        f"Decision tree. {title} {len(ends)} end groups; the first question is about {first}; from "
        f"{words.percent(ends.min())} to {words.percent(ends.max())} {says}."
    )
    _finish(ax, title, "", "", False, alt, own_x=True)


def _tree_places(t: object) -> dict[int, tuple[float, float]]:
    """Where each node stands: its depth, and leaves one below the other with parents in their
    middle.
    """
    at, free = {}, iter(range(t.node_count))

    def place(node: int, depth: int) -> float:
        ends = [
            place(child, depth + 1)
            for child in (t.children_left[node], t.children_right[node])
            if child >= 0
        ]
        at[node] = depth, sum(ends) / len(ends) if ends else next(free)
        return at[node][1]

    place(0, 0)
    return at


@_worded
def graph(
    frame: pd.DataFrame,
    title: str,
    *,
    order: list[str],
    ends: str = "",
    unit: str = "share of moves",
    alt: str = "",
) -> None:
    """A transition graph: nodes in `order` from left to right, moves on above the line, moves back
    below it.

    `frame` has a row a move: source, target, share (of what follows the source) and moves (how
    many). Width shows how many; moves to the node `ends` point down. Nodes without a move are left
    out.
    """
    if _nothing(frame):
        return
    seen = {*frame["source"], *frame["target"]}
    nodes = [n for n in order if n in seen and n != ends]
    at = {n: i for i, n in enumerate(nodes)}
    ax = _axes(figsize=(8, 4.6))
    most = frame["moves"].max()
    spans = [
        at[t] - at[s] for s, t in zip(frame["source"], frame["target"], strict=True) if t in at
    ]
    floor = -0.2 + 0.28 * min([0, *spans])  # names stand below the moves back
    for row in frame.itertuples():
        width = 1 + 7 * (row.moves / most) ** 0.5
        color, text = (ACCENT if row.moves > most / 20 else GREY), _tick(row.share, True)
        x, on = at[row.source], at.get(row.target)
        if on is None:
            arrow = {
                "arrowstyle": "-|>",
                "color": GREY,
                "lw": width,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 12,
            }
            ax.annotate("", (x, floor - 1.1), (x, floor - 0.42), arrowprops=arrow, zorder=1)
            ax.text(x, floor - 1.17, text, ha="center", va="top", fontsize=9, color=SOFT)
            continue
        bend = 0.55 / (1 + abs(on - x) * 0.12)  # longer moves are flatter, so that all fit
        style = {
            "arrowstyle": "-|>",
            "color": color,
            "lw": width,
            "alpha": 0.75,
            "mutation_scale": 9 + width,
        }
        style |= {"connectionstyle": f"arc3,rad={-bend}", "shrinkA": 9, "shrinkB": 9}
        ax.annotate("", (on, 0), (x, 0), arrowprops=style, zorder=2)
        # A quadratic curve passes its middle at half of its bend. The label stands inside of it,
        # where no other move passes.
        middle = ((x + on) / 2, bend * (on - x) / 2)
        inside = (0, (width / 2 + 6) * (-1 if on > x else 1))
        ax.annotate(text, middle, inside, textcoords="offset points", ha="center", va="center",
                    fontsize=9, color=INK, zorder=4,
                    path_effects=[withStroke(linewidth=2, foreground="white")])  # fmt: skip
    ax.scatter(range(len(nodes)), [0] * len(nodes), s=150, color=INK, zorder=3)
    for name, x in at.items():
        ax.text(x, floor, fill(name, 10), ha="center", va="top", fontsize=9.5, color=INK, zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
    if ends:
        ax.text(-0.55, floor - 1.17, f"{_say(ends)}:", ha="right", va="top", fontsize=9, color=SOFT)
    ax.set(
        xlim=(-0.6, len(nodes) - 0.4),
        ylim=(floor - 1.4, 0.35 + 0.28 * max([1, *spans])),
        yticks=[],
        xticks=[],
    )
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    top = frame.loc[frame["moves"].idxmax()]
    default = (
        f"Transition graph. {title} {len(nodes)} acts; most often {top['source']} is followed by"
        f" {top['target']}."
    )
    _finish(ax, title, unit, "", False, alt or default, own_x=True)


def _amounts(axis: Axis) -> FuncFormatter:
    """Amounts at the ticks, all whole where all are."""

    def write(value: float, _: int) -> str:
        whole = np.allclose(axis.get_majorticklocs() % 1, 0)
        return f"{value:.0f}" if whole and abs(value) < 10 else words.money(value)

    return FuncFormatter(write)


def _factor(value: float, _: int) -> str:
    """A tick of a scale that grows by factors: 0.1, 1, 10, 1,000."""
    return f"{value:g}" if value < 10 else words.money(value)


def _finish(
    ax: Axes, title: str, x: str, y: str, percent: bool, alt: str, own_x: bool = False
) -> None:
    heading = f"<p><b>{html.escape(words.agree(title))}</b></p>"  # as text, it wraps on a phone
    x, y = _say(x), _say(y)
    if not (drawable(x) and drawable(y)):
        heading += f"<p>{html.escape(_axes_in_words(x, y))}</p>"
        x = y = ""
    boxes.box("chart", heading)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if (not own_x and ax.lines) or (ax.patches and ax.get_ylabel()):
        ax.yaxis.set_major_formatter(
            PercentFormatter(1, decimals=0) if percent else _amounts(ax.yaxis)
        )
    picture = BytesIO()
    ax.figure.savefig(picture, **PICTURE)
    plt.close(ax.figure)
    display(
        Image(data=picture.getvalue(), width=ax.figure.get_figwidth() * 96, alt=words.agree(alt))
    )


def _label_ends(ax: Axes, frame: pd.DataFrame, x: str, ys: list[str]) -> None:
    ends = sorted((float(frame[n].dropna().iloc[-1]), n) for n in ys if frame[n].notna().any())
    span, at = np.ptp(ax.get_ylim()) * 0.075, -np.inf
    for value, name in ends:
        at = max(value, at + span)
        last = frame[[x, name]].dropna()[x].iloc[-1]
        ax.annotate(
            _named(name.replace("_", " ")),
            (last, at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=ACCENT if name == ys[0] else SOFT,
            annotation_clip=False,
            # a line that ends early meets others
            path_effects=[withStroke(linewidth=4, foreground="white")],
        )


def _nothing(frame: pd.DataFrame, values: list[str] | None = None) -> bool:
    """Say so where there are no rows, or where none of them has a value to draw."""
    known = frame[values].notna().any(axis=None) if values and len(frame) else len(frame)
    if known:
        return False
    boxes.nothing(EMPTY)
    return True


def _alt(
    kind: str, title: str, frame: pd.DataFrame, value: str, by: str, percent: bool = False
) -> str:
    v = frame[value].astype(float)
    if v.isna().all():
        return f"{kind}. {title} {len(frame)} points."
    at = frame.loc[v.idxmax(), by] if v.notna().any() else ""
    at = words.category(at) if isinstance(at, str) else at
    at = (
        words.day(at)
        if isinstance(at, pd.Timestamp)
        else _tick(at, False)
        if isinstance(at, float)
        else at
    )
    return fixed(
        "{kind}. {title} {n} points from {low} to {high}, the highest at {at}.",
        kind=fixed(kind),
        title=title,
        n=len(frame),
        low=_tick(v.min(), percent),
        high=_tick(v.max(), percent),
        at=at,
    )


def _tick(value: float, percent: bool) -> str:
    return words.percent(value, 1 if abs(value) < 0.1 else 0) if percent else words.money(value)


def _say(name: str) -> str:
    return fixed(name.replace("_", " "))


def _named(name: str) -> str:
    """A name of ours in the language that is spoken, where the picture can hold it; any other name
    as it is.
    """
    said = fixed(name)
    return said if drawable(said) else name


def drawable(text: str) -> bool:
    """Whether a font can write a text into a picture: Chinese needs one that is installed."""
    return len(fonts()) > 1 or not re.search("[\u3000-\u9fff\uff00-\uffef]", text)


def _axes_in_words(x: str, y: str) -> str:
    named = [fixed("Across: {label}", label=x)] if x else []
    named += [fixed("Up: {label}", label=y)] if y else []
    return fixed("; ").join(named)


def _wrap(text: str, most: int = 20) -> str:
    return "\n".join(wrap(text, most)).replace("$", r"\$")


def _short(label: object, most: int = 34) -> str:
    # A dollar sign would start mathematics in matplotlib.
    text = _named(str(label)).replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1] + "…"
