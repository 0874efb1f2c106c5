"""The client's secret key, and the pseudonyms made with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress

from helpers.client import Client, PlaybookError


def key_of(client: Client) -> bytes:
    """The client's secret key: $PLAYBOOK_KEY, or private/key, made on first use."""
    said = os.environ.get("PLAYBOOK_KEY", "")
    if said:
        if len(said) < 16:
            raise PlaybookError(
                "the environment variable PLAYBOOK_KEY is too short. Use 16 characters or more."
            )
        return said.encode()
    file = client.private() / "key"
    # of two processes the first makes it
    with suppress(FileExistsError), file.open("x", encoding="utf-8") as made:
        file.chmod(0o600)
        made.write(secrets.token_hex(32))
    key = file.read_text(encoding="utf-8").strip()
    if len(key) < 16:
        raise PlaybookError(
            f"data/{client.name}/private/key is empty or too short. Put the old key back, or remove"
            " the file."
        )
    return key.encode()


def keyed(client: Client, text: str) -> str:
    """A text as a keyed pseudonym: the same text gives the same one, and only with the key."""
    return pseudonym(key_of(client), text)


def pseudonym(key: bytes, text: str) -> str:
    """As `keyed`, with a key that was read once for many texts."""
    return hmac.digest(key, text.encode(), "sha256").hex()[:24]


def pseudonym_macro(client: Client) -> str:
    """SQL macro `pseudonym(x)`: a keyed pseudonym made in the engine, for many rows (nested hash,
    as HMAC nests it).
    """
    key = hashlib.sha256(key_of(client)).hexdigest()
    return (
        f"CREATE OR REPLACE TEMP MACRO pseudonym(x) AS left(sha256('{key}' || sha256('{key}' ||"
        " x)), 24)"
    )
