"""How the figures of a usage come about: by which rules, how far beside them, and how long answers are said to be."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

__all__ = ["Figures", "Lengths"]

Z95 = 1.6448536269514722  # the normal distribution's 95th percentile


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many tokens answers have: log-normal, so that some have many times the median."""

    median: float
    p95: float
    per_input: float = 0.0
    """Tokens by which the median grows with each token of the input."""

    def draw(self, spent: int, source: random.Random) -> int:
        """The length of one answer to `spent` tokens of input, at least 1."""
        spread = math.log(self.p95 / self.median) / Z95
        return max(1, round((self.median + self.per_input * spent) * math.exp(source.gauss(0.0, spread))))


@dataclass(frozen=True, slots=True)
class Figures:
    """Turns what was counted into what is billed; the same request is always billed the same."""

    rules: str = "own"
    """The rules for media: the provider's `own`, or those `published` for the model."""
    perturb: float = 0.0
    """By which share the input of a request may lie beside what the rules say, to either side."""
    lengths: Lengths | None = None
    """None: answers have as many tokens as their words."""

    def input(self, counted: int, digest: str) -> int:
        """The input tokens that are billed."""
        if not self.perturb:
            return counted
        return round(counted * (1 + self.perturb * random.Random(f"input {digest}").uniform(-1, 1)))

    def output(self, said: int, spent: int, digest: str, repeat: int = 1) -> int:
        """The output tokens that are billed, beside those of reasoning."""
        if self.lengths is None:
            return said
        return self.lengths.draw(spent, random.Random(f"output {digest} {repeat}"))
