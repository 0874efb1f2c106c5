"""The simulated client whose truth is known."""

from __future__ import annotations

from pathlib import Path


def write_twin(out: Path, customers: int = 5000, seed: int = 1, events: bool = True) -> Path:
    """Write the simulated client under `out`; see simulator.twin, which is loaded only when it
    is asked for.
    """
    from simulator.twin import write_twin as write

    return write(out, customers, seed, events)
