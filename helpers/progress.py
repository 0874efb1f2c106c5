"""What a run says while it works."""

from __future__ import annotations

import sys
import time
from graphlib import TopologicalSorter

from tqdm import tqdm

BAR = "  {desc:<26} {bar:20} cell {n_fmt}/{total_fmt}"


class Progress:
    """A line for each notebook that is done, with the time that is left; on a terminal, a bar for each
    that runs.

    Parameters
    ----------
    needs : for each notebook the ones it waits for
    expected : seconds that each is thought to take; only their proportions matter, time itself is
        measured
    jobs : notebooks that run side by side
    """

    def __init__(self, needs: dict[str, set[str]], expected: dict[str, float], jobs: int) -> None:
        self.needs, self.expected, self.jobs = needs, expected, jobs
        self.begun: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.urgency = {}
        for name in reversed(list(TopologicalSorter(needs).static_order())):
            after = (self.urgency[n] for n in self.urgency if name in needs[n])
            self.urgency[name] = expected[name] + max(after, default=0.0)

    def most_urgent(self, ready: set[str]) -> str:
        """The notebook to begin first: the one with the longest chain of others behind it."""
        return max(sorted(ready), key=self.urgency.get)

    def begin(self, name: str, place: int) -> dict | bool:
        """Note that a notebook begins; give papermill its bar, or none where nobody watches a
        terminal.
        """
        self.begun[name] = time.perf_counter()
        if not sys.stderr.isatty():
            return False
        return {
            "desc": name,
            "position": place,
            "bar_format": BAR,
            "file": sys.stderr,
            "leave": False,
        }

    def done(self, name: str, seconds: float) -> None:
        """Say that a notebook is done; called from one thread."""
        self.took[name] = seconds
        n, of, left = len(self.took), len(self.needs), self.time_left(time.perf_counter())
        more = f"   {duration(left)} left" if n < of else ""
        # a bar that is cleared leaves the cursor at its end
        begin = "\r" if sys.stderr.isatty() else ""
        tqdm.write(f"{begin}{n:>3} of {of}  {name:<28}{seconds:>6.1f} s{more}", file=sys.stderr)

    def time_left(self, now: float) -> float:
        """Seconds to the end: what is left, laid out on the jobs as the run will do it.

        A notebook not yet done is taken to need its expected seconds times the pace of those that
        are done.
        """
        planned = sum(self.expected[n] for n in self.took)
        pace = sum(self.took.values()) / planned if planned else 1.0
        ends = dict.fromkeys(self.took, 0.0)
        free = [0.0] * self.jobs
        waiting = set(self.needs) - set(self.took)
        while waiting:
            begun = waiting & self.begun.keys()
            name = self.most_urgent(begun or {n for n in waiting if self.needs[n] <= ends.keys()})
            waiting.remove(name)
            already = now - self.begun.get(name, now)
            start = max([min(free), *(ends[n] for n in self.needs[name])])
            ends[name] = start + max(self.expected[name] * pace - already, 0.0)
            free[free.index(min(free))] = ends[name]
        return max(ends.values())


def duration(seconds: float) -> str:
    """A span in words, as coarse as an estimate is.

    >>> duration(4), duration(48), duration(95), duration(610)
    ('a few seconds', 'about 50 s', 'about 1 min 40 s', 'about 10 min')
    """
    tens = round(seconds / 10) * 10
    if tens < 10:
        return "a few seconds"
    minutes, rest = divmod(tens, 60)
    if not minutes:
        return f"about {rest} s"
    return f"about {minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
