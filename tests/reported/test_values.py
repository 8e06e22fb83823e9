"""Values and templates.

Was wrong: a typed wildcard took any words, so new failures were old lines; sentences in scripts
without blanks and quoted messages were one template each; a log's routes and status codes were
two templates.
"""

from __future__ import annotations

import base64
from random import Random

import pytest

from export.mine import MinedTemplates, mine
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher


def matcher_of(mined: MinedTemplates) -> TemplateMatcher:
    return TemplateMatcher(mined.templates, wide=mined.wide)


def templates_of(*forms: str, count: int = 40) -> set[str]:
    """The templates of forms with a number in them."""
    return set(mine(form.format(n=1000 + 37 * n) for n in range(count) for form in forms).templates)


@pytest.mark.parametrize(
    ("known", "new"),
    [
        ("validated in {n} ms", "validated in NaN because the rule engine crashed after 31 ms"),
        ("connected to 10.0.0.{n}", "connected to nobody since the name server is down"),
        ("stored {n} rows", "stored no rows"),
        ("sent order {n} to the printer", "sent order twice by mistake to the printer"),
        ("session {n} closed", "session table overflow, oldest closed"),
        ("payment of order {n}", "payment of order 17 failed"),
        ("worker {n} done", "worker pool exhausted, none done"),
        ("接続{n}成功", "接続7不成功"),
        ("batch job{n}done", "batch job7notdone"),
        ("用户{n}登录", "用户7未登录"),
        ("耗时{n}毫秒", "耗时7分毫秒"),
        ("주문{n}성공", "주문7미성공"),
        ("เชื่อม{n}สำเร็จ", "เชื่อม7ไม่สำเร็จ"),
        ("task 6717f3d2-9e1b-4c51-a0e0-{n:012d} done", "task undefined done"),
        ("latency {n} ms", "latency NaN ms"),
        ("latency {n} ms", "latency 7 s"),
        ("latency {n} ms", "latency 7 ms exceeded"),
        ("{n} Dateien kopiert", "keine Dateien kopiert"),
        ("Auftrag {n} bezahlt", "Auftrag 7 nicht bezahlt"),
        ("{n} fichiers copiés", "aucun fichiers copiés"),
        ("pedido {n} pagado", "pedido 7 no pagado"),
        ("заказ {n} оплачен", "заказ 7 не оплачен"),
        ("sent {n} packets", "sent 7 packets, lost 3"),
        ("memory {n} MB free", "memory 7 KB free"),
        ("lease {n} renewed until {n}", "lease 7 renewed until never"),
    ],
)
def test_a_new_failure_is_no_old_line(known: str, new: str) -> None:
    matcher = matcher_of(mine([known.format(n=n % 250) for n in range(1, 80)] + ["started"] * 3))
    assert matcher.match(known.format(n=7).encode()) != UNMATCHED
    assert matcher.match(new.encode()) == UNMATCHED


def test_a_trailing_wildcard_does_not_swallow_failed() -> None:
    names = [f"file{n}.{'abcdef'[n % 6]}x" for n in range(60)]
    matcher = matcher_of(mine([f"uploaded file {name}" for name in names]))
    assert matcher.match(b"uploaded file other.zz") != UNMATCHED
    assert matcher.match(b"uploaded file other.zz failed") == UNMATCHED


def test_a_trailing_wildcard_takes_the_words_that_training_saw() -> None:
    reasons = ["disk is full", "no route to host", "it was closed by peer", "quota of user reached"]
    lines = [f'write refused: reason="{reasons[n % 4]} {n}"' for n in range(40)]
    matcher = matcher_of(mine(lines))
    assert all(matcher.match(line.encode()) != UNMATCHED for line in lines)


@pytest.mark.parametrize(
    ("paid", "failed"),
    [
        ("订单{n}支付成功", "订单{n}支付失败"),
        ("訂單{n}已付款", "訂單{n}付款失敗，餘額不足"),
        ("注文{n}の支払いが完了しました", "注文{n}の支払いに失敗しました"),
        ("주문 {n}번 결제 완료", "주문 {n}번 결제 실패"),
        ("ชำระเงินคำสั่งซื้อ{n}สำเร็จ", "ชำระเงินคำสั่งซื้อ{n}ล้มเหลว"),
        ("用户a{n}b登录成功", "用户a{n}b登录失败"),
    ],
)
def test_scripts_without_blanks(paid: str, failed: str) -> None:
    assert len(templates_of(paid, failed)) == 2


def test_the_quoted_messages_of_klog_are_text() -> None:
    found = templates_of(
        '"Observed pod startup duration" pod="kube-system/dns-{n}" duration={n}.5',
        '"Failed to create sandbox" pod="kube-system/dns-{n}" err="code {n}"',
        '"Killing container with a grace period" pod="kube-system/dns-{n}" gracePeriod={n}',
    )
    assert len(found) == 3
    assert all(text.split('"')[1].count(" ") >= 3 for text in found)


def test_requests_are_told_apart_by_method_and_route() -> None:
    rest = '200 {n} "-" "curl/8.{n}"'
    found = templates_of(
        f'"GET /api/orders/{{n}} HTTP/1.1" {rest}',
        f'"POST /api/orders HTTP/1.1" {rest}',
        f'"DELETE /api/orders/{{n}}/items/{{n}} HTTP/2.0" {rest}',
        f'"GET /api/users/{{n}}?page={{n}} HTTP/1.1" {rest}',
    )
    assert {" ".join(text.strip('"').split()[:2]) for text in found} == {
        "GET /api/orders/<id>",
        "POST /api/orders",
        "DELETE /api/orders/<id>/items/<id>",
        "GET /api/users/<id>?<id>",
    }


def test_the_same_message_of_many_components_is_one_template_each() -> None:
    """Was wrong: a component that wrote one line had a template of its own for its very values."""
    lines = [f"worker{c}: open of db{n}.shop by user{n}x{n}" for c in "abc" for n in range(9)]
    found = mine([*lines, "rare: open of db5.shop by user5x5"], keep_prefix=True).templates
    assert len({text.split(": ", 1)[1] for text in found}) == 1
    assert {text.split(":")[0] for text in found} == {"workera", "workerb", "workerc", "rare"}


def test_methods_of_grpc_are_steps() -> None:
    """Was wrong: they were masked as paths of files."""
    found = templates_of("/shop.v1.Orders/Get took {n} ms", "/shop.v1.Orders/Pay took {n} ms")
    assert {text.split()[0] for text in found} == {"/shop.v1.Orders/Get", "/shop.v1.Orders/Pay"}


def test_requests_without_quotes_are_told_apart_too() -> None:
    found = templates_of("GET /orders/{n} 200 {n} ms", "PUT /orders/{n}/items 200 {n} ms")
    assert {" ".join(text.split()[:2]) for text in found} == {
        "GET /orders/<id>",
        "PUT /orders/<id>/items",
    }


def test_requests_before_a_status_are_told_apart_too() -> None:
    found = templates_of(
        '10.0.0.1 - - "GET /orders/{n} HTTP/1.1" 200 12',
        '10.0.0.1 - - "GET /users/{n}/b HTTP/1.1" 200 12',
    )
    assert {text.split('"')[1].split()[1] for text in found} == {"/orders/<id>", "/users/<id>/b"}


def test_requests_behind_an_address_are_told_apart_too() -> None:
    """Was wrong: only at the start of a message were they requests."""
    found = templates_of("10.0.0.1 GET /orders/{n}/a 200", "10.0.0.1 GET /users/{n}/b 200")
    assert {text.split()[2] for text in found} == {"/orders/<id>/a", "/users/<id>/b"}


@pytest.mark.parametrize("form", ["moved {} done", "ticket for {} closed", "user={} ok", "by {}"])
def test_two_words_in_a_place_are_two(form: str) -> None:
    """Was wrong: two neighbouring words with digits were one wildcard that took any words."""
    pairs = [f"ann{n}x disk{n % 7}y" for n in range(60)]
    found = matcher_of(mine([*(form.format(pair) for pair in pairs), *["started"] * 3]))
    assert found.match(form.format("ann7x disk9y").encode()) != UNMATCHED
    assert found.match(form.format("nothing since the pool is exhausted").encode()) == UNMATCHED


def random_id(n: int, alphabet: str, length: int) -> str:
    rng = Random(n)
    return "".join(rng.choice(alphabet) for _ in range(length))


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

PODS = "bcdfghjklmnpqrstvwxz2456789"


@pytest.mark.parametrize(
    "ids",
    [
        pytest.param([f"ORD-{10 + n % 90}{'AB'[n % 2]}" for n in range(120)], id="ORD-17A"),
        pytest.param([f"{'ABCD'[n % 4]}{10 + n % 90}" for n in range(120)], id="A17"),
        pytest.param([f"fe80::{n:x}" for n in range(1, 120)], id="fe80::a"),
        pytest.param(
            ["".join(chr(0x6F0 + int(d)) for d in str(n)) for n in range(10, 130)], id="۱۷"
        ),
        pytest.param(
            [f"web-{random_id(n, PODS, 9)}-{random_id(n + 500, PODS, 5)}" for n in range(120)],
            id="pods",
        ),
        pytest.param([random_id(n, LETTERS, 24) for n in range(100, 220)], id="random letters"),
    ],
)
def test_ids_in_which_letters_and_digits_touch(ids: list[str]) -> None:
    """Was wrong: each letter, and of random ids each id, made a template of its own."""
    forms = ("order {} queued", "item={} picked", "failed to load {}: timeout", "{} done")
    mined = mine(form.format(value) for value in ids for form in forms)
    assert len(mined.templates) == len(forms)
    matcher = matcher_of(mined)
    assert matcher.match(f"order {ids[0]} is broken".encode()) == UNMATCHED


def test_an_id_of_hexadecimal_letters_alone_is_an_id() -> None:
    """Was wrong: one of 2,500 such ids was a template of its own, or matched none."""
    rng = Random(3)
    ids = [f"{rng.getrandbits(32):08x}" for _ in range(100)]
    forms = ("room locked, lock {}", "lock={} given back")
    mined = mine(form.format(one) for one in [*ids, "befdaead"] for form in forms)
    assert len(mined.templates) == len(forms)
    matcher = matcher_of(mine(form.format(one) for one in ids for form in forms))
    for form in forms:
        assert matcher.match(form.format("bccbdedf").encode()) != UNMATCHED
        assert matcher.match(form.format("released").encode()) == UNMATCHED


@pytest.mark.parametrize("size", [16, 20, 32, 64])
def test_ids_in_base64_are_one_value(size: int) -> None:
    """Was wrong: with slashes, a plus or behind `=`, they were parts of paths, and with other
    slashes the next one matched nothing.
    """
    rng = Random(size)
    forms = ("ticket {} was issued", "login token={} ok", "key {}, size 5", "{} is done")
    ids = [base64.b64encode(rng.randbytes(size)).decode() for _ in range(300)]
    mined = mine(form.format(value) for value in ids[:200] for form in forms)
    assert len(mined.templates) <= len(forms) + 1
    matcher = matcher_of(mined)
    assert all(
        matcher.match(form.format(value).encode()) != UNMATCHED
        for value in ids[200:]
        for form in forms
    )


def test_names_of_programs_are_no_random_ids() -> None:
    names = ("XMLHttpRequestFactoryBean", "AbstractHttp11Protocol", "RxTx_DMA0_Ch1_IRQ")
    found = templates_of(*(f"{name} took {{n}} ms" for name in names))
    assert {text.split()[0] for text in found} == set(names)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param('web app/srv1 0/0/1/{n} 200 {n} 1/1/0 "{request} HTTP/1.1"', id="HAProxy"),
        pytest.param(
            '10.0.0.1:{n} 0.{n} 200 "{method} https://a.example:443{path} HTTP/1.1" "curl/8"',
            id="ELB",
        ),
        pytest.param('"{method} http://a.example{path} HTTP/1.1" 200 {n} "-"', id="Varnish"),
        pytest.param('200 |  1.{n}ms |  10.0.0.1 | {method}   "{path}"', id="gin"),
        pytest.param("msg=handled method={method} uri={path} size={n} status=200", id="fields"),
        pytest.param('at=info method={method} path="{path}" bytes={n}', id="Heroku"),
        pytest.param("s-ip=10.0.0.1 cs-method={method} cs-uri-stem={path} s-port={n}", id="IIS"),
    ],
)
def test_routes_of_further_servers(form: str) -> None:
    """Was wrong: where the request was not the first that a line says, its route was a value."""
    requests = [("GET", "/shop/items"), ("GET", "/shop/items/{n}"), ("POST", "/shop/cart")]
    texts = [
        form.format(
            n=n, method=method, path=path.format(n=n), request=f"{method} {path.format(n=n)}"
        )
        for n in range(1000, 1080)
        for method, path in requests
    ]
    mined = mine(texts)
    assert len(mined.templates) == len(requests)
    matcher = matcher_of(mined)
    new = form.format(n=7777, method="DELETE", path="/shop/cart", request="DELETE /shop/cart")
    assert matcher.match(new.encode()) == UNMATCHED


def test_the_request_in_an_error_is_not_what_it_is_about() -> None:
    form = 'upstream timed out (110), client: 10.0.0.{n}, request: "GET /a/{r} HTTP/1.1", host: "x"'
    mined = mine(form.format(n=n, r=f"r{chr(97 + n % 26)}oute") for n in range(80))
    assert len(mined.templates) == 1


def test_what_stands_around_a_number_says_what_happened() -> None:
    """Was wrong: letters behind a number were part of it, and `7notdone` a value of `job<num>`."""
    done = (f"job{1000 + n}done" for n in range(40))
    not_done = (f"job{5000 + n}notdone" for n in range(6))
    mined = mine([*done, *not_done, *["started"] * 3])
    assert {"job<num>done", "job<num>notdone"} <= set(mined.templates)


def test_a_random_code_is_no_pair_of_words() -> None:
    rng = Random(7)
    codes = ["".join(rng.choices("ABCDEFGHJKLM", k=3)) for _ in range(120)]
    lines = [f"refund of {code}{100 + n}{codes[-n]} done" for n, code in enumerate(codes)]
    assert len(mine(lines).templates) == 1
