"""Conjoint: what each level of a product is worth to people, from the choices they made between
products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm, qmc
from threadpoolctl import threadpool_limits

from helpers import stats
from helpers.client import PlaybookError
from helpers.show import words

CONJOINT_VERSION = "1"
# every other column is an attribute
KNOWN = ["respondent_id", "task", "alternative", "chosen", "filled"]
BEST = "best"  # describes the product of the best-liked levels
# the attribute that is money; the level of an attribute that is a number
PRICE, PER_UNIT = "price", "per unit"
FEWEST, FEWEST_TASKS = 30, 4  # respondents, and tasks of each, below which nothing is said
DRAWS = 100  # of the tastes of each respondent, in the likelihood
KEPT_BACK = 0.25  # of each respondent's tasks, the last, are kept to test on
SURE = 0.9  # share of draws from which one price is said to be the best


class Tasks(NamedTuple):
    """Choice tasks: one row an alternative, sorted by respondent and task.

    levels: of each attribute, none where it is a number. wide: one column a level (0 or 1) or
    number. slim: the part-worths, one a column of `wide`, are `slim` times the free coefficients:
    those of an attribute sum to zero (effects coding), numbers count in standard deviations. task,
    person: where each task and each respondent begins.
    """

    rows: pd.DataFrame
    levels: dict[str, list[str]]
    wide: np.ndarray
    slim: np.ndarray
    task: np.ndarray
    person: np.ndarray
    # tasks in which not exactly one alternative was chosen, or not all was known of one
    left_out: int = 0

    @property
    def names(self) -> pd.DataFrame:
        """attribute and level of each column of `wide`."""
        pairs = [(a, v) for a, known in self.levels.items() for v in known or [PER_UNIT]]
        return pd.DataFrame(pairs, columns=["attribute", "level"])

    @property
    def enough(self) -> bool:
        """Whether there is enough to fit a model."""
        return (
            len(self.person) >= FEWEST
            and len(self.task) >= FEWEST_TASKS * FEWEST
            and bool(self.levels)
        )


class ChoiceModel(NamedTuple):
    """A fitted logit: its free coefficients, the spread of each attribute between people, their
    covariance.

    draws: the tastes tried for each respondent (level, respondent, draw), one draw of zeros where
    all are alike.
    """

    tasks: Tasks
    values: np.ndarray
    covariance: np.ndarray
    loglik: float
    draws: np.ndarray

    @property
    def part_worths(self) -> np.ndarray:
        """One a column of `tasks.wide`: the mean over people."""
        return self.tasks.slim @ self.values[: self.tasks.slim.shape[1]]


def read_tasks(choices: pd.DataFrame, levels: dict[str, list[str]] | None = None) -> Tasks:
    """Tasks in which one of two or more alternatives was chosen and all attributes are known.

    A column of numbers is an attribute in its own units; of a column of text, each value is a
    level. `levels` takes them from other tasks.
    """
    found = [c for c in choices.columns if c not in KNOWN and choices[c].nunique() > 1]
    names = list(found if levels is None else levels)
    # a task that lost a row is no task
    shown = choices.groupby(["respondent_id", "task"])["chosen"].transform("size")
    rows = choices.assign(shown=shown, chosen=choices["chosen"].astype(float)).dropna(
        subset=["chosen", *names]
    )
    rows = rows.sort_values(["respondent_id", "task", "alternative"], kind="stable")
    each = rows.groupby(["respondent_id", "task"])["chosen"]
    fair = (
        (each.transform("sum") == 1)
        & (each.transform("size") == rows["shown"])
        & (rows["shown"] > 1)
    )
    rows = rows[fair].reset_index(drop=True)
    if levels is None:
        names = names if len(rows) else []
        levels = {
            a: [] if pd.api.types.is_numeric_dtype(choices[a]) else sorted(rows[a].unique())
            for a in names
        }
    blocks = [
        (
            np.vstack([np.eye(len(v) - 1), -np.ones(len(v) - 1)])
            if v
            else [[1 / (rows[a].std() or 1.0)]]
        )
        for a, v in levels.items()
    ]
    first = ~rows.duplicated(["respondent_id", "task"])
    task, who = np.flatnonzero(first), ~rows.loc[first, "respondent_id"].duplicated()
    asked = len(choices[["respondent_id", "task"]].drop_duplicates())
    return Tasks(
        rows,
        levels,
        _columns(rows, levels),
        block_diag(*blocks),
        task,
        np.flatnonzero(who),
        asked - len(task),
    )


def _columns(rows: pd.DataFrame, levels: dict[str, list[str]]) -> np.ndarray:
    """One column a level or number."""
    if not levels:
        return np.zeros((len(rows), 0))
    pairs = [(a, v) for a, known in levels.items() for v in known or [None]]
    return np.column_stack([rows[a] if v is None else rows[a] == v for a, v in pairs]).astype(float)


@threadpool_limits.wrap(limits=1)  # the matrices are small: more threads only wait for one another
def fit_choices(tasks: Tasks, alike: bool = False, seed: int = 1) -> ChoiceModel:
    """Part-worths by maximum likelihood.

    With `alike`, the multinomial logit (McFadden 1974): everybody has the same tastes. Without, the
    mixed logit: each part-worth is normal between people, with one spread an attribute, by
    simulated likelihood with Halton draws (Train 2009, chapter 6). Errors are clustered by
    respondent (sandwich).
    """
    people, columns = len(tasks.person), tasks.wide.shape[1]
    draws = np.zeros((columns, people, 1))
    if not alike:
        draws = _normal(columns, people * DRAWS, seed).T.reshape(columns, people, DRAWS)
    moves = _moves(tasks, draws)[: 0 if alike else None]
    free = tasks.slim.shape[1]
    start = np.r_[
        np.zeros(free) if alike else fit_choices(tasks, alike=True).values, np.full(len(moves), 0.3)
    ]

    def less(values: np.ndarray) -> tuple[float, np.ndarray]:
        loglik, slopes, _weights = _likelihood(values, tasks, moves)
        return -loglik.sum() / people, -slopes.sum(axis=0) / people

    found = minimize(less, start, jac=True, method="BFGS", options={"gtol": 1e-5})
    step = 1e-4 * np.eye(len(start))
    bend = np.array([less(found.x + s)[1] - less(found.x - s)[1] for s in step]) / 2e-4 * people
    loglik, slopes, _weights = _likelihood(found.x, tasks, moves)
    inverse = np.linalg.pinv((bend + bend.T) / 2, hermitian=True)
    covariance = inverse @ (slopes.T @ slopes) @ inverse * people / max(people - 1, 1)
    return ChoiceModel(tasks, found.x, covariance, float(loglik.sum()), draws)


def _normal(columns: int, n: int, seed: int = 1) -> np.ndarray:
    """`n` evenly spread points of so many normals (scrambled Halton)."""
    return norm.ppf(
        qmc.Halton(columns, rng=np.random.default_rng(seed)).random(n).clip(1e-9, 1 - 1e-9)
    )


def _owner(tasks: Tasks) -> np.ndarray:
    """The number of the attribute of each column of `wide`."""
    return np.repeat(np.arange(len(tasks.levels)), [max(len(v), 1) for v in tasks.levels.values()])


def _moves(tasks: Tasks, draws: np.ndarray) -> np.ndarray:
    """What each draw of tastes adds to each alternative, for a spread of one: attribute,
    row, draw.
    """
    tasks_of = np.diff(np.r_[tasks.task, len(tasks.rows)])
    who = np.repeat(
        np.searchsorted(tasks.person, np.arange(len(tasks.task)), side="right") - 1, tasks_of
    )
    moves = np.zeros((len(tasks.levels), len(tasks.rows), draws.shape[2]))
    for column, (a, scale) in enumerate(zip(_owner(tasks), _scale(tasks), strict=True)):
        moves[a] += tasks.wide[:, [column]] * scale * draws[column][who]
    return moves


def _scale(tasks: Tasks) -> np.ndarray:
    """What one unit of spread means in each column: one for a level, one standard deviation for a
    number.
    """
    return np.concatenate(
        [
            np.ones(len(v)) if v else [1 / (tasks.rows[a].std() or 1.0)]
            for a, v in tasks.levels.items()
        ]
    )


def _likelihood(
    values: np.ndarray, tasks: Tasks, moves: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each respondent: log-likelihood, its slopes, and how well each draw of tastes fits (sums
    to one).
    """
    free, begin = tasks.slim.shape[1], tasks.task[tasks.person]
    x, chosen = tasks.wide @ tasks.slim, tasks.rows["chosen"].to_numpy(bool)
    size = np.diff(np.r_[tasks.task, len(x)])
    utility = (x @ values[:free])[:, None] + np.tensordot(values[free:], moves, 1)
    utility = utility - np.repeat(np.maximum.reduceat(utility, tasks.task), size, axis=0)
    odds = np.exp(utility)
    total = np.add.reduceat(odds, tasks.task)
    said = np.add.reduceat(utility[chosen] - np.log(total), tasks.person)
    whole = logsumexp(said, axis=1)
    weights = np.exp(said - whole[:, None])
    off = chosen[:, None] - odds / np.repeat(total, size, axis=0)
    off = off * np.repeat(weights, np.diff(np.r_[begin, len(x)]), axis=0)
    slopes = np.hstack([x * off.sum(axis=1)[:, None], np.einsum("anr,nr->na", moves, off)])
    return whole - np.log(said.shape[1]), np.add.reduceat(slopes, begin), weights


def own_part_worths(model: ChoiceModel) -> np.ndarray:
    """Part-worths of each respondent, given their own choices: one row a respondent, one column a
    column of `wide`.

    The mean of the draws of tastes, weighted by how well they explain the choices (Revelt and Train
    2000).
    """
    _loglik, _slopes, weights = _likelihood(model.values, model.tasks, _spread_moves(model))
    tastes = np.einsum("lpr,pr->pl", model.draws, weights)
    return model.part_worths + tastes * _spreads(model)


def _spread_moves(model: ChoiceModel) -> np.ndarray:
    alike = len(model.values) == model.tasks.slim.shape[1]
    return _moves(model.tasks, model.draws)[: 0 if alike else None]


def _spreads(model: ChoiceModel, values: np.ndarray | None = None) -> np.ndarray:
    """The spread between people of each column of `wide`; `values` may hold several draws of the
    coefficients.
    """
    values = model.values if values is None else values
    spreads = values[..., model.tasks.slim.shape[1] :]
    if not spreads.shape[-1]:
        return np.zeros((*values.shape[:-1], model.tasks.wide.shape[1]))
    return spreads[..., _owner(model.tasks)] * _scale(model.tasks)


def part_worths(
    model: ChoiceModel, plain: ChoiceModel, draws: int = 2000, seed: int = 1
) -> pd.DataFrame:
    """One row a level, or number, of each attribute: what it is worth to people.

    part_worth (of an attribute with levels: against the mean of its levels) with its 90 % interval,
    spread between people, plain: the same if all were alike; over: the least liked level of the
    attribute, and willing: what one more of money people would give up for this level in its place,
    with its interval (Krinsky and Robb 1986); it is empty where nobody can tell that a higher price
    is worse. importance and importance_own: of the attribute, from the averaged part-worths, and
    averaged over people (see `importance`).
    """
    tasks, slim = model.tasks, model.tasks.slim
    names, free = tasks.names, slim.shape[1]
    error = np.sqrt(np.diag(slim @ model.covariance[:free, :free] @ slim.T))
    ends = {"low": model.part_worths - stats.Z * error, "high": model.part_worths + stats.Z * error}
    rows = names.assign(
        part_worth=model.part_worths,
        **ends,
        spread=np.abs(_spreads(model)),
        plain=plain.part_worths,
    )
    least = rows.loc[rows.groupby("attribute")["part_worth"].idxmin()].set_index("attribute")[
        "level"
    ]
    rows["over"] = rows["attribute"].map(least).where(rows["level"] != PER_UNIT)
    drawn = (
        np.random.default_rng(seed).multivariate_normal(model.values, model.covariance, draws)[
            :, :free
        ]
        @ slim.T
    )
    rows[["willing", "willing_low", "willing_high"]] = _willingness(rows, drawn)
    own = importance(model)
    return rows.assign(**{c: rows["attribute"].map(own[c]) for c in own.columns})


NO_WORTHS = pd.DataFrame(
    {c: pd.Series(dtype="object") for c in ("attribute", "level", "over")}
    | {
        c: pd.Series(dtype="float64")
        for c in ("part_worth", "low", "high", "spread", "plain", "willing", "willing_low")
    }
    | {c: pd.Series(dtype="float64") for c in ("willing_high", "importance", "importance_own")}
)


def _willingness(rows: pd.DataFrame, drawn: np.ndarray) -> np.ndarray:
    money = np.flatnonzero((rows["attribute"] == PRICE) & (rows["level"] == PER_UNIT))
    if not len(money) or rows["high"].iloc[money[0]] >= 0:
        return np.full((len(rows), 3), np.nan)
    place = {
        (a, v): i for i, (a, v) in enumerate(zip(rows["attribute"], rows["level"], strict=True))
    }
    told = []
    for i, r in enumerate(rows.itertuples()):
        base = place.get((r.attribute, r.over))
        gain = drawn[:, i] - drawn[:, base] if base is not None else drawn[:, i]
        mean = r.part_worth - (rows["part_worth"].iloc[base] if base is not None else 0.0)
        ends = np.quantile(gain / -drawn[:, money[0]], stats.ENDS)
        known = i not in (base, money[0])
        told.append([mean / -rows["part_worth"].iloc[money[0]], *ends] if known else [np.nan] * 3)
    return np.array(told)


def importance(model: ChoiceModel) -> pd.DataFrame:
    """How much each attribute decides, of all together: between its best and worst level or number
    shown.

    importance: from the part-worths averaged over people, where opposite tastes cancel.
    importance_own: of each person's own part-worths (drawn from the model's spread of tastes), then
    averaged over people; an attribute on which tastes differ counts for more there (Orme 2010).
    """
    reach = pd.DataFrame({"importance": _reach(model.tasks, model.part_worths[None])[0]})
    people = model.part_worths + _normal(model.tasks.wide.shape[1], 512) * _spreads(model)
    reach["importance_own"] = _reach(model.tasks, people).mean(axis=0)
    return reach.set_axis(list(model.tasks.levels))


def _reach(tasks: Tasks, worths: np.ndarray) -> np.ndarray:
    owner, low, high = _owner(tasks), tasks.wide.min(axis=0), tasks.wide.max(axis=0)
    spans = np.column_stack(
        [
            (
                np.ptp(worths[:, owner == a], axis=1)
                if known
                else np.abs(worths[:, owner == a] @ (high - low)[owner == a])
            )
            for a, known in enumerate(tasks.levels.values())
        ]
    )
    return spans / spans.sum(axis=1, keepdims=True).clip(1e-12)


def describe_products(text: str, model: ChoiceModel) -> pd.DataFrame:
    """Products described as "brand=Lumera, price=69; brand=no name", one row each, all attributes
    filled.

    `BEST` is the best-liked product. What is left out is the best-liked level, or the median of a
    number. Raises PlaybookError where an attribute or level was not among the tasks, or a number
    lies outside those shown: nobody has been asked about it.
    """
    tasks, best = model.tasks, {}
    for a, known in tasks.levels.items():
        worth = model.part_worths[_owner(tasks) == list(tasks.levels).index(a)]
        best[a] = known[int(worth.argmax())] if known else float(tasks.rows[a].median())
    made = [best] if text == BEST else []
    for said in filter(None, (s.strip() for s in text.removeprefix(BEST).split(";"))):
        pairs = (part.partition("=")[::2] for part in said.split(","))
        made.append(best | {a.strip(): _known(tasks, a.strip(), v.strip()) for a, v in pairs})
    return pd.DataFrame(made, columns=list(tasks.levels))


def _known(tasks: Tasks, attribute: str, said: str) -> str | float:
    if attribute not in tasks.levels:
        raise PlaybookError(
            f"{attribute!r} was not among the choices; they had {', '.join(tasks.levels)}."
        )
    known = tasks.levels[attribute]
    if known:
        found = next((v for v in known if v.casefold() == said.casefold()), None)
        if found is None:
            raise PlaybookError(
                f"{attribute}={said} was not among the choices; they had {', '.join(known)}."
            )
        return found
    low, high = tasks.rows[attribute].min(), tasks.rows[attribute].max()
    try:
        value = float(said)
    except ValueError:
        raise PlaybookError(f"{attribute}={said} is not a number.") from None
    if not low <= value <= high:
        raise PlaybookError(f"{attribute}={said} lies outside what was shown, {low:g} to {high:g}.")
    return value


def preference(
    model: ChoiceModel, product: pd.Series, rivals: pd.DataFrame, seed: int = 1
) -> pd.DataFrame:
    """Share of people who would choose the product, at its own price and at each price shown, with
    90 % intervals.

    Against the products of `rivals`; where these are none, against those of the tasks, one of which
    it replaces. One row a price: price, own (the price described), share, low, high, sales: price
    times share, a person asked; best: in which share of the draws no other price brings more sales.
    Shares of preference, not of the market: everybody sees everything, and nobody walks away.
    """
    tasks, rng = model.tasks, np.random.default_rng(seed)
    draws = rng.multivariate_normal(model.values, model.covariance, 200)
    # else there is none, or it is a name such as "5 EUR"
    number = PRICE in tasks.levels and not tasks.levels[PRICE]
    levels = np.unique(tasks.rows[PRICE]) if number else []
    prices = (
        sorted({*levels, product[PRICE]})
        if len(levels) > 1
        else [product[PRICE] if number else np.nan]
    )
    others = [_columns(rivals, tasks.levels)] if len(rivals) else _other_sets(tasks, rng)
    people = _normal(tasks.wide.shape[1], 128, seed)
    ours = pd.DataFrame(
        [product.to_dict() | {PRICE: p} if p == p else product.to_dict() for p in prices]
    )
    said = _shares(model, _columns(ours, tasks.levels), others, model.values[None], people)[0]
    sure = _shares(model, _columns(ours, tasks.levels), others, draws, people)
    low, high = np.quantile(sure, stats.ENDS, axis=0)
    rows = pd.DataFrame(
        {"price": prices, "own": [p == product.get(PRICE) or p != p for p in prices], "share": said}
    )
    first = (sure * rows["price"].fillna(1).to_numpy()).argmax(axis=1)
    best = np.bincount(first, minlength=len(rows)) / len(sure)
    return rows.assign(low=low, high=high, sales=rows["price"] * rows["share"], best=best)


def _other_sets(tasks: Tasks, rng: np.random.Generator, most: int = 300) -> list[np.ndarray]:
    """The alternatives of some tasks, each without its first."""
    ends = np.r_[tasks.task[1:], len(tasks.rows)]
    some = rng.permutation(len(tasks.task))[:most]
    return [tasks.wide[tasks.task[i] + 1 : ends[i]] for i in some]


def _shares(
    model: ChoiceModel,
    ours: np.ndarray,
    others: list[np.ndarray],
    values: np.ndarray,
    normal: np.ndarray,
) -> np.ndarray:
    """Share of each of our products, one row a draw of the coefficients: mean over people and sets
    of others.
    """
    means = values[:, : model.tasks.slim.shape[1]] @ model.tasks.slim.T
    # coefficients, people, columns
    tastes = means[:, None] + normal * _spreads(model, values)[:, None]
    own = tastes @ ours.T
    against = [logsumexp(tastes @ o.T, axis=2)[..., None] for o in others]
    return np.mean([1 / (1 + np.exp(a - own)) for a in against], axis=0).mean(axis=1)


def foretell_choices(choices: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """How often the choice is foretold in tasks kept back, the last of each respondent; the models
    see the others.

    One row a way: way, tasks, hits with their 90 % interval, and better, low_better, high_better:
    than the better of the plain rules, cheapest and most chosen levels. Intervals by bootstrap over
    respondents. Empty without enough.
    """
    names = ["way", "tasks", "hits", "low", "high", "better", "low_better", "high_better"]
    rows = choices.sort_values(["respondent_id", "task"])
    order = rows.groupby("respondent_id")["task"].rank("dense")
    most = order.groupby(rows["respondent_id"]).transform("max")
    early = read_tasks(rows[order <= most * (1 - KEPT_BACK)])
    if not early.enough:
        return pd.DataFrame(columns=names)
    late = read_tasks(rows[order > most * (1 - KEPT_BACK)], early.levels)
    plain, mixed = fit_choices(early, alike=True), fit_choices(early, seed=seed)
    known = {p: i for i, p in enumerate(early.rows["respondent_id"].iloc[early.task[early.person]])}
    who = late.rows["respondent_id"].map(known)
    own = np.vstack([own_part_worths(mixed), mixed.part_worths])[who.fillna(len(known)).astype(int)]
    picked = (early.wide * early.rows[["chosen"]].to_numpy()).sum(axis=0) / early.wide.sum(
        axis=0
    ).clip(1e-9)
    text = np.array([bool(early.levels[a]) for a in early.names["attribute"]])
    ways = {"most chosen levels": late.wide @ np.where(text, picked, 0.0)}
    if PRICE in early.levels and not early.levels[PRICE]:
        ways["cheapest"] = -late.rows[PRICE].to_numpy()
    rules = list(ways)
    ways |= {
        "logit, all alike": late.wide @ plain.part_worths,
        "mixed logit, mean tastes": late.wide @ mixed.part_worths,
    }
    ways["mixed logit, own tastes"] = (late.wide * own).sum(axis=1)
    size = np.diff(np.r_[late.task, len(late.rows)])
    hits = pd.DataFrame({w: _hits(u, late, size) for w, u in ways.items()})
    hits.insert(0, "chance", 1 / size)
    each = hits.groupby(late.rows["respondent_id"].iloc[late.task].to_numpy()).mean()
    base = each[each[rules].mean().idxmax()]
    found = [[way, len(late.task), *_mean(hit), *_mean(hit - base)] for way, hit in each.items()]
    return pd.DataFrame(found, columns=names)


def _mean(values: pd.Series) -> list[float]:
    return [values.mean(), *stats.bootstrap_interval(values)]


def _hits(utility: np.ndarray, tasks: Tasks, size: np.ndarray) -> np.ndarray:
    """Of each task: the chance that the chosen is the one of highest utility; ties are shared."""
    best = np.isclose(utility, np.repeat(np.maximum.reduceat(utility, tasks.task), size))
    return np.add.reduceat(best * tasks.rows["chosen"].to_numpy(), tasks.task) / np.add.reduceat(
        best, tasks.task
    )


def say_product(product: pd.Series) -> str:
    """A product in words, without its price."""
    told = [
        f"{v:g} {a}" if isinstance(v, float) else str(v) for a, v in product.items() if a != PRICE
    ]
    return ", ".join(told)


def say_rivals(rivals: pd.DataFrame) -> str:
    """The rivals by their levels and prices, in a row; nothing without any."""
    return "; ".join(
        f"{say_product(r)} at {words.money(r[PRICE])}" if PRICE in r else say_product(r)
        for _i, r in rivals.iterrows()
    )
