"""What the benches of the simulated shop read from the command line."""

from __future__ import annotations

import argparse

from shop.formats import VARIANTS


def variants_of(letters: str) -> list[str]:
    """The variants of these letters."""
    if unknown := set(letters) - set(VARIANTS):
        raise argparse.ArgumentTypeError(
            f"unknown variant {min(unknown)!r}: use {', '.join(VARIANTS)}"
        )
    return list(letters)


def seeds_of(text: str) -> list[int]:
    """`0-2,7` as [0, 1, 2, 7]."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0-5,7")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} has no seed: write the smaller number first")
    return seeds
