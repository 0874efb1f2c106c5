"""What a run says while it works and at its end."""

import pytest

from helpers.client import Client
from helpers.progress import Progress
from helpers.run import in_words
from helpers.show import report, summary
from helpers.show.findings import Finding, all_findings

NEEDS = {"a": set(), "b": {"a"}, "c": set(), "d": {"b"}}
SECONDS = {"a": 10.0, "b": 20.0, "c": 5.0, "d": 1.0}


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 36), (2, 31)])
def test_time_left_is_that_of_the_rest_laid_out_on_the_jobs(jobs, seconds):
    assert Progress(NEEDS, SECONDS, jobs).time_left(now=0) == seconds


def test_time_left_follows_the_pace_of_what_is_done_and_counts_what_runs():
    progress = Progress(NEEDS, SECONDS, 2)
    progress.took = {"a": 20.0}  # twice as long as expected
    progress.begun = {"a": 0.0, "b": 20.0, "c": 20.0}
    assert progress.time_left(now=30) == pytest.approx(40 - 10 + 2)


def test_the_notebook_with_the_longest_chain_behind_it_begins_first():
    assert Progress(NEEDS, SECONDS, 2).most_urgent({"a", "c"}) == "a"
    assert Progress(NEEDS, SECONDS | {"c": 40.0}, 2).most_urgent({"a", "c"}) == "c"


def test_where_nobody_watches_a_terminal_a_line_is_written_for_each_notebook(capsys):
    progress = Progress(NEEDS, SECONDS, 2)
    for name in ("a", "c", "b", "d"):
        assert progress.begin(name, 0) is False
        progress.done(name, 2.0)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("  1 of 4  a ")
    assert first.endswith("left")
    assert last.startswith("  4 of 4  d ")
    assert "left" not in last


def test_a_run_ends_with_the_answer_what_to_look_at_and_what_is_open(corner_report):
    client = Client("corner")
    said = in_words(corner_report, client)
    flat = " ".join(said.split())
    found = all_findings(client.latest)
    yearly = report.year_of_sales(report.stored_frame(client.latest, "sales_daily"))
    assert {"sales-now", "pacing"} >= {f.id for f in found if f.place == "lead"} > set()
    for f in found:
        if f.place == "lead":
            assert " ".join(f.headline.split()) in flat
    first = next(f for f in report.rank(found, yearly) if f.place != "lead")
    assert f"What to look at first: - {' '.join(first.headline.split())}" in flat
    assert "Open: not in the data (" in flat
    assert max(len(line) for line in said.splitlines()) <= 100


def test_worth_stands_with_its_range_and_its_page():
    said = Finding(
        id="y",
        kind="finding",
        headline="Writing to 3 pays",
        value=200.0,
        low=0.0,
        high=300.0,
        notebook="05_plan",
    )
    assert summary._with_worth(said, "EUR") == (
        "Writing to 3 pays. Worth 200\u00a0EUR a year, 0 to 300. (page 05)"
    )
