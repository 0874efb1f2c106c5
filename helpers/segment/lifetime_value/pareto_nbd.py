"""The Pareto/NBD model: as BG/NBD, but people leave at any time, not only after a purchase
(Schmittlein, Morrison, Colombo 1987).

A customer buys at random with a rate of their own (gamma with shape r and rate alpha) and leaves at
random with another rate of their own (gamma with shape s and rate beta). A history is x repeat
purchases, the last of them t_x after the first purchase, watched for T; times in any unit, here
weeks.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from helpers.segment.lifetime_value.likelihood import Fit, maximise

NAMES = ("r", "alpha", "s", "beta")
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2  # on 0 to 1
FAR = 36  # e to the minus this is nothing
ROWS = 50_000  # at a time, so that memory stays small


def score(
    theta: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray
) -> tuple:
    """The log-likelihood of weighted histories, and its gradient by r, alpha, s and beta."""
    r, alpha, s, beta = theta
    value, slope = 0.0, np.zeros(4)
    for part in range(0, len(x), ROWS):
        rows = slice(part, part + ROWS)
        one, grown = _parts(theta, x[rows], t_x[rows], T[rows])
        value += one @ weight[rows]
        slope += grown @ weight[rows]
    counts, at = np.unique(x, return_inverse=True)
    by_x, n = np.bincount(at, weight, len(counts)), weight.sum()
    value += (gammaln(r + counts) - gammaln(r)) @ by_x + n * (r * np.log(alpha) + s * np.log(beta))
    slope += [
        (digamma(r + counts) - digamma(r)) @ by_x + n * np.log(alpha), n * r / alpha, n * np.log(beta), n * s / beta
    ]  # fmt: skip
    return float(value), slope


def fit(x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weight: np.ndarray | None = None) -> Fit:
    """Parameters of the highest likelihood; `weight` counts customers with the same history."""
    weight = np.ones(len(x)) if weight is None else weight
    scale = float(T @ weight / weight.sum()) or 1.0
    return maximise(
        lambda p: score(p, x, t_x, T, weight),
        NAMES,
        np.array([0.8, scale / 3, 0.8, scale / 2]),
        weight.sum(),
    )


def expected(theta: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Purchases that a new customer is expected to repeat within `t`."""
    r, alpha, s, beta = theta
    return r / alpha * _lifetime(s, beta, t)


def alive(theta: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Chance that a customer with this history has not left."""
    parts = [
        np.exp(
            _stayed(theta, x[k : k + ROWS], T[k : k + ROWS])
            - _parts(theta, x[k : k + ROWS], t_x[k : k + ROWS], T[k : k + ROWS])[0]
        )
        for k in range(0, len(x), ROWS)
    ]
    return np.concatenate(parts) if parts else np.array([])


def ahead(theta: np.ndarray, t: float, x: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Purchases expected in the next `t` of a customer who has not left: rate times the time that
    they stay.
    """
    r, alpha, s, beta = theta
    return (r + x) / (alpha + T) * _lifetime(s, beta + T, t)


def draw(
    theta: np.ndarray, t: float, x: np.ndarray, T: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Purchases in the next `t`, at random, of customers who have not left: given that, the two
    rates are free.
    """
    r, alpha, s, beta = theta
    rate, leaves = rng.gamma(r + x) / (alpha + T), rng.gamma(s, size=x.shape) / (beta + T)
    stays = rng.exponential(size=x.shape) / np.maximum(leaves, 1e-300)
    return rng.poisson(rate * np.minimum(stays, t))


def _lifetime(s: float, beta: np.ndarray | float, t: np.ndarray | float) -> np.ndarray:
    """Mean time that a customer stays within the next `t`; the limit where s is 1."""
    grown = np.log1p(np.asarray(t) / beta)
    return beta * (grown if abs(s - 1) < 1e-9 else -np.expm1((1 - s) * grown) / (s - 1))


def _stayed(theta: np.ndarray, x: np.ndarray, T: np.ndarray) -> np.ndarray:
    r, alpha, s, beta = theta
    return -(r + x) * np.log(alpha + T) - s * np.log(beta + T)


def _parts(
    theta: np.ndarray, x: np.ndarray, t_x: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The log of (stayed + left), a history each, and its gradient: what of the likelihood hangs on
    the times.

    Left: the integral over the moment u of leaving, from t_x to T, of s (alpha + u)^-(r + x) (beta
    + u)^-(s + 1). On the scale z = k (ln(alpha + u) - ln(alpha + t_x)) with k = r + s + x it is
    e^-z times a slow function, so Gauss's rule finds it to many digits where the hypergeometric
    form cancels or overflows.
    """
    r, alpha, s, beta = theta
    k = (r + s + x)[:, None]
    far = k[:, 0] * (np.log(alpha + T) - np.log(alpha + t_x))
    # beyond this nothing is left of it
    far = np.minimum(far, FAR * k[:, 0] / np.maximum(r + x - 1, 1e-9))[:, None]
    log_a = np.log(alpha + t_x)[:, None] + far * NODES / k
    u = np.exp(log_a)
    log_b = np.log(u - alpha + beta)
    g = (s + 1) * (log_a - log_b) - far * NODES
    top = g.max(axis=1)
    g = WEIGHTS * np.exp(g - top[:, None])
    total = g.sum(axis=1)
    with np.errstate(divide="ignore"):  # who bought at T has had no time to leave
        left = (
            np.log(s)
            - k[:, 0] * np.log(alpha + t_x)
            - np.log(k[:, 0])
            + np.log(far[:, 0] * total)
            + top
        )
    stayed = _stayed(theta, x, T)
    both = np.logaddexp(stayed, left)
    gone, g = np.exp(left - both), g / total[:, None]
    here = 1 - gone
    slope = np.array(
        [
            -here * np.log(alpha + T) - gone * (g * log_a).sum(axis=1),
            -(r + x) * (here / (alpha + T) + gone * (g / u).sum(axis=1)),
            -here * np.log(beta + T) + gone * (1 / s - (g * log_b).sum(axis=1)),
            -here * s / (beta + T) - gone * (s + 1) * (g * np.exp(-log_b)).sum(axis=1),
        ]
    )
    return both, slope
