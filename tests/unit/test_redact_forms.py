"""Forms in which secrets and persons appear in logs, kind by kind; each of them must be masked.

Every value here is made up. A form is a text and the part of it that must be gone; of a long value
no piece of eight characters may be left either.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from synthetic import MESSAGES, OPEN, OPENED, T0, S

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.explain import Answer
from fluent_krone.explain.cases import CaseMaker
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.ledger import Ledger
from fluent_krone.explain.question import question
from fluent_krone.explain.redact import plain, redactor

redact = redactor()

R16 = "x7Kq9TzP2mWv4RbL"
HEX32 = "9f86d081884c7d659a2feaa0c55ad015"
LONG = "aB3dE5gH7jK9mN2pQ4sT6vX8zA1cF0iL5oR2"

FORMS: dict[str, list[tuple[str, str]]] = {
    "keys": [
        ("DB_PASS=hunter2", "hunter2"),
        ("DB_PW=hunter2", "hunter2"),
        ("export SMTP_PASS='hunter2'", "hunter2"),
        ("pw: hunter2", "hunter2"),
        ("userPass=hunter2", "hunter2"),
        ("PGPASSWORD=hunter2 psql", "hunter2"),
        ("passwort = hunter2", "hunter2"),
        ("passphrase: correct-horse", "correct-horse"),
        ("spring.datasource.password=hunter2", "hunter2"),
        ("AccountKey=hunter2hunter2==;EndpointSuffix=x", "hunter2"),
        ("SharedAccessKey=hunter2", "hunter2"),
        ("api key: hunter2", "hunter2"),
        ("x-api-key: hunter2", "hunter2"),
        ("encryption_key=hunter2", "hunter2"),
        ("signing-key: hunter2", "hunter2"),
        ("client_secret%3Dhunter2", "hunter2"),
        ("&quot;password&quot;:&quot;hunter2&quot;", "hunter2"),
        ("sid=hunter2hunter2", "hunter2"),
        ("connect.sid=hunter2", "hunter2"),
        ("PHPSESSID=hunter2", "hunter2"),
        ("ASP.NET_SessionId=hunter2", "hunter2"),
        ("csrf_token=hunter2", "hunter2"),
        ("psk=hunter2", "hunter2"),
        ("pre-shared-key: hunter2", "hunter2"),
        ("community=hunter2", "hunter2"),
        ('{"name": "DB_PASSWORD", "value": "hunter2"}', "hunter2"),
        ('<add key="Password" value="hunter2"/>', "hunter2"),
        ('("password", "hunter2")', "hunter2"),
        ("params['password'] = 'hunter2'", "hunter2"),
    ],
    "xml": [
        ("<password>hunter2</password>", "hunter2"),
        ("<wsse:Password Type='text'>hunter2</wsse:Password>", "hunter2"),
        ("<clientSecret>hunter2</clientSecret>", "hunter2"),
        ("<pin>4711</pin>", "4711"),
    ],
    "sentences": [
        ("the password is hunter2", "hunter2"),
        ("password is: hunter2", "hunter2"),
        ("new password was set to hunter2 today", "hunter2"),
        ("password for bob is hunter2", "hunter2"),
        ("tried with password hunter2", "hunter2"),
        ("secret is hunter2", "hunter2"),
        ("machine x login bob password hunter2", "hunter2"),
        ("enable password 7 0822455D0A16", "0822455D0A16"),
        ("snmp-server community hunter2 RO", "hunter2"),
        ("ALTER USER bob IDENTIFIED BY 'hunter2'", "hunter2"),
        ("CREATE ROLE bob WITH PASSWORD 'hunter2'", "hunter2"),
        ("SET PASSWORD FOR 'bob'@'%' = PASSWORD('hunter2')", "hunter2"),
    ],
    "commands": [
        ("curl -u bob:hunter2 https://example.com", "hunter2"),
        ("curl -ubob:hunter2 https://example.com", "hunter2"),
        ("curl --user 'bob:hunter2' x", "hunter2"),
        ("curl --proxy-user bob:hunter2 x", "hunter2"),
        ("mysql -u root -phunter2 shop", "hunter2"),
        ("mysqldump -phunter2", "hunter2"),
        ("sshpass -p hunter2 ssh web1", "hunter2"),
        ("docker login -u bob -p hunter2", "hunter2"),
        ("redis-cli -h db -a hunter2 ping", "hunter2"),
        ("ldapsearch -D cn=x -w hunter2", "hunter2"),
        ("smbclient //a/b -U bob%hunter2", "hunter2"),
        ("echo hunter2 | sudo -S reboot", "hunter2"),
        ("htpasswd -bc /etc/x bob hunter2", "hunter2"),
        ("wget --http-password=hunter2 x", "hunter2"),
        ("app --db-pass hunter2", "hunter2"),
        ("tool /password:hunter2", "hunter2"),
        ("sqlplus scott/tiger@orcl", "tiger"),
        ("jdbc:oracle:thin:scott/tiger@//db:1521/x", "tiger"),
        ("ftp bob:hunter2@files", "hunter2"),
    ],
    "addresses in the web": [
        ("GET /v1?key=hunter2", "hunter2"),
        ("GET /cb?state=1&code=hunter2hunter2", "hunter2"),
        ("POST /x?a=1&sid=hunter2", "hunter2"),
        ("https://x.example/#access_token=hunter2", "hunter2"),
        ("amqp://bob:hunter2@mq:5672/v", "hunter2"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        ("mongodb+srv://bob:hunter2@db.example.com", "hunter2"),
        ('{"auths": {"r.example.com": {"auth": "Ym9iOmh1bnRlcjI="}}}', "Ym9iOmh1bnRlcjI"),
        ("X-Amz-Signature=" + HEX32, HEX32),
        ("https://discord.com/api/webhooks/123/" + LONG, LONG),
        ("https://hooks.slack.com/services/T0AB/B0CD/abcdEFGH", "abcdEFGH"),
    ],
    "words about an attempt": [
        ("password attempt: hunter2", "hunter2"),
        ("password entered: letmein", "letmein"),
        ("login failed, the password used was qwerty", "qwerty"),
        ("wrong passphrase given: abc", "abc"),
        ("passwords tried: hunter2, dragon7, plain", "plain"),
        ("password guess: x1, user: robert", "robert"),
        ("password attempts: 3, user: robert", "robert"),
    ],
    "codes": [
        ("OTP 482913 sent", "482913"),
        ("your verification code is 482913", "482913"),
        ("one-time password: 482913", "482913"),
        ("otp=482913", "482913"),
        ("PIN 4711 entered", "4711"),
        ("pin code 4711", "4711"),
        ("cvv=123", "123"),
        ("CVV2: 1234", "1234"),
        ("security code 123 is wrong", "123"),
        ("2FA code: 482 913", "482 913"),
        ("backup code 8f3k-22x9", "8f3k"),
        ("login code for bob is 482913", "482913"),
        ("G-482913 is your verification code", "482913"),
    ],
    "tokens": [
        ("twilio AC" + HEX32, HEX32),
        ("twilio SK" + HEX32, HEX32),
        ("azure Abc8Q~aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456", "aBcDeFgH"),
        ("vault hvs.CAESIJhunter2hunter2hunter2", "CAESIJhunter2"),
        ("vault s.ABCDEFGHijklmnop12345678", "ABCDEFGHijkl"),
        ("databricks dapi" + HEX32, HEX32),
        ("Authorization: Negotiate YIIGhgYGKwYBBQUCoIIGejCCBnag", "YIIGhgYG"),
        ("got negotiate YIIGhgYGKwYBBQUCoIIGejCCBnag", "YIIGhgYG"),
        ("$krb5tgs$23$*svc$EXAMPLE.COM$x*$" + HEX32, HEX32),
        ("shadow bob:$6$saltsalt$" + LONG, LONG),
        ("hash $2b$12$abcdefghijklmnopqrstuv", "abcdefghijk"),
        ("ldap {SSHA}aGVsbG93b3JsZGhlbGxv", "aGVsbG93"),
        ("kubeadm join --token abcdef.0123456789abcdef", "0123456789abcdef"),
        ("bootstrap token abcdef.0123456789abcdef expired", "0123456789abcdef"),
        ("gho_" + LONG, LONG),
        ("github_pat_" + LONG, LONG),
        ("glpat-" + "aB3dE5gH7jK9mN2pQ4sT", "aB3dE5gH7j"),
        ("xoxb-1234567890-abcdef", "1234567890"),
        ("npm_" + LONG, LONG),
        ("GOCSPX-" + "abcdefghijklmnop", "abcdefghijkl"),
        ("SG.abcdefghijkl.mnopqrstuvwxyz", "abcdefghijkl"),
        ("shpat_" + HEX32, HEX32),
        ("dckr_pat_abcdefghijklmnop", "abcdefghijkl"),
        ("glsa_abcdefghijklmnop_12345678", "abcdefghijkl"),
        ("ATATT3xFfGF0abcdefghijkl", "FfGF0abcdefgh"),
        ("sk_live_abcdefghijklmnop", "abcdefghijkl"),
        ("key-" + HEX32, HEX32),
        ("telegram 123456789:" + LONG, LONG),
        ("mailchimp " + HEX32 + "-us12", HEX32),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7"),
        ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQ", "1QQQQQQQQ"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.", "eyJzdWIi"),
    ],
    "random words": [
        ("generated " + R16, R16),
        ("got k9#mP2$vL5@nQ8!x", "k9#mP2$vL5"),
        ("seed JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PXP"),
        ("enrolled GEZDGNBVGY3TQOJQ now", "GEZDGNBVGY3TQOJQ"),
        ("seed JBSW Y3DP EHPK 3PXP", "JBSW Y3DP"),
        ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PXP"),
        ("value wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ],
    "hardware": [
        ("mac 001a.2b3c.4d5e", "001a.2b3c"),
        ("mac 001A2B3C4D5E", "001A2B3C4D5E"),
        ("client 00-1A-2B-3C-4D-5E", "1A-2B"),
        ("ether 0:1a:2b:3c:4d:5e", "2b:3c"),
    ],
    "numbers": [
        ("IBAN DE89 3704 0044 0532 0130 00", "3704 0044"),
        ("to DE89370400440532013000", "370400440532"),
        ("from GB29NWBK60161331926819", "60161331926819"),
        ("account number: 12345678", "12345678"),
        ("call +49 30 1234567", "1234567"),
        ("sms to +14155550123 failed", "4155550123"),
        ("phone: 030/1234567", "1234567"),
        ("phone (415) 555-0123", "555-0123"),
        ("415-555-0123 called", "555-0123"),
        ("mobile=01711234567", "01711234567"),
        ("ssn 123-45-6789", "123-45-6789"),
        ("SSN: 123456789", "123456789"),
        ("nino AB 12 34 56 C", "12 34 56"),
        ("passport no. C01X00T47", "C01X00T47"),
        ("date of birth: 1980-02-29", "1980-02-29"),
        ("card 5555555555554444", "5555555555554444"),
    ],
    "persons": [
        ("user alice logged in", "alice"),
        ("User alice.smith has been locked", "alice"),
        ("alice logged in from web1", "alice"),
        ("login failed for alice", "alice"),
        ("authenticated as alice", "alice"),
        ("session opened for user alice by bob(uid=0)", "bob"),
        ("sudo: alice : TTY=pts/0", "alice"),
        ("CORP\\alice denied", "alice"),
        ("username: alice", "alice"),
        ("alice%40example.com", "alice"),
        ("mail=alice", "alice"),
        ("kinit alice/admin@EXAMPLE.COM", "alice"),
        ("alice@EXAMPLE.COM: ticket expired", "alice"),
        ("bob@example.com:hunter2", "hunter2"),
        ("/home/alice/.ssh/id_rsa", "alice"),
    ],
    "other languages": [
        ("contraseña: hunter2", "hunter2"),
        ("mot de passe : hunter2", "hunter2"),
        ("senha=hunter2", "hunter2"),
        ("пароль: hunter2", "hunter2"),
        ("密码：hunter2", "hunter2"),
        ("パスワード: hunter2", "hunter2"),
        ("hasło: hunter2", "hunter2"),
        ("wachtwoord: hunter2", "hunter2"),
        ("Ihr Bestätigungscode lautet 884213", "884213"),
        ("votre code de vérification est 551902", "551902"),
        ("Benutzer schmidt angemeldet", "schmidt"),
    ],
    "databases": [
        ("INSERT INTO users (name, password) VALUES ('bob', 'hunter2')", "hunter2"),
        ("INSERT INTO u(name,pwd) VALUES('a','xyzzy1'),('b','hunter2')", "hunter2"),
        ('mysql_connect("db", "root", "hunter2")', "hunter2"),
        ("new PDO('mysql:host=h;dbname=d', 'root', 'hunter2')", "hunter2"),
        ("AUTH hunter2", "hunter2"),
        ("AUTH PLAIN AGJvYgBodW50ZXIy", "AGJvYgBodW50ZXIy"),
        ("requirepass hunter2", "hunter2"),
        ("rabbitmqctl add_user bob hunter2", "hunter2"),
        ("pbkdf2_sha256$260000$abcSalt$" + LONG, LONG),
        ("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + LONG, LONG),
    ],
    "further commands": [
        ("keytool -list -storepass hunter2", "hunter2"),
        ("net use Z: \\\\srv\\share /user:CORP\\bob hunter2", "hunter2"),
        ("net user bob hunter2 /add", "hunter2"),
        ("openssl enc -aes-256-cbc -k hunter2 -in f", "hunter2"),
        ("ssh-keygen -p -P hunter2 -N hunter2 -f id", "hunter2"),
        ("mosquitto_pub -h b -P hunter2 -t x", "hunter2"),
        ("wpa_passphrase Home hunter2", "hunter2"),
        ("crypto isakmp key hunter2 address x", "hunter2"),
        ("user.setPin(4711)", "4711"),
        ("api.telegram.org/bot123456789:" + LONG, "123456789"),
        ("recovery codes: a1b2-c3d4, e5f6-g7h8", "e5f6-g7h8"),
        ("seed phrase: " + "abandon ability able about " * 3, "abandon ability"),
        ("activated ABCD1-EFGH2-IJKL3-MNOP4-QRST5", "EFGH2-IJKL3"),
        ("password for user joe was changed to hunter2", "hunter2"),
        ("GET /callback?state=af0ifjsldkj", "af0ifjsldkj"),
    ],
    "registers of persons": [
        ("Steuer-ID 86095742719", "86095742719"),
        ("customer 111.444.777-35", "111.444.777-35"),
        ("DNI 12345678Z verificado", "12345678Z"),
        ("RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("NIR 1 85 05 78 006 084 36", "006 084"),
        ("Aadhaar 2341 2341 2346", "2341 2341"),
        ("AHV 756.9217.0769.85", "9217.0769"),
        ("personnummer 811228-9874", "811228"),
        ("IMSI 310150123456789", "310150123456789"),
        ("lat=52.520008 lon=13.404954", "520008"),
    ],
    "names and places": [
        ('{"firstName":"Erika","lastName":"Mustermann"}', "Mustermann"),
        ("customer name: Erika Mustermann", "Mustermann"),
        ("Account Name: svenk", "svenk"),
        ('From: "Roe, Jane" <jane@example.com>', "Roe"),
        ("address: Hauptstraße 12, 10115 Berlin", "Hauptstraße 12"),
        ("to 12 Long Lane, Springfield", "12 Long Lane"),
        ("account dsmith locked", "dsmith"),
        ('mail from "john doe"@example.org', "john doe"),
        ("joe [at] example [dot] com", "joe"),
        ("sip:alice@example.com", "alice"),
        ("guest-10-105-162-178 is up", "105-162"),
        ("rhost=211-76-104-65.example.net", "76-104"),
    ],
    "of many kinds": [
        ("login with password=hunter2 failed", "hunter2"),
        ('password="two words" left', "two words"),
        ("passwd: 'it\"s'", 'it"s'),
        ("DB_PASSWORD=ab,cd;Server=x", "ab,cd"),
        (r"{\"password\":\"hunter2\"}", "hunter2"),
        ('{"client_secret": "hunter2", "id": 7}', "hunter2"),
        ('unfinished password="hunter2 and more', "hunter2 and more"),
        ("mysql --password hunter2 -u root", "hunter2"),
        ("--api-key=hunter2", "hunter2"),
        ("password => hunter2", "hunter2"),
        ("Authorization: Bearer hunter2.x.y", "hunter2"),
        ("Authorization: Basic aHVudGVyMg==", "aHVudGVyMg"),
        ('Authorization: Digest username="bob", response="hunter2"', "hunter2"),
        ('{"authorization": "Bearer hunter2", "status": 500}', "hunter2"),
        ("authorization: hunter2 next", "hunter2"),
        ("Set-Cookie: sid=hunter2; path=/", "hunter2"),
        ("got bearer hunter2hunter2 here", "hunter2"),
        ("GET /x?a=1&sig=hunter2&b=2", "hunter2"),
        ("dsn postgres://bob:hunter2@db.example.com/x", "hunter2"),
        ("push https://hunter2@git.example.com/x", "hunter2"),
        ("key AKIA" + "ABCDEFGHIJKLMNOP used", "ABCDEFGHIJKLMNOP"),
        ("with ghp_" + LONG, LONG),
        ("with glpat-" + LONG, LONG),
        ("with xoxb-12345-" + LONG, LONG),
        ("with sk-ant-" + LONG, LONG),
        ("with AIza" + LONG, LONG),
        ("jwt eyJhbGciOiJ.eyJzdWIiOiJ.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY----- after",
            "hunter2",
        ),
        ("-----BEGIN PRIVATE KEY----- hunter2", "hunter2"),
        ("mail to bob.smith+x@mail.example.com bounced", "bob.smith"),
        ("ssh root@web1 refused", "root"),
        ("from 10.251.42.1:50010", "10.251.42.1"),
        ("src: /10.250.19.102:54106", "10.250.19.102"),
        ("host ip-10-0-3-17 is down", "10-0-3-17"),
        ("peer fe80::1ff:fe23:4567:890a%eth0", "fe80::1ff"),
        ("peer [2001:db8::7]:443", "2001:db8::7"),
        ("peer ::ffff:10.0.0.7 left", "10.0.0.7"),
        ("mac 00:1A:2b:3c:4d:5e", "1A:2b"),
        ("card 4111 1111 1111 1111 20", "4111 1111"),
        ("card 25 4111-1111-1111-1111", "4111-1111"),
        ("card 378282246310005", "378282246310005"),
        ("digest " + "0123456789abcdef" * 2, "0123456789abcdef"),
        ("blob " + LONG, LONG),
        ("request 123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("user=bob logged in", "bob"),
        ("login failed for user bob", "bob"),
        ("user 'bob' is unknown", "bob"),
        ("ruser=bob rhost=x", "bob"),
        ("Failed password for invalid user bob from 1.2.3.4", "bob"),
        ("Accepted publickey for bob from 1.2.3.4 port 22", "bob"),
        ("open /home/bob/x failed", "bob"),
        (r"open C:\Users\bob\x failed", "bob"),
        ("uid=1000 denied", "1000"),
    ],
    "in disguise": [
        ("ｐａｓｓｗｏｒｄ＝ｈｕｎｔｅｒ２", "hunter2"),
        ("ｐａｓｓｗｏｒｄ＝ｈｕｎｔｅｒ２", "ｈｕｎｔｅｒ２"),
        ("𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝=hunter2", "hunter2"),
        ("pass\u200bword=hunter2", "hunter2"),
        ("PASSWORD=HUNTER2", "HUNTER2"),
        ("password%3A%20hunter2", "hunter2"),
    ],
}
CASES = [(text, gone) for forms in FORMS.values() for text, gone in forms]


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 125


@pytest.mark.parametrize(("text", "gone"), CASES)
def test_a_form_is_masked(text: str, gone: str) -> None:
    masked = redact(plain(text))
    assert gone not in masked
    assert re.search(r"<[a-z]+>", masked)
    for at in range(len(gone) - 7):
        assert gone[at : at + 8] not in masked, "a piece of it is left"
    assert redact(masked) == masked


# Lines of many products, written before the rules were tried on them: what must be gone and the
# line, with a tab between; and lines that look alike and tell nothing.
LINES = Path(__file__).parents[1]
SECRETS = [line.split("\t") for line in (LINES / "secrets.tsv").read_text("utf-8").splitlines()]
HARMLESS = (LINES / "harmless.txt").read_text("utf-8").splitlines()


def test_there_are_many_lines() -> None:
    assert len(SECRETS) > 500
    assert len(HARMLESS) > 500


def test_lines_of_many_products_are_masked() -> None:
    left = []
    for gone, text in SECRETS:
        assert gone in text
        masked = redact(plain(text))
        pieces = {gone[at : at + 8] for at in range(len(gone) - 7)} or {gone}
        if any(piece in masked for piece in pieces) or redact(masked) != masked:
            left.append((gone, masked))
    assert left == []


def test_harmless_lines_of_many_products_stay() -> None:
    assert [text for text in HARMLESS if redact(text) != text] == []


def test_no_form_reaches_a_question_the_ledger_or_the_knowledge(
    lift: Bundle, tmp_path: Path
) -> None:
    """The whole way: a line of the log, its alert, its case, its question, what is kept of it."""
    config = Config(ledger="ledger", explain_lines=True)
    alerts = AlertMaker(lift, config)
    cases = CaseMaker(lift, config)
    knowledge = Knowledge(tmp_path / "knowledge")
    ledger = Ledger(tmp_path / "ledger")
    made = []
    for number, (text, _) in enumerate(CASES):
        messages = [MESSAGES[OPEN], text.replace("\n", " "), MESSAGES[OPENED]]
        engine = lift.engine()
        events = [
            (T0 + (number * 9 + i) * S, {b"message": message.encode(), b"ride": b"1"})
            for i, message in enumerate(messages)
        ]
        found = engine.feed("app", events, T0 + 9999 * S) + engine.finish()
        [finding] = [finding for finding in found if finding.kind == "sequence"]
        alert = alerts.make(finding)
        case = cases.make(finding, alert)
        assert case is not None
        made.append(alert)
        asked = question(case, redact)
        ledger.sent({"content": asked.content}, pattern=case.pattern, model="m", now=0.0)
        step = case.session[case.event]
        answer = Answer("abnormal", 0.9, "It broke.", "Unknown.", "", (step,), "m", 0, 0, 0.0)
        case = dataclasses.replace(case, start=case.event, end=case.event + 1)
        knowledge.learn(case, answer, 0.0)
    knowledge.alerted(made)
    knowledge.close()
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("utf-8", "replace")
    for text, gone in CASES:
        if len(gone) >= 6 and gone not in ("hunter2", "<user>"):
            assert gone not in kept, text
    assert "hunter2" not in kept
