"""One row a person out of many records, and an id that tells nothing of who it is."""

from __future__ import annotations

import base64
import hmac

import pandas as pd

from helpers.collect.people import normalise

CONSENT = ["consent_email", "consent_sms", "consent_ads"]
ADDRESS = ["street", "zip", "city", "country"]
FORMS = {"email": "email_key", "phone": "phone_key", "first_name": "first", "last_name": "last"}
# by which of its forms a field is compared
FORMS |= {c: c for c in ("street", "zip", "city", "account_type")}


def golden(
    records: pd.DataFrame, people: pd.DataFrame, precedence: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a person, and where the sources contradict each other.

    Each field is the first that is known, by source in the order of `precedence` (sources that are
    not in it come last, by name), then by record id. Street, zip, city and country come together,
    from the first record with a street (or else a zip, a city, a country), so that no address is
    made up of two. `ids` are all numbers. A refusal of consent anywhere wins over a yes;
    `consent_at` is the last word on consent. `sources` and `records` say where the row is from.
    Contradictions have one row a field and pair of sources: field, source_a (which goes first),
    source_b, people (known to both), differ (of these, with other content; capitals, formats and
    ways of spelling aside). Ids and moments are no such fields.
    """
    order = [*precedence, *sorted(set(records["source"].dropna()) - set(precedence))]
    rows = records.drop(columns=["person", "how", "score"], errors="ignore")
    rows = rows.merge(people[["record", "person"]], on="record", validate="one_to_one")
    rows["rank"] = rows["source"].map({s: i for i, s in enumerate(order)})
    rows = rows.sort_values(["person", "rank", "record"], ignore_index=True)
    for column in [c for c in rows if pd.api.types.is_string_dtype(rows[c])]:
        rows[column] = rows[column].mask(rows[column].str.strip() == "")
    consent, address = ([c for c in group if c in rows] for group in (CONSENT, ADDRESS))
    fields = [
        c
        for c in rows
        if c not in {"record", "source", "person", "rank", "ids", "consent_at", *consent}
    ]
    differ = _contradictions(rows, [*fields, *consent], order)
    if address:  # the first record of each person that says most
        says = rows[address].notna().dot([2**i for i in reversed(range(len(address)))])
        best = says.where(says > 0).groupby(rows["person"]).transform("max")
        chosen = (says == best) & ~rows.assign(best=says == best).duplicated(["person", "best"])
        rows.loc[~chosen, address] = None
    by = rows.groupby("person")
    out = by[fields].first()
    for column in consent:
        out[column] = rows[column].astype("boolean").groupby(rows["person"]).min()
    if "consent_at" in rows:
        out["consent_at"] = by["consent_at"].max()
    if "ids" in rows:
        out["ids"] = _joined(
            rows["ids"].astype("str").str.findall(r"\S+").explode(), rows["person"]
        )
    out["sources"], out["records"] = _joined(rows["source"], rows["person"]), by.size()
    return out.reset_index(), differ


def _joined(words: pd.Series, person: pd.Series) -> pd.Series:
    """The distinct words of each person, in order, joined by a space."""
    said = pd.DataFrame(
        {"person": person.loc[words.index].to_numpy(), "word": words.to_numpy()}
    ).dropna()
    said = said.drop_duplicates().sort_values(["person", "word"])
    return said.groupby("person")["word"].agg(" ".join).astype("str")


def _contradictions(rows: pd.DataFrame, fields: list[str], order: list[str]) -> pd.DataFrame:
    """Per field and pair of sources, how many people have it in both and in how many no content is
    the same.
    """
    columns, found = ["field", "source_a", "source_b", "people", "differ"], []
    if rows["source"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    alike = normalise(rows.assign(record=rows.index.astype("str").str.zfill(9)))
    several = rows.groupby("person")["source"].transform("nunique") > 1
    for field in [f for f in fields if f != "name" and not f.endswith(("_id", "_at"))]:
        content = (
            alike[FORMS[field]]
            if field in FORMS
            else rows[field].astype("str").str.strip().str.casefold()
        )
        known = rows.loc[several, ["person", "rank"]].assign(content=content)
        known = known.dropna().drop_duplicates()
        both = known.merge(known, on="person").query("rank_x < rank_y")
        same = both["content_x"] == both["content_y"]
        agree = same.groupby([both["rank_x"], both["rank_y"], both["person"]]).any()
        pairs = agree.groupby(level=["rank_x", "rank_y"]).agg(["size", "sum"])
        for (a, b), people, agreeing in pairs.itertuples():
            found.append((field, order[int(a)], order[int(b)], people, people - agreeing))
    return pd.DataFrame(found, columns=columns)


def pseudonyms(people: pd.DataFrame, key: bytes, earlier: pd.DataFrame | None = None) -> pd.Series:
    """The customer_id of each person: P and twelve letters, which nobody without the key can
    compute.

    HMAC-SHA256 of the person id, in base32. `earlier` is the last contact map (record,
    customer_id): a person keeps the id that most of their records had, or where that is a tie the
    record that sorts first; of two people who claim one id the one with more of its records keeps
    it. An id that was ever given is given to nobody else.
    """
    if earlier is None:
        earlier = pd.DataFrame({"record": [], "customer_id": []}, dtype="str")
    known = people[["record", "person"]].merge(
        earlier[["record", "customer_id"]].dropna(), on="record"
    )
    claims = known.groupby(["person", "customer_id"])["record"].agg(["size", "min"]).reset_index()
    claims = claims.sort_values(["size", "min", "customer_id"], ascending=[False, True, True])
    given: dict[str, str] = {}
    taken: set[str] = set()
    for person, customer_id in claims[["person", "customer_id"]].itertuples(index=False):
        if person not in given and customer_id not in taken:
            given[person] = customer_id
            taken.add(customer_id)
    taken.update(earlier["customer_id"].dropna())
    for person in sorted(set(people["person"]) - given.keys()):
        turn = 0
        while (customer_id := _pseudonym(person, key, turn)) in taken:
            turn += 1
        given[person] = customer_id
        taken.add(customer_id)
    return pd.Series(given, dtype="str", name="customer_id").sort_index().rename_axis("person")


def _pseudonym(person: str, key: bytes, turn: int) -> str:
    text = person if turn == 0 else f"{person}\x00{turn}"
    digest = hmac.digest(key, text.encode(), "sha256")
    return "P" + base64.b32encode(digest).decode()[:12]
