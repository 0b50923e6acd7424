"""What the lab tells a person who watches."""

import time
from collections.abc import Mapping


class Screen:
    """Prints each step with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Print a step that begins now."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Print names and values under one another."""
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"          {name:<{width}}  {value}", flush=True)
