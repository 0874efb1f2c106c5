"""Exercises judge an answer: every right form is right, and a wrong one gets a hint that fits it."""

import numpy as np
import pandas as pd
import pytest

from helpers import answers

TABLE = pd.DataFrame({"customers": [12, 30, 5], "sales": [0.2, 0.3241, 0.5]})


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (0.3241, 0.3241),
        (0.324, 0.3241),
        (32.41, 0.3241),
        ("32.4%", 0.3241),
        (" 32.4 % ", 0.3241),
        ("0.324", 0.3241),
        (0.32, 0.3241),
        (32, 0.3241),
        (np.float64(0.3241), 0.3241),
        (pd.Series([0.3241]), 0.3241),
        (pd.DataFrame({"x": [0.3241]}), 0.3241),
        (1163, 1163.32),
        ("1,163.32", 1163.32),
        (12.0, 12),
        (np.int64(12), 12),
        ([12], 12),
        (0.0, 0.0),
        (["b", "a"], {"a", "b"}),
        (("a", "b"), ["b", "a"]),
        (" Friday", "friday"),
        (np.bool_(True), True),
    ],
)
def test_every_right_form_is_right(answer, right):
    assert answers.same(answer, right)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (0.33, 0.3241),
        (0.3, 0.3241),
        (0.326, 0.3241),
        (33, 0.3241),
        (100, 1),
        (0.01, 1),
        (12.05, 12),
        (13, 12),
        (1170, 1163.32),
        (True, 1),
        (1, True),
        ("a", 1),
        (["a"], ["a", "b"]),
        ("Fri", "Friday"),
        (float("nan"), 0.3),
    ],
)
def test_what_is_nearly_right_is_not(answer, right):
    assert not answers.same(answer, right)


@pytest.mark.parametrize(
    ("answer", "right", "hint"),
    [
        (0.6759, 0.3241, "all the others"),
        (67.6, 0.3241, "all the others"),
        (1 / 0.3241, 0.3241, "upside down"),
        (412, 0.3241, "asks for a share"),
        (-0.3241, 0.3241, "the sign is not"),
        (0.5, 0.3241, "too large"),
        (0.1, 0.3241, "too small"),
        (-3.5, 0.3241, "between nothing and all"),
        (0.24, 24, "That is a share"),
        (24.7, 24, "whole number"),
        (25, 24, "One off"),
        (48, 24, "twice or half"),
        (0, 24, "Nothing was counted"),
        (90, 24, "too large"),
        (7 * 163.3, 163.3, "a day and a week"),
        (163.3 / 1000, 163.3, "one and a thousand"),
        (163.3 / 12, 163.3, "a month and a year"),
        ([12, 30, 5], 30, "among these 3 values"),
        (TABLE, 77, "a table of 3 rows and 2 columns"),
        ([1, 2], 77, "more than one value"),
        ("many", 24, "The answer is a number"),
        (None, 24, "nothing (None)"),
        (float("nan"), 24, "nan"),
        (TABLE["sales"].mean, 24, "Add the brackets"),
        (3, ["a", "b"], "a list of more than one"),
        ("a", ["a", "b"], "one of them"),
        (["a"] * 1 + ["c"], ["a", "b"], "Of your 2, 1 belong"),
        (["a", "b"], ["a", "b", "c"], "some are missing"),
        (3, "Friday", "a name, not a number"),
        (["Friday", "Monday"], "Friday", "one name"),
        ("Fri", "Friday", "as it stands in the table"),
        ("Monday", "Friday", "another one"),
        ("maybe", True, "True or False"),
    ],
)
def test_a_wrong_answer_gets_a_hint_that_fits(answer, right, hint):
    assert not answers.same(answer, right)
    assert hint in answers.what_went_wrong(answer, right)
