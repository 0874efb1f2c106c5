"""The BG/NBD model: how often customers buy until they leave (Fader, Hardie, Lee 2005, "Counting
Your Customers the Easy Way").

A customer buys at random with a rate of their own (gamma with shape r and rate alpha) and leaves
after a purchase with a chance of their own (beta with a and b). A history is x repeat purchases,
the last of them t_x after the first purchase, watched for T; times in any unit, here weeks.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln, hyp2f1

from helpers.segment.lifetime_value.likelihood import Fit, maximise

NAMES = ("r", "alpha", "a", "b")


def score(
    theta: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray
) -> tuple:
    """The log-likelihood of weighted histories (their equation 6), and its gradient by r, alpha, a
    and b.
    """
    r, alpha, a, b = theta
    counts, at = np.unique(x, return_inverse=True)  # the gamma functions hang on x alone
    fixed = gammaln(r + counts) + gammaln(b + counts) - gammaln(a + b + counts)
    fixed += r * np.log(alpha) - gammaln(r) + gammaln(a + b) - gammaln(b)
    by_x = np.bincount(at, weight, len(counts))
    some = x > 0
    log_T, log_t = np.log(alpha + T), np.log(alpha + t_x)
    stayed = -(r + x) * log_T
    left = np.where(
        some, np.log(a) - np.log(np.where(some, b + x - 1, 1)) - (r + x) * log_t, -np.inf
    )
    both = np.logaddexp(stayed, left)
    gone = np.exp(left - both)
    value = fixed @ by_x + both @ weight
    slope = np.array(
        [
            (digamma(r + counts) - digamma(r) + np.log(alpha)) @ by_x
            - ((1 - gone) * log_T + gone * log_t) @ weight,
            r / alpha * weight.sum()
            - ((r + x) * ((1 - gone) / (alpha + T) + gone / (alpha + t_x))) @ weight,
            (digamma(a + b) - digamma(a + b + counts)) @ by_x + gone @ weight / a,
            (digamma(a + b) - digamma(a + b + counts) + digamma(b + counts) - digamma(b)) @ by_x
            - (gone / np.where(some, b + x - 1, 1)) @ weight,
        ]
    )
    return float(value), slope


def fit(x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray | None = None) -> Fit:
    """Parameters of the highest likelihood; `weight` counts customers with the same history."""
    weight = np.ones(len(x)) if weight is None else weight
    scale = float(T @ weight / weight.sum()) or 1.0
    return maximise(
        lambda p: score(p, x, t_x, T, weight),
        NAMES,
        np.array([0.8, scale / 3, 0.8, 2.5]),
        weight.sum(),
    )


def expected(theta: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Purchases that a new customer is expected to repeat within `t` (their equation 9)."""
    r, alpha, a, b = _off_one(theta)
    z = t / (alpha + t)
    return (a + b - 1) / (a - 1) * (1 - (1 - z) ** r * hyp2f1(r, b, a + b - 1, z))


def alive(theta: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Chance that a customer with this history has not left (Fader, Hardie, Lee 2008, "Computing
    P(alive)").
    """
    r, alpha, a, b = theta
    odds = (
        np.log(a)
        - np.log(np.where(x > 0, b + x - 1, 1))
        + (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    )
    return np.where(x > 0, np.exp(-np.logaddexp(0, odds)), 1.0)


def ahead(theta: np.ndarray, t: float, x: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Purchases expected in the next `t` of a customer who has not left (their equation 10, without
    its last factor).

    Euler's transformation takes the larger of a and r + x out of the hypergeometric function, so
    that it neither overflows nor cancels; where both are large, chances to leave hardly differ, and
    their mean stands for all.
    """
    r, alpha, a, b = _off_one(theta)
    z, c = t / (alpha + T + t), a + b + x - 1
    many = r + x > a - 1
    with np.errstate(over="ignore", invalid="ignore"):
        power, first = np.where(many, a - 1, r + x), np.where(many, c - r - x, r + x)
        lost = (1 - z) ** power * hyp2f1(first, np.where(many, a - 1, b + x), c, z)
        lost = np.where(np.isfinite(lost), lost, (1 + (a - 1) / c * t / (alpha + T)) ** -(r + x))
    return c / (a - 1) * (1 - lost)


def draw(
    theta: np.ndarray, t: float, x: np.ndarray, T: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Purchases in the next `t`, at random, of customers who have not left: given that, rate and
    chance are free.
    """
    r, alpha, a, b = theta
    rate, leaves = rng.gamma(r + x) / (alpha + T), rng.beta(a, b + x)
    return np.minimum(rng.poisson(rate * t), rng.geometric(np.clip(leaves, 1e-12, 1)))


def _off_one(theta: np.ndarray) -> np.ndarray:
    r, alpha, a, b = theta
    # a = 1 is a limit that the formulas divide by
    return np.array([r, alpha, a if abs(a - 1) > 1e-6 else 1 + 1e-6, b])
