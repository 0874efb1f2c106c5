"""People who asked to be forgotten: keyed marks of what they were known by, in which nobody can
read anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache

import pandas as pd

from helpers.client import Client, PlaybookError
from helpers.collect.keys import key_of, keyed, pseudonym
from helpers.collect.masks import ANY_CODE, ANY_STREET, name_forms, street_forms
from helpers.collect.people import _phone as read_phone

CHECK = "the key of these marks"


def forgotten(client: Client) -> set[str]:
    """Keyed pseudonyms of the e-mails, phones, records and names of people who asked to be
    forgotten.
    """
    file = client.folder / "private" / "forgotten.json"
    marks = set(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else set()
    if marks and keyed(client, CHECK) not in marks:
        raise PlaybookError(
            f"data/{client.name}/private/forgotten.json was made with another key, so people who"
            " asked to be forgotten would come back. Put the old key back (private/key, or"
            " PLAYBOOK_KEY)."
        )
    return marks


class Marks:
    """Answers whether a text is a form of the name or street, or a code, of somebody who asked to
    be forgotten.
    """

    def __init__(self, client: Client) -> None:
        self.marks = forgotten(client)
        self._key = key_of(client) if self.marks else b""
        self._holds = lru_cache(maxsize=200_000)(lambda text: _mark(self._key, text) in self.marks)

    def __bool__(self) -> bool:
        return bool(self.marks)

    def __contains__(self, text: str) -> bool:
        return bool(self.marks) and self._holds(text)


def _mark(key: bytes, text: str) -> str:
    return pseudonym(key, f"in texts {text}")


def text_marks(
    client: Client, names: Iterable[str], codes: Iterable[str], streets: Iterable[str]
) -> set[str]:
    """What masks need to find full names, codes and streets in texts, as keyed pseudonyms."""
    said = set().union(*map(name_forms, names))
    said |= {ANY_CODE, *(f"code {c.casefold()}" for c in codes)} if codes else set()
    said |= {ANY_STREET, *set().union(*map(street_forms, streets))} if streets else set()
    key = key_of(client)
    return {_mark(key, text) for text in said}


def traces(client: Client, records: pd.DataFrame) -> list[set[str]]:
    """What a record is known by, as keyed pseudonyms: itself, its e-mail, its phone and its
    numbers.
    """
    rows, key = records[["record", "email", "phone", "ids"]].itertuples(index=False), key_of(client)
    return [{pseudonym(key, t) for t in _known_by(client, *row)} for row in rows]


def forgotten_numbers(client: Client, numbers: Iterable[str]) -> list[str]:
    """Those of the client's own numbers, as a file writes them, that belong to people who asked to
    be forgotten.
    """
    marks, key = forgotten(client), key_of(client)
    return [n for n in numbers if pseudonym(key, f"number {n.strip().upper()}") in marks]


def without_forgotten(client: Client, records: pd.DataFrame) -> pd.DataFrame:
    """The records of people who did not ask to be forgotten."""
    gone = forgotten(client)
    if not gone:
        return records
    stays = [not gone & known_by for known_by in traces(client, records)]
    return records[stays].reset_index(drop=True)


def _known_by(client: Client, record: str, email: object, phone: object, ids: object) -> set[str]:
    found = {
        record.lower(),
        *(f"number {n}" for n in (ids.upper().split() if isinstance(ids, str) else ())),
    }
    if isinstance(email, str) and email.strip():
        found.add(email.strip().lower())
    if isinstance(phone, str) and phone.strip():
        found.add(read_phone(phone, client.settings.country) or phone.strip())
    return found
