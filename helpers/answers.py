"""Whether an answer to an exercise is right, and what went wrong where it is not."""

from __future__ import annotations

import math
import re
from numbers import Number

import numpy as np
import pandas as pd

DIGITS = 3  # significant digits in which a right number agrees
UNITS = {
    7: "a day and a week",
    12: "a month and a year",
    30: "a day and a month",
    52: "a week and a year",
    100: "a share and a percent",
    365: "a day and a year",
    1000: "one and a thousand",
}


def same(answer: object, right: object) -> bool:
    """Whether two answers mean the same: a share or a percent, a list in any order, a frame with
    one cell, a number as text, a number rounded to no fewer than two digits.

    >>> same(16.6, 0.166), same("16.6 %", 0.166), same(["b", "a"], {"a", "b"}), same("Friday ", "friday")
    (True, True, True, True)
    >>> same(0.17, 0.2), same("a", 1), same(100, 1)
    (False, False, False)
    """
    a, b = plain(answer), plain(right)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(b, Number):
        a = number(a)
        return a is not None and any(_rounds(x, b) for x in _readings(a, b))
    if isinstance(a, list) and isinstance(b, list):
        pairs = zip(sorted(a, key=str), sorted(b, key=str), strict=False)
        return len(a) == len(b) and all(same(x, y) for x, y in pairs)
    if isinstance(a, str) and isinstance(b, str):
        return a.strip().casefold() == b.strip().casefold()
    return type(a) is type(b) and a == b


def is_coarse(answer: object, right: object) -> bool:
    """Whether a right number was given with fewer digits than three.

    >>> is_coarse(0.32, 0.3241), is_coarse("32.4%", 0.3241), is_coarse(7, 7)
    (True, False, False)
    """
    a, b = number(plain(answer)), plain(right)
    if a is None or not isinstance(b, float):
        return False
    return not any(_agree(x, b) for x in _readings(a, b))


def plain(answer: object) -> object:
    """An answer without its wrapping: a number, a text, a list of these, or what it was."""
    if hasattr(answer, "to_pandas"):
        answer = answer.to_pandas()
    if isinstance(answer, pd.DataFrame):
        answer = answer.to_numpy().ravel().tolist()
    elif isinstance(answer, pd.Series | pd.Index | np.ndarray):
        answer = answer.tolist()
    if isinstance(answer, set | frozenset | tuple):
        answer = list(answer)
    if isinstance(answer, list):
        return plain(answer[0]) if len(answer) == 1 else [plain(x) for x in answer]
    if isinstance(answer, np.generic):
        answer = answer.item()
    return str(answer) if isinstance(answer, pd.Timestamp) else answer


def number(answer: object) -> float | None:
    """A number, also where it was written as text; None for anything else.

    >>> number("32.4 %"), number("1,234"), number(7), number("many"), number(True)
    (0.324, 1234.0, 7.0, None, None)
    """
    if isinstance(answer, bool):
        return None
    if isinstance(answer, Number):
        return float(answer)
    found = re.fullmatch(r"\s*([-+]?\d[\d,]*\.?\d*)\s*(%?)\s*", str(answer))
    if not isinstance(answer, str) or not found:
        return None
    value = float(found[1].replace(",", ""))
    return round(value / 100, 12) if found[2] else value


def what_went_wrong(answer: object, right: object) -> str:
    """A hint that fits a wrong answer, without giving the right one away."""
    a, b = plain(answer), plain(right)
    if callable(a):
        return "That is a function that was not called. Add the brackets: ()."
    if a is None:
        return "That is nothing (None). Some calls change a table and give nothing back."
    if isinstance(a, float) and math.isnan(a):
        return "That is not a number (nan). Was something divided by nothing, or is it missing?"
    if isinstance(b, bool):
        return "The answer is True or False."
    if isinstance(b, Number):
        return _of_number(answer, a, b)
    if isinstance(b, list):
        return _of_list(a, b)
    return _of_name(a, str(b))


def _of_number(answer: object, a: object, b: float) -> str:
    if isinstance(a, list):
        if any(same(x, b) for x in a):
            return f"The answer is among these {len(a)} values. Pick it out."
        return f"{_form(answer)}, and the answer is one number."
    value = number(a)
    if value is None:
        return "The answer is a number, such as 12 or 0.12."
    if value == 0:
        return "Nothing was counted. Is your condition true for any row? Look at some of them."
    if _agree(value, -b):
        return "The size is right, the sign is not."
    if isinstance(b, float) and 0 < b <= 1:
        return _of_share(value, b)
    if isinstance(b, int):
        return _of_count(value, b)
    return _by_factor(value, b)


def _of_share(value: float, b: float) -> str:
    if any(_agree(x, 1 - b) for x in (value, value / 100)):
        return "That is the share of all the others."
    if _agree(value, 1 / b):
        return "That is upside down: divide the other way round."
    if value > 1 and value == round(value):
        return "The question asks for a share. Divide by how many there are in all."
    if value > 100 or value < 0:
        return "A share lies between nothing and all. What did you divide by what?"
    return _by_factor(value / 100 if value > 1 else value, b)


def _of_count(value: float, b: int) -> str:
    if 0 < value < 1:
        return "That is a share. The question asks how many."
    if value != round(value):
        return "The answer is a whole number. Did a mean or a share slip in?"
    if abs(value - b) == 1:
        return "One off. Is the first or the last one counted, or one left out?"
    return _by_factor(value, b)


def _by_factor(value: float, b: float) -> str:
    if b and value / b > 0:
        times = max(value / b, b / value)
        for factor, between in UNITS.items():
            if abs(times / factor - 1) < 0.01:
                return f"It is off by {factor} times, as between {between}."
        if abs(times - 2) < 0.01:
            return "That is twice or half of it. Is each one counted twice?"
    size = "too large. Which rows should not be in it?"
    return f"That is {size if value > b else 'too small. Which rows are missing from it?'}"


def _of_list(a: object, b: list) -> str:
    if not isinstance(a, list):
        if any(same(a, x) for x in b):
            return "That is one of them. The answer is a list."
        return "The answer is a list of more than one."
    right = sum(any(same(x, y) for y in b) for x in a)
    if right == len(a):
        return f"All {len(a)} are right, and some are missing."
    return f"Of your {len(a)}, {right} belong there."


def _of_name(a: object, b: str) -> str:
    if isinstance(a, list):
        return "The answer is one name."
    if number(a) is not None:
        return "The answer is a name, not a number."
    said = str(a).strip().casefold()
    if said and (said in b.casefold() or b.casefold() in said):
        return "Nearly. Write it as it stands in the table."
    return "It is another one. Is the table sorted the right way round?"


def _form(answer: object) -> str:
    if isinstance(answer, pd.DataFrame):
        return f"That is a table of {len(answer)} rows and {answer.shape[1]} columns"
    return "That is more than one value"


def _readings(a: float, b: float) -> tuple[float, ...]:
    """The numbers that may be meant: where a share is asked for, a percent too."""
    is_share = isinstance(b, float) and 0 < abs(b) <= 1
    return (a, a / 100) if is_share else (a,)


def _agree(a: float, b: float) -> bool:
    """Whether a number agrees with the right one in three digits; whole ones agree in all."""
    if isinstance(b, int):
        return a == b
    if b == 0 or not math.isfinite(b):
        return abs(a - b) < 1e-9
    half = 0.5 * 10.0 ** (math.floor(math.log10(abs(b))) + 1 - DIGITS)
    return abs(a - b) <= half * (1 + 1e-9)


def _rounds(a: float, b: float) -> bool:
    """Whether a number is the right one, or is it rounded to two digits."""
    return _agree(a, b) or (
        isinstance(b, float) and a != 0 and f"{a:.12g}" == f"{float(f'{b:.1e}'):.12g}"
    )
