"""The value witness: closed sets and ranges, and slots that are neither."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from export.fit_values import learn_values
from fluent_krone.detect.values import (
    KnownRange,
    KnownSet,
    ValueWitness,
    values_from_json,
    values_to_json,
)
from fluent_krone.reading.slots import SlotReader


def witness() -> ValueWitness:
    """Slot 0 is one of three hosts, slot 1 a size, slot 2 an id."""
    rng = random.Random(0)
    hosts = [b"web1", b"web2", b"web3"]
    sessions = [
        ((4,), ((rng.choice(hosts), b"%d" % rng.randint(1000, 2000), b"id%d" % i),))
        for i in range(400)
    ]
    return learn_values(sessions)


def test_what_is_usual_is_said_of_one_value_and_of_several() -> None:
    """Wrong before: normal sessions had “one of 1 other values”."""
    one = learnt([b"250"] * 2_000).slots[4, 0]
    two = learnt([b"250", b"250", b"451"] * 700).slots[4, 0]
    assert one.told(b"9")[2] == "Normal sessions always have the same other value there"
    assert two.told(b"9")[2] == "Normal sessions have one of 2 other values there"


def test_only_slots_that_prove_something_are_kept() -> None:
    slots = witness().slots
    assert set(slots) == {(4, 0), (4, 1)}
    assert isinstance(slots[4, 0], KnownSet)
    assert isinstance(slots[4, 1], KnownRange)


@pytest.mark.parametrize(
    ("values", "slot"),
    [
        ((b"evil", b"1500", b"id7"), 0),
        ((b"web1", b"0", b"id7"), 1),
        ((b"web1", b"999999999", b"id7"), 1),
        ((b"web1", b"many", b"id7"), 1),
    ],
)
def test_an_unknown_value_is_found_with_its_place(values: tuple[bytes, ...], slot: int) -> None:
    score, found = witness().worst(4, values)
    assert score > 4
    assert found == slot


def test_known_values_score_nothing() -> None:
    assert witness().worst(4, (b"web2", b"1234", b"id99")) == (0.0, 0)
    assert witness().worst(5, (b"web2",)) == (0.0, 0)
    assert witness().worst(4, ()) == (0.0, 0)


def test_values_survive_json() -> None:
    back = values_from_json(json.loads(json.dumps(values_to_json(witness()))))
    values = (b"evil", b"7", b"")
    assert back.worst(4, values)[0] == pytest.approx(witness().worst(4, values)[0], abs=1e-4)


def test_few_values_prove_nothing() -> None:
    assert not learn_values([((1,), ((b"a",),))] * 10).slots


def learnt(values: list[bytes]) -> ValueWitness:
    """The witness of one slot, with one value a session."""
    return learn_values([((4,), ((value,),)) for value in values])


@pytest.mark.parametrize("per_session", [1, 7])
@pytest.mark.parametrize("jitter", [0, 50])
def test_numbers_that_grow_with_time_are_no_range(per_session: int, jitter: int) -> None:
    """Numbers of orders, ports and counters: tomorrow's lie outside whatever training had."""
    rng = random.Random(3)
    grown = [b"%d" % (70_000 + n * per_session + rng.randint(0, jitter)) for n in range(2_000)]
    assert not learnt(grown).slots
    mixed = grown[:]
    rng.shuffle(mixed)
    assert isinstance(learnt(mixed).slots[4, 0], KnownRange)


@pytest.mark.parametrize("count", [60, 300, 3_000])
def test_few_numbers_are_a_range_as_many_are(count: int) -> None:
    """Wrong before: of few numbers, the one or two most extreme ones were too large a share."""
    ranges = 0
    for seed in range(20):
        rng = random.Random(seed)
        sizes = [b"%d" % rng.lognormvariate(9, 0.6) for _ in range(count)]
        ranges += bool(learnt(sizes).slots)
    assert ranges == 20


def test_how_many_there_were_is_a_range_and_a_code_is_one_of_a_set() -> None:
    """Wrong before: nine items were a value that nobody knew, where training had one to eight."""
    rng = random.Random(5)
    items = learnt([b"%d" % min(8, 1 + int(rng.expovariate(0.6))) for _ in range(2_000)])
    assert isinstance(items.slots[4, 0], KnownRange)
    assert items.worst_of((4,), ((b"9",),))["values"] == 0
    assert items.worst_of((4,), ((b"9",),))["values.range"] < 8
    assert items.worst_of((4,), ((b"250000",),))["values.range"] > 20
    assert items.worst_of((4,), ((b"0",),))["values"] > 7
    codes = learnt([rng.choice([b"200", b"201", b"404"]) for _ in range(2_000)])
    assert isinstance(codes.slots[4, 0], KnownSet)
    assert isinstance(learnt([b"0"] * 2_000).slots[4, 0], KnownSet)


def test_a_first_zero_is_the_next_number_where_numbers_thin_out_towards_it() -> None:
    """Wrong before: a train that nobody boarded was as new as a word in a number's place, and no
    value that was new could be flagged in such a log."""
    rng = random.Random(7)
    boarded = [max(1, round(rng.lognormvariate(3, 0.9))) for _ in range(3_000)]
    passengers = learnt([b"%d" % count for count in boarded])
    found = passengers.worst_of((4,), ((b"0",),))
    assert found["values"] == 0
    assert found["values.range"] > 0
    assert passengers.worst_of((4,), ((b"-3",),))["values"] > 7
    sizes = learnt([b"%d" % (1000 * count) for count in boarded])
    assert sizes.worst_of((4,), ((b"0",),))["values"] > 7


def test_small_numbers_that_leave_some_out_are_codes() -> None:
    """Wrong before: 6 was a quantity like 0, 3 and 4, as if none were missing in between."""
    rng = random.Random(3)
    orders = learnt([b"%d" % rng.choice((0, 0, 0, 3, 3, 4)) for _ in range(1_000)])
    assert orders.worst_of((4,), ((b"6",),))["values"] > 5
    assert orders.worst_of((4,), ((b"3",),))["values"] == 0
    retries = learnt([b"%d" % min(rng.choice((0, 1, 1, 2, 3)), 3) for _ in range(1_000)])
    assert retries.worst_of((4,), ((b"4",),))["values"] == 0
    rare = [b"%d" % rng.choice((1, 2)) for _ in range(1_000)] + [b"4"] * 5
    rng.shuffle(rare)
    assert learnt(rare).worst_of((4,), ((b"5",),))["values"] == 0


def test_a_first_zero_is_nothing_new_among_numbers_of_which_each_is_rare() -> None:
    """Wrong before: the first checksum 000, and the first profit of 0 between losses and gains,
    were as new as a word, and set the threshold of all new values."""
    rng = random.Random(9)
    checksums = learnt([b"%03d" % rng.randint(1, 255) for _ in range(320)])
    assert checksums.worst_of((4,), ((b"000",),))["values"] == 0
    assert checksums.worst_of((4,), ((b"abc",),))["values"] > 5
    profits = learnt([b"%d" % (rng.choice((-1, 1)) * rng.randint(1, 900)) for _ in range(3_000)])
    assert profits.worst_of((4,), ((b"0",),))["values"] == 0
    digits = learnt([b"%d" % rng.randint(1, 99) for _ in range(3_000)])
    assert digits.worst_of((4,), ((b"0",),))["values"] > 7


def test_of_a_number_with_a_letter_both_are_judged() -> None:
    rng = random.Random(8)
    seats = [b"%d%c" % (rng.randint(4, 44), rng.choice(b"ABCDEF")) for _ in range(2_000)]
    witness_ = values_from_json(json.loads(json.dumps(values_to_json(learnt(seats)))))
    assert witness_.worst(4, (b"12E",)) == (0.0, 0)
    for wrong in (b"0C", b"-12C", b"12AB"):
        assert witness_.worst_of((4,), ((wrong,),))["values"] > 7
    assert witness_.worst_of((4,), ((b"4400F",),))["values.range"] > 20
    assert witness_.worst_of((4,), ((b"12Z",),))["values"] > 7
    _, detail, usual = witness_.slots[4, 0].told(b"12Z")
    assert detail != witness_.slots[4, 0].told(b"12Y")[1]
    assert usual == "Normal sessions have one of 6 other letters there"


def test_a_letter_that_only_some_sessions_have_behind_a_number_is_not_judged() -> None:
    rng = random.Random(8)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXY"
    seats = [f"{rng.randint(4, 44)}{letters[number // 80]}".encode() for number in range(2_000)]
    assert learnt(seats).worst(4, (b"12Z",)) == (0.0, 0)


@pytest.mark.parametrize("unit", ["kbits", "x", "rpm"])
def test_a_number_with_a_unit_of_the_log_s_own_is_a_number(unit: str) -> None:
    """Wrong before: only usual units were known, and no number with another one was judged."""
    rng = random.Random(9)
    rates = [b"%.1f%s" % (rng.lognormvariate(3, 0.4), unit.encode()) for _ in range(2_000)]
    witness_ = values_from_json(json.loads(json.dumps(values_to_json(learnt(rates)))))
    assert witness_.worst(4, (b"19.3" + unit.encode(),)) == (0.0, 0)
    assert witness_.worst_of((4,), ((b"4000.0" + unit.encode(),),))["values.range"] > 10
    for wrong in (b"-19.3" + unit.encode(), b"19.3parsec", b"19.3", b"19"):
        assert witness_.worst_of((4,), ((wrong,),))["values"] > 7


def test_numbers_with_a_comma_are_numbers() -> None:
    """Wrong before: of sums as most of the world writes them none was judged."""
    rng = random.Random(9)
    sums = [f"{rng.lognormvariate(6, 0.6):,.2f}" for _ in range(2_000)]
    for swapped in ({}, str.maketrans(".,", ",.")):

        def spelled(number: float, signs: dict[int, int] = swapped) -> bytes:
            return f"{number:,.2f}".translate(signs).encode()

        known = learnt([text.translate(swapped).encode() for text in sums])
        assert known.worst(4, (spelled(1208.71),)) == (0.0, 0)
        assert known.worst_of((4,), ((spelled(-1208.71),),))["values"] > 7
        assert known.worst_of((4,), ((spelled(120_871.0),),))["values.range"] > 5


def test_large_numbers_that_leave_none_out_are_a_range() -> None:
    """Wrong before: lengths of a message from 105 to 109 were codes, and 110 was news."""
    lengths = learnt([b"%d" % (105 + number % 5) for number in range(2_000)])
    assert lengths.worst_of((4,), ((b"110",),))["values"] == 0
    assert lengths.worst_of((4,), ((b"1100",),))["values.range"] > 20
    codes = learnt([b"%d" % (200 + number % 7 % 5 * 2) for number in range(2_000)])
    assert isinstance(codes.slots[4, 0], KnownSet)


def test_codes_that_are_neighbours_are_no_range() -> None:
    """Wrong before: 200 and 201 were how many there were of something, and 418 was not far away."""
    sessions = [((4,), ((b"200" if number % 9 else b"201",),)) for number in range(400)]
    known = learn_values(sessions).slots[4, 0]
    assert isinstance(known, KnownSet)
    assert known.score(b"202") == known.surprise


@pytest.mark.parametrize(
    ("form", "usual", "odd"),
    [
        ("s3://{}/orders/part-{:05d}", ("lake-raw", "lake-eu"), "public"),
        ("{}@{:08x}", ("web/shop", "lib/core"), "evil/fork"),
    ],
)
def test_of_a_path_with_a_new_name_the_place_is_judged(
    form: str, usual: Sequence[str], odd: str
) -> None:
    """Wrong before: files of another bucket were nothing odd, as each has a name of its own."""
    found = learnt([form.format(usual[n // 2 % 2], n).encode() for n in range(400)])
    found = values_from_json(values_to_json(found))
    assert found.worst(4, (form.format(usual[0], 7_000).encode(),)) == (0.0, 0)
    assert found.worst(4, (form.format(odd, 7_000).encode(),))[0] > 5


@pytest.mark.parametrize("form", ["/data/2025/03/part-{}", "/data/07/part-{}", "{}/part"])
def test_a_place_that_may_be_a_date_or_an_id_is_not_judged(form: str) -> None:
    assert not learnt([form.format(n).encode() for n in range(400)]).slots


def test_a_set_that_grows_with_time_is_no_set() -> None:
    rng = random.Random(4)
    early = [rng.choice([b"web1", b"web2"]) for _ in range(500)]
    late = [rng.choice([b"web1", b"web2", b"web3"]) for _ in range(500)]
    assert not learnt(early + late).slots
    assert isinstance(learnt(late + early).slots[4, 0], KnownSet)


def test_a_rare_value_that_came_late_by_chance_is_in_the_set() -> None:
    values = [b"usual"] * 1_000
    values[700] = values[900] = b"rare"
    assert learnt(values).slots[4, 0].score(b"rare") == 0.0


def test_a_session_that_repeats_its_late_value_does_not_make_a_set_grow() -> None:
    sessions = [((4,) * 20, ((b"usual",),) * 20) for _ in range(100)]
    sessions[80] = sessions[81] = ((4,) * 20, ((b"rare",),) * 20)
    assert isinstance(learn_values(sessions).slots[4, 0], KnownSet)


def test_what_a_session_repeats_proves_no_more_than_once() -> None:
    """Was wrong: 60 lines of few batches, each in its own currency, made two currencies a set."""
    currencies = (b"EUR", b"EUR", b"GBP", b"GBP")
    repeated = [((0,) * 6, ((one,),) * 6) for _ in range(5) for one in currencies]
    assert not learn_values(repeated).slots
    single = [((0,), ((one,),)) for _ in range(30) for one in currencies]
    assert learn_values(single).slots[0, 0].score(b"USD") > 0


def test_a_new_value_and_a_number_that_lies_out_have_scores_of_their_own() -> None:
    found = witness().worst_of((4, 4), ((b"evil", b"1500", b""), (b"web1", b"999999999", b"")))
    assert found["values"] > 4 < found["values.range"]
    zero = witness().worst_of((4,), ((b"web1", b"0", b""),))
    assert zero["values"] > 4
    assert zero["values.range"] == 0


def test_whatever_stands_in_a_place_that_was_never_seen_is_new() -> None:
    found = learn_values([((4,), ((b"200",),))] * 100, {(5, 1): 7.5})
    assert found.worst(5, (b"17", b"503")) == (7.5, 1)
    assert found.worst_of((5,), ((b"17", b"503"),))["values"] == 7.5
    assert values_from_json(values_to_json(found)).worst(5, (b"17", b"503")) == (7.5, 1)


@pytest.mark.parametrize(
    ("template", "message", "values"),
    [
        ("sent <num> to <*>", b"sent 17 to web 1", (b"17", b"web 1")),
        ("<*> is up", b"web1 is up", (b"web1",)),
        ("took <num> ms at 10", b"took 17 ms at 10", (b"17",)),
        ("no values", b"no values", ()),
        ("sent <num> to <*>", b"something else", ()),
        ("<*>", b"", ()),
    ],
)
def test_values_stand_where_the_wildcards_are(
    template: str, message: bytes, values: tuple[bytes, ...]
) -> None:
    assert SlotReader([template]).values(0, message) == values
    assert SlotReader([template]).values(1, message) == ()


def test_a_bundle_keeps_no_value_of_the_log() -> None:
    rows = values_to_json(witness())
    text = json.dumps(rows)
    assert any("set" in row for row in rows)
    for value in ("web1", "web2", "web3"):
        assert value not in text
    assert values_to_json(values_from_json(rows)) == rows


@pytest.mark.parametrize("unit", ["us", "µs", "ms", "s", "KiB", "%"])
def test_a_number_with_its_unit_is_a_number(unit: str) -> None:
    """Wrong before: `took=230ms` was a text that is never the same, and was not judged."""
    rng = random.Random(2)
    found = learnt([f"{rng.randrange(180, 260)}{unit}".encode() for _ in range(600)])
    far, zero, usual = ((f"{n}{unit}".encode(),) for n in (2_400, 0, 200))
    assert found.worst_of([4], [usual]) == {"values": 0.0, "values.range": 0.0}
    assert found.worst_of([4], [far])["values.range"] > 0
    assert found.worst_of([4], [zero])["values"] > 0


@pytest.mark.parametrize(
    ("usual", "same", "far"),
    [
        # Wrong before: units were not looked at, and 7MB was less than 512KB.
        ("{}KB", "0.2MB", "7MB"),
        ("{}ms", "0.2s", "9s"),
    ],
)
def test_numbers_are_judged_in_one_unit(usual: str, same: str, far: str) -> None:
    rng = random.Random(2)
    found = learnt([usual.format(rng.randrange(120, 520)).encode() for _ in range(600)])
    assert found.worst_of([4], [(same.encode(),)]) == {"values": 0.0, "values.range": 0.0}
    assert found.worst_of([4], [(far.encode(),)])["values.range"] > 0
    # What has another kind of unit is no such number.
    assert found.worst_of([4], [(b"200%",)])["values"] > 0
    both = learnt(
        [*(usual.format(rng.randrange(120, 520)).encode() for _ in range(600)), b"0.2MB", b"0.2s"]
        * 2
    )
    assert not both.slots


def numbers_of(values: Sequence[bytes]) -> KnownRange:
    """The range of a slot that had these values, one a session."""
    found = learn_values([((4,), ((value,),)) for value in values]).slots[4, 0]
    assert isinstance(found, KnownRange)
    return found


def test_decimals_below_one_are_told_apart() -> None:
    """Wrong before: shares were taken for multiples of 1, and 9.5 was as usual as 0.95."""
    rng = random.Random(1)
    found = numbers_of([b"%.3f" % rng.uniform(0.5, 1) for _ in range(1_000)])
    assert found.score(b"0.750") == 0
    for wrong in (b"0.005", b"0.05", b"9.5"):
        assert found.score(wrong) > 10


def test_negative_numbers_have_a_range_as_well() -> None:
    """Wrong before: nobody looked at a slot that had negative numbers."""
    rng = random.Random(2)
    found = numbers_of([b"%.1f" % rng.gauss(2, 6) for _ in range(2_000)])
    assert found.score(b"-3.5") == 0
    for wrong in (b"-400.0", b"400.0"):
        assert found.score(wrong) > 10
        assert found.score_name(wrong) == "values.range"
    row = json.loads(json.dumps(values_to_json(ValueWitness({(4, 0): found}))))
    back = values_from_json(row).slots[4, 0]
    assert back.score(b"-400.0") == pytest.approx(found.score(b"-400.0"), abs=1e-3)
    assert found.told(b"-400.0")[:2] == ("out_of_range", "low")


def test_the_first_negative_number_is_new() -> None:
    found = numbers_of([b"%d" % (1 + number * 97 % 400) for number in range(1, 400)])
    assert found.score_name(b"-1") == "values"
    assert found.score(b"-1") > 5


def test_a_division_that_is_written_with_all_its_digits_is_a_number() -> None:
    rng = random.Random(3)
    found = numbers_of([repr(rng.uniform(0.1, 0.2)).encode() for _ in range(500)])
    assert found.score(b"0.15000000000000002") == 0
    assert found.score(b"1.50000000000000021") > 8
