"""Explanations of abnormal sessions: local evidence always, Claude where it is switched on.

The seam is `Explainer`: it is asked about a pattern, never about a session, and sees templates, never raw lines (unless
the operator allows them). What it answers is checked here, by `checked`, whoever it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Said = Literal["normal", "abnormal"]
MAX_WORDS = 600  # characters of each sentence that an answer may have


@dataclass(frozen=True, slots=True)
class Case:
    """What an explainer is asked about: one pattern, beside the nearest normal ones.

    `templates` are the distinct ones of it all; `session` and `normal` are indices of them, in order of events. The
    flagged Seq is `session[start:end]`, its oddest event `session[event]`.
    """

    pattern: str  # of the whole session; 32 hex digits
    bundle_hash: str
    path: tuple[str | None, str | None, str | None]  # entity, action, status of the oddest event
    templates: tuple[str, ...]
    session: tuple[int, ...]
    start: int
    end: int
    event: int
    normal: tuple[tuple[int, ...], ...]  # nearest first
    evidence: str  # what the local evidence says
    lines: tuple[str, ...] = ()  # redacted; only where the operator allows them
    may_clear: bool = (
        False  # its score is in the uncertainty band, and the operator lets a model judge
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What an explainer says of a case. `steps` are indices of the case's templates that it rests on."""

    verdict: Said
    confidence: float  # 0 … 1
    summary: str
    cause: str
    check: str  # what to look at next
    steps: tuple[int, ...]
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float


class NoAnswer(Exception):
    """No answer, and never a verdict: `reason` is of a closed set.

    `retry_after_s`: the service asks for so long a pause. `service`: it is the service that failed, not this case.
    Tokens and price are what was spent all the same.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        retry_after_s: float | None = None,
        service: bool = False,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_usd: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_s, self.service = reason, retry_after_s, service
        self.input_tokens, self.output_tokens, self.cost_usd = input_tokens, output_tokens, cost_usd


Reason = Literal[
    "timeout",  # no answer within the deadline
    "overloaded",  # 429, 529, 503
    "no_connection",
    "refused",  # HTTP 400 … 404: key, model or request; asking again will not help
    "service_error",  # other HTTP 5xx
    "refusal",  # the model would not
    "cut_off",
    "senseless",  # no JSON, wrong schema, or steps that the Seq has not
    "budget",  # spent
    "busy",  # the queue is full
    "paused",  # the circuit breaker is open
    "ledger",  # it can't be written, so nothing was sent
    "stopping",
]


class Explainer(Protocol):
    """Answers cases, one exchange each; many may be asked at once. Raises NoAnswer, nothing else."""

    async def explain(self, case: Case) -> Answer: ...

    def most(self, case: Case) -> tuple[int, float]:
        """Tokens and US dollars that asking about a case may cost at the most."""
        ...

    async def close(self) -> None: ...


def checked(answer: Answer, case: Case) -> Answer:
    """The answer, if it is one to this case. Raises NoAnswer(senseless): a step that the Seq has not, empty words."""
    seq = set(case.session[case.start : case.end])
    if not answer.steps or not seq.issuperset(answer.steps):
        raise NoAnswer("senseless")
    if not 0 <= answer.confidence <= 1 or not all(
        _are_words(text) for text in (answer.summary, answer.cause)
    ):
        raise NoAnswer("senseless")
    if len(answer.check) > MAX_WORDS:
        raise NoAnswer("senseless")
    return answer


def _are_words(text: str) -> bool:
    return 0 < len(text.strip()) <= MAX_WORDS
