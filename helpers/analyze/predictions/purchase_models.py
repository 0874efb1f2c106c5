"""Ways to predict the next purchase: learned, calibrated and tested on periods that follow one
another (3.12).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from helpers import methods, stats
from helpers.analyze.predictions.purchase import PURCHASE, features_of, say_feature
from helpers.show import words

# rows that models learn from; the time of an SVM grows with their square
MOST_ROWS, MOST_SVM = 20_000, 2_000
DRAWS, TOP = 200, 0.1  # of the bootstrap; the part of the list that lift looks at
SURELY = 1.645  # standard deviations beyond which less than one in ten sums falls by chance
WAYS = PURCHASE["ways"]
PLAIN = [way for way, about in WAYS.items() if about["plain"]]
# what the plain rules look at: kept whatever it does
RULED = ["recency", "orders_now", "orders_lately"]
MODELS = [
    "way",
    "name",
    "calibration",
    "auc",
    "auc_low",
    "auc_high",
    "average_precision",
    "brier",
    "lift",
    "lift_low",
]
MODELS += ["lift_high", "extra", "extra_low", "extra_high", "customers", "buyers", "chosen"]


# the mixin first, or scikit-learn sees no classifier
class RateTable(ClassifierMixin, BaseEstimator):
    """The share of buyers by bands of two features, drawn towards the share of all where a cell is
    thin.

    With `bands` 2 the features are split at nothing and something, else into so many bands of equal
    size. `weight`: how many customers of average behaviour are added to each cell.
    """

    def __init__(
        self,
        columns: tuple[str, ...] = ("recency", "orders_lately"),
        bands: int = 5,
        weight: float = 20,
    ):
        self.columns, self.bands, self.weight = columns, bands, weight

    def fit(self, x: pd.DataFrame, y: pd.Series) -> RateTable:
        """Learn the bands and the share of buyers in each cell."""
        self.classes_ = np.array([0, 1])
        steps = np.linspace(0, 1, self.bands + 1)[1:-1]
        self.edges_ = [
            np.unique(np.quantile(x[c], steps)) if self.bands > 2 else np.zeros(1)
            for c in self.columns
        ]
        return self._learn(self._cell(x), np.asarray(y))

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        """Chances of not buying and of buying, one row a customer."""
        p = pd.Series(self._cell(x)).map(self.rates_).fillna(self.base_).to_numpy(float)
        return np.column_stack([1 - p, p])

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        """1 for who is likelier to buy than not."""
        return (self.predict_proba(x)[:, 1] > 0.5).astype(int)

    def _learn(self, cell: np.ndarray, y: np.ndarray) -> RateTable:
        self.base_ = float(y.mean())
        sums = pd.Series(y).groupby(cell).agg(["sum", "size"])
        self.rates_ = (sums["sum"] + self.weight * self.base_) / (sums["size"] + self.weight)
        return self

    def _cell(self, x: pd.DataFrame) -> np.ndarray:
        bands = [
            np.searchsorted(e, x[c], side="left")
            for c, e in zip(self.columns, self.edges_, strict=True)
        ]
        return np.ravel_multi_index(bands, [self.bands + 1] * len(bands))


class Groups(RateTable):
    """The share of buyers by group of users and group of acts (k-means on each; MacQueen 1967),
    smoothed.

    Users: what they are like in the long run, and what they buy. Acts: what they did lately.
    """

    def __init__(self, users: int = 6, acts: int = 6, weight: float = 20) -> None:
        self.users, self.acts, self.weight = users, acts, weight

    def fit(self, x: pd.DataFrame, y: pd.Series) -> Groups:
        """Find the groups, and the share of buyers in each pair of them."""
        self.classes_ = np.array([0, 1])
        mix = [c for c in x if c.startswith("mix: ")]
        self.sides_ = []
        for names, k in ((PURCHASE["users"] + mix, self.users), (PURCHASE["acts"], self.acts)):
            columns = [c for c in x if c in names]
            steps = _scaled(KMeans(min(k, len(x)), n_init=3, random_state=1))
            self.sides_.append((columns, steps.fit(x[columns])))
        return self._learn(self._cell(x), np.asarray(y))

    def _cell(self, x: pd.DataFrame) -> np.ndarray:
        user, act = (steps.predict(x[columns]) for columns, steps in self.sides_)
        return user * self.acts + act


class Way(NamedTuple):
    """A way that was learned on earlier days and calibrated on a later one.

    how: isotonic or sigmoid; brier: its mean squared error on the calibration day, cross-fitted;
    calibrated: its cross-fitted chances there.
    """

    way: str
    fitted: BaseEstimator
    features: list[str]
    how: str
    calibrator: IsotonicRegression | LogisticRegression
    brier: float
    calibrated: np.ndarray

    def chances(self, people: pd.DataFrame) -> np.ndarray:
        """The calibrated chance to buy of each row, 0 to 1."""
        return _turn(self.calibrator, _score(self.fitted, people[self.features]))


class Race(NamedTuple):
    """Ways that were learned and calibrated (`ways`, empty where too few bought), and the days that
    they saw.

    train, calibrate and test are rows of `known_on`, each on days later than those before.
    """

    train: pd.DataFrame
    calibrate: pd.DataFrame
    test: pd.DataFrame
    ways: dict[str, Way]

    @property
    def chosen(self) -> Way:
        """The way with the smallest error on the calibration day; plain rules stand first and win
        ties.
        """
        return min(self.ways.values(), key=lambda way: round(way.brier, 6))

    @property
    def plain(self) -> Way:
        """The better of the plain rules on the calibration day."""
        return min((self.ways[way] for way in PLAIN), key=lambda way: round(way.brier, 6))

    @property
    def sources(self) -> str:
        """The tables that the ways learned from, for the source of a table."""
        if not self.ways:
            return "orders"
        used = [t for t, own in PURCHASE["tables"].items() if set(own) & set(self.chosen.features)]
        return ", ".join(["orders", *used])

    @property
    def in_words(self) -> str:
        """Who was learned from, calibrated on and tested on, as a sentence; or why nothing could be
        learned.
        """
        if not self.ways:
            return PURCHASE["says"]["few" if len(self.test) else "none"].format(
                fewest=methods.value("purchase_buyers")
            )
        figures = {n: words.count(len(getattr(self, n))) for n in ("calibrate", "test")}
        figures["train"] = words.count(min(len(self.train), MOST_ROWS))
        days = {f"{n}_on": words.day(getattr(self, n)["on"].max()) for n in ("calibrate", "test")}
        share = words.percent(self.test["bought"].mean(), 1)
        return PURCHASE["says"]["cuts"].format(
            days=self.train["on"].nunique(), share=share, **figures, **days
        )


def race(people: pd.DataFrame, period: int) -> Race:
    """Learn every way as it could have been had on the last day whose outcome is known, to be
    tested on that day.
    """
    on = people.loc[people["bought"].notna(), "on"].max()
    train, calibrate = _known_before(people, on, period)
    ways = learn_ways(people, on, period)
    return Race(
        train,
        calibrate,
        people[people["on"] == on],
        ways if _fewer(people[people["on"] == on]) else {},
    )


@threadpool_limits.wrap(limits=1)
def learn_ways(
    people: pd.DataFrame, on: pd.Timestamp, period: int, ways: list[str] | None = None
) -> dict[str, Way]:
    """The ways that could be had on the day `on`: learned on days at least two periods earlier,
    calibrated on the day one period earlier, whose outcome was just known. Nothing that came after
    `on` counts.

    Empty where fewer than `purchase_buyers` bought or did not. At most 20,000 rows teach, by
    the SVM 2,000.
    """
    train, calibrate = _known_before(people, on, period)
    if min(_fewer(train), _fewer(calibrate)) < methods.value("purchase_buyers"):
        return {}
    train = train.sample(min(len(train), MOST_ROWS), random_state=1)
    features = [f for f in features_of(people) if f in RULED or _learnable(train, f)]
    x, y = train[features], train["bought"].astype(int)
    found = {}
    for way in ways or list(WAYS):
        rows = x.index[:MOST_SVM] if way == "svm" else x.index
        fitted = _new(way).fit(x.loc[rows], y.loc[rows])
        found[way] = _calibrate(way, fitted, features, calibrate)
    return found


def compare_models(run: Race) -> pd.DataFrame:
    """The ways on the test day, plain rules first (table `purchase_models`).

    auc: area under the ROC curve; brier: mean squared error of the chance; lift: how much more
    often the first tenth buys than all; extra: auc beyond that of the better plain rule. Each with
    its 90 % interval by bootstrap over customers. chosen: the way that the calibration day chose.
    Empty without ways.
    """
    if not run.ways:
        return pd.DataFrame(columns=MODELS)
    ways, test, plain = run.ways, run.test, run.plain.way
    y = test["bought"].to_numpy()
    draws = np.vstack([np.ones(len(y)), _draws(len(y))]).astype("float32")
    chances = {way: w.chances(test) for way, w in ways.items()}
    areas = {way: _areas(y, said, draws) for way, said in chances.items()}
    rows = []
    for way, said in chances.items():
        lift, extra = _lifts(y, said, draws), areas[way] - areas[plain]
        rows.append(
            {
                "way": way,
                "name": WAYS[way]["name"],
                "calibration": ways[way].how,
                "average_precision": average_precision_score(y, said),
                "brier": float(((said - y) ** 2).mean()),
                **_with_ends("auc", areas[way]),
                **_with_ends("lift", lift),
                **_with_ends("extra", extra),
                "customers": len(y),
                "buyers": int(y.sum()),
                "chosen": way == run.chosen.way,
            }
        )
    return pd.DataFrame(rows)[MODELS]


def said_and_seen(run: Race, groups: int = 10) -> pd.DataFrame:
    """The chosen way in `groups` of rising chance on the test day: customers, said (mean chance),
    seen (share that bought) with its 90 % interval; chance_in_percent: said, 0 to 100. Empty
    without ways.
    """
    if not run.ways:
        return pd.DataFrame(columns=["group", "customers", "said", "buyers", "seen", "low", "high"])
    test, said = run.test, run.chosen.chances(run.test)
    group = np.ceil(
        pd.Series(said, test.index).rank(method="first") * groups / max(len(test), 1)
    ).astype(int)
    rows = pd.DataFrame({"group": group, "said": said, "bought": test["bought"]}).groupby("group")
    found = rows.agg(
        customers=("bought", "size"), said=("said", "mean"), buyers=("bought", "sum")
    ).reset_index()
    found = found.assign(
        seen=found["buyers"] / found["customers"], chance_in_percent=found["said"] * 100
    )
    return found.join(stats.share_interval(found["buyers"], found["customers"]))


@threadpool_limits.wrap(limits=1)
def what_drives(run: Race, repeats: int = 3) -> pd.DataFrame:
    """How much worse the chosen way tells buyers on the test day when one feature is shuffled
    (Breiman 2001).

    The largest first: driver, loss (of the area under the ROC curve), low and high (the range of
    the shuffles). Of at most 2,000 customers, drawn by a seed. Empty without ways.
    """
    if not run.ways:
        return pd.DataFrame(columns=["driver", "loss", "low", "high"])
    way, some = run.chosen, run.test.sample(min(len(run.test), 2000), random_state=1)
    found = permutation_importance(
        way.fitted,
        some[way.features],
        some["bought"].astype(int),
        scoring="roc_auc",
        n_repeats=repeats,
        random_state=1,
    )
    rows = pd.DataFrame(
        {"driver": [say_feature(f) for f in way.features], "loss": found.importances_mean}
    )
    rows = rows.assign(low=found.importances.min(axis=1), high=found.importances.max(axis=1))
    return rows.sort_values("loss", ascending=False, ignore_index=True)


def purchase_scores(people: pd.DataFrame, period: int, run: Race) -> pd.DataFrame:
    """The chance of everybody known on the last day to buy in the period that follows (table
    `purchase_scores`).

    customer_id, probability, rank, way. The chosen way is learned anew with the outcomes known by
    then. Where no way could be learned: shares by recency and frequency from all outcomes known;
    empty without any.
    """
    now, told = people[people["on"] == people["on"].max()], people[people["bought"].notna()]
    names = ["customer_id", "probability", "rank", "way"]
    if now.empty or told.empty:
        return pd.DataFrame(columns=names)
    ways = learn_ways(people, now["on"].max(), period, [run.chosen.way]) if run.ways else {}
    for way in ways.values():
        rows = pd.DataFrame(
            {"probability": way.chances(now), "way": WAYS[way.way]["name"]}, now.index
        )
    if not ways:
        rule = RateTable().fit(told, told["bought"])
        rows = pd.DataFrame(
            {"probability": rule.predict_proba(now)[:, 1], "way": WAYS["table"]["name"]}, now.index
        )
    rank = rows["probability"].rank(ascending=False, method="first").astype(int)
    rows = rows.assign(customer_id=now["customer_id"], rank=rank)
    return rows.sort_values("rank", ignore_index=True)[names]


def models_to_show(models: pd.DataFrame) -> pd.DataFrame:
    """The comparison for readers: name, auc, average_precision, skill (squared error saved against
    giving everybody the share of all), lift and its interval in words, chosen.
    """
    base = models["buyers"] / models["customers"]
    ends = [f"{r.lift_low:.2f} to {r.lift_high:.2f}" for r in models.itertuples()]
    shown = models.assign(skill=1 - models["brier"] / (base * (1 - base)), lift_interval=ends)
    return shown[["name", "auc", "average_precision", "skill", "lift", "lift_interval", "chosen"]]


def models_in_words(models: pd.DataFrame, run: Race) -> list[dict[str, str]]:
    """Which way was chosen and whether it surely beats the plain rule, as a finding; empty without
    models.

    Where the 90 % interval of the difference of their lifts holds 0, it says that the first tenth
    tells nothing.
    """
    found, says, plain = [], PURCHASE["says"], models[models["way"].isin(PLAIN)]
    for best in models[models["chosen"]].itertuples():
        name, rule = WAYS[run.plain.way]["name"], models.set_index("way").loc[run.plain.way]
        kind = (
            "plain_wins"
            if best.way in set(plain["way"])
            else "wins"
            if best.extra_low > 0
            else "no_win"
        )
        figures = {c: getattr(best, c) for c in MODELS if c.startswith(("auc", "lift", "extra"))}
        figures |= {"plain": name, "plain_auc": rule["auc"], "plain_lift": rule["lift"]}
        figures["apart"] = "" if _lifts_differ(run) else says["not_apart"]
        found.append(
            {
                "headline": says[kind].format(name=best.name[0].upper() + best.name[1:], **figures),
                "evidence": says["evidence"].format(
                    customers=words.count(best.customers), **figures
                ),
                "sure": says["sure"],
            }
        )
    return found


def calibration_in_words(said: pd.DataFrame, run: Race) -> str:
    """How many buyers the chances promised on the test day, how many there were, and whether chance
    allows for that.
    """
    if said.empty:
        return run.in_words
    says, promised, seen, sums = PURCHASE["says"], *_promise(said)
    # variance of the sum on the test day
    chance = (said["said"] * (1 - said["said"]) * said["customers"]).sum()
    # the day that calibrated had its own luck
    spread = np.sqrt(chance * (1 + len(run.test) / len(run.calibrate)))
    verdict = says["too_high" if promised > seen else "too_low"] * bool(
        abs(promised - seen) > SURELY * spread
    )
    return (says["calibrated"] + verdict).format(how=run.chosen.how, **sums)


def buyers_ahead_in_words(scored: pd.DataFrame, said: pd.DataFrame, period: int) -> str:
    """How many of those scored are expected to buy, and how far off such a sum was on the test day
    (`said`).
    """
    says, expected = PURCHASE["says"], words.count(scored["probability"].sum())
    start = says["ahead"].format(days=period, expected=expected, customers=words.count(len(scored)))
    _promised, seen, sums = _promise(said)
    return start + (says["ahead_doubt"].format(**sums) if seen else says["ahead_untested"])


def _promise(said: pd.DataFrame) -> tuple[float, float, dict[str, str]]:
    """Buyers that the chances promised on the test day (`said_and_seen`), those that came, and both
    in words.
    """
    promised, seen = (said["said"] * said["customers"]).sum(), said["buyers"].sum()
    off = words.percent(abs(promised / seen - 1)) if seen else ""
    return promised, seen, {"said": words.count(promised), "seen": words.count(seen), "off": off}


def teaching_tree(run: Race) -> tuple[DecisionTreeClassifier | None, list[str]]:
    """A decision tree of three questions, to be drawn, and its features in words; None with too
    little to learn.
    """
    if not run.ways:
        return None, []
    features, train = run.chosen.features, run.train
    tree = DecisionTreeClassifier(
        max_depth=3, min_samples_leaf=max(len(train) // 50, 10), random_state=1
    )
    return tree.fit(train[features].to_numpy(), train["bought"].astype(int)), [
        say_feature(f) for f in features
    ]


def _new(way: str) -> BaseEstimator:
    return {
        "bought": RateTable(columns=("orders_now",), bands=2),
        "table": RateTable(),
        "groups": Groups(),
        "logistic": _scaled(LogisticRegression(C=0.3, max_iter=1000)),
        "tree": DecisionTreeClassifier(max_depth=5, min_samples_leaf=50, random_state=1),
        "forest": RandomForestClassifier(100, min_samples_leaf=20, max_samples=0.5, random_state=1),
        "boosting": HistGradientBoostingClassifier(
            max_depth=3, learning_rate=0.05, max_iter=150, random_state=1
        ),
        "network": _scaled(
            MLPClassifier((16,), alpha=3.0, max_iter=60, early_stopping=True, random_state=1)
        ),
        "svm": _scaled(SVC(C=0.3, gamma=0.01, class_weight="balanced", random_state=1)),
    }[way]


def _scaled(model: BaseEstimator):
    """Twice as much matters as much, whatever the level: logs, then one scale."""
    logs = FunctionTransformer(_logs, feature_names_out="one-to-one")
    return make_pipeline(logs, StandardScaler(), model)


def _logs(x: pd.DataFrame) -> pd.DataFrame:
    return np.sign(x) * np.log1p(np.abs(x))


def _known_before(
    people: pd.DataFrame, on: pd.Timestamp, period: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and to calibrate on, of which all outcomes were known on the day `on`."""
    calibrate = people[people["on"] == on - pd.Timedelta(days=period)]
    return people[
        (people["on"] <= on - pd.Timedelta(days=2 * period)) & people["bought"].notna()
    ], calibrate


def _learnable(train: pd.DataFrame, feature: str) -> bool:
    """Whether a feature varies on every day that is learned from, so that no table began in
    between.
    """
    return bool((train.groupby("on")[feature].nunique() > 1).all())


def _score(fitted: BaseEstimator, x: pd.DataFrame) -> np.ndarray:
    """Log odds, or the like: what a calibrator turns into chances."""
    if not hasattr(fitted, "predict_proba"):
        return fitted.decision_function(x)
    p = np.clip(fitted.predict_proba(x)[:, 1], 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def _calibrate(way: str, fitted: BaseEstimator, features: list[str], day: pd.DataFrame) -> Way:
    """Sigmoid (Platt 1999) or isotonic (Zadrozny and Elkan 2002), whichever erred less when
    cross-fitted.
    """
    score, y = _score(fitted, day[features]), day["bought"].astype(int).to_numpy()
    tried = {}
    for how, fresh in {
        "sigmoid": LogisticRegression(C=1e6),
        "isotonic": IsotonicRegression(out_of_bounds="clip"),
    }.items():
        said = np.empty(len(y))
        for known, rest in StratifiedKFold(5, shuffle=True, random_state=1).split(score, y):
            said[rest] = _turn(_fit(clone(fresh), score[known], y[known]), score[rest])
        tried[how] = float(((said - y) ** 2).mean()), fresh, said
    how = min(tried, key=lambda h: round(tried[h][0], 6))
    brier, fresh, said = tried[how]
    return Way(way, fitted, features, how, _fit(fresh, score, y), brier, said)


def _fit(calibrator, score: np.ndarray, y: np.ndarray):
    return calibrator.fit(
        score.reshape(-1, 1) if isinstance(calibrator, LogisticRegression) else score, y
    )


def _turn(calibrator, score: np.ndarray) -> np.ndarray:
    if isinstance(calibrator, LogisticRegression):
        return calibrator.predict_proba(score.reshape(-1, 1))[:, 1]
    return calibrator.predict(score)


def _draws(n: int) -> np.ndarray:
    """How often each customer stands in each bootstrap sample (Efron 1979)."""
    return np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), DRAWS)


def _areas(y: np.ndarray, said: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Area under the ROC curve in each row of `draws`; ties count half (Mann and Whitney 1947)."""
    order = np.argsort(said, kind="stable")
    start = np.flatnonzero(np.r_[True, np.diff(said[order]) > 0])
    buyers = np.add.reduceat(draws[:, order] * y[order], start, axis=1)
    others = np.add.reduceat(draws[:, order] * (1 - y[order]), start, axis=1)
    below = np.cumsum(others, axis=1) - others / 2
    return (buyers * below).sum(axis=1) / np.maximum(buyers.sum(axis=1) * others.sum(axis=1), 1)


def _lifts(y: np.ndarray, said: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Share of buyers in the first tenth over that of all, in each row of `draws`; a tie at the end
    is shared out.
    """
    place = np.sort(said)[::-1]
    size = max(round(TOP * len(said)), 1)
    edge = place[size - 1]
    ties = said == edge
    top = (said > edge) + ties * (size - (said > edge).sum()) / ties.sum()
    inside = (draws @ (top * y)) / np.maximum(draws @ top, 1e-9)
    return inside / np.maximum(draws @ y / draws.sum(axis=1), 1e-9)


def _lifts_differ(run: Race) -> bool:
    """Whether the chosen way and the better plain rule surely differ in lift: the same draws for
    both.
    """
    y = run.test["bought"].to_numpy()
    draws = _draws(len(y)).astype("float32")
    one, other = (_lifts(y, way.chances(run.test), draws) for way in (run.chosen, run.plain))
    low, high = np.quantile(one - other, stats.ENDS)
    return bool(low > 0 or high < 0)


def _with_ends(name: str, values: np.ndarray) -> dict[str, float]:
    """The value of all customers (the first) and the 90 % interval of the draws (the rest)."""
    low, high = np.quantile(values[1:], stats.ENDS)
    return {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def _fewer(rows: pd.DataFrame) -> int:
    return int(min((rows["bought"] == 1).sum(), (rows["bought"] == 0).sum()))
