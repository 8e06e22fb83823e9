"""Parameters: who explains an alert, and what that may cost."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import LIVE, parameter
from .literals import BOOL, COUNT, DURATION, LIST, PRICE, STRING


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """Explanations: who explains an alert, and what that may cost."""

    explain: str = parameter(
        STRING,
        "evidence",
        "Who explains alerts: `evidence` uses only what this machine knows; `claude` asks Claude, "
        "once for sessions that run alike.",
        doors=LIVE,
        choices="evidence claude",
    )
    adjudicate: bool = parameter(
        BOOL,
        False,
        "With `explain claude`: the model may clear sessions in the bundle's uncertainty band.",
        doors=LIVE,
    )
    explain_model: str = parameter(STRING, "claude-haiku-5-5", "The name of the model.", doors=LIVE)
    explain_base_url: str = parameter(
        STRING,
        "https://api.anthropic.com",
        "The address of the model's API. Change it to use a gateway.",
        doors=LIVE,
    )
    explain_api_key_file: str | None = parameter(
        STRING,
        None,
        "The file that holds the API key. Without it, ANTHROPIC_API_KEY is read from the "
        "environment.",
        doors=LIVE,
    )
    # An alert that nobody explained in time is still an alert; its evidence says what is odd.
    explain_timeout: float = parameter(
        DURATION,
        10.0,
        "How long an alert waits for its explanation. After that it is sent with its evidence.",
        doors=LIVE,
    )
    # Two at a time keep one slow answer from blocking the next question.
    explain_concurrency: int = parameter(
        COUNT, 2, "How many questions are asked at the same time.", doors=LIVE
    )
    explain_queue: int = parameter(
        COUNT,
        1000,
        "How many questions may wait. Above it, alerts are sent with their evidence.",
        doors=LIVE,
    )
    explain_examples: int = parameter(
        COUNT,
        5,
        "How many of the nearest normal sessions the model sees beside the flagged one.",
        doors=LIVE,
    )
    explain_lines: bool = parameter(
        BOOL,
        False,
        "Show the model raw log lines as well, redacted, and not only templates.",
        doors=LIVE,
    )
    explain_redact: tuple[str, ...] | None = parameter(
        LIST,
        None,
        "Further `/regex/`es, separated by commas; what they match is redacted.",
        doors=LIVE,
    )
    # List price of the default model. Budgets are counted with these two prices.
    explain_input_price: float = parameter(
        PRICE, 0.1, "The price of a million input tokens, in US dollars.", doors=LIVE
    )
    explain_output_price: float = parameter(
        PRICE, 0.5, "The price of a million output tokens, in US dollars.", doors=LIVE
    )
    # The four limits hold together; the one that is reached first stops questions.
    explain_tokens_per_hour: int = parameter(
        COUNT,
        500_000,
        "The most tokens used in an hour. After that, alerts are sent with their evidence.",
        doors=LIVE,
    )
    explain_tokens_per_day: int = parameter(
        COUNT, 2_000_000, "The most tokens used in a day.", doors=LIVE
    )
    explain_usd_per_hour: float = parameter(
        PRICE,
        0.5,
        "The most US dollars spent in an hour. After that, alerts are sent with their evidence.",
        doors=LIVE,
    )
    explain_usd_per_day: float = parameter(
        PRICE, 2.0, "The most US dollars spent in a day.", doors=LIVE
    )
    knowledge: str | None = parameter(
        STRING,
        None,
        "The file of explanations and of what people have said about alerts. By default it lies "
        "beside `store`.",
        doors=LIVE,
    )
    ledger: str | None = parameter(
        STRING,
        None,
        "The file that records exactly what was sent to a model. By default it lies beside "
        "`store`.",
        doors=LIVE,
    )
