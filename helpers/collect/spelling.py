"""One spelling for free text, so that what is looked for in it need be known in one form only."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from urllib.parse import unquote

Find = tuple[int, int, str]  # start, end, kind

_UNSEEN = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
# UTF-8 in an address
_CODED = r"%[2-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}"
_CODED += r"|</?(?:b|i|u|em|strong|span|font)>"
_CODED += r"|&(?:#\d{2,5}|#x[0-9a-f]{2,4}|[a-z]{2,8});"  # a letter in a web page
_ALIKE = str.maketrans({c: "'" for c in "’‘ʼ´`′"} | {c: "-" for c in "‐‑‒−﹣"})
# signs that become one with the letter before
_JOINING = "\u0300-\u036f\u1100-\u11ff\u3099\u309a\uff9e\uff9f"
_ODD = re.compile(rf"[{_UNSEEN}{_JOINING}]|{_CODED}|[’‘ʼ´`′‐‑‒−﹣]", re.I)
_ENCODED = re.compile("[%&<`]")  # of the odd signs, those that an ASCII text may hold begin so
_PIECE = re.compile(rf"{_CODED}|[{_UNSEEN}]|.[{_JOINING}]*", re.I | re.S)


class Plain:
    """A text in one spelling: composed, half width, plain spaces, hyphens and quotes, nothing
    unseen, nothing encoded.

    `text` is what is looked into; `there` turns a place in it into the place in the text as it is
    written.

    >>> Plain("Mu\u0308ller\u00a0ana%40example.com").text
    'Müller ana@example.com'
    """

    def __init__(self, written: str) -> None:
        self.text, self._at = written, None
        if written.isascii():
            if not _ENCODED.search(written):
                return
        elif not _ODD.search(written):
            self.text = unicodedata.normalize("NFKC", written)
            # each letter became one letter: nothing here can join two
            if len(self.text) == len(written):
                return
        letters, self._at = [], []
        for m in _PIECE.finditer(written):
            piece = _one_spelling(m[0])
            letters.append(piece)
            self._at += [m.span()] * len(piece)
        self.text = "".join(letters)

    def there(self, found: Iterable[Find]) -> list[Find]:
        """Finds in `text` as finds in the text as written."""
        if self._at is None:
            return sorted(found)
        return sorted(
            (self._at[start][0], self._at[end - 1][1], kind) for start, end, kind in found
        )


@cache
def _one_spelling(piece: str) -> str:
    if piece[0] == "%" and len(piece) > 1:
        piece = unquote(piece, errors="replace")
    elif piece[0] == "<" and len(piece) > 1:
        return ""
    elif piece[0] == "&" and len(piece) > 1:
        piece = html.unescape(piece)
    if re.match(f"[{_UNSEEN}]", piece):
        return ""
    # the only letter that does not compose
    piece = piece.replace("O\u0338", "Ø").replace("o\u0338", "ø")
    return unicodedata.normalize("NFKC", piece.translate(_ALIKE))
