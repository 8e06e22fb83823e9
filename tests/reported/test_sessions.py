"""What an export suggests for sessions.

Was wrong: dates and words that happen to be followed by a number were suggested as session keys,
1.6 records to a session were said where it was 12.6, and the idle timeout joined sessions of
reused keys.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from operator import itemgetter
from pathlib import Path
from random import Random
from string import ascii_letters, digits

import pytest

from export.cli import main
from export.first_pass import FirstPass, suggestion
from export.pauses import Pauses
from export.session_key import AUTO, suggest_session_keys
from export.session_sample import _random_form_of
from export.source import settle
from export.stages import Options
from fluent_krone.errors import ExportError
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import levels_of
from fluent_krone.reading.records import InputSettings, RecordReader


def best(*sample: tuple[str, dict[str, str]]) -> str:
    found = suggest_session_keys(sample)
    return found[0].option if found else ""


def test_a_client_of_an_access_log() -> None:
    rng = Random(1)
    lines = [
        (f'"GET /a/{n % 30} HTTP/1.1" 200 {n} "-" "curl/{n % 5}"', f"10.0.0.{rng.randrange(60)}")
        for n in range(900)
    ]
    assert best(*((text, {"client": client, "user": "-"}) for text, client in lines)) == "client"


def test_a_pod_of_klog() -> None:
    said = ('"Observed startup" pod="shop/web-{}" n={}', '"Failed" pod="shop/web-{}" after {} s')
    lines = [(said[n % 2].format(pod, n), {}) for pod in range(60) for n in range(5)]
    assert best(*lines) == '/pod="([^"]+)"/'


def base64(rng: Random) -> str:
    return b64encode(rng.randbytes(16)).decode()


@pytest.mark.parametrize(
    ("said", "ident", "key"),
    [
        # Was wrong: the key was a part of the id, which most ids do not have.
        (("reel id={} on", "reel id={} off"), base64, r"/id=([0-9A-Za-z+\/]{16,}={1,2})/"),
        # Was wrong: no key was found.
        (("注文「{}」を受付", "注文「{}」完了"), None, "/注文「(-?[0-9]+)/"),
        (("ការបញ្ជាទិញ{}បានបង្កើត", "ការបញ្ជាទិញ{}បានបង់ប្រាក់"), None, "/ការបញ្ជាទិញ(-?[0-9]+)/"),
    ],
)
def test_ids_of_other_alphabets(
    said: tuple[str, str], ident: Callable[[Random], str] | None, key: str
) -> None:
    rng = Random(3)
    ids = [ident(rng) if ident else str(rng.randrange(10**6, 10**7)) for _ in range(60)]
    assert best(*((text.format(one), {}) for one in ids for text in said)) == key


@pytest.mark.parametrize(
    "name", ["trace_id", "request_id", "correlation_id", "traceId", "x-request-id"]
)
def test_fields_of_executions_come_first(name: str) -> None:
    lines = [(f"step {n % 4} order={n // 4}", {name: f"{n // 4:032x}"}) for n in range(400)]
    assert best(*lines) == name


@pytest.mark.parametrize("above", ["trace", "conn"])
def test_an_id_of_an_execution_may_stand_in_an_object(above: str) -> None:
    """Wrong before: a nested id was worth the same whatever it names."""
    lines = [
        (f"step {n % 4}", {f"$.{above}.id": f"{n // 4:032x}", "$.device.id": f"{n // 3:08x}"})
        for n in range(400)
    ]
    assert best(*lines) == f"$.{above}.id"


@pytest.mark.parametrize("form", ["nightly-{}.2", "{}:a", "2025-03-07T{:06d}"])
def test_an_id_with_a_telling_name_is_spelled_in_any_way(form: str) -> None:
    """Wrong before: `run_id=nightly-17.2` was no id, and the log had no session key."""
    words = ("read", "sorted", "written")
    sample = [(f"[run_id={form.format(n)}] {word} rows", {}) for n in range(40) for word in words]
    found = re.search(best(*sample).strip("/"), f"[run_id={form.format(41)}] read rows")
    assert found is not None
    assert found[1] == form.format(41)


@pytest.mark.parametrize(
    "form",
    [
        "Auftrag {n} {word}",
        "订单{n}已{word}",
        "Заказ {n} {word}",
        "*{n} {word}",
        "[{n}] {word}",
        "tx 0x{n:08x} {word}",
        "run @ {n}: {word}",
        "{n:06d}-0001AB-AB {word}",
        "recv traceparent=00-{n:032x}-00f067aa0ba902b7-01 {word}",
        'did {{"step": "{word}", "orderId": {n}}}',
        "4XYZ{n}AbC: {word}, delay=3",
        "run k{n}zq {word}",
        "{word} ORD-2024-{n} in 3 ms",
        "order ORD-{n}A {word}",
        "commande n°{n} {word}",
        "{word} @{n}",
        # Were wrong: a quote or a bracket before an id hid it.
        'order "{n}" {word}',
        "order '{n}' {word}",
        "order <{n}> {word}",
        "order ({n:08x}f) {word}",
        "order [{n}] {word}",
        "{word} all [2dXAyT{n:05d}qPzRkLmNoQ]",
    ],
)
def test_ids_behind_any_word_and_sign(form: str) -> None:
    """Was wrong: only ids behind English nouns were found, and only in some spellings."""
    texts = [
        form.format(n=n, word=word) for n in range(100, 200) for word in ("made", "paid", "sent")
    ]
    [first, *_] = suggest_session_keys([(text, {}) for text in texts])
    assert (first.sessions, first.repeats) == (100, 3.0)


@pytest.mark.parametrize(
    "forms",
    [
        ("คำสั่งซื้อ{n}ได้รับแล้ว", "ชำระเงินคำสั่งซื้อ{n}สำเร็จ", "จัดส่งคำสั่งซื้อ{n}"),
        ("收到订单{n}", "订单{n}已付款", "已发货订单{n}"),
        ("注文{n}を受付", "支払い完了：注文{n}", "発送済み注文{n}"),
    ],
)
def test_ids_behind_words_of_scripts_without_blanks(forms: tuple[str, ...]) -> None:
    """Was wrong: what stands before the word was taken for a part of it, so no key was found."""
    lines = [(form.format(n=n), {}) for n in range(1000, 1090) for form in forms]
    [first, *others] = suggest_session_keys(lines)
    assert (first.sessions, first.repeats) == (90, 3.0)
    assert not any(first.option.endswith(other.option[1:]) for other in others)


@pytest.mark.parametrize(
    "forms",
    [
        ("[job a{n}f] made", "worker job=a{n}f at 7 %", "[job a{n}f] done"),
        ("order {n} came", "paid is order={n}", "now order #{n} is sent"),
        ('"added" pods=["ns/a{n}f-x"]', '"mount" pod="ns/a{n}f-x"', '"began" pod="ns/a{n}f-x"'),
    ],
)
def test_an_id_that_is_spelled_in_several_ways_is_one_key(forms: tuple[str, ...]) -> None:
    """Was wrong: only the commonest spelling was suggested, so the other lines had no session."""
    texts = [form.format(n=n) for n in range(100_000, 100_090) for form in forms]
    [first, *others] = suggest_session_keys([(text, {}) for text in texts])
    assert (first.coverage, first.sessions, first.repeats) == (1.0, 90, 3.0)
    found = [re.search(first.option.strip("/"), text) for text in texts]
    assert len({match[1] for match in found if match}) == 90
    assert not others


@pytest.mark.parametrize(
    ("forms", "new", "key"),
    [
        (
            ("รับคำสั่งซื้อ TH{n} แล้ว", "ชำระเงินสำเร็จสำหรับ TH{n}", "จัดส่งสินค้า TH{n}"),
            "ชำระเงินล้มเหลวสำหรับลูกค้า TH{n}",
            "TH{n}",
        ),
        (("order X{n} came", "paid for X{n}", "parcel X{n} is sent"), "lost X{n}", "X{n}"),
        (
            ("bill INV-2026-{n} made", "paid for INV-2026-{n}", "sent INV-2026-{n}"),
            "lost INV-2027-{n}",
            "INV-2027-{n}",
        ),
        (
            ("came [4bf92f35-77b3-4da6-a3ce-929d0e{n}]", "paid 4bf92f35-77b3-4da6-a3ce-929d0e{n}"),
            "lost (4bf92f35-77b3-4da6-a3ce-929d0e{n})",
            "4bf92f35-77b3-4da6-a3ce-929d0e{n}",
        ),
        (("came [a7{n}f]", "paid [a7{n}f] by", "went [a7{n}f] on"), "lost [a7{n}f]", "a7{n}f"),
    ],
)
def test_an_id_behind_several_words_is_found_behind_a_new_one(
    forms: tuple[str, ...], new: str, key: str
) -> None:
    """Was wrong: the key had the words of the training alone, so that a failure with another word
    before its id had no session and was not reported."""
    texts = [form.format(n=n) for n in range(100_000, 100_090) for form in forms]
    first = suggest_session_keys([(text, {}) for text in texts])[0]
    assert (first.coverage, first.sessions) == (1.0, 90)
    found = re.search(first.option.strip("/"), new.format(n=100_007))
    assert found is not None and found[found.re.groups] == key.format(n=100_007)


def random_ids(characters: str, length: int) -> Callable[[Random], str]:
    return lambda rng: "".join(rng.choices(characters, k=length))


HEX, CAPITALS, LETTERS = "0123456789abcdef", "0123456789ABCDEFGHJKMNPQRSTVWXYZ", ascii_letters


@pytest.mark.parametrize(
    ("form", "random"),
    [
        ("{}", random_ids(CAPITALS, 26)),
        ("{}", random_ids(digits + LETTERS + "_", 21)),
        ("{}", random_ids(CAPITALS, 12)),
        ("req-{}", random_ids(HEX, 6)),
        ("web-7c9f4-{}", random_ids(digits + "bcdfghjk", 5)),
        ("tx_{}", random_ids(digits + LETTERS, 16)),
        ("20261017-{}", random_ids(digits, 6)),
    ],
)
def test_a_random_id_behind_several_words_is_found_behind_a_new_one(
    form: str, random: Callable[[Random], str]
) -> None:
    """Was wrong: as above, since these ids have no part in common but their form. Of those that
    have six hexadecimal digits, one in twenty has no letter, and was no id at all."""
    rng = Random(5)
    ids = [form.format(random(rng)) for _ in range(120)]
    words = ("received {} from web", "reserved stock for {}", "charged {} with 12 cents")
    texts = [text.format(one) for one in ids for text in words]
    first = suggest_session_keys([(text, {}) for text in texts])[0]
    expression = re.compile(first.option.strip("/"))
    assert first.coverage >= 0.9
    for new in ("card of {} was declined", "{}: gave up"):
        found = [expression.search(new.format(one)) for one in ids]
        assert (
            sum(bool(match and match[0] == one) for match, one in zip(found, ids, strict=True))
            >= 110
        )
    for other in ("CONFIGURATION reloaded", "connection-pool is full", "saved 2026-10-17"):
        assert expression.search(other) is None


@pytest.mark.parametrize("word", ["connection", "brave-curie", "eu-west"])
def test_words_of_one_form_are_no_random_ids(word: str) -> None:
    assert _random_form_of([word, word[::-1]]) is None


@pytest.mark.parametrize(
    "forms",
    [
        ("order 77{n} came", "paid for 77{n}", "parcel 77{n} is sent"),
        ("order #{n} came", "paid #{n}", "parcel #{n} is sent"),
    ],
)
def test_a_number_is_an_id_behind_its_words_only(forms: tuple[str, ...]) -> None:
    texts = [form.format(n=n) for n in range(100_000, 100_090) for form in forms]
    first = suggest_session_keys([(text, {}) for text in texts])[0]
    assert (first.coverage, first.sessions) == (1.0, 90)
    for other in ("cache compacted, 23456789 bytes freed", "step #2 of 10485760"):
        assert re.search(first.option.strip("/"), other) is None


def test_a_long_name_before_an_id_takes_no_time() -> None:
    """Was wrong: the time doubled with each letter before the first digit, so an export hung."""
    forms = ("order {id} came", "paid for {id}", "parcel {id} is sent")
    ids = [f"checkout-payments-service-frontend-europe-{n}x{n}" for n in range(100, 160)]
    texts = [form.format(id=one) for one in ids for form in forms]
    assert suggest_session_keys([(text, {}) for text in texts])[0].sessions == 60


@pytest.mark.parametrize("unit", ["a_", "a.", "a.B.", "org.", "a-", "a/"])
def test_a_word_without_an_end_takes_no_time(unit: str) -> None:
    """Was wrong: the time grew with the square of the word's length, so an export hung."""
    forms = ("order X{n} came", "paid for X{n}", "parcel X{n} is sent")
    texts = [form.format(n=n) for n in range(100_000, 100_030) for form in forms]
    texts += [f"X100007 has sent {unit * 50_000}"] * 2
    assert suggest_session_keys([(text, {}) for text in texts])[0].sessions == 30


def test_a_form_that_other_ids_have_too_is_no_key() -> None:
    forms = ("order X{n} came", "paid for X{n}", "parcel X{n} of box X{m}")
    texts = [form.format(n=n, m=n % 7 + 500_000) for n in range(100_000, 100_090) for form in forms]
    first = suggest_session_keys([(text, {}) for text in texts])[0]
    assert re.search(first.option.strip("/"), "parcel X100007 of box X500001")[1] == "X100007"  # type: ignore[index]
    assert "parcel" in first.option


def test_a_process_for_each_connection_is_its_session() -> None:
    """Was wrong: the address of the client came first, though four in ten lines have none."""
    forms = (
        "Connection from 10.0.{a}.{b}",
        "Accepted key from 10.0.{a}.{b}",
        "session opened",
        "Disconnected from 10.0.{a}.{b}",
        "session closed",
    )
    lines = [
        (form.format(a=n % 9, b=n % 200), {"pid": str(4000 + 3 * n)})
        for n in range(200)
        for form in forms
    ]
    assert suggest_session_keys(lines)[0].option == "pid"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-09T07:00:{s:02d}.123456Z  INFO request{{id={id}}}: shop::api: {text}",
        "2026-11-09 07:00:{s:02d},123 | INFO  | {id} | shop.Api | {text}",
        "2026-11-09 07:00:{s:02d}.123 INFO  [{id},{span}] [exec-{t}] shop.Api - {text}",
    ],
)
def test_an_id_before_the_message_is_the_key_where_no_message_has_one(
    line: str, tmp_path: Path
) -> None:
    """Was wrong: a number of a message that few have was suggested, and the export failed."""
    random = Random(5)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(60)]
    texts = ("cart has items=4", "card charged", "receipt mailed", "order done")
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            line.format(id=one, text=text, s=n, t=n % 4, span=f"{random.getrandbits(64):016x}")
            + "\n"
            for n, one in enumerate(ids)
            for text in texts
        )
    )
    settings = settle(Options(input=path, session_key=AUTO), len, len)
    reader = RecordReader(settings)
    found = [reader.read(b"", record) for _, record in read_events(path)]
    assert [keys for _, keys in found] == [[(one.encode(),)] for one in ids for _ in texts]
    assert {message.split(b": ")[-1].decode() for message, _ in found} == set(texts)


@pytest.mark.parametrize("time", ["1793491{s:03d}", "1793491{s:03d}123", "20261101 1200{s:02d}"])
def test_a_time_before_the_message_is_no_id(time: str, tmp_path: Path) -> None:
    random = Random(5)
    texts = ("cart loaded", "card charged", "receipt mailed", "order done")
    path = tmp_path / "a.log"
    ids = [f"{random.getrandbits(128):032x}" for _ in range(150)]
    path.write_text(
        "".join(
            f"{time.format(s=n % 60)} INFO [shop,{one},{random.getrandbits(64):016x}] "
            f"exec-{n % 4} shop.Api : {text}\n"
            for n, one in enumerate(ids)
            for text in texts
        )
    )
    settings = settle(Options(input=path, session_key=AUTO), len, len)
    key = settings.session_key[0]
    assert not key.startswith("/") or re.search(key[1:-1], time.format(s=7)) is None


@pytest.mark.parametrize("time", ["1793491{s:03d}123", "20261101 1200{s:02d}", "07:00:{s:02d},123"])
@pytest.mark.parametrize(
    "head",
    [
        "[shop,{one},{span}] [exec-{n}] {text}",
        "INFO [exec-{n}] [{one}-{span}] {text}",
        "INFO [shop,{one},{span},true] {text}",
        "[{one} {span}] {text}",
    ],
)
def test_a_trace_in_brackets_is_told_from_its_span_and_its_thread(
    time: str, head: str, tmp_path: Path
) -> None:
    """Was wrong: the thread was suggested, or each span was a session beside its trace."""
    random = Random(5)
    texts = ("cart loaded", "card charged", "receipt mailed", "order done")
    lines = []
    for n in range(150):
        one = f"{random.getrandbits(128):032x}"
        for text in texts:
            span = f"{random.getrandbits(64):016x}"
            rest = head.format(one=one, span=span, n=n % 4, text=text)
            lines.append(f"{time.format(s=n % 60)} {rest}\n")
    path = tmp_path / "a.log"
    path.write_text("".join(lines))
    settings = settle(Options(input=path, session_key=AUTO), len, len)
    assert settings.session_key == ("trace",)
    reader = RecordReader(settings)
    keys = {str(reader.read(b"", record)[1]) for _, record in read_events(path)}
    assert len(keys) == 150


@pytest.mark.parametrize(
    ("trace", "span"),
    [
        ("traceId", "spanId"),
        ("trace_id", "span_id"),
        ("TraceID", "SpanID"),
        ("$['trace']['id']", "$['span']['id']"),
        ("$['context']['trace_id']", "$['context']['span_id']"),
        ("/trace=([0-9a-f]{8,})/", "/span=([0-9a-f]{8,})/"),
    ],
)
@pytest.mark.parametrize("lines", [2, 5])
def test_a_span_of_several_records_is_a_part_of_its_trace(
    trace: str, span: str, lines: int
) -> None:
    """Was wrong: the span was suggested, so that each call was a session of its own."""
    random = Random(7)
    sample = []
    for n in range(60):
        whole = f"{random.getrandbits(128):032x}"
        for call in range(9):
            part = f"{random.getrandbits(64):016x}"
            for line in range(lines):
                text = f"call {'abcdefghi'[call]} says {'vwxyz'[line]}"
                if trace.startswith("/"):
                    sample.append((f"trace={whole} span={part} {text}", {}))
                else:
                    sample.append((text, {span: part, trace: whole, "took": str(n)}))
    found = [one.option for one in suggest_session_keys(sample)]
    assert found[:2] == [trace, span]


@pytest.mark.parametrize("form", ["took {one} {span}: {text}", "{text} [{span}] [{one}]"])
def test_ids_that_come_back_are_told_by_their_length(form: str) -> None:
    """Was wrong: each id of another length in the same message was a session as well."""
    random = Random(5)
    sample = []
    for _ in range(150):
        one = f"{random.getrandbits(128):032x}"
        for text in ("cart loaded", "card charged", "receipt mailed"):
            span = f"{random.getrandbits(64):016x}"
            sample.append((form.format(one=one, span=span, text=text), {}))
    assert best(*sample) == "/(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/"


def test_the_number_of_a_message_in_a_header_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            f"Nov 09 2026 07:00:{n % 60:02d} fw1 : %ASA-6-3020{n % 40:02d}: link {'ab'[n % 2]} up\n"
            for n in range(240)
        )
    )
    with pytest.raises(ExportError, match="no session key was found"):
        settle(Options(input=path, session_key=AUTO), len, len)


def test_the_id_of_a_parent_is_no_spelling_of_an_id() -> None:
    lines = [
        (f"{word} run={n} parent={n - 1}", {}) for n in range(500, 600) for word in ("began", "did")
    ]
    options = {found.option for found in suggest_session_keys(lines)}
    assert options == {"/run=(-?[0-9]+)/", "/parent=(-?[0-9]+)/"}


def test_counts_behind_several_words_are_no_key() -> None:
    """They take the same values all over the log, as ids of executions do not."""
    lines = [
        (f"{text} {k} of order-{n}", {})
        for n in range(100, 200)
        for k in (1, 2, 3, 4)
        for text in ("try", "step")
    ]
    assert not any("try" in found.option for found in suggest_session_keys(lines))


def test_a_client_is_better_than_a_route() -> None:
    lines = [
        ("handled", {"$.request.remote_ip": f"10.0.0.{n}", "$.request.uri": f"/a/{n}"})
        for n in range(60)
        for _ in range(4)
    ]
    assert best(*lines) == "$.request.remote_ip"


def test_a_nested_field_with_dots_in_its_name(tmp_path: Path) -> None:
    """Was wrong: the key that was suggested found nothing in any record."""
    rows = [
        {"message": f"step {n % 4}", "tags": {"ai.operation.id": f"{n // 4:032x}"}}
        for n in range(400)
    ]
    path = tmp_path / "a.log"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = settle(Options(input=path, session_key=AUTO), str, str)
    assert settings.session_key == ("$.tags['ai.operation.id']",)
    sessions = [key for key, _, _ in FirstPass(path, settings).events()]
    assert len(sessions) == 400


def test_lines_without_a_message_and_lines_of_another_form(tmp_path: Path) -> None:
    """Was wrong: an empty message ended the export with an error of Python, and lines that the
    header does not fit brought a key that no event has.
    """
    path = tmp_path / "a.log"
    header = "2024-05-01 10:{:02d}:{:02d} INFO [main] a.b.Orders: "
    lines = []
    for n in range(300):
        at = header.format(n // 60, n % 60)
        lines += [
            f"{at}order {n // 3 + 71000} {('primed', 'started', 'stopped')[n % 3]}\n",
            f"{at}\n",
        ]
        lines += [f"job-{n // 6:04x}a\n"] * (n % 2)
    path.write_text("".join(lines))
    settings = settle(Options(input=path, session_key=AUTO), str, str)
    assert settings.line_format
    assert len({key for _, keys, _ in FirstPass(path, settings).events() for key in keys}) == 100


def test_records_with_several_ids_are_counted_once() -> None:
    """Was wrong: a key was said to be in 150% of the records."""
    lines = [
        (f"{word} order=a{n:05d} after order=a{n - n % 2:05d}", {})
        for n in range(200)
        for word in ("packed", "sent", "paid")
    ]
    [first, *_] = suggest_session_keys(lines)
    assert first.coverage == 1.0


def test_a_name_that_is_no_field_but_a_label_in_messages(tmp_path: Path) -> None:
    """Was wrong: what was suggested in its place took only a part of the value."""
    path = tmp_path / "a.log"
    lines = [
        f'level=info msg="{step} handled" call_id={n // 2 + 0xC0FFEE:010x}@sbc{n % 2}\n'
        for n in range(100)
        for step in ("invite", "bye")
    ]
    path.write_text("".join(lines))
    settings = settle(Options(input=path, session_key=("call_id",)), str, str)
    seen = FirstPass(path, settings)
    assert not list(seen.events())
    with pytest.raises(ExportError) as refused:
        seen.check(str)
    [hint] = re.findall(r"try --session-key '(.+?)' \(in 100%", str(refused.value))
    better = FirstPass(path, replace(settings, session_key=(hint,)))
    assert len({key for _, keys, _ in better.events() for key in keys}) == 100


def test_dates_and_counts_are_no_keys() -> None:
    lines = [
        (f"{words} on 2024-10-{1 + n % 28:02d} after {n % 7} tries in {n % 50} ms", {})
        for n in range(300)
        for words in ("opened", "closed")
    ]
    assert best(*lines) == ""


def test_the_number_to_a_session_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = Random(4)
    lines = []
    for first in range(0, 4000, 20):
        rows = [(n, step) for n in range(first, first + 20) for step in range(12)]
        rng.shuffle(rows)
        lines += [{"message": f"step{'abcdefghijkl'[s]} order={n}"} for n, s in rows]
    path = tmp_path / "a.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["fit", "--input", str(path), "--output", str(tmp_path / "b")]) == 1
    said = capsys.readouterr().err
    [number] = re.findall(r"order=.*?, ([\d.]+) records per session", said)
    assert 11.5 < float(number) <= 12


Seconds = Callable[[], float]


def of_workers(jobs: int, start: Seconds, step: Seconds, rest: Seconds) -> list[tuple[str, float]]:
    """Keys and times in seconds of eight workers: jobs of six steps, and a rest after each."""
    events = []
    for worker in range(8):
        time = start()
        for _ in range(jobs):
            for _ in range(6):
                events.append((f"worker-{worker}", time))
                time += step()
            time += rest()
    return events


def suggested(events: Iterable[tuple[str, float]]) -> tuple[int, str]:
    """The idle timeout that is suggested for keys at these times in seconds, and why."""
    pauses = Pauses()
    for key, time in events:
        pauses.note((key.encode(),), int(time * 10**9))
    found = pauses.suggest()
    assert found is not None
    return found


def test_reused_names_of_workers_are_cut_between_their_jobs() -> None:
    rng = Random(1)
    starts = count(0.0, 3.0)
    events = of_workers(
        200, lambda: next(starts), lambda: rng.uniform(0.2, 2.5), lambda: rng.uniform(60, 400)
    )
    timeout_s, _ = suggested(sorted(events, key=itemgetter(1)))
    assert 3 <= timeout_s <= 60
    assert timeout_s == 10


def test_pauses_that_run_into_each_other_are_parted_where_they_are_rarest() -> None:
    """Was wrong: without an empty gap, half an hour was suggested, which joined all jobs."""
    rng = Random(2)
    events = of_workers(
        60,
        lambda: 10 * rng.random(),
        lambda: rng.expovariate(1 / 5),
        lambda: 60 + rng.expovariate(1 / 300),
    )
    timeout_s, _ = suggested(events)
    assert 20 <= timeout_s <= 90


def test_pauses_of_one_group_are_not_parted() -> None:
    rng = Random(3)
    events = []
    for worker in range(8):
        time = 10 * rng.random()
        for _ in range(400):
            events.append((f"worker-{worker}", time))
            time += rng.lognormvariate(0, 1.5)
    timeout_s, _ = suggested(events)
    assert timeout_s >= 30


@pytest.mark.parametrize("unit_s", [1, 15, 60, 300])
def test_the_unit_of_a_clock_is_no_valley_between_pauses(unit_s: int) -> None:
    """Was wrong: a clock of seconds has no pauses between one and two, and sessions were cut."""
    rng = Random(4)
    events = []
    for worker in range(8):
        time = rng.randrange(10)
        for _ in range(400):
            events.append((f"worker-{worker}", time * unit_s))
            time += max(1, round(rng.lognormvariate(1, 1)))
    timeout_s, _ = suggested(events)
    assert timeout_s >= min(15 * unit_s, 3600)


def test_a_client_that_comes_back_after_days_is_a_new_session() -> None:
    """Was wrong: 90 days were suggested for a log of 40, and no session ever ended."""
    rng = Random(5)
    events = []
    for client in range(60):
        visits = 1 + (client < 15)
        time = rng.uniform(0, 10 * 86_400)
        for _ in range(visits):
            for _ in range(8):
                events.append((f"10.0.0.{client}", time))
                time += rng.uniform(1, 20)
            time += rng.uniform(10, 30) * 86_400
    timeout_s, why = suggested(events)
    assert 20 < timeout_s < 86_400
    assert why.startswith("pauses are either below")


def test_a_pause_of_days_that_most_sessions_have_is_a_part_of_them() -> None:
    """Orders are shipped days after they are paid; most of those of the last days are not yet."""
    rng = Random(7)
    events = []
    for order in range(300):
        paid = rng.uniform(0, 5 * 86_400)
        shipped = paid + rng.uniform(3, 4.5) * 86_400
        starts = [start + 10 * at for start in (paid, shipped) for at in range(4)]
        events += [(f"order-{order}", start + rng.uniform(0, 9)) for start in starts]
    timeout_s, _ = suggested(event for event in events if event[1] < 5 * 86_400)
    assert timeout_s > 4.5 * 86_400


def test_executions_some_seconds_apart_are_parted_by_a_clock_of_seconds() -> None:
    rng = Random(8)
    events = of_workers(
        100, lambda: rng.uniform(0, 10), lambda: rng.uniform(1, 3), lambda: rng.uniform(6, 12)
    )
    timeout_s, _ = suggested((key, int(time)) for key, time in events)
    assert 3 <= timeout_s <= 5


def test_a_timeout_that_is_longer_than_the_log_is_told() -> None:
    rng = Random(6)
    events = []
    for case in range(60):
        time = rng.uniform(0, 86_400)
        for _ in range(6):
            events.append((f"case-{case}", time))
            time += rng.lognormvariate(9, 1.5)
    timeout_s, why = suggested(events)
    assert timeout_s > 86_400
    assert "the log itself is shorter" in why


def test_an_id_is_told_from_other_hashes_and_numbers_by_the_sign_behind_it() -> None:
    """Wrong before: telephone numbers and nonces of the messages were sessions of their own."""
    rng = Random(0)
    lines: list[tuple[str, dict[str, str]]] = []
    for _ in range(60):
        call = f"{rng.getrandbits(56):014x}@10.0.0.4"
        lines += [
            (f"{call}: INVITE to +4930{rng.randrange(10**6, 10**7)}", {}),
            (f"{call}: challenged, nonce {rng.getrandbits(64):016x}", {}),
            (f"{call}: done", {}),
        ]
    option = best(*lines)
    assert option == "/([0-9a-f]{8,})@/"
    assert len({found for text, _ in lines for found in re.findall(option[1:-1], text)}) == 60


@pytest.mark.parametrize(
    "form",
    [
        '"GET /a HTTP/1.1" 200 - {n} "{ip}" "curl/8" "10.0.0.9:8080"',
        '{ip}:51{n:03d} [15/Oct/2024:13:00:00.622] web app/srv1 0/0/1 200 "GET /a HTTP/1.1"',
        "app/lb {ip}:51{n:03d} 10.0.0.9:80 0.{n:03d} 200",
        "200 |  1.{n:03d}ms |    {ip} | GET",
        "login from {ip} port 51{n:03d}",
    ],
)
def test_addresses_of_clients_in_messages(form: str) -> None:
    """Was wrong: access logs with the client in the message had no session key at all."""
    texts = [
        form.format(ip=f"10.1.2.{client}", n=client * 7 + n)
        for client in range(60)
        for n in range(4)
    ]
    [first, *_] = suggest_session_keys([(text, {}) for text in texts])
    assert (first.sessions, first.repeats) == (60, 4.0)
    assert re.search(first.option.strip("/"), texts[0])


def test_measures_and_results_are_no_keys() -> None:
    """Was wrong: request_time, and numbers of status, came before the address of the client."""
    names = (
        "request_time",
        "duration",
        "time-taken",
        "response_code",
        "sc-status",
        "latency_ms",
        "retries",
    )
    rows = [
        (
            "handled",
            {"downstream_remote_address": f"10.1.2.{n}", **dict.fromkeys(names, f"0.{n % 90}")},
        )
        for n in range(100)
        for _ in range(4)
    ]
    assert [found.option for found in suggest_session_keys(rows)] == ["downstream_remote_address"]


@pytest.mark.parametrize(
    ("forms", "ids"),
    [
        pytest.param(
            ("Flight {} boards", "Flight {}: doors closed", "Flight {} is airborne"),
            [f"{('LH', 'BA', 'AF')[n % 3]}{n}" for n in range(100, 190)],
            id="flights",
        ),
        pytest.param(
            ("Wagen {} kommt an", "Wagen {} wird entladen", "Wagen {} fährt ab"),
            [f"{('B', 'HH', 'KA')[n % 3]}-XY{n}" for n in range(1000, 1090)],
            id="plates",
        ),
        pytest.param(
            ("Vorgang-Nr. {} eröffnet", "Vorgang-Nr. {} geprüft", "Vorgang-Nr. {} geschlossen"),
            [f"V{n}" for n in range(10000, 10090)],
            id="abbreviations",
        ),
        pytest.param(
            ("container {} created", "container {} started", "container {} stopped"),
            [f"{a}{b}e-{b}{a}" for a in ("bra", "sto", "kle") for b in ("ba", "cu", "di") * 5],
            id="words",
        ),
        pytest.param(
            ("DISCOVER from {}", "OFFER on 10.0.0.1 to {}", "ACK on 10.0.0.1 to {} via eth0"),
            [f"b0:a5:14:aa:{n:02x}:0f" for n in range(90)],
            id="network cards",
        ),
        pytest.param(
            ("signup of {}", "mail sent to {}", "account of {} is active"),
            [f"ann{n}@mail.example.com" for n in range(90)],
            id="mail addresses",
        ),
        pytest.param(
            ("Transfer from {} requested", "Balance of {} checked", "{} charged"),
            [f"DE44500105175407{n:06d}" for n in range(90)],
            id="accounts",
        ),
        pytest.param(
            ("{};train registered", "{};signal A proceeds", "{};brake test passed"),
            [f"ZN{20000 + n}-{n % 7}" for n in range(90)],
            id="codes that end with a number",
        ),
        pytest.param(
            ("[{}] scanned", "[{}] lifted", "[{}] stored"),
            [f"PAL-{n}B" for n in range(100, 190)],
            id="codes that end with a letter",
        ),
        pytest.param(
            ("รับคำสั่งซื้อ {}", "ชำระเงินคำสั่งซื้อ {} แล้ว", "ส่งคำสั่งซื้อ {}"),
            [str(n) for n in range(20000, 20090)],
            id="with a blank",
        ),
    ],
)
def test_ids_of_any_spelling_in_nearly_all_messages(forms: tuple[str, ...], ids: list[str]) -> None:
    """Was wrong: behind a word that is no known noun only numbers were ids, and what is an id
    whatever stands before it was none.
    """
    found = best(*((form.format(one), {}) for one in dict.fromkeys(ids) for form in forms))
    assert found
    for form in forms:
        match = re.search(found[1:-1].replace("\\/", "/"), form.format(ids[7]))
        assert match is not None
        assert match[1] == ids[7]


def test_hosts_that_are_named_by_codes_are_no_keys() -> None:
    lines = [
        (f"{said} on SRV0{n % 6}-A", {}) for n in range(300) for said in ("login", "mail", "logout")
    ]
    assert best(*lines) == ""


def test_words_that_name_no_execution_are_no_keys() -> None:
    lines = [
        (f"{said} for user-{'abcdef'[n % 6]} after {n % 40} ms by ann{n % 9}@example.com", {})
        for n in range(300)
        for said in ("opened", "closed")
    ]
    assert best(*lines) == ""


@pytest.mark.parametrize("plain", [1, 9])
def test_messages_that_are_records_themselves_are_read_as_such(plain: int, tmp_path: Path) -> None:
    """Was wrong: a stream whose JSON nobody parses was learnt as lines of text."""
    log = tmp_path / "app.log"
    texts = [json.dumps({"level": "WARN", "request_id": n % 3, "msg": "paid"}) for n in range(8)]
    texts += [f"worker {n} has started" for n in range(plain)]
    log.write_text("".join(json.dumps({"text": text, "host": "a"}) + "\n" for text in texts))
    settings = settle(Options(input=(log,), session_key=("host",)), print, print)
    reader = RecordReader(settings)
    records = [{b"text": text.encode(), b"host": b"a"} for text in texts]
    read = [reader.read(b"", record)[0] for record in records]
    assert read[0] == b"paid request_id=0"
    assert read[8] == b"worker 0 has started"
    assert levels_of(reader).rank(records[0]) == 5


@pytest.mark.parametrize("asked", [(), ("request_id",)])
def test_a_key_in_records_of_json_and_in_plain_lines_is_one(
    asked: tuple[str, ...], tmp_path: Path
) -> None:
    """Was wrong: the plain lines were left out, or had no key."""
    lines = []
    for n in range(40):
        request = f"r{n * 7919:06d}x"
        lines.append(json.dumps({"request_id": request, "msg": "received"}))
        lines.append(json.dumps({"request_id": request, "msg": "paid", "ms": n % 17}))
        lines.append(f"retry request_id={request} attempt 2")
    path = tmp_path / "shop-json.log"
    path.write_text(
        "".join(json.dumps({"log": f"{line}\n", "stream": "stdout"}) + "\n" for line in lines)
    )
    settings = InputSettings(session_key=asked or ("tag",), message_field="log")
    words = suggestion(settings, path)
    assert words.startswith("try --session-key '/\\brequest_id")
    assert "in 100% of the records, 3.0 records per session" in words.partition("; or")[0]


@pytest.mark.parametrize(
    "before",
    [
        "Commande n° {}", "Pedido n.º {}", "Заказ № {}", "Заказ №{}", "Auftrag Nr. {}", "job@{}",
        "conn~{}", "job ${}", "ticket/{}", "Vorgang: {}", "client 10.0.7.1:{}",
    ],
)  # fmt: skip
def test_signs_between_a_word_and_its_number(before: str) -> None:
    """Was wrong: no key was suggested, or for a connection the address of the client."""
    forms = ("{} created", "{} paid by 10.1.2.3", "{} closed after 7 s")
    lines = [form.format(before.format(1000 + 37 * n)) for n in range(80) for form in forms]
    found = suggest_session_keys((line, {}) for line in lines)
    assert (found[0].sessions, found[0].repeats) == (80, 3.0)


def test_the_serial_number_of_an_audit_event_is_its_key(tmp_path: Path) -> None:
    """Wrong before: it was a part of the header without a name, so no key was found."""
    kinds = ("SYSCALL", "CWD", "PATH", "PROCTITLE")
    path = tmp_path / "audit.log"
    path.write_text(
        "".join(
            f"type={kind} msg=audit({1_728_997_200 + n}.123:{4000 + n}): arch=c000003e ok=yes\n"
            for n in range(100)
            for kind in kinds
        )
    )
    said: list[str] = []
    settings = settle(Options(input=path, session_key=AUTO), said.append, said.append)
    assert settings.session_key == ("serial",)
    assert "4.0 records per session" in "".join(said)


@pytest.mark.parametrize("measure", ["sent-bytes=", "content_size=", "contentSize=", "pump.go:"])
def test_names_of_measures_are_read_to_their_end(measure: str) -> None:
    """Was wrong: a table of requests was cut by the bytes of each, as only the first word of
    a name was looked at, and a source file by its lines.
    """
    samples = [
        (f"{step} {measure}{n % 40 + 100} of 10.1.2.{n % 50}", {"client": f"10.1.2.{n % 50}"})
        for n in range(400)
        for step in ("asked", "served")
    ]
    found = suggest_session_keys(samples)
    assert [one.option for one in found if measure[:4] in one.option] == []
    assert found[0].option == "client"


@pytest.mark.parametrize(
    "name", ["ClientRequestMethod", "EdgeResponseStatus", "conn_state", "error", "lastSeen"]
)
def test_fields_that_say_how_it_went_are_no_keys(name: str) -> None:
    """Was wrong: the method of a request, or when a visitor was last seen, was a session key."""
    value = "{n}"
    if name == "lastSeen":
        value = "2024-10-15T13:00:{n}Z"
    samples = [
        ("asked" if n % 2 else "served", {name: value.format(n=10 + n % 40), "uid": f"C{n // 4}k"})
        for n in range(400)
    ]
    assert [found.option for found in suggest_session_keys(samples)] == ["uid"]


def test_a_packet_is_no_execution() -> None:
    """Was wrong: the log of a firewall was cut by the numbers, or the lengths, of packets."""
    samples = [
        (
            f"IN=eth0 OUT= SRC=10.1.2.{n % 50} DST=10.9.9.9 LEN={40 + n % 9} TTL={n % 64} "
            f"ID={n // 2} PROTO=TCP SPT={n // 3 + 1024} DPT=443",
            {},
        )
        for n in range(400)
    ]
    assert [found.option for found in suggest_session_keys(samples)] == ["/SRC=([0-9.]+)/"]


def test_a_word_with_digits_anywhere_is_no_key() -> None:
    """Was wrong: the names of users and parts of addresses and of browsers were one key."""
    samples = [
        (f"Login failed for user `test{n % 7}priv` from `fe80::b6d3:95d{n % 3}:1425x`", {})
        for n in range(60)
    ] + [(f"started worker {n}", {}) for n in range(40)]
    assert all("{6,}" not in found.option for found in suggest_session_keys(samples))


@pytest.mark.parametrize(
    ("pattern", "form", "masked"),
    [
        (r"job etl-\d+", "job etl-{}:", "job <id>:"),
        (r"pipeline #\d+", "pipeline #{}:", "pipeline <id>:"),
        (r"(?:order|job) id: [0-9]+", "order id: {}", "order id: <id>"),
        (r"[a-f]{3} [0-9]{5}", "abc {}", "<id> <id>"),
        (r"run (\w+ [0-9]+)", "run nightly {}", "run <id> <id>"),
        # own words behind a sign of the pattern, or in other letters
        (r"\bjob \d+", "job {}:", "job <id>:"),
        (r"(?i)job \d+", "JOB {}:", "JOB <id>:"),
        (r"order\.id \d+", "order.id {}:", "order.id <id>:"),
        (r"\[job \d+", "[job {}]", "[job <id>]"),
        # numbers of the pattern that are no text
        (r"of 17 job [0-9]{2,51000}", "of 17 job {}:", "of <num> job <id>:"),
    ],
)
def test_a_key_of_several_words_is_found_in_messages(
    pattern: str, form: str, masked: str, tmp_path: Path
) -> None:
    """Wrong before: one wildcard stood for all words of the key, and no message had a template."""
    log = tmp_path / "jobs.log"
    lines = [
        f"2026-03-02 08:{n // 60:02d}:{n % 60:02d} INFO app.Jobs - {form.format(51000 + n)} {word}"
        for n in range(90)
        for word in ("was started", "loaded 17 rows", "ended")
    ]
    log.write_text("\n".join(lines))
    work = tmp_path / "work"
    main(["mine", "--work", str(work), "--input", str(log), "--session-key", f"/{pattern}/"])
    found = json.loads((work / "templates.json").read_text())["templates"]
    texts = {template["template"] for template in found}
    said = ("was started", "loaded <num> rows", "ended")
    assert texts == {f"app.Jobs: {masked} {words}" for words in said}


@pytest.mark.parametrize("part", ["+", "/", "A1a+/"])
def test_a_long_text_is_looked_through_once(part: str) -> None:
    """Was wrong: a message with a picture in base 64 took minutes."""
    long = part * (200_000 // len(part))
    rows = [(f"reel id=k{7 * n}x {word} {long}", {}) for n in range(6) for word in ("on", "off")]
    assert best(*rows).startswith("/id=")


def used(pauses: Pauses, key: str, times: Iterable[float]) -> None:
    for time in times:
        pauses.note((key.encode(),), int(time * 10**9))


def jobs(pauses: Pauses) -> None:
    for n in range(100):
        used(pauses, f"job-{n}", (10 * n + second for second in (0, 1, 3)))


def test_a_key_that_never_ends_is_told() -> None:
    """Was wrong: the process id of a server made one endless session without a word, and the idle
    timeout followed its pauses."""
    pauses = Pauses()
    jobs(pauses)
    before = pauses.suggest()
    assert pauses.endless_words() is None
    used(pauses, "server", range(0, 1000, 50))
    said = pauses.endless_words()
    assert said is not None
    assert "'server'" in said
    assert "--max-age" in said
    assert pauses.suggest() == before


def test_keys_that_come_at_one_time_each_are_not_endless() -> None:
    pauses = Pauses()
    for n in range(100):
        used(pauses, f"job-{n}", (10 * n, 10 * n))
    assert pauses.endless_words() is None


def test_keys_that_all_never_end_are_told() -> None:
    pauses = Pauses()
    for name in "abcde":
        used(pauses, f"server-{name}", range(ord(name), 2000 + ord(name), 3))
    said = pauses.endless_words()
    assert said is not None
    assert "'server-a', 'server-b', 'server-c' and 2 more" in said


@pytest.mark.parametrize("rest", [60, 5000])
def test_a_worker_that_rests_between_jobs_is_not_endless(rest: float) -> None:
    pauses = Pauses()
    for worker in range(8):
        used(
            pauses,
            f"worker-{worker}",
            (worker + job * (rest + 5) + second for job in range(40) for second in (0, 1, 3)),
        )
    assert pauses.endless_words() is None
