"""Maximum likelihood for models whose parameters are all positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

WIDEST = 15.0  # logs of parameters are searched up to here
ALIKE = np.log(1000.0)  # ... and of shapes up to here, where people hardly differ any more
SHAPES = {"r", "s", "a", "p", "q"}
STEP = 1e-4  # of the logs, for the second derivatives
# curvature below which the data leave a direction open: a standard error above 3 on the log scale
FLATTEST = 0.1
CLOSE = 0.02  # of log-likelihood: so near to the top is at the top

Score = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Fit(NamedTuple):
    """Parameters with their standard errors, the covariance of their logs, and the highest
    log-likelihood.

    A standard error is infinite where the data do not tell the parameter; what they do tell can
    still be sure.
    """

    names: tuple[str, ...]
    params: np.ndarray
    errors: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    converged: bool

    def draw(self, n: int, seed: int = 1) -> np.ndarray:
        """`n` sets of parameters as likely as the data leave them (normal on the log scale), one a
        row.
        """
        logs = np.random.default_rng(seed).multivariate_normal(
            np.log(self.params), self.covariance, n, method="eigh"
        )
        return np.exp(np.clip(logs, -WIDEST, WIDEST))


@threadpool_limits.wrap(limits=1)  # sums over customers: more threads only wait for one another
def maximise(score: Score, names: tuple[str, ...], start: np.ndarray, size: float) -> Fit:
    """Climb a log-likelihood from `start`; `score` gives it with its gradient, `size` is the number
    of customers.

    Parameters are searched on the log scale. Their covariance is the inverse Hessian there, from
    differences of the gradient; standard errors follow by the delta method. Converged means that
    one more step of Newton's would gain next to nothing.
    """

    def down(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = score(np.exp(logs))
        return -value / size, -slope * np.exp(logs) / size

    limits = [(-WIDEST, ALIKE if name in SHAPES else WIDEST) for name in names]
    options = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500, "maxls": 50}
    found = minimize(
        down, np.log(start), jac=True, method="L-BFGS-B", bounds=limits, options=options
    )
    steps = np.eye(len(names)) * STEP
    hessian = size * np.array(
        [(down(found.x + s)[1] - down(found.x - s)[1]) / (2 * STEP) for s in steps]
    )
    known = np.isfinite(hessian).all()
    curves, axes = np.linalg.eigh((hessian + hessian.T) / 2 if known else np.eye(len(names)))
    covariance = axes / np.maximum(curves, FLATTEST) @ axes.T
    slope = size * found.jac
    flat = (axes**2)[:, curves < FLATTEST].sum(axis=1) > 0.01
    errors = np.where(flat, np.inf, np.exp(found.x) * np.sqrt(np.diag(covariance)))
    at_top = known and curves.min() > -FLATTEST and slope @ covariance @ slope / 2 < CLOSE
    return Fit(names, np.exp(found.x), errors, covariance, float(-found.fun * size), bool(at_top))
