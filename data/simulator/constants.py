"""What the simulated shop is made of: its YAML data, its calendar, its random streams."""

from __future__ import annotations

import zlib
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd
import yaml

ZONE = "Europe/Berlin"
START = pd.Timestamp("2024-10-01")  # first local day, a Tuesday
DAYS = 730  # to 2026-09-30, the last day that the exports cover
HORIZON = DAYS + 365  # behaviour goes on for a year, so that predictions can be scored
DATES = pd.date_range(START, periods=HORIZON)
WEEKS = (HORIZON + 7) // 7  # weeks begin on Mondays; week 0 on 2024-09-30


@cache
def text(name: str) -> str:
    """A data file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def load(name: str) -> dict:
    """The YAML file of this name: world, words or dirt."""
    return yaml.safe_load(text(f"{name}.yaml"))


def stream(seed: int, part: str) -> np.random.Generator:
    """An independent random stream for one part, so that a change in one part leaves the others as
    they were.
    """
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def pick(rng: np.random.Generator, groups: dict, n: int) -> np.ndarray:
    """Draw `n` keys of `groups` by their `share` (or by the numbers themselves)."""
    p = np.array([g["share"] if isinstance(g, dict) else g for g in groups.values()], float)
    return np.array(list(groups), dtype=object)[rng.choice(len(groups), n, p=p / p.sum())]


def local(t: np.ndarray) -> pd.DatetimeIndex:
    """Shop-clock times (no zone, whole seconds) of days counted from START."""
    return pd.DatetimeIndex(
        START + pd.to_timedelta(np.round(np.asarray(t, float) * 86400), unit="s")
    ).as_unit("s")


def utc(t: np.ndarray) -> pd.DatetimeIndex:
    """The same moments in UTC (no zone); the doubled hour in autumn counts as summer time."""
    times = local(t)
    zoned = times.tz_localize(
        ZONE, ambiguous=np.ones(len(times), bool), nonexistent="shift_forward"
    )
    return zoned.tz_convert("UTC").tz_localize(None)


def show(times: pd.DatetimeIndex, length: int = 19) -> np.ndarray:
    """Times as text such as 2026-09-30 17:00:00, cut to `length` letters, empty where missing."""
    shown = np.datetime_as_string(times.as_unit("s").values).tolist()
    return np.array(
        ["" if x == "NaT" else x[:length].replace("T", " ") for x in shown], dtype=object
    )


NUMBERS = {
    "money": "{:.2f}", "whole": "{:.0f}", "grams": "{:.3f}", "rate": "{:.5f}", "exact": "{:.6f}", "percent": "{:.2%}",
    "thousands": "{:,.0f}", "thousands2": "{:,.2f}", "dash": "{:.2f}",
}  # fmt: skip
TIMES = {"utc": (utc, 19), "local": (local, 19), "minute": (utc, 16)}


def write(values: np.ndarray, form: str = "") -> np.ndarray:
    """Values as text cells in one of the forms above, `flag` (true, false) or as they are; empty
    where missing.
    """
    values = np.asarray(values)
    if form in TIMES:
        zone, length = TIMES[form]
        return show(zone(values), length)
    if form == "flag":
        return np.where(values.astype(bool), "true", "false").astype(object)
    if form:
        way, missing = NUMBERS[form].format, " --" if form == "dash" else ""
        return np.array(
            [way(v) if v == v else missing for v in values.astype(float).tolist()], dtype=object
        )
    return np.array(
        [
            v if isinstance(v, str) else "" if v is None or v != v else str(v)
            for v in values.tolist()
        ],
        dtype=object,
    )


def fill(kind: str, **frames: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of a file as columns.yaml states them, filled from these frames, which have equal
    lengths.
    """
    n, out = len(next(iter(frames.values()))), {}
    for column, spec in load("columns")[kind].items():
        if not spec or spec.startswith("="):
            out[column] = np.full(n, (spec or "=")[1:], dtype=object)
        else:
            path, _, form = spec.partition(" ")
            frame, _, name = path.partition(".")
            out[column] = write(frames[frame][name], form)
    return out


def table(**columns: np.ndarray) -> pd.DataFrame:
    """A frame from columns whose indexes do not matter."""
    return pd.DataFrame(
        {
            k: np.asarray(v) if hasattr(v, "__len__") and not isinstance(v, str) else v
            for k, v in columns.items()
        }
    )
