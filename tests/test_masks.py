"""Masks see personal data in all their spellings, and leave what only looks like them."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.collect.masks import KnownNames, find_all, mask, mask_keys
from helpers.collect.spelling import Plain

FORMS = yaml.safe_load(Path(__file__).with_name("mask_forms.yaml").read_text(encoding="utf-8"))
NAMES = [
    "Anna Schmidt", "Dr. Hans-Peter Müller", "Léa Dupont", "Sean O'Brien", "Jürgen von der Heide", "王小明", "欧阳娜娜",
    "José García López", "Nguyễn Thị Hoa", "Анна Иванова",
]  # fmt: skip
LEAST = {"name": 0.99, "e-mail": 0.93, "address": 0.98}  # of the others all


@pytest.fixture(scope="module")
def known():
    return KnownNames(NAMES)


def shows(form, known):
    """Whether a piece of what stands between the marks « and » is still there after masking."""
    before, secret, after = re.split("[«»]", form)
    masked = mask(pd.Series([before + secret + after]), known).item()
    left = re.sub(r"\[[^\]]*\]", "", masked.removeprefix(before).removesuffix(after))
    pieces = [p for p in re.findall(r"[^\W_]+", secret) if len(p) > 1]
    return masked == before + secret + after or secret in left or any(p in left for p in pieces)


@pytest.mark.parametrize("kind", [k for k in FORMS if k != "innocent"])
def test_each_kind_is_found_in_its_spellings(kind, known):
    seen = [form for form in FORMS[kind] if shows(form, known)]
    assert 1 - len(seen) / len(FORMS[kind]) >= LEAST.get(kind, 1), seen


def test_hardly_any_form_of_all_is_missed(known):
    forms = [form for kind, some in FORMS.items() if kind != "innocent" for form in some]
    assert len(forms) >= 330
    assert sum(shows(form, known) for form in forms) <= 5


@pytest.mark.parametrize("text", FORMS["innocent"])
def test_what_only_looks_like_personal_data_stays(text, known):
    assert mask(pd.Series([text]), known, country="DE").item() == text


def test_only_what_is_masked_changes_its_spelling():
    text = "“Ｗow” – Anna\u00a0Schmidt: ½ Ｃup… costs\u202f5\u00a0€"
    masked = "“Ｗow” – [name]: ½ Ｃup… costs\u202f5\u00a0€"
    assert mask(pd.Series([text]), ["Anna Schmidt"]).item() == masked


def test_places_are_those_of_the_text_as_it_is_written():
    text = "an Mu\u0308ller%20Eva, ana%40example.com"
    found = [
        (text[start:end], kind) for start, end, kind in find_all(text, KnownNames(["Eva Müller"]))
    ]
    assert found == [("Mu\u0308ller%20Eva", "name"), ("ana%40example.com", "e-mail")]
    assert Plain("plain text").text == "plain text"


def test_keys_that_name_somebody_stay_apart():
    keys = pd.Series(
        ["ANNA-SCHMIDT-10", "SCHMIDT-ANNA-10", "anna@example.com", "4111111111111111", "SKU-1"]
    )
    masked = mask_keys(keys, KnownNames(["Anna Schmidt"]), lambda key: f"{len(key)}{key[0]}")
    assert masked.tolist() == [
        "[name]-10 15A",
        "[name]-10 15S",
        "[e-mail] 16a",
        "4111111111111111",
        "SKU-1",
    ]


def test_names_of_brands_can_be_left_out():
    known = KnownNames(["Paul Smith", "Anna Schmidt"]).without(["PAUL SMITH"])
    assert (
        mask(pd.Series(["Paul Smith wallet for Anna Schmidt"]), known).item()
        == "Paul Smith wallet for [name]"
    )
