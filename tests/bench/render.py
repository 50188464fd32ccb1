"""From the figures of all rounds to what a person reads and what a program reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cases import Aim, Case, Claim

__all__ = ["Finding", "as_json", "figures_table", "findings", "findings_table"]

Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""The figures of each trial, round by round."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a claim: its value in each round, their median, and whether that is as it should be."""

    claim: Claim
    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median over the rounds."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """``moonshot``, ``ok`` or ``missed``; nothing where there is no aim."""
        aim = self.claim.aim
        if aim is None:
            return ""
        reached = [
            bound for bound in (aim.target, aim.moonshot) if bound is not None and _meets(self.middle, bound, aim)
        ]
        return ("missed", "ok", "moonshot")[len(reached)]


def _meets(value: float, bound: float, aim: Aim) -> bool:
    return value >= bound if aim.at_least else abs(value) <= bound


def findings(case: Case, rounds: Rounds) -> Iterator[Finding]:
    """Hold the claims of a case against its figures; ratios are taken round by round."""
    for claim in case.claims:
        values = [figures[claim.figure] for figures in rounds[claim.of]]
        if claim.against is not None:
            under = [figures[claim.than or claim.figure] for figures in rounds[claim.against]]
            values = [one / other for one, other in zip(values, under, strict=True)]
        yield Finding(claim, tuple(values))


def findings_table(found: Sequence[Finding]) -> str:
    """Return what was found as lines of text: medians, the least and the most, the aims."""
    lines = [("", "measured", "min to max", "target", "moonshot", "")]
    for one in found:
        spread = f"{_figure(min(one.values))} to {_figure(max(one.values))}"
        lines.append((one.claim.what, _figure(one.middle), spread, *_aims(one.claim.aim), one.verdict))
    return _aligned(lines)


def _aims(aim: Aim | None) -> tuple[str, str]:
    if aim is None:
        return "", ""
    sign = ">=" if aim.at_least else "<="
    return f"{sign} {_figure(aim.target)}", "" if aim.moonshot is None else f"{sign} {_figure(aim.moonshot)}"


def figures_table(case: Case, rounds: Rounds) -> str:
    """Return the medians of all figures of a case."""
    names = list(dict.fromkeys(name for trial in case.trials for figures in rounds[trial.name] for name in figures))
    lines = [(case.name, *names)]
    for trial in case.trials:
        middles = _middles(rounds[trial.name])
        lines.append((trial.name, *(_figure(middles[name]) if name in middles else "" for name in names)))
    return _aligned(lines)


def _middles(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in figures) for name in figures[0]}


def as_json(case: Case, rounds: Rounds) -> dict[str, object]:
    """Return a case for a program: every figure of every round, and what was found."""
    claims = [
        {
            "what": one.claim.what,
            "figure": one.claim.figure,
            "of": one.claim.of,
            "against": one.claim.against,
            "values": list(one.values),
            "median": one.middle,
            "target": one.claim.aim and one.claim.aim.target,
            "moonshot": one.claim.aim and one.claim.aim.moonshot,
            "at_least": one.claim.aim is not None and one.claim.aim.at_least,
            "verdict": one.verdict or None,
        }
        for one in findings(case, rounds)
    ]
    trials = {trial.name: [dict(figures) for figures in rounds[trial.name]] for trial in case.trials}
    return {"name": case.name, "trials": trials, "claims": claims}


def _figure(value: float) -> str:
    """Return a figure with three digits that count."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
