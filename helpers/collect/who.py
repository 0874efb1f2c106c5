"""Who is who: the records that name a person, matched across sources, and the pseudonyms that stand
for people.

Names, addresses, e-mails and phones stay in raw/ and private/; every table of a run holds
pseudonyms only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from helpers.client import Client, PlaybookError
from helpers.collect import golden, identity
from helpers.collect.keys import key_of, keyed
from helpers.collect.masks import KnownNames, full_names
from helpers.collect.opened import Opened, Part, kinds_of, sql_name, sql_text, typed
from helpers.collect.tombstones import Marks, forgotten, without_forgotten
from helpers.store import write_csv
from helpers.tables import get

TEXT = ["email", "phone", "name", "first_name", "last_name", "street", "zip", "city", "country"]
MORE = ["region", "gender", "birth_year", "account_type", "acquisition_channel"]
CONSENT = ["consent_email", "consent_sms", "consent_ads"]
VERSION = "2"  # raise it when the matching changes
MAP, GOLDEN = "who is who", "golden records"


@dataclass
class Identity:
    """Everybody that the sources name.

    `records` (private): one row a record with its contact data, record_id and customer_id.
    `summary` and `contradictions` are the tables `people` and `contradictions` of the report.
    """

    client: Client
    records: pd.DataFrame
    people: pd.DataFrame
    summary: pd.DataFrame
    contradictions: pd.DataFrame
    doubtful: pd.DataFrame

    @cached_property
    def names(self) -> pd.Series:
        """The full name of each person by customer_id, as the sources write it."""
        p = self.people.set_index("customer_id")
        both = (p["first_name"].fillna("") + " " + p["last_name"].fillna("")).str.strip()
        return both.where(both != "", p["name"]).dropna().loc[lambda s: s.str.len() > 2]

    @cached_property
    def known_names(self) -> KnownNames:
        """The names that masks look for: of everybody in the sources, in every spelling, and of
        people forgotten.
        """
        return KnownNames(full_names(self.records), Marks(self.client))

    def customers_sql(self) -> str:
        """One row a person in the columns of `customers`, worked out from their records."""
        return f"SELECT *, NULL::VARCHAR AS source_name FROM {sql_name(GOLDEN)}"


def identify(opened: Opened) -> Identity:
    """Match the people of all sources, or give back what is known where no file and no setting has
    changed; nobody where no file names a person.
    """
    client = opened.client
    if not opened.has_people:
        return _nobody(client)
    parts = list(
        {
            (p.group, p.person["record"]): p for ps in opened.parts.values() for p in ps if p.person
        }.values()
    )
    place = client.private("people")
    said = [
        client.settings.matching.model_dump_json(),
        json.dumps(client.settings.precedence),
        str(sorted(forgotten(client))),
    ]
    said += [f"{f.parquet.name} {f.facts['sha256']} {f.style}" for f in opened.landed]
    said += [p.rows + json.dumps(p.person) for p in parts] + [
        client.settings.country,
        keyed(client, "who"),
        VERSION,
    ]
    fingerprint = hashlib.sha256("\n".join(said).encode()).hexdigest()
    names = ("records", "people", "summary", "contradictions", "doubtful")
    stamp = place / "fingerprint"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint:
        found = Identity(client, *(pd.read_parquet(place / f"{n}.parquet") for n in names))
    else:
        records = pd.concat([_records(opened, p) for p in parts], ignore_index=True)
        records = without_forgotten(client, records)
        matched = identity.match(records, client.settings.matching, client.settings.country)
        records["record_id"] = [keyed(client, r) for r in records["record"]]
        # no contact data: it may outlive the rest of private/people
        earlier = place / "ids.parquet"
        pairs = pd.read_parquet(earlier) if earlier.is_file() else None
        before = (
            None if pairs is None else records[["record", "record_id"]].merge(pairs, on="record_id")
        )
        before = None if before is None else before[["record", "customer_id"]]
        ids = golden.pseudonyms(matched.people, key_of(client), before)
        order = client.settings.precedence + [
            g for g in opened.groups if g not in client.settings.precedence
        ]
        everybody, differ = golden.golden(records, matched.people, order)
        everybody["customer_id"] = everybody["person"].map(ids)
        records = records.merge(matched.people, on="record", how="left")
        records["customer_id"] = records["person"].map(ids)
        first = records.groupby("person")["since_at"].min().reindex(everybody["person"])
        # as an array: nobody may be known
        everybody["first_seen_at"] = pd.to_datetime(first.to_numpy())
        pairs = pd.concat([records[["record_id", "customer_id"]], pairs]).drop_duplicates(
            "record_id"
        )
        pairs.to_parquet(earlier, index=False)
        differ = differ.assign(people=differ["differ"]).rename(
            columns={"source_a": "source_used", "source_b": "source_other"}
        )
        differ = differ.loc[differ["people"] > 0, list(get("contradictions").columns)]
        found = Identity(
            client,
            records,
            everybody.drop(columns="person"),
            matched.summary,
            differ,
            matched.doubtful,
        )
        for n in names:
            getattr(found, n).to_parquet(place / f"{n}.parquet", index=False)
        _review(client, found)
        stamp.write_text(fingerprint, encoding="utf-8")
    con = opened.con.con
    names = {"record": "who_key", "record_id": "who_record", "customer_id": "who_customer"}
    con.register("records frame", found.records[list(names)].rename(columns=names))
    con.execute(f'CREATE OR REPLACE TEMP TABLE {sql_name(MAP)} AS SELECT * FROM "records frame"')
    con.register("golden frame", _typed_people(found.people))
    con.execute(f'CREATE OR REPLACE TEMP TABLE {sql_name(GOLDEN)} AS SELECT * FROM "golden frame"')
    return found


def _nobody(client: Client) -> Identity:
    said = {
        "records": ["record", "record_id", "customer_id", *TEXT],
        "people": ["customer_id", *TEXT],
        "summary": get("people").columns,
        "contradictions": get("contradictions").columns,
        "doubtful": ["record_a", "record_b", "score", "why"],
    }
    return Identity(
        client, **{n: pd.DataFrame(columns=list(c), dtype="str") for n, c in said.items()}
    )


def _records(opened: Opened, part: Part) -> pd.DataFrame:
    """The distinct records that one part of the sources names, the newest line winning."""
    style = opened.style(part.group) | {"own": opened.client.settings.timezone}
    said, rows = {k: part.sql(e, style) for k, e in part.person.items()}, part.sql(part.rows, style)
    unknown = set(said) - {"record", "ids", "since", "consent_at", *TEXT, *MORE, *CONSENT}
    if unknown:
        raise PlaybookError(f"{part.shown}.person: unknown: {', '.join(sorted(unknown))}.")
    found = {k.removeprefix("person."): kind for k, kind in kinds_of(opened, part).items()}
    group, schema = sql_name(part.group), get("customers").schema
    cells = [
        f"{sql_text(part.group + '|')} || ({said['record']}) AS record",
        f"{sql_text(part.group)} AS source",
    ]
    newest = f"{group}.source_line - {group}.source_rank * 10000000000"
    for k in TEXT + MORE:
        e = f"CAST(({said[k]}) AS VARCHAR)" if k in said else "NULL::VARCHAR"
        cells.append(f"max_by({e}, {newest}) FILTER ({e} IS NOT NULL) AS {k}")
    cells.append(
        f"string_agg(DISTINCT {said['ids']}, ' ')::VARCHAR AS ids"
        if "ids" in said
        else "NULL::VARCHAR AS ids"
    )
    since = (
        typed(said["since"], found["since"], schema["first_seen_at"], style)
        if "since" in said
        else "NULL::TIMESTAMP"
    )
    cells.append(f"min({since}) AS since_at")
    for k in CONSENT:
        e = typed(said[k], found[k], schema[k], style) if k in said else "NULL::BOOLEAN"
        cells.append(f"bool_and({e}) AS {k}")
    at = (
        typed(said["consent_at"], found["consent_at"], schema["consent_at"], style)
        if "consent_at" in said
        else "NULL::TIMESTAMP"
    )
    cells.append(f"max({at}) AS consent_at")
    query = f"""SELECT {", ".join(cells)} FROM {rows}
        WHERE ({said["record"]}) IS NOT NULL AND {group}.source_problem IS NULL GROUP BY 1 ORDER BY 1"""
    return opened.query(query, f"{part.shown}.person").df()


def _typed_people(people: pd.DataFrame) -> pd.DataFrame:
    """The columns of `customers` and no others, each with its type even where it holds nothing."""
    schema = get("customers").schema
    kept = people[[c for c in schema.names if c in people]].copy()
    kept["birth_year"] = pd.to_numeric(kept["birth_year"], errors="coerce")
    kinds = {
        c: "boolean" if schema[c].is_boolean() else "Int64" if schema[c].is_integer() else "str"
        for c in kept
        if not schema[c].is_timestamp()
    }
    return kept.astype(kinds)


def _review(client: Client, found: Identity) -> None:
    """The doubtful pairs with what is known of both, for a person to look at."""
    both = found.doubtful
    for side in ("a", "b"):
        known = found.records[["record", *TEXT]].add_suffix(f"_{side}")
        both = both.merge(known, on=f"record_{side}", how="left")
    write_csv(both, client.private() / "match_review.csv")


def people_stages(people: Identity) -> pd.DataFrame:
    """How many records became how many people, stage by stage (table `people`); empty where no file
    names a person.
    """
    found = people.summary.rename(columns={"joined": "records", "people": "people_after"})
    return found.assign(position=range(1, len(found) + 1))


def held_originals(opened: Opened, quarantine: pd.DataFrame) -> pd.DataFrame:
    """The held rows of files under raw/: file, line, table, rule, reason, value, and each cell as
    read (original).

    Private: the originals hold what the files hold. Mend the file and run again, and a row leaves
    this list.
    """
    columns = {"source_file": "file", "source_line": "line"}
    held = quarantine.rename(columns=columns)[["file", "line", "table", "rule", "reason", "value"]]
    mine = [f for f in opened.landed if not f.spec.package and f.file in set(held["file"])]
    opened.con.con.register("held lines", held)
    rows = [
        opened.query(
            f"""SELECT h.*, CAST(to_json(cells) AS VARCHAR) AS original FROM "held lines" AS h JOIN (SELECT source_file,
            source_line, struct_pack(*COLUMNS(c -> c NOT LIKE 'source%')) AS cells FROM {sql_name("all " + g)}) AS r
            ON h.file = r.source_file AND h.line = r.source_line ORDER BY h.file, h.line"""
        ).df()
        for g in dict.fromkeys(f.group for f in mine)
    ]
    return pd.concat(rows, ignore_index=True) if rows else held.head(0)
