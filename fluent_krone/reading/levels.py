"""The severity that a record states: a field of it, or a group of `line_format`.

Numbers are those of syslog and of common loggers. Windows counts the other way round than syslog:
its records are told by the number of the event, which they all have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .accessor import field_getter, is_path, path_steps
from .field_names import LEVEL_FIELDS, OF_AZURE, OF_OTEL
from .records import RecordReader
from .values import as_bytes

_PLACE_OF = {name: place for place, name in enumerate(LEVEL_FIELDS)}
# The object that holds a level where records have the Elastic Common Schema.
_ECS_OBJECT = b"log"
# The field of MongoDB's level, which elsewhere may be anything, and the letters that it has.
_MONGO = b"s"
_MONGO_LETTERS = (b"F", b"E", b"W", b"I", b"D1", b"D2", b"D3", b"D4", b"D5", b"D")
# The number before a line of syslog, as in `<134>`: eight times the facility, and the severity.
_PRI = b"pri"
_SEVERITIES = 8
_MOST_PRI = 191
# The severity of an event of a security product (CEF, LEEF): a number up to 10, or a word.
_CEF = b"cef_severity"
_RANKS_OF_CEF: Mapping[bytes, int] = {
    **dict.fromkeys((b"0", b"1", b"2", b"3", b"Low", b"Unknown"), 3),
    **dict.fromkeys((b"4", b"5", b"6", b"Medium"), 5),
    **dict.fromkeys((b"7", b"8", b"High"), 6),
    **dict.fromkeys((b"9", b"10", b"Very-High"), 7),
}
# Serilog's compact records have no level where it is that of information.
_SERILOG_TIME, _SERILOG_TEXTS = b"@t", (b"@mt", b"@m")
_NAMED = frozenset((*LEVEL_FIELDS, _ECS_OBJECT, _MONGO, _PRI, _CEF, _SERILOG_TIME))
# The one that nearly all records with a level have.
FIRST_LEVEL_FIELD = LEVEL_FIELDS[0]
# Severities as ranks, from syslog's and the names that common loggers use.
_WORDS_OF_RANKS = {
    1: "trace finest finer verbose veryverbose silly trc trce vrb v t feiner",
    2: "debug fine config dbg debg dbug debu d d1 d2 d3 d4 d5 debug1 debug2 debug3 debug4 debug5 db"
    " fein konfiguration konfig 调试",
    3: "info information informational inf i in notification infos informazioni información"
    " informações informatie log df default display success http 信息 情報 정보 инфо информация"
    " informacja informacje informace informasjon oplysninger інформація 資訊",
    4: "notice note n ntc notic noti a hinweis aviso",
    5: "warn warning w wa warni wrn warnung avertissement attention advertencia advertência"
    " avvertenza waarschuwing deprecated 警告 경고 предупреждение uyarı ostrzeżenie varování"
    " upozornění varning advarsel varoitus figyelmeztetés попередження",
    6: "error err e s eror erro er sever fail severe failure fault fehler erreur errore fout grave"
    " schwerwiegend 错误 严重 エラー 重大 오류 심각 ошибка серьезно hata błąd chyba fel fejl feil"
    " virhe hiba errs помилка 錯誤 嚴重 allvarlig",
    7: "critical crit criti c cr dpanic kritisch critique crítico 致命的",
    8: "fatal alert aler al emerg emer em emergency panic f ftl fa fata pani",
}
# PHP writes levels of several words.
_OF_PHP = {"fatal error": 8, "parse error": 8, "recoverable fatal error": 6}
# Numbers as levels: those of syslog and of the journal, and those of Monolog, of
# pino and bunyan.
_NUMBERS = {
    "7": 2, "6": 3, "5": 4, "4": 5, "3": 6, "2": 7, "1": 8, "0": 8,
    "100": 2, "200": 3, "250": 4, "300": 5, "400": 6, "500": 7, "550": 8, "600": 8,
    "10": 1, "20": 2, "30": 3, "40": 5, "50": 6, "60": 8,
}  # fmt: skip
# The levels of Windows: 0 is what is always written, 1 critical … 5 verbose.
_WINDOWS = {0: 3, 1: 7, 2: 6, 3: 5, 4: 3, 5: 1}
_RANKS_OF_WINDOWS: dict[Any, int] = {
    **_WINDOWS,
    **{b"%d" % number: rank for number, rank in _WINDOWS.items()},
}
# What a record of Windows has, and the field of its level.
_WINDOWS_EVENT = b"EventID"
_WINDOWS_LEVEL = b"Level"
# OpenTelemetry's numbers: four of them for each level, from trace to fatal.
_RANKS_OF_OTEL = (1, 2, 3, 5, 6, 8)
_MOST_OTEL = 4 * len(_RANKS_OF_OTEL)
# Azure's numbers count upwards from verbose. Other programs have syslog's in a field of that name,
# so they are Azure's only beside another field of Application Insights.
_RANKS_OF_AZURE: Mapping[bytes, int] = {b"0": 1, b"1": 3, b"2": 5, b"3": 6, b"4": 7}
_FIELDS_OF_AZURE = frozenset(
    [
        *(b"itemType", b"operation_Id", b"cloud_RoleName", b"customDimensions", b"iKey"),
        *(b"AppRoleName", b"SDKVersion", b"IKey"),
    ]
)
# What stands around the word of a level: brackets, and the name of its type, as in `LogLevel.WARN`.
# Behind it stands how far the level is from there, as Go writes INFO+2.
_AROUND = re.compile(r"[\[(<\"']*(?:\w+(?:\.|::))*(\w+)(?:[+-]\d+)?[\])>\"':]*")
# The signs of Redis.
_SIGNS = {".": 2, "-": 3, "*": 4, "#": 5}
RANKS: Mapping[bytes, int] = {
    **{word.encode(): rank for rank, words in _WORDS_OF_RANKS.items() for word in words.split()},
    **{word.encode(): rank for word, rank in (_NUMBERS | _SIGNS | _OF_PHP).items()},
}
# An event without a level, or with a word that is none.
UNKNOWN_RANK = 0
# What each rank is called where it is shown.
RANK_NAMES: Mapping[int, str] = {
    1: "trace", 2: "debug", 3: "info", 4: "notice", 5: "warning", 6: "error", 7: "critical",
    8: "fatal",
}  # fmt: skip
# Spellings of a level that are remembered.
_MOST_WORDS = 1_000


class _NamedField:
    """A field by its name or accessor: the object that holds it, and its name there."""

    def __init__(self, name: str) -> None:
        self._object_of: Callable[[Mapping[bytes, Any]], Any] | None = None
        self._name = name.encode()
        if is_path(name):
            *above, last = path_steps(name)
            self._name = str(last).encode()
            if isinstance(last, int):
                self._name = b""
                self._object_of = self._in_list(field_getter(name))
            elif above:
                self._object_of = field_getter("$" + "".join(f"[{step!r}]" for step in above))

    @staticmethod
    def _in_list(get: Callable[[Mapping[bytes, Any]], Any]) -> Callable[[Mapping[bytes, Any]], Any]:
        """A place in a list, as an object whose only field has no name."""
        return lambda record: {b"": get(record)}

    def find(self, record: Mapping[bytes, Any]) -> tuple[Mapping[bytes, Any], bytes]:
        """The object, which is empty where the record does not have it, and the name."""
        if self._object_of is None:
            return record, self._name
        found = self._object_of(record)
        if found.__class__ is not dict:
            return {}, self._name
        return found, self._name


class LevelReader:
    """Reads the rank of a record's level.

    `fields_of` gives the fields of a record as they are read, with the groups of `line_format`.
    `level_field` names a field that comes before all of the usual ones, and '' says that records
    have no level; `count` is told each time whether that field has one.

    >>> LevelReader().rank({b"level": b"WARN"}), LevelReader().rank({b"message": b"x"})
    (5, 0)
    """

    def __init__(
        self,
        fields_of: Callable[[Any], Mapping[bytes, Any]] | None = None,
        level_field: str | None = None,
        count: Callable[[bool], None] = lambda found: None,
    ) -> None:
        self._fields_of = fields_of
        self._count = count
        self._named: _NamedField | None = None
        if level_field:
            self._named = _NamedField(level_field)
        self._has_none = level_field == ""
        # Words → ranks. Where levels are parts of lines, no field of a record says them.
        self._ranks: dict[Any, int] = {}
        # Whether the usual field is the first one that is asked for.
        self.asks_usual_first = level_field in (None, FIRST_LEVEL_FIELD.decode())
        self._quick = self._ranks if fields_of is None and self.asks_usual_first else {}

    def rank(self, record: Any) -> int:
        """The rank, or `UNKNOWN_RANK`. Of a record that is gone, its excerpt says it."""
        # Asked for every line that is kept: nearly all of a stream have the first field, and few
        # words in it.
        try:
            rank = self._quick[record[FIRST_LEVEL_FIELD]]
        except (LookupError, TypeError):
            rank = UNKNOWN_RANK
        if rank != UNKNOWN_RANK:
            return rank
        # Another field may say it.
        return self._slow_rank(record)

    def _slow_rank(self, record: Any) -> int:
        """The rank of any record, or of what stands in its place."""
        if record is None or self._has_none:
            return UNKNOWN_RANK
        if record.__class__ is Excerpt:
            return int(record.rank)
        fields = record
        if self._fields_of is not None:
            fields = self._fields_of(record)
        if self._named is not None:
            rank = self.named_rank(fields)
            self._count(rank != UNKNOWN_RANK)
            if rank != UNKNOWN_RANK:
                return rank
        # Records without any level are the usual ones here, and have few fields.
        if fields.keys().isdisjoint(_NAMED):
            return UNKNOWN_RANK
        for name in sorted(fields.keys() & _PLACE_OF.keys(), key=_PLACE_OF.__getitem__):
            rank = self._rank_at(fields, name)
            # Monolog writes a number and a name.
            if rank != UNKNOWN_RANK:
                return rank
        inner = fields.get(_ECS_OBJECT)
        if inner.__class__ is dict and inner.get(b"level").__class__ is bytes:
            return self._rank(inner[b"level"])
        severity = fields.get(_CEF)
        if severity.__class__ is bytes and severity in _RANKS_OF_CEF:
            return _RANKS_OF_CEF[severity]
        if fields.get(_MONGO) in _MONGO_LETTERS:
            return self._rank(fields[_MONGO])
        if _SERILOG_TIME in fields and any(name in fields for name in _SERILOG_TEXTS):
            return RANKS[b"information"] if b"@l" not in fields else UNKNOWN_RANK
        return _rank_of_pri(fields.get(_PRI))

    def rank_of(self, word: bytes) -> int:
        """The rank that a word in the usual field states, or `UNKNOWN_RANK`."""
        return self._rank_at({FIRST_LEVEL_FIELD: word}, FIRST_LEVEL_FIELD)

    def named_rank(self, fields: Mapping[bytes, Any]) -> int:
        """The rank that the field which is named states."""
        if self._named is None:
            return UNKNOWN_RANK
        return self._rank_at(*self._named.find(fields))

    def _rank_at(self, fields: Mapping[bytes, Any], name: bytes) -> int:
        """The rank that one field of a record, or of an object in it, states."""
        value = fields.get(name)
        if value.__class__ is not bytes and value.__class__ is not int:
            return UNKNOWN_RANK
        if name == _WINDOWS_LEVEL and _WINDOWS_EVENT in fields and value in _RANKS_OF_WINDOWS:
            return _RANKS_OF_WINDOWS[value]
        if name in OF_OTEL:
            return _rank_of_otel(value)
        if name in OF_AZURE and is_of_azure(fields):
            return _RANKS_OF_AZURE.get(as_bytes(value)) or self._rank(value)
        rank = self._ranks.get(value)
        if rank is None:
            rank = self._rank(value)
        return rank

    def _rank(self, word: bytes | int) -> int:
        if len(self._ranks) >= _MOST_WORDS:
            self._ranks.clear()
        text = as_bytes(word).decode("utf-8", "replace")
        name = level_word(text)
        rank = RANKS.get(name) or RANKS.get(name.rstrip(b"0123456789"), UNKNOWN_RANK)
        self._ranks[word] = rank
        return rank


def level_word(text: str) -> bytes:
    """The word of a level, in small letters.

    >>> level_word(" WARN"), level_word("[Error]"), level_word("LogLevel.INFO")
    (b'warn', b'error', b'info')
    """
    text = text.strip().lower()
    inner = _AROUND.fullmatch(text)
    if inner:
        text = inner[1]
    return text.encode()


def is_of_azure(record: Mapping[bytes, Any]) -> bool:
    """Whether a record has fields of Azure's Application Insights."""
    return not _FIELDS_OF_AZURE.isdisjoint(record)


def _rank_of_otel(value: bytes | int) -> int:
    """The rank of OpenTelemetry's number of a severity."""
    number = as_bytes(value)
    if number.isdigit() and 1 <= int(number) <= _MOST_OTEL:
        return _RANKS_OF_OTEL[(int(number) - 1) // 4]
    return UNKNOWN_RANK


def _rank_of_pri(value: Any) -> int:
    """The rank that syslog's number before a line states."""
    if value.__class__ is bytes and value.isdigit():
        value = int(value)
    if value.__class__ is int and 0 <= value <= _MOST_PRI:
        return RANKS[b"%d" % (value % _SEVERITIES)]
    return UNKNOWN_RANK


def levels_of(reader: RecordReader) -> LevelReader:
    """Reads levels of the records that this reader reads, with the groups of its `line_format`."""
    level_field = reader.settings.level_field
    fields_of = None if reader.settings.line_format is None else reader.fields
    return LevelReader(fields_of, level_field, reader.count_level)


class Excerpt(NamedTuple):
    """Stands in the place of a record that is gone, such as one whose event was held back.

    `rank` is that of its level, `context` what it says of where it comes from (see
    `core/context.py`).
    """

    rank: int = 0
    context: tuple[tuple[str, str], ...] = ()
