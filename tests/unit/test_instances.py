"""Components that differ in a number or a place and do the same become one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from export.alike import merge_alike
from export.fit_witnesses import which_instance
from export.instances import merge_instances
from export.traces import Trace
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.reading.templates import UNMATCHED, WILDCARD, TemplateMatcher

INFO = 3
Sessions = list[list[str]]


def joined(sessions: Sessions) -> tuple[set[str], dict[str, list[str]]]:
    """The templates that are left, and which names each new component stands for."""
    times = Counter(text for session in sessions for text in session)
    number = {text: at for at, text in enumerate(times)}
    rows = [
        {"template": text, "count": count, "example": text, "wide": []}
        for text, count in times.items()
    ]
    steps = [[(number[text], INFO) for text in session] for session in sessions]
    found, into, names = merge_instances(rows, steps)
    for text, at in number.items():
        matcher = TemplateMatcher([found[into[at]]["template"]], wide=[()])
        assert matcher.match(WILDCARD.sub("17", text).encode()) != UNMATCHED
    assert sum(row["count"] for row in found) == times.total()
    return {row["template"] for row in found}, names


def sessions_of(make: Callable[[random.Random], list[str]]) -> Sessions:
    rng = random.Random(7)
    return [make(rng) for _ in range(400)]


def job(rng: random.Random, worker: str) -> list[str]:
    """A job of a fleet, whose workers do the same."""
    scaled = [f"{worker}: image scaled in <num> ms"] * rng.randint(1, 3)
    slow = [f"{worker}: upload took long"] * (rng.random() < 0.1)
    return [f"{worker}: job <num> taken", *scaled, *slow, f"{worker}: job <num> done"]


def test_workers_of_a_fleet_are_one_component() -> None:
    sessions = sessions_of(lambda rng: ["queue: job <num>", *job(rng, f"w-{rng.randint(1, 9)}")])
    templates, names = joined(sessions)
    assert templates == {
        "queue: job <num>",
        "w-<nth>: job <num> taken",
        "w-<nth>: image scaled in <num> ms",
        "w-<nth>: upload took long",
        "w-<nth>: job <num> done",
    }
    assert names == {"w-<nth>": [f"w-{n}" for n in range(1, 10)]}


def test_nodes_that_take_the_steps_of_a_session_in_turn_are_one_component() -> None:
    steps = ("decoded", "checked", "charged", "stored", "stored")
    _, names = joined(sessions_of(lambda rng: [f"node{rng.randint(1, 5)}: {s}" for s in steps]))
    assert names == {"node<nth>": [f"node{n}" for n in range(1, 6)]}


def sale(rng: random.Random) -> list[str]:
    at = rng.choice(("north", "south"))
    items = [f"pos-{at}: item <num>"] * rng.randint(1, 4)
    return [f"pos-{at}: opened", *items, f"pay-{at}: slip printed at {at}", f"pos-{at}: closed"]


def test_words_that_several_names_have_in_their_place_are_sites() -> None:
    templates, _ = joined(sessions_of(sale))
    assert templates == {
        "pos-<where>: opened",
        "pos-<where>: item <num>",
        # In the message, the place is a value, which is judged.
        "pay-<where>: slip printed at <*>",
        "pos-<where>: closed",
    }


def test_a_number_and_a_place_may_both_tell_which_one_it_is() -> None:
    def session(rng: random.Random) -> list[str]:
        gateway = f"gw{rng.randint(1, 3)}.{rng.choice(('eu', 'us'))}"
        return [f"{gateway}: hello", *[f"{gateway}: packet"] * rng.randint(1, 5), f"{gateway}: bye"]

    templates, names = joined(sessions_of(session))
    assert templates == {f"gw<nth>.<where>: {text}" for text in ("hello", "packet", "bye")}
    assert names == {"gw<nth>.<where>": [f"gw{n}.{at}" for n in (1, 2, 3) for at in ("eu", "us")]}


def test_a_worker_that_does_something_else_stays_apart() -> None:
    def session(rng: random.Random) -> list[str]:
        number = rng.randint(1, 9)
        if number == 5:
            return ["w-5: index built", "w-5: job <num> done"]
        return job(rng, f"w-{number}")

    templates, names = joined(sessions_of(session))
    assert {"w-5: index built", "w-5: job <num> done"} <= templates
    assert names == {"w-<nth>": [f"w-{n}" for n in (1, 2, 3, 4, 6, 7, 8, 9)]}


def stages(rng: random.Random) -> list[str]:
    return [f"stage{n}: {text}" for n in (1, 2) for text in ("started", *["rows"] * 2, "ended")]


def stages_at_once(rng: random.Random) -> list[str]:
    left = [[f"stage{n}: started", f"stage{n}: ended"] for n in (1, 2)]
    return [rng.choice([one for one in left if one]).pop(0) for _ in range(4)]


def layers(rng: random.Random) -> list[str]:
    return [
        "port: up",
        "layer2: check ok",
        "layer3: check ok",
        "layer3: route added",
        "port: ready",
    ]


def requests(rng: random.Random) -> list[str]:
    version = rng.choice((1, 2))
    pushed = ["app: resource pushed"] * (version == 2)
    return [f"http{version}: request", *pushed, f"http{version}: response"]


def addresses(rng: random.Random) -> list[str]:
    version = rng.choice((4, 4, 6))
    found = {4: "arp: found", 6: "nd: found"}[version]
    return [f"ipv{version}: configured", found, f"ipv{version}: route added"]


def replicas(rng: random.Random) -> list[str]:
    answers = [f"replica{n}: append ok" for n in (1, 2, 3)]
    return ["leader: propose", *rng.sample(answers, 3), "leader: commit"]


def names_with_numbers(rng: random.Random) -> list[str]:
    charset = rng.choice((["utf8: decoded"], ["utf16: surrogates found", "utf16: decoded"]))
    return ["s3: object put", "ec2: instance started", "log4j: appender opened", *charset]


def readers_and_writers(rng: random.Random) -> list[str]:
    what = rng.choice(("reader", "writer"))
    own = [f"{of}-{what}: {text}" for of in ("db", "cache") for text in ("opened", "closed")]
    return [f"api: {what[:3]}", *own]


def services(rng: random.Random) -> list[str]:
    return [f"{of}-{what}" for of in ("user", "order") for what in ("service: asked", "db: asked")]


@pytest.mark.parametrize(
    "make",
    [
        stages,
        stages_at_once,
        layers,
        requests,
        addresses,
        replicas,
        names_with_numbers,
        readers_and_writers,
        services,
    ],
)
def test_components_of_different_roles_stay_apart(
    make: Callable[[random.Random], list[str]],
) -> None:
    sessions = sessions_of(make)
    templates, names = joined(sessions)
    assert names == {}
    assert templates == {text for session in sessions for text in session}


def test_too_few_sessions_tell_nothing() -> None:
    fleet = [*_fleet(39)]
    assert joined(fleet)[1] == {}
    assert joined([*fleet, *_fleet(60)])[1] == {"pos<nth>": ["pos1", "pos2"]}


def _fleet(count: int) -> Iterator[list[str]]:
    rng = random.Random(3)
    for _ in range(count):
        yield job(rng, f"pos{rng.randint(1, 2)}")


def test_words_of_a_name_with_instances_are_no_values() -> None:
    texts = ["pos<nth>: ticket is closed now", "bar<nth>: ticket is closed now"]
    rows = [{"template": text, "count": 9, "example": "", "wide": []} for text in texts]
    steps = [[(number % 2, INFO)] for number in range(200)]
    assert {row["template"] for row in merge_alike(rows, steps)} == set(texts)


def test_what_names_the_instance_again_in_a_message_is_not_judged() -> None:
    paid = Leaf("pay-<where>: paid <num> at <*>", "pay", "paid", "ok")
    opened = Leaf("pos<nth>: drawer <num> opened", "pos", "opened", "ok")
    tree = Hierarchy([paid, opened])

    def judged_never(places: list[bytes]) -> set[tuple[int, int]]:
        values = [((place, b"%d" % n, place), (b"1", b"1")) for n, place in enumerate(places)]
        return which_instance([Trace((0, 1), values=of) for of in values], tree)

    names = {(0, 0), (1, 0)}
    assert judged_never([b"north", b"south"]) == names | {(0, 2)}
    # Nothing is known of one place alone, or without any session.
    assert judged_never([b"north"] * 2) == judged_never([]) == names
