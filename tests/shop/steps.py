"""What the shop does: its log lines, and every course that a request without a fault can take.

A request runs as one of five workflows. Each workflow follows from a few independent choices, so
that all normal courses can be listed. Damage counts as a fault only if it gives none of them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

Course = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One kind of log record.

    `text` is the message with its fields in braces. `ms` is the median time since the record
    before. A person's thinking takes `think` seconds instead (from, to), evenly spread.
    """

    service: str
    event: str
    text: str
    ms: float = 6.0
    level: str = "INFO"
    method: str | None = None
    route: str | None = None
    # Status code → share. Empty where the record has none.
    status: Mapping[int, float] | None = None
    # Whether the answer of another service must follow.
    waits: bool = False
    think: tuple[float, float] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that the text has, in order."""
        return tuple(dict.fromkeys(re.findall(r"{(\w+)}", self.text)))


_OK = {200: 1.0}
_RECEIVED = "{method} {route} received from user {user}"
_ANSWERED = "{method} {route} answered {status} in {duration_ms} ms, {bytes} bytes"


def _received(method: str, route: str, think: tuple[float, float] | None = None) -> Step:
    return Step(
        service="gateway",
        event="request.received",
        text=_RECEIVED,
        method=method,
        route=route,
        think=think,
    )


def _answered(method: str, route: str, status: int) -> Step:
    return Step(
        service="gateway",
        event="request.answered",
        text=_ANSWERED,
        method=method,
        route=route,
        status={status: 1.0},
    )


def _step(service: str, event: str, text: str, ms: float = 6.0, **more: Any) -> Step:
    return Step(service=service, event=event, text=text, ms=ms, **more)


_INDEXES = ("catalog", "reviews", "vendors")

STEPS: Mapping[str, Step] = {
    # Checkout.
    "checkout.received": _received("POST", "/api/checkout"),
    "token.verified": _step("auth", "token.verified", "token of user {user} verified", 4),
    "cart.loaded": _step("cart", "cart.loaded", "cart of user {user} loaded with {items} items", 9),
    "coupon.applied": _step("cart", "coupon.applied", "coupon {coupon} applied to order {order}"),
    "stock.asked": _step(
        "orders",
        "stock.asked",
        "asking inventory to reserve {items} items for order {order}",
        waits=True,
    ),
    "price.asked": _step(
        "orders", "price.asked", "asking pricing for the total of order {order}", 3, waits=True
    ),
    "fraud.asked": _step(
        "orders", "fraud.asked", "asking fraud detection about order {order}", 3, waits=True
    ),
    "stock.reserved": _step(
        "inventory",
        "stock.reserved",
        "reserved {items} items in warehouse {warehouse}, status {status} after {duration_ms} ms",
        18,
        status=_OK,
    ),
    "price.quoted": _step(
        "pricing", "price.quoted", "total of order {order} is {amount} {currency}", 14
    ),
    "fraud.scored": _step(
        "fraud",
        "fraud.scored",
        "order {order} scored by model {model}, status {status} after {duration_ms} ms",
        22,
        status=_OK,
    ),
    "fraud.held": _step(
        "fraud", "fraud.held", "order {order} held for review", 5, level="WARN", waits=True
    ),
    "fraud.released": _step(
        "fraud", "fraud.released", "order {order} released after review", think=(5, 40)
    ),
    "payment.asked": _step(
        "payment",
        "payment.asked",
        "charging {amount} {currency} to {provider} for order {order}",
        waits=True,
    ),
    "payment.timeout": _step(
        "payment",
        "payment.timeout",
        "{provider} gave status {status} after {duration_ms} ms, attempt {retry}",
        900,
        level="WARN",
        status={503: 0.5, 504: 0.5},
    ),
    "payment.retried": _step(
        "payment",
        "payment.retried",
        "charging order {order} again, attempt {retry}",
        250,
        waits=True,
    ),
    "payment.captured": _step(
        "payment",
        "payment.captured",
        "{provider} paid {amount} {currency}, status {status} after {duration_ms} ms",
        120,
        status=_OK,
    ),
    "payment.declined": _step(
        "payment",
        "payment.declined",
        "{provider} declined {amount} {currency}, status {status} after {duration_ms} ms",
        110,
        level="WARN",
        status={402: 1.0},
    ),
    "stock.freed": _step("inventory", "stock.freed", "freed {items} items of order {order}", 12),
    "order.created": _step(
        "orders", "order.created", "order {order} created with {items} items", 15
    ),
    "parcel.booked": _step(
        "shipping", "parcel.booked", "parcel for order {order} booked with {carrier}", 30
    ),
    "mail.queued": _step(
        "mail", "mail.queued", "confirmation of {bytes} bytes queued for user {user}", 8
    ),
    "checkout.answered": _answered("POST", "/api/checkout", 201),
    "checkout.refused": _answered("POST", "/api/checkout", 402),
    # Search.
    "search.received": _received("GET", "/api/search"),
    "search.continued": _received("GET", "/api/search/next", think=(2, 40)),
    "cache.hit": _step("search", "cache.hit", "cache holds query {query}, {bytes} bytes", 2),
    "cache.missed": _step("search", "cache.missed", "cache does not hold query {query}", 2),
    **{
        f"{name}.asked": _step(
            "search", f"{name}.asked", f"asking the {name} index for query {{query}}", 2, waits=True
        )
        for name in _INDEXES
    },
    **{
        f"{name}.answered": _step(
            "index",
            f"{name}.answered",
            f"the {name} index found {{hits}} hits, status {{status}} after {{duration_ms}} ms",
            35,
            status=_OK,
        )
        for name in _INDEXES
    },
    "hits.ranked": _step("search", "hits.ranked", "ranked {hits} hits by model {model}", 16),
    "cache.stored": _step("search", "cache.stored", "stored query {query}, {bytes} bytes", 3),
    "terms.suggested": _step("search", "terms.suggested", "suggested {hits} other terms", 11),
    "search.answered": _answered("GET", "/api/search", 200),
    "search.unchanged": _answered("GET", "/api/search", 304),
    "next.answered": _answered("GET", "/api/search/next", 200),
    # Login.
    "login.received": _received("POST", "/api/login"),
    "login.repeated": _received("POST", "/api/login", think=(3, 25)),
    "user.loaded": _step("auth", "user.loaded", "user {user} loaded from {region}", 7),
    "password.wrong": _step(
        "auth",
        "password.wrong",
        "password of user {user} is wrong, attempt {retry}",
        60,
        level="WARN",
    ),
    "login.refused": _answered("POST", "/api/login", 401),
    "password.right": _step("auth", "password.right", "password of user {user} is right", 60),
    "code.sent": _step(
        "auth", "code.sent", "code sent to user {user} by {channel}", 40, waits=True
    ),
    "code.checked": _step("auth", "code.checked", "code of user {user} accepted", think=(6, 45)),
    "session.stored": _step(
        "sessions", "session.stored", "session of user {user} stored, {bytes} bytes", 5
    ),
    "device.remembered": _step(
        "sessions", "device.remembered", "device of user {user} remembered", 6
    ),
    "login.answered": _answered("POST", "/api/login", 200),
    # Refund.
    "refund.received": _received("POST", "/api/refunds"),
    "order.loaded": _step("orders", "order.loaded", "order {order} loaded with {items} items", 10),
    "refund.granted": _step("refunds", "refund.granted", "refund of order {order} is within rules"),
    "refund.queued": _step(
        "refunds", "refund.queued", "refund of order {order} needs approval", waits=True
    ),
    "refund.approved": _step(
        "refunds", "refund.approved", "refund of order {order} approved", think=(10, 60)
    ),
    "return.asked": _step(
        "payment",
        "return.asked",
        "returning {amount} {currency} through {provider} for order {order}",
        waits=True,
    ),
    "return.paid": _step(
        "payment",
        "return.paid",
        "{provider} returned {amount} {currency}, status {status} after {duration_ms} ms",
        150,
        status=_OK,
    ),
    "ledger.booked": _step("ledger", "ledger.booked", "booked {amount} {currency} to ledger", 13),
    "stock.returned": _step(
        "inventory", "stock.returned", "{items} items back in warehouse {warehouse}", 20
    ),
    "notice.queued": _step("mail", "notice.queued", "refund notice queued for user {user}", 8),
    "refund.answered": _answered("POST", "/api/refunds", 202),
    # The nightly batch.
    "job.started": _step("batch", "job.started", "settlement for {region} started by schedule"),
    "partition.read": _step(
        "batch", "partition.read", "read {rows} rows of partition {partition}", 700
    ),
    "partition.summed": _step(
        "batch", "partition.summed", "summed {rows} rows to {amount} {currency}", 400
    ),
    "partition.written": _step(
        "batch", "partition.written", "wrote {bytes} bytes for partition {partition}", 300
    ),
    "figures.indexed": _step("batch", "figures.indexed", "indexed {rows} rows", 2000),
    "report.sent": _step("mail", "report.sent", "settlement report of {bytes} bytes sent", 40),
    "job.finished": _step("batch", "job.finished", "settlement finished in {duration_ms} ms", 25),
}

# Choice → its options and their shares, by workflow.
Choices = Mapping[str, Mapping[Any, float]]
# Three answers arrive in any order; the order in which they were asked for is the most likely.
_ORDERS: dict[Any, float] = {
    (0, 1, 2): 0.4,
    (0, 2, 1): 0.2,
    (1, 0, 2): 0.15,
    (1, 2, 0): 0.1,
    (2, 0, 1): 0.1,
    (2, 1, 0): 0.05,
}
# A page of results is in the cache (None), or three indexes are asked.
_PAGE: dict[Any, float] = {None: 0.45}
_PAGE |= {order: 0.55 * share for order, share in _ORDERS.items()}
_NEXT_PAGE: dict[Any, float] = {"none": 0.8}
_NEXT_PAGE |= {page: 0.2 * share for page, share in _PAGE.items()}


def _checkout(
    *, coupon: bool, order: Sequence[int], held: bool, retries: int, is_paid: bool, mail_first: bool
) -> list[str]:
    course = ["checkout.received", "token.verified", "cart.loaded", *["coupon.applied"] * coupon]
    course += ["stock.asked", "price.asked", "fraud.asked"]
    answers = ("stock.reserved", "price.quoted", "fraud.scored")
    course += [answers[number] for number in order]
    course += ["fraud.held", "fraud.released"] * held
    course += ["payment.asked", *["payment.timeout", "payment.retried"] * retries]
    if not is_paid:
        return [*course, "payment.declined", "stock.freed", "checkout.refused"]
    last = ["parcel.booked", "mail.queued"]
    if mail_first:
        last.reverse()
    return [*course, "payment.captured", "order.created", *last, "checkout.answered"]


def _page(order: Sequence[int] | None) -> list[str]:
    if order is None:
        return ["cache.hit"]
    asked = [f"{name}.asked" for name in _INDEXES]
    answered = [f"{_INDEXES[number]}.answered" for number in order]
    return ["cache.missed", *asked, *answered, "hits.ranked", "cache.stored"]


def _search(*, page: Any, second: Any, third: Any, suggested: bool, changed: bool) -> list[str]:
    course = ["search.received", *_page(page), *["terms.suggested"] * suggested]
    if page is None and not changed:
        return [*course, "search.unchanged"]
    course.append("search.answered")
    for more in (second, third):
        if more == "none":
            break
        course += ["search.continued", *_page(more), "next.answered"]
    return course


def _login(*, wrong: int, code: bool, remembered: bool) -> list[str]:
    course = ["login.received", "user.loaded"]
    course += ["password.wrong", "login.refused", "login.repeated", "user.loaded"] * wrong
    course += ["password.right", *["code.sent", "code.checked"] * code, "session.stored"]
    return [*course, *["device.remembered"] * remembered, "login.answered"]


def _refund(*, is_granted: bool, stock: bool, notice_first: bool) -> list[str]:
    decision = ["refund.queued", "refund.approved"]
    if is_granted:
        decision = ["refund.granted"]
    course = ["refund.received", "token.verified", "order.loaded", *decision]
    course += ["return.asked", "return.paid", *["stock.returned"] * stock]
    last = ["ledger.booked", "notice.queued"]
    if notice_first:
        last.reverse()
    return [*course, *last, "refund.answered"]


def _batch(*, partitions: int, indexed: bool) -> list[str]:
    course = ["partition.read", "partition.summed", "partition.written"] * partitions
    return ["job.started", *course, *["figures.indexed"] * indexed, "report.sent", "job.finished"]


_YES_OR_NO = {True: 0.3, False: 0.7}
WORKFLOWS: Mapping[str, tuple[Callable[..., list[str]], Choices]] = {
    "checkout": (
        _checkout,
        {
            "coupon": _YES_OR_NO,
            "order": _ORDERS,
            "held": {True: 0.08, False: 0.92},
            "retries": {0: 0.86, 1: 0.11, 2: 0.03},
            "is_paid": {True: 0.94, False: 0.06},
            "mail_first": _YES_OR_NO,
        },
    ),
    "search": (
        _search,
        {
            "page": _PAGE,
            "second": _NEXT_PAGE,
            "third": _NEXT_PAGE,
            "suggested": _YES_OR_NO,
            "changed": {True: 0.6, False: 0.4},
        },
    ),
    "login": (
        _login,
        {"wrong": {0: 0.85, 1: 0.12, 2: 0.03}, "code": _YES_OR_NO, "remembered": _YES_OR_NO},
    ),
    "refund": (
        _refund,
        {"is_granted": {True: 0.75, False: 0.25}, "stock": _YES_OR_NO, "notice_first": _YES_OR_NO},
    ),
    "batch": (
        _batch,
        {"partitions": {2: 0.3, 3: 0.3, 4: 0.2, 5: 0.1, 6: 0.1}, "indexed": _YES_OR_NO},
    ),
}


def draw_course(rng: Random, workflow: str, **fixed: Any) -> Course:
    """One normal course of a workflow; `fixed` names choices that are not left to chance."""
    make, choices = WORKFLOWS[workflow]
    picked = {
        name: rng.choices(list(options), list(options.values()))[0]
        for name, options in choices.items()
    }
    return tuple(make(**{**picked, **fixed}))


def _every_course() -> Iterator[Course]:
    for make, choices in WORKFLOWS.values():
        for picked in itertools.product(*choices.values()):
            yield tuple(make(**dict(zip(choices, picked, strict=True))))


@functools.cache
def _normal_courses() -> frozenset[Course]:
    return frozenset(_every_course())


def is_normal(course: Sequence[str]) -> bool:
    """Whether a request without a fault can run like this."""
    return tuple(course) in _normal_courses()


@functools.cache
def steps_of(workflow: str) -> tuple[str, ...]:
    """Every step that a workflow can have, sorted."""
    make, choices = WORKFLOWS[workflow]
    found: set[str] = set()
    for picked in itertools.product(*choices.values()):
        found.update(make(**dict(zip(choices, picked, strict=True))))
    return tuple(sorted(found))
