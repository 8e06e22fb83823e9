"""The rules by which `redact` masks secrets, tokens, addresses and persons.

Each rule is an expression and the mask that replaces what it finds. A rule takes time that is
linear in the text's length: a look-behind fixes where it may start, and repeats are bounded or
possessive. Rules are written for whole kinds of secrets, not for single examples; each module
holds one kind. A rule is tried only on a text that holds what it needs (`needs.py`).

We looked at the plugins of detect-secrets. They cover tokens with a form only, and need `requests`
and PyYAML; their forms are among ours.
"""

from __future__ import annotations

from .base import MASK, Rule
from .commands import COMMANDS
from .forms import FORMS, RANDOM_WORDS
from .keys import KEYS
from .needs import Choice, Folded
from .numbers import ADDRESSES, NUMBERS
from .persons import PERSONS

__all__ = ["MASK", "RULES", "Choice", "Folded", "Rule"]

# Their order matters: what announces a secret says more about it than its form, and what has a form
# is more than a random word.
RULES: tuple[Rule, ...] = (*KEYS, *COMMANDS, *FORMS, *ADDRESSES, *NUMBERS, *RANDOM_WORDS, *PERSONS)
