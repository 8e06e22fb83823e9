"""Explanations of abnormal sessions: the local evidence, and a model's answer if one is set.

The seam is `Explainer`. It is asked about a pattern, never about one session, and it sees no raw
lines, only templates, unless the operator allows lines. The function `checked` checks all answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Said = Literal["normal", "abnormal"]
# Characters of each text in an answer. The model is asked for 300; twice as much still fits beside
# an alert, and a longer text does not answer what was asked.
MAX_WORDS = 600


@dataclass(frozen=True, slots=True)
class Case:
    """What an explainer is asked about: a session of one pattern, beside the nearest normal ones.

    `templates` are the distinct ones of all these sessions. `session` and `normal` are indices of
    `templates`, in the order of events. The flagged Seq is `session[start:end]`, its oddest event
    `session[event]`.
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
    # The score is in the uncertainty band, and the operator lets a model judge such sessions.
    may_clear: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What an explainer says of a case. It rests on `steps`, which are indices of the templates."""

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
    """There is no answer, which is never a verdict; `reason` is from a closed set.

    `retry_after_s` is the pause that the service asks for. `service` says that the service failed,
    and not this case. Tokens and price are what the attempt cost all the same.
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
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.service = service
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cost_usd = cost_usd


Reason = Literal[
    "timeout",  # no answer within the deadline
    "overloaded",  # 429, 529, 503
    "no_connection",
    "refused",  # HTTP 400 … 404: key, model or request; asking again does not help
    "service_error",  # other HTTP 5xx
    "refusal",  # the model declined to answer
    "cut_off",  # the answer did not fit into its limit of tokens
    "senseless",  # no JSON, wrong fields, or steps that are not in the Seq
    "budget",  # it is spent
    "busy",  # the queue is full
    "late",  # the questions before it take longer than the alert may wait
    "paused",  # the circuit breaker is open
    "ledger",  # it cannot be written, so nothing was sent
    "stopping",  # the process stopped before there was an answer
]


class Explainer(Protocol):
    """Answers cases, with one exchange for each; several may be under way at once.

    `model` names the model whose answers these are; None: answers of any model are as good.
    """

    @property
    def model(self) -> str | None: ...

    async def explain(self, case: Case) -> Answer:
        """The answer to a case. Raises NoAnswer, and nothing else."""
        ...

    def most(self, case: Case) -> tuple[int, float]:
        """The most tokens and US dollars that a question about the case may cost."""
        ...

    async def close(self) -> None:
        """Close connections and files."""
        ...


def checked(answer: Answer, case: Case) -> Answer:
    """The answer, if it answers this case.

    Raises NoAnswer(senseless) for steps outside the case's Seq, and for empty or overlong texts.
    """
    seq = set(case.session[case.start : case.end])
    if not answer.steps or not seq.issuperset(answer.steps):
        raise NoAnswer("senseless")
    if not 0 <= answer.confidence <= 1:
        raise NoAnswer("senseless")
    if not _are_words(answer.summary) or not _are_words(answer.cause):
        raise NoAnswer("senseless")
    if len(answer.check) > MAX_WORDS:
        raise NoAnswer("senseless")
    return answer


def _are_words(text: str) -> bool:
    return 0 < len(text.strip()) <= MAX_WORDS
