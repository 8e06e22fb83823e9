"""Forms in which secrets and persons appear in logs, kind by kind; each of them must be masked.

Every value here is made up. A form is a text and the part of it that must be gone; of a long value
no piece of eight characters may be left either.
"""

from __future__ import annotations

import dataclasses
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
    for at in range(len(gone) - 7):
        assert gone[at : at + 8] not in masked, "a piece of it is left"
    assert redact(masked) == masked


TALK = [
    "password is not valid",
    "password is incorrect, try again",
    "the token is expired",
    "user is not allowed here",
    "user agent changed",
    "2 tests passed=3 failed=0",
    "081109 203615 148 INFO dfs.DataNode$PacketResponder: block closed",
    "2008-11-09 20:36:15,148 took 12.5 ms",
    "nginx-7d4b9c6f5-x2k8p is ready",
    "org.apache.hadoop.hdfs.server.datanode.DataXceiverServer2Runner",
    "KeyError: 'column_name_17'",
    "state=RUNNING code=E11000 retry=3",
    "https://example.com/a/b?page=2&sort=name",
    "node_modules/left-pad@1.3.0",
    "docker.io/library/nginx@sha256:",
    "connection to host closed as of now",
    "BLOCK* NameSystem.addStoredBlock: blockMap updated",
    "Deleting block blk_<num> file /mnt/hadoop/dfs/data/current/subdir<num>/blk_<num>",
    "HKLM\\Software\\Policies",
    "THIS IS ONLY A TEST RUN OVER NIGHT",
    "java.io.IOException: Connection reset by peer",
    "GET /index.html 200 12ms",
    "pass 2 of 3 done",
    "password attempt: 3 of 5",
    "password attempt: 3/5",
    "password attempts: 1024",
    "password attempts: 3, then 4; no more",
    "3 password attempts were made",
    "password entered: no",
    "password sent: successfully",
    "token used: 12ms",
    "tokens used: 4096",
    "checked out commit 3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a",
    "pulled image sha256:9b8c7d6e5f4a3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3f2a1b0c9d8e",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
    "request_id=550e8400-e29b-41d4-a716-446655440000 ok",
    "container 4f5e6d7c8b9a started",
    "thread-17 waits on 0x00007f8a4c0b1234",
    "[QuorumCnxManager$Listener:ZooKeeperServer@325] - listening",
    "CREATE TABLE users (id INT, password VARCHAR(255))",
    "INSERT INTO users (id, password) VALUES (?, ?)",
    "max_tokens=4096 temperature=0.7",
    "password_file=/etc/app/passwd",
    "status code is 200",
    "digest mismatch on layer 3",
    'secret "db-credentials" not found',
    "basic authentication failed",
    "getTopPadding=333.0",
    "block blk_5114572025256210948 is 67108864 bytes long",
    "081111 004657 17337 INFO dfs.DataNode: started",
    "Buffering 12 chunks, string 5 differs",
    "lat=0.123 ms",
]


@pytest.mark.parametrize("text", TALK)
def test_ordinary_log_text_stays(text: str) -> None:
    assert redact(text) == text


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
