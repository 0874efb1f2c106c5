"""Tiny and lopsided clients: every cell runs, and no page says what nobody would write."""

import pytest
from conftest import in_one_process
from grid import names, oddities, report_oddities, write_client

from helpers.run import run
from helpers.show import words

# Quick, and between them most that is missing or lopsided.
FEW = [
    "1-day-no_ids",
    "1-year-one_product",
    "2-month-refunds",
    "2-month-one_order",
    "50-month-no_products",
]


@pytest.mark.parametrize("name", FEW)
def test_a_small_client_gets_a_report_without_odd_words(name, home, monkeypatch):
    folder = write_client(home, name)
    index = in_one_process(name, monkeypatch)
    assert report_oddities(folder, index.parent) == []
    assert "messages (from the mail or campaign tool)" in index.read_text(encoding="utf-8")


@pytest.mark.evidence
@pytest.mark.parametrize("name", names())
def test_every_client_of_the_grid_gets_a_report_without_odd_words(name, home):
    folder = home / "data" / name
    if not folder.exists():
        write_client(home, name)
    assert report_oddities(folder, run(name, jobs=2).parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "nan orders", "from -inf to 3", "None orders", "NaT", "a gap of not known days", "1 customers came",
        "worth 4.58\xa0m\xa0EUR", "144,213,643 people in each group",
    ],
)  # fmt: skip
def test_what_no_page_may_say_is_found(text):
    assert len(oddities(f"Before. {text}. After.", largest=1000)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Nancy",
        "an infant",
        "None of them",
        "it is not known",
        "21 customers",
        "1 customer",
        "0.1 orders",
        "12,000 EUR",
    ],
)
def test_what_a_page_may_say_is_let_pass(text):
    assert oddities(f"Before. {text}. After.", largest=1000) == []


def test_what_was_divided_by_nothing_is_not_known():
    for say in (words.count, words.money, words.percent):
        assert {say(float(n)) for n in ("nan", "inf", "-inf")} == {"not known"}


def test_only_a_count_of_one_takes_the_singular():
    said = "0.1 orders, 1,001 orders, 2-1 orders, 1 orders\xa0were, 1 earlier changes have"
    assert (
        words.agree(said)
        == "0.1 orders, 1,001 orders, 2-1 orders, 1 order\xa0was, 1 earlier change has"
    )
