"""Parameters: who explains an alert, which model is asked, and what that may cost."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import LIVE, parameter
from .literals import BOOL, COUNT, DURATION, LIST, PRICE, STRING


@dataclass(frozen=True, kw_only=True)
class Explanations:
    """Explanations: who explains an alert, and how long it may wait for that."""

    explain: str = parameter(
        STRING,
        "evidence",
        "Who explains alerts: `evidence` uses only what this machine knows; `claude` asks Claude "
        "and `model` asks another model, once for sessions that run alike.",
        commands=LIVE,
        choices="evidence claude model",
    )
    adjudicate: bool = parameter(
        BOOL,
        False,
        "With `explain claude`: the model may clear sessions in the bundle's uncertainty band.",
        commands=LIVE,
    )
    # An alert that nobody explained in time is still an alert; its evidence says what is odd.
    explain_timeout: float = parameter(
        DURATION,
        10.0,
        "How long an alert waits for its explanation. After that it is sent with its evidence.",
        commands=LIVE,
    )
    # Small models on a CPU take 10 to 50 seconds. Their answers serve the pattern's next alert.
    explain_answer_timeout: float = parameter(
        DURATION,
        120.0,
        "How long an answer may take. One that comes after `explain_timeout` is kept for the next "
        "alert of the same pattern.",
        commands=LIVE,
    )
    explain_late: bool = parameter(
        BOOL,
        False,
        "Send an alert once more, under the same `alert_id`, when its explanation comes after it "
        "was sent.",
        commands=LIVE,
    )
    # Two at a time keep one slow answer from blocking the next question.
    explain_concurrency: int = parameter(
        COUNT, 2, "How many questions are asked at the same time.", commands=LIVE
    )
    explain_queue: int = parameter(
        COUNT,
        1000,
        "How many questions may wait. Above it, alerts are sent with their evidence.",
        commands=LIVE,
    )
    explain_examples: int = parameter(
        COUNT,
        5,
        "How many of the nearest normal sessions the model sees beside the flagged one.",
        commands=LIVE,
    )
    explain_lines: bool = parameter(
        BOOL,
        False,
        "Show the model raw log lines as well, redacted, and not only templates.",
        commands=LIVE,
    )
    explain_redact: tuple[str, ...] | None = parameter(
        LIST,
        None,
        "Further `/regex/`es, separated by commas; what they match is redacted.",
        commands=LIVE,
    )
    knowledge: str | None = parameter(
        STRING,
        None,
        "The file of explanations and of what people have said about alerts. By default it lies "
        "beside `store`.",
        commands=LIVE,
    )
    ledger: str | None = parameter(
        STRING,
        None,
        "The file that records exactly what was sent to a model. By default it lies beside "
        "`store`.",
        commands=LIVE,
    )


@dataclass(frozen=True, kw_only=True)
class Model:
    """Model: which model explains alerts, and what it may cost."""

    explain_protocol: str = parameter(
        STRING,
        "messages",
        "How the model is asked: by the Messages API (Claude, llama.cpp), or by OpenAI's Chat "
        "Completions API (Ollama, vLLM, LM Studio), which needs the extra `openai`.",
        commands=LIVE,
        choices="messages openai",
    )
    explain_model: str = parameter(
        STRING, "claude-haiku-5-5", "The name of the model.", commands=LIVE
    )
    explain_base_url: str = parameter(
        STRING,
        "https://api.anthropic.com",
        "The address of the model's API, with or without `/v1`. Change it to use a gateway or a "
        "model of your own.",
        commands=LIVE,
    )
    explain_allow_insecure: bool = parameter(
        BOOL,
        False,
        "Allow an `http://` address of another machine. Everybody on the way can then read the "
        "questions and the API key.",
        commands=LIVE,
    )
    explain_api_key_file: str | None = parameter(
        STRING,
        None,
        "The file that holds the API key. Without it, ANTHROPIC_API_KEY (or OPENAI_API_KEY) is "
        "read from the environment. A model on this machine needs no key.",
        commands=LIVE,
    )
    explain_input_price: float | None = parameter(
        PRICE,
        None,
        "The price of a million input tokens, in US dollars. By default it is the list price of "
        "the default model, 0 for a model on this machine, and otherwise unknown.",
        commands=LIVE,
    )
    explain_output_price: float | None = parameter(
        PRICE,
        None,
        "The price of a million output tokens, in US dollars; by default as for input tokens.",
        commands=LIVE,
    )
    # The four limits hold together; the one that is reached first stops questions.
    explain_tokens_per_hour: int = parameter(
        COUNT,
        500_000,
        "The most tokens used in an hour. After that, alerts are sent with their evidence.",
        commands=LIVE,
    )
    explain_tokens_per_day: int = parameter(
        COUNT, 2_000_000, "The most tokens used in a day.", commands=LIVE
    )
    explain_usd_per_hour: float = parameter(
        PRICE,
        0.5,
        "The most US dollars spent in an hour. After that, alerts are sent with their evidence.",
        commands=LIVE,
    )
    explain_usd_per_day: float = parameter(
        PRICE, 2.0, "The most US dollars spent in a day.", commands=LIVE
    )
