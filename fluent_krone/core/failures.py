"""Words that tell that something failed, and how badly."""

from __future__ import annotations

import re
from functools import lru_cache

# Words of syslog's three highest levels, and words of errors.
SEVERE = re.compile(
    r"\b(?:fatal|panic|emerg(?:ency)?|crit(?:ical)?|catastroph\w*|corrupt\w*|crash\w*)\b", re.I
)
ERROR = re.compile(
    r"\b(?:err(?:or)?s?|fail\w*|exceptions?|denied|refused|reject\w*|unreachable"
    r"|time[d-]?\s?out|invalid|cannot|unable|lost|offline|faults?|bad|abort\w*|warning|missing)\b",
    re.I,
)

# What else a line says whose step did not go as it should. A line of a known template with these
# words may be usual, as a payment that is declined is in every shop. A new line with them is not
# taken for the news of a deploy.
_TROUBLE = frozenset(
    """
    abnormal abnormally conflicting deadlock deadlocked declined degraded died discarded dropped
    dropping duplicated evicted exceeded exceeding exceeds exhausted expired forbidden hung illegal
    inconsistent incorrect insufficient malformed mismatch mismatched mismatches nok oom oomkilled
    overflow overflowed overload overloaded poison poisoned quarantined rollback segfault sigabrt
    sigkill sigsegv sqlstate stuck throttled throttling traceback unauthorised unauthorized
    unavailable uncaught undeliverable undelivered unexpected unexpectedly unhandled unhealthy
    unrecognised unrecognized unresponsive unsuccessful unsuccessfully unsupported violated
    violates violation
    """.split()  # noqa: SIM905  a table of words
)
_WORDS = re.compile(r"[a-z]+")
_TROUBLE_PHRASES = re.compile(
    r"""\b(?:
    # Too much of something, or too little.
      disk\ full | no\ space\ left | queue\ full | limit\ (?:hit|reached)
    | too\ (?:many|large|long|slow|late) | rate[ -]limit(?:ed|\ (?:hit|reached|exceeded))
    | out\ of\ (?:memory|space|range|bounds|order|stock|sync)
    # Another program, or its answer.
    | is\ down | went\ away | broken\ pipe | reset\ by\ peer | connection\ reset
    | circuit\ .{0,40}\bopen(?:ed)? | no\ (?:response|answer|reply|route|such|connections?)
    | (?:do|does|did)(?:\ not|n.t)\ (?:respond|answer|reply|exist|match|work|start|finish)
    | http[/ :]{0,2}5\d\d | \w*(?:status|code)=5\d\d(?!\d) | status(?:\W{1,3}|\ with\ |\ of\ )5\d\d
    | (?:returned|responded|answered)(?:\ with)?\ 5\d\d(?!\ (?!(?:in|from|after|for|to|on)\b)\w)
    # What somebody may not do, or what does not fit.
    | duplicate\ key | conflict\ (?:on|in|with|between|detected) | locked\ out
    | not\ (?:found|allowed|permitted|available|responding|reachable|supported|enough)
    # How something ended.
    | core\ dumped | segmentation\ violation | killed(?!\ 0\b) | g(?:ave|iving)\ up
    | dead[ -]letter(?:ed)? | roll(?:ed|ing)\ back | (?:could|can)(?:\ not|n.t)
    | (?:success|ok)=\W*(?:false|no|0) | exited\ -?[1-9]\d* | rc=-?[1-9]\d* | ora-\d+
    | exit(?:ed)?(?:\ with|,)?[ _]?(?:code|status)\W{1,3}-?[1-9]\d* | errno\W{1,3}[1-9]\d*
    )\b""",
    re.VERBOSE,
)
# What failed, in other languages: a script without blanks has no words, and others bend them. A
# cancellation is no failure, as in English, and neither is what has no errors or counts them.
_ELSEWHERE = re.compile(
    r"""
    # Chinese, Japanese, Korean, Thai, Khmer, Arabic, Hindi
      失败|失敗|拒绝|拒絕|拒否|崩溃|崩潰|无效|無效|不足|[无無]法(?!律)|故障(?![排恢转移])|障害
    | (?:错误|錯誤|异常|異常|超时|超時)(?![时時检檢设設数數率]|[处處]理完)
    | エラー(?!率|ログ|処理(?:は|が)?(?:完了|済|終))|タイムアウト(?!時間|値|設定)|できません
    | (?<!あり)ませんでした
    | 실패|오류|에러|거부(?!\ ?목록)|거절|시간\ ?초과(?!\ ?설정)|할\ 수\ 없
    | ล้มเหลว|ผิดพลาด|ไม่สามารถ|ปฏิเสธ|หมดเวลา|បរាជ័យ|កំហុស
    | فشل|خطأ|رفض|त्रुटि(?!\ (?:नहीं|रहित))|विफल
    | \b(?:
    # German, Dutch, Swedish, Danish, Norwegian
        fehler(?:n|haft\w*|code|meldung\w*)? | fehlgeschlagen\w* | fehlschl[aä]g\w*
      | gescheitert\w* | abgebrochen\w* | abgelehnt\w* | ungültig\w* | verweigert\w*
      | zeitüberschreitung | nicht\ (?:möglich|gefunden|erreichbar)
      | mislukt\w* | geweigerd\w* | afgebroken | fout(?:en)? | misslyck\w* | mislyk\w+
      | fejl(?:ede|et|kode)?
    # French, Spanish, Portuguese, Italian
      | échecs? | échou\w* | erreurs? | refusée?s? | rejetée?s? | expirée?s?(?!\ dans\ \d)
      | fall(?:ó|ido|ida|aron|o\ (?:al|en)) | rechaz\w+ | deneg\w+ | erróne\w+ | agotad[oa]
      | errores | falh\w+ | erros? | recusad[oa]s? | negad[oa]s? | inválid[oa]s?
      | errore | errori | fallit[oaie] | rifiutat[oaie] | negat[oa]
    # Russian, Ukrainian, Polish, Turkish, Vietnamese, Indonesian
      | ошиб(?:к\w+|ок) | сбо(?:й|я|и|ем|ев) | отказ(?!\ от\b) | отказ(?:ано|ал\w*)
      | отклон[её]н[аоы]? | неверн\w+ | не\ уда(?:лось|лся|лась|лись)
      | не\ (?:выполне|оплаче|доставле|отправле|найде|получе|созда|сохран[её]|заверш[её]|загруже
        |обработа|подтвержд[её]|пройде|провед[её]|приня)[нт][аоы]?
      | помил(?:к\w+|ок) | відхилен[оаиі]й? | błąd | błęd[uyóa]\w* | odrzuco\w+ | nie\ udał\w*
      | hata(?:s[ıi]|l[ıi]|lar[ıi]?)?(?!\ (?:yok|ayıkla)) | başarısız\w* | reddedildi
      | lỗi | thất\ bại | gagal | ditolak
      )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What stands beside such a word where nothing failed: right before it, …
_NONE_BEFORE = re.compile(
    r"""(?:
      (?:(?:\A|[,;:(])[ ]?|\b(?:mit|met|med|avec|con|com|с|dengan|[共有])[ ]?)0[ ]?[个個]?[ ]?
    | (?<![0-9A-Za-z_.,第])0[ ]?[个個][ ]?
    | [没沒][有发發]?现?(?:任何)?|未(?:发现|發現|出现|出現|检测到)(?:任何)?|[无無零]
    | ไม่มีข้อ|គ្មាន|(?:بدون|لا)[ ]
    | \b(?:kein\w*|ohne|geen|zonder|ingen|inga|inget|uten|utan|aucune?|sans|pas[ ]de|pas[ ]d['’]
        |sin|ning[uú]n\w?|no[ ]hay|sem|nenhum\w?|senza|nessun\w?|brak|bez|без|нет|không(?:[ ]có)?
        |tanpa|tidak[ ]ada)[ ]?
    )\Z""",
    re.VERBOSE | re.IGNORECASE,
)
# … or right before it where it stands in the plural, …
_MANY_NONE = re.compile(r"(?<![\w.,])0 (?=(?:errores|erreurs|échecs|erros|errori|fouten|ошибок)\b)")
# … or right behind it, perhaps as the end of a longer word, as in `错误数: 0`. What follows a zero
# shows whether it counts: in `Fehler 0: Datei fehlt` it is the number of an error.
_NONE_BEHIND = re.compile(
    r"\w{0,6}\s?[=:：]?\s?0(?:\s?[건件个個次]|\s*(?:\Z|[,;)\]，；。]|\s\w+\s?[:=]))"
    r"|(?:は|が|も)?(?:ありません|なし|無し)|[가이은는]?\ ?없|\ (?:нет|yok)(?=\s*(?:\Z|[,.;)]))",
    re.IGNORECASE,
)
# Characters beside a word that are looked at.
_BESIDE = 24
# Names of errors in code, as `NullPointerException`, `IOError` and `ECONNREFUSED`.
_NAMED = re.compile(
    r"[A-Za-z](?:Exception|Error)s?\b"
    r"|\bE(?:CONN[A-Z]+|TIMEDOUT|PIPE|NOSPC|ACCES|PERM|NOENT|NOMEM|MFILE|ADDRINUSE|[A-Z]+UNREACH)\b"
)

# Templates whose severity is remembered: each verdict and each alert asks for those of its session.
_MOST_TEMPLATES = 10_000


def severity(text: str) -> int:
    """2 for words of syslog's top levels, 1 for words of errors, else 0.

    >>> severity("kernel panic"), severity("login failed"), severity("session opened")
    (2, 1, 0)
    """
    if SEVERE.search(text):
        return 2
    return int(ERROR.search(text) is not None)


def tells_of_trouble(text: str) -> bool:
    """Whether a line that nobody saw before says that something did not go as it should.

    >>> tells_of_trouble("pool exhausted, 0 of 20 free"), tells_of_trouble("pool opened, 20 free")
    (True, False)
    >>> tells_of_trouble("订单付款失败"), tells_of_trouble("订单已付款")
    (True, False)
    """
    if severity(text) > 0 or _NAMED.search(text):
        return True
    lower = text.lower()
    if not _TROUBLE.isdisjoint(_WORDS.findall(lower)):
        return True
    return _TROUBLE_PHRASES.search(lower) is not None or any(
        not _is_denied(lower, found) for found in _ELSEWHERE.finditer(lower)
    )


def _is_denied(text: str, found: re.Match[str]) -> bool:
    """Whether what stands beside a word of failure says that there is none, or counts none."""
    before = text[max(0, found.start() - _BESIDE) : found.start()]
    behind = text[found.end() : found.end() + _BESIDE]
    return (
        _NONE_BEFORE.search(before) is not None
        or _NONE_BEHIND.match(behind) is not None
        or _MANY_NONE.match(text, max(0, found.start() - 2)) is not None
    )


@lru_cache(_MOST_TEMPLATES)
def template_severity(template: str) -> int:
    """`severity` of a template. Bundles have few; the lines of a stream would fill the cache."""
    return severity(template)
