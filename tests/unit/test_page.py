"""The page of alerts: which lines count, and that nothing of a log becomes markup.

How it looks and works is tested in a browser: `e2e/test_page_browser.py`.
"""

from __future__ import annotations

import colorsys
import gzip
import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fluent_krone.cli import main
from fluent_krone.errors import ConfigError
from fluent_krone.page import render as page
from fluent_krone.page import text_of
from fluent_krone.page.render import PageSummary, render, run, write_page


def alert(number: int = 1, **fields: Any) -> dict[str, Any]:
    ended_at = f"2025-06-01T09:{number // 60:02}:{number % 60:02}.000Z"
    return {
        "alert_id": f"{number:032x}",
        "kind": "sequence",
        "pattern": "p",
        "ended_at": ended_at,
        **fields,
    }


def of(*lines: str | dict[str, Any]) -> tuple[PageSummary, str]:
    return render(
        iter(line if isinstance(line, str) else json.dumps(line) for line in lines), "alerts.jsonl"
    )


class Reader(HTMLParser):
    """What a browser with scripts sees: tags, and the text of each script element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text: str) -> None:
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += text


def data_of(html: str) -> list[dict[str, Any]]:
    """The alerts as the page's script puts them together again."""
    content = json.loads(Reader(html).scripts[0])
    shared = ("evidence", "explained", "seq", "steps")
    return [
        {n: content["shared"][v] if n in shared else v for n, v in a.items()}
        for a in content["alerts"]
    ]


def test_the_demos_alerts_are_on_the_page_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, out = tmp_path / "alerts.jsonl", tmp_path / "page.html"
    assert main(["demo", "--json", "--sessions", "100", "--alerts", str(lines)]) == 0
    alerts = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    capsys.readouterr()
    assert run(lines, out) == 0
    patterns = len({alert["pattern"] for alert in alerts})
    assert capsys.readouterr().out == f"{out}: {len(alerts)} alerts with {patterns} signatures\n"
    newest_first = sorted(alerts, key=lambda alert: str(alert["ended_at"]), reverse=True)
    assert data_of(out.read_text(encoding="utf-8")) == newest_first


def test_lines_as_fluentd_writes_them() -> None:
    text = json.dumps(alert())
    summary, html = of(
        f"2025-06-01T09:00:00+00:00\tkrone.app\t{text}\n", json.dumps(alert(2, tag="a\tb"))
    )
    assert (summary.alerts, summary.bad_lines) == (2, 0)
    assert alert() in data_of(html)


def test_a_gzipped_file(tmp_path: Path) -> None:
    lines = tmp_path / "alerts.log.gz"
    lines.write_bytes(gzip.compress(json.dumps(alert()).encode()))
    assert write_page(lines, tmp_path / "page.html").alerts == 1


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "{",
        "[]",
        "7",
        "null",
        '"alert_id kind"',
        '{"alert_id": "a"}',
        '{"alert_id": 1, "kind": "sequence"}',
        '{"alert_id": "a", "kind": "sequence", "score": 1e999}',
        '{"alert_id": "a", "kind": "sequence", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"alert_id": "a", "kind": "sequence", "x": ' + "9" * 5_000 + "}",
        "time\ttag\t{}",
        "\ufffd\x00",
    ],
    ids=lambda line: line[:50],
)
def test_lines_that_are_no_alerts_are_counted(line: str) -> None:
    summary, html = of(line, alert(), "", "\n")
    assert summary == PageSummary(alerts=1, patterns=1, repeats=0, bad_lines=1, left_out=0)
    assert "1 line set aside: no alert" in html
    assert data_of(html) == [alert()]


def test_of_a_repeated_alert_the_last_stands() -> None:
    summary, html = of(alert(explanation="first"), alert(2), alert(explanation="last"))
    assert (summary.alerts, summary.repeats) == (2, 1)
    assert str(summary) == "2 alerts with 1 signature; 1 repeat"
    assert [found.get("explanation") for found in data_of(html)] == [None, "last"]


def test_of_a_huge_file_the_last_alerts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_ALERTS", 3)
    summary, html = of(*map(alert, range(5)))
    assert str(summary) == "3 alerts with 1 signature; 2 earlier left out"
    assert [found["alert_id"] for found in data_of(html)] == [
        alert(i)["alert_id"] for i in (4, 3, 2)
    ]


def test_scores_that_are_no_numbers_are_readable() -> None:
    _, html = of('{"alert_id": "a", "kind": "sequence", "score": NaN, "threshold": -Infinity}')
    assert data_of(html)[0]["score"] == "NaN"


def test_what_alerts_have_alike_stands_once() -> None:
    steps = {
        "rows": [["a", "b", "c", "a template that is rather long"]],
        "session": [0],
        "first": 0,
        "nearest": [],
        "alike": [],
    }
    _, html = of(*(alert(i, steps=steps) for i in range(100)))
    assert html.count("rather long") == 1
    assert all(found["steps"] == steps for found in data_of(html))


def test_no_alerts_are_told() -> None:
    summary, html = of()
    assert str(summary) == "0 alerts with 0 signatures"
    assert "<p>No alerts.</p>" in html


def test_without_javascript_it_is_a_list() -> None:
    fields = {
        "entity": "lift",
        "action": "move",
        "status": None,
        "tag": "app",
        "session": ["a", "b"],
    }
    _, html = of(*(alert(i, explanation=f"told {i}", **fields) for i in range(300)))
    plain = html[html.index("<noscript>") : html.index("</noscript>")]
    assert plain.count("<li>") == 200
    assert plain.index("told 299") < plain.index("told 298")
    assert "lift → move → ?" in plain and "app · a b" in plain
    assert "JavaScript shows 100 more" in plain


# -- safety

EVIL = (
    "</script></noscript><!--<script>x</script><img src=x onerror=x>{{data}}{{policy}}"
    "\u2028\u202e\ud800'\"&"
)


def test_nothing_of_an_alert_becomes_markup() -> None:
    names = ("tag", "entity", "action", "status", "explanation", "ended_at", "bundle", EVIL)
    fields: dict[str, Any] = dict.fromkeys(names, EVIL)
    _, html = of(alert(**fields, session=[EVIL], lines=[EVIL], steps={EVIL: EVIL}))
    _, harmless = of(alert())
    tags = [
        (tag, attributes) for tag, attributes in Reader(html).tags if tag not in ("li", "b", "br")
    ]
    expected = [
        (tag, attributes)
        for tag, attributes in Reader(harmless).tags
        if tag not in ("li", "b", "br")
    ]
    assert tags == expected
    assert data_of(html)[0]["lines"] == [EVIL]
    assert html.isascii() == harmless.isascii()


def test_the_name_of_the_file_is_no_markup(tmp_path: Path) -> None:
    lines, out = tmp_path / "<img src=x>{{data}}.jsonl", tmp_path / "page.html"
    lines.write_text(json.dumps(alert()), encoding="utf-8")
    write_page(lines, out)
    assert "img" not in [tag for tag, _ in Reader(out.read_text(encoding="utf-8")).tags]


def test_only_the_pages_own_script_and_style_may_run() -> None:
    _, html = of(alert())
    [policy] = [
        a["content"]
        for tag, a in Reader(html).tags
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert f"{tag}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_nothing_is_loaded_and_no_text_is_parsed_as_html() -> None:
    _, html = of()
    assert not re.findall(r"https?:|//[a-z]|url\(|@import|\bsrc=", html)
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|srcdoc", html
    )


# -- files


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    lines = tmp_path / "alerts.jsonl"
    lines.write_text(json.dumps(alert()), encoding="utf-8")
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(b"x" * 100)[:-9])
    for alerts, out in (
        (tmp_path / "none.jsonl", tmp_path / "page.html"),
        (tmp_path, tmp_path / "page.html"),
        (torn, tmp_path / "page.html"),
        (lines, tmp_path / "no folder" / "page.html"),
        (lines, lines),
    ):
        with pytest.raises(ConfigError):
            write_page(alerts, out)
    assert json.loads(lines.read_text(encoding="utf-8")) == alert()


def test_bytes_that_are_no_utf8_are_shown_as_such(tmp_path: Path) -> None:
    lines, out = tmp_path / "alerts.jsonl", tmp_path / "page.html"
    lines.write_bytes(json.dumps(alert(tag="X")).encode().replace(b"X", b"\xff"))
    write_page(lines, out)
    assert data_of(out.read_text(encoding="utf-8"))[0]["tag"] == "\ufffd"


# -- colours


def colours(theme: int) -> dict[str, tuple[float, float, float]]:
    """The variables of the light (0) or dark (1) theme."""
    style = re.findall(r":root \{(.*?)\}", text_of("page.css"), re.DOTALL)[theme]
    found = {}
    for name, digits in re.findall(r"--([a-z]+): #([0-9a-f]{3,6});", style):
        digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
        found[name] = tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    for hue in range(0, 360, 10):
        for name in ("band", "plain"):
            [(saturation, light)] = re.findall(rf"--{name}: (\d+)% (\d+)%;", style)
            found[f"{name} {hue}"] = colorsys.hls_to_rgb(
                hue / 360, int(light) / 100, int(saturation) / 100
            )
    return found  # type: ignore[return-value]


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(theme: int) -> None:
    """WCAG 2: contrast of 4.5 at least."""
    known = colours(theme)
    bands = [name for name in known if name.startswith(("band", "plain"))]
    grounds = {
        name: ["bg", "card", "hover", "chosen", "odd"]
        for name in ("text", "soft", "status", "bad", "missing")
    }
    grounds |= {
        "entity": ["bg", "card", "hover", "chosen"],
        "action": ["bg", "card", "hover", "chosen"],
    }
    grounds["text"] = grounds["text"] + bands
    grounds["soft"] = grounds["soft"] + bands
    for text, behind in grounds.items():
        for ground in behind:
            high, low = sorted((luminance(known[text]), luminance(known[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_alerts_of_an_older_version_are_aligned_for_the_page() -> None:
    rows = [[None, None, None, "a"], [None, None, None, "b"]]
    old = {"rows": rows, "session": [0, 1], "first": 0, "nearest": [0]}
    shapeless = {"rows": 7, "session": "x", "nearest": [None]}
    _, html = of(alert(1, steps=old), alert(2, steps=shapeless))
    shared = json.loads(Reader(html).scripts[0])["shared"]
    assert shared == [old | {"alike": [[0, 0, 1]]}, shapeless]
