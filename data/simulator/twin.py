"""The simulated client: write its raw exports and, apart from them, its truth."""

from __future__ import annotations

from pathlib import Path

from helpers.client import PlaybookError
from simulator import around, exports, stock, truth
from simulator.behave import simulate
from simulator.constants import text
from simulator.interviews import interviews

MARK = "files.txt"  # in truth/: the files that this program wrote


def write_twin(out: Path, customers: int = 5000, seed: int = 1, events: bool = True) -> Path:
    """Write out/raw/* and out/truth/*, and out/client.yaml where there is none; return `out`.

    The same seed and size give the same bytes; `events` False leaves the site events out. Raises
    PlaybookError where raw/ or truth/ hold files that an earlier run did not write. docs/twin.md
    says what is simulated and how.
    """
    if customers < 20:
        raise PlaybookError(
            f"{customers} customers are too few for a simulated shop. Ask for 20 or more."
        )
    out = Path(out)
    raw, true = out / "raw", out / "truth"
    _make_room(out)
    w = simulate(customers, seed)
    w.true, w.channels, w.won, w.seen, w.stale = (
        exports.true_lines(w),
        exports.channel_truth(w),
        exports.acquired_by(w),
        {},
        set(),
    )
    written = []
    makers = [exports.shopify, exports.loyverse, exports.ads, exports.klaviyo, *around.MAKERS]
    makers += [stock.inventory, stock.calendar, interviews]
    for make in [*makers, *([exports.ga4] if events else [])]:
        made = make(w)
        for sheet in made if isinstance(made, list) else [made]:
            _claim(out, f"raw/{sheet.file}")
            written.append(sheet.write(raw))
    for name, content in truth.tables(w, written).items():
        _claim(out, f"truth/{name}")
        body = (
            content
            if isinstance(content, str)
            else content.to_csv(index=False, lineterminator="\n", float_format="%.10g")
        )
        (true / name).write_bytes(body.encode())
    if not (out / "client.yaml").exists():
        (out / "client.yaml").write_bytes(text("settings.yaml").encode())
    return out


def _make_room(out: Path) -> None:
    """Take away what an earlier run wrote; refuse to work beside files of another hand."""
    mark = out / "truth" / MARK
    known = set(mark.read_text(encoding="utf-8").split("\n")) if mark.is_file() else set()
    found = [
        p
        for f in ("raw", "truth")
        if (out / f).is_dir()
        for p in sorted((out / f).iterdir())
        if p != mark
    ]
    for path in found:
        if f"{path.parent.name}/{path.name}" not in known:
            raise PlaybookError(
                f"{path.parent.name}/{path.name} in the folder of the simulated client was not"
                " written by it. Move that file away, or give another folder with --out."
            )
    for path in found:
        path.unlink()
    for folder in ("raw", "truth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    mark.write_bytes(b"")


def _claim(out: Path, name: str) -> None:
    with (out / "truth" / MARK).open("a", encoding="utf-8", newline="\n") as f:
        f.write(f"{name}\n")
