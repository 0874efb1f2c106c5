"""The gamma-gamma model of spend: how much an order is worth (Fader, Hardie 2013, note 025).

Orders of one customer scatter around a mean of their own; the means differ between customers. How
much is independent of how often.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from helpers.segment.lifetime_value.likelihood import Fit, maximise

NAMES = ("p", "q", "v")


def score(theta: np.ndarray, x: np.ndarray, value: np.ndarray, weight: np.ndarray) -> tuple:
    """The log-likelihood of means `value` of `x` orders each (their equation 1a), and its gradient
    by p, q and v.
    """
    p, q, v = theta
    counts, at = np.unique(x, return_inverse=True)  # the gamma functions hang on x alone
    px, by_x = p * counts, np.bincount(at, weight, len(counts))
    paid, total = x * value, np.log(v + x * value)
    fixed = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v)
    likelihood = (
        fixed @ by_x + (p * x * (np.log(paid) - total) - np.log(value) - q * total) @ weight
    )
    slope = np.array(
        [
            (counts * (digamma(px + q) - digamma(px))) @ by_x
            + (x * (np.log(paid) - total)) @ weight,
            (digamma(px + q) - digamma(q) + np.log(v)) @ by_x - total @ weight,
            q / v * weight.sum() - ((p * x + q) / (v + paid)) @ weight,
        ]
    )
    return float(likelihood), slope


def fit(x: np.ndarray, value: np.ndarray, weight: np.ndarray | None = None) -> Fit:
    """Parameters of the highest likelihood, from the customers with `x` > 0 orders of a mean
    `value` > 0.
    """
    known = (x > 0) & (value > 0)
    weight = (np.ones(len(x)) if weight is None else weight)[known]
    x, value = x[known].astype(float), value[known]
    level = float(value @ weight / max(weight.sum(), 1)) or 1.0
    return maximise(
        lambda t: score(t, x, value, weight),
        NAMES,
        np.array([2.0, 3.0, level]),
        max(weight.sum(), 1.0),
    )


def mean(theta: np.ndarray) -> float:
    """Mean value of an order over all customers; infinite where q is at most 1."""
    p, q, v = theta
    return p * v / (q - 1) if q > 1 else float("inf")


def conditional(theta: np.ndarray, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Expected mean value of an order, given the mean of `x` orders (their equation 5): it shrinks
    to that of all.
    """
    p, q, v = theta
    return p * (v + x * np.where(x > 0, value, 0)) / (p * x + q - 1)


def draw(
    theta: np.ndarray, n: np.ndarray, x: np.ndarray, value: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The sum of the next `n` > 0 orders, at random, given the mean of `x` orders."""
    p, q, v = theta
    scale = rng.gamma(q + p * x) / (v + x * np.where(x > 0, value, 0))
    return rng.gamma(p * n) / scale
