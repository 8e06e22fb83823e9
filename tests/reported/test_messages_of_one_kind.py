"""Logs whose messages are all of one kind, so that their words stand in columns as a header's do.

Was wrong: of an appliance's failed logins, only the user was left of the message, and the word
`error` in it was the level; of a mail server's warnings, only what stood behind the client.
"""

from __future__ import annotations

import pytest

from export.guess import guess_line_format

ONE_KIND = {
    "a level in a sentence": (
        "Oct 15 13:00:{n:02d} fw1 php-fpm[374]: /index.php: ",
        "webConsole authentication error for user 'ann' from 10.1.2.{n}",
    ),
    "a level in a sentence, RFC 5424": (
        '<35>1 2024-10-15T13:00:{n:02d}+00:00 fw1 audit 2440 - [meta sequenceId="{n}"] ',
        "/index.php: Web console authentication error for user 'ann' from 10.1.2.{n}",
    ),
    "a client behind a level": (
        "Oct 15 13:00:{n:02d} mail postfix/smtpd[16997]: warning: ",
        "unknown[10.1.2.{n}]: SASL LOGIN authentication failed: reason {n}",
    ),
    "a level behind words": ("2024/10/15 13:00:{n:02d} ", "user ann got an error while paying {n}"),
    "a time at the end of a sentence": (
        "2024-10-15 13:00:{n:02d}.123 CEST [1234] LOG:  ",
        "database system was shut down at 2024-10-15 12:59:{n:02d} CEST",
    ),
    "empty brackets in a sentence": (
        "10-15 13:00:{n:02d}.123 V/Settings( 1766): ",
        "Updating settings {n}, locales updated from [] to [en_US]",
    ),
    "how something ended": ("2024/10/15 13:00:{n:02d} ", "payment failed: card {n} declined"),
    "words and a client behind a level": (
        "Oct 15 13:00:{n:02d} mail postfix/smtpd[16997]: warning: ",
        "no command of mail from unknown[10.1.2.{n}]: GET /{n} HTTP/1.1",
    ),
    "words with a colon behind a level": (
        "2024-10-15 13:00:{n:02d}.123 +02:00 [Warning] ",
        "Failed login attempt by address: 10.1.2.{n}",
    ),
    "a name in parentheses": (
        "Oct 15 13:00:{n:02d} ns1 named[75]: 15-Oct-2024 13:00:{n:02d}.425 security: info: ",
        "client @0x7f65100ee4d8 10.1.2.3#{n} (example.com): query denied",
    ),
    "who sent a packet": (
        "Oct 15 13:00:{n:02d} fw1 kernel: ",
        "[19955.5{n:02d}] IN=eth0 OUT= MAC=de:1c SRC=10.1.2.{n} DST=10.9.9.9 LEN=44 ID={n} SYN",
    ),
    "the status of a request": (
        "[GIN] 2024/10/15 - 13:00:{n:02d} | ",
        '401 |     505.317µs |       10.1.2.3 | POST     "/client/{n}"',
    ),
}


@pytest.mark.parametrize("kind", ONE_KIND)
@pytest.mark.parametrize("count", [3, 60])
def test_messages_of_one_kind_keep_their_words(kind: str, count: int) -> None:
    header, message = ONE_KIND[kind]
    guess = guess_line_format([(header + message).format(n=n) for n in range(count)])
    assert guess is not None
    assert guess.example["message"] == message.format(n=0)


def test_bars_in_a_message() -> None:
    """Was wrong: of an audit's lines, who failed was the component, and that it failed was lost."""
    said = "Supplied credentials: [user{n}]|AUTHENTICATION_FAILED|ann|10.1.2.{n}"
    lines = [
        f"2024-10-15 13:00:{n:02d},123 INFO [acme.Audit] - Tue Oct 15 13:00:{n:02d} CEST 2024|CAS|"
        for n in range(60)
    ]
    guess = guess_line_format([line + said.format(n=n) for n, line in enumerate(lines)])
    assert guess is not None
    assert guess.example["message"] == said.format(n=0)


def test_pairs_of_which_each_line_has_others_before_its_time() -> None:
    """Was wrong: where some lines named who asked before their time, no line had a time."""
    lines = [
        f"logger=context userId={n} orgId=7 t=2024-10-15T13:00:{n:02d}.123+02:00 level=error n={n}"
        if n % 2
        else f"logger=http.server t=2024-10-15T13:00:{n:02d}.123+02:00 level=info msg=done"
        for n in range(60)
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    found = {name: guess.example[name] for name in ("time", "level", "component")}
    assert found == {
        "time": "2024-10-15T13:00:00.123+02:00",
        "level": "info",
        "component": "http.server",
    }
    assert guess.example["message"] == lines[0]
