"""The forms of columns that log headers have, as regular expressions, in the order in which they
are tried.

Each has a group `value`, or groups that name what they hold. `header_columns.py` finds them side by
side in many lines.
"""

from __future__ import annotations

import re

from . import header_shapes as shapes
from .header_times import ENDS

_FILE = shapes.FILE
_NAME = r"[^\s\[\](){}<>\"'|,;=]+?"
# The line and the function behind a name of a file or a logger; they are no part of the component.
_LINE = (
    r"(?:\(\))?(?:(?<!:):(?![\d:])[\w<>.$-]+)?(?:\(\))?(?:[:@]\d+(?::\d+)?|\(\d+\))?"
    r"(?:->\w+:\d+|(?<=\d):[A-Za-z_]\w*)?"
)
# PostgreSQL's lines that belong to a statement before them are a level of their own.
# A number behind a level says how much of it is written: DBG4.
WORDS = rf"(?:{shapes.LEVEL_WORDS}\d?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY)"
# Words that are levels in brackets as well, unlike `default`, which is a database.
_SURE_WORDS = "(?i:trace|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|alert|emerg|fatal)"
# Go writes levels between those that have a name as INFO+2.
_STEP = r"(?:[+-]\d+)?"
_LETTERS = r"(?:[VDTIWEFCNAvdtiwefna]|Al|Cr|D[fb]|Em|Er|Fa|In|Wa)"
_BRACKETS = ((r"\[", r"\]"), (r"\(", r"\)"), ("<", ">"))
# A letter in brackets is no level behind a word, as in `query[A]`.
_LETTERS_IN_BRACKETS = tuple(rf"(?<!\w){o}(?<level>{_LETTERS}){c}" for o, c in _BRACKETS)
# A level in each of its spellings, with what must follow a word that stands by itself.
BARE_LEVEL = rf"(?<level>{WORDS})(?=[\s:|\[\],;/>!~^#])!?"
BARE_LETTER = rf"(?<level>{_LETTERS})(?=[\s:|/!>\]])!?"
# Letters that are a level where all lines of a sample have the same one: hardly anything happened.
SOLE_LEVELS = frozenset("DIWNVidwnv")
# A letter that the digits of the date follow at once, as glog writes it.
LETTER_OF_DATE = rf"\[?{shapes.LETTER}"
LEVEL_PAIR = (
    rf"\[?(?:{shapes.LEVEL_NAMES}|pri|priority)=[\"']?(?<level>{WORDS}{_STEP}|[0-7])[\"']?"
    r"(?:(?=[\s,|;])|\])"
)
IN_BRACKETS = rf"\[{{1,2}} *(?<level>{WORDS}) *\]{{1,2}}"
LEVELS = (
    LETTER_OF_DATE,
    IN_BRACKETS,
    rf"\( *(?<level>{WORDS}) *\)",
    rf"< *(?<level>{WORDS}) *>",
    rf"(?:{shapes.OPENING}|\{{) *(?<level>{WORDS}) *(?:{shapes.CLOSING}|\}})",
    *_LETTERS_IN_BRACKETS,
    rf"\"(?<level>{WORDS})\"",
    LEVEL_PAIR,
    # in signs of one's own, as in *INFO* and #INFO#
    rf"[*#=~]+ *(?<level>{WORDS}) *[*#=~]+",
    # VMware, with a number behind the letters
    rf"(?<level>{_LETTERS})\(\d+\)",
    r"(?<level>[TDIWEC])\d{3}(?=: )",
    # the names of syslog's constants
    rf"LOG_(?<level>{WORDS})(?=[\s:])",
    BARE_LEVEL,
    BARE_LETTER,
    rf"\[ *{BARE_LEVEL}",
    rf"\[ *{BARE_LETTER}",
    # the end of a message's number, as IBM writes it: ANR0406I; the number is the message's own
    r"(?=[A-Z]{3,8}\d{3,5}(?<level>[IWES])[:\s])",
)
# Where all lines have the same letter in one of these, it may be the first word of sentences.
_SURE_LETTERS = (LETTER_OF_DATE, *_LETTERS_IN_BRACKETS)
DOUBTED_LEVELS = tuple(text for text in LEVELS if text not in _SURE_LETTERS)
_FACILITY = "(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local[0-7])"
# A level together with a name.
WITH_LEVEL = (
    rf"\[(?<thread>[^\[\]/]+)/(?<level>{WORDS})\]",
    rf"\[(?:[^\[\]]*[\s:])?(?<component>[\w.$-]+)[#/:](?<level>{WORDS})(?:\]|(?=,))",
    rf"<(?<level>{WORDS})[/:](?<component>[\w.$-]+)>",
    # syslog with the facility by its name, in brackets where Solaris writes it
    rf"{_FACILITY}\.(?<level>{WORDS})(?=\s)",
    rf"\[ID \d+ {_FACILITY}\.(?<level>{WORDS})\]",
    rf"\[(?<level>{WORDS})[#/:](?<component>[\w.$-]+)\]",
    rf"(?<level>{WORDS}|{_LETTERS})/(?<component>[^\s:()/]+) *\( *(?<pid>\d+)\)(?=:)",
    rf"(?!N/A\s)(?<level>{WORDS}|{_LETTERS})/(?<component>[\w.$-]+)(?=[\s:(])",
    rf"(?<component>[\w.$-]+)[#/](?<level>{WORDS})(?=[\s:])",
    # dmesg -x
    rf"(?<component>[\w.$-]+) *:(?<level>{WORDS}) *(?=:)",
    rf"(?<component>[\w.$/-]+)\[(?<pid>\d+)\][.(](?<level>{WORDS})(?:\)(?=:)|(?=\s))",
    # Cisco, perhaps with the class of the message
    r"[%#](?<component>[A-Za-z]\w*)-(?:[a-z]+-)?(?<level>\d)-(?=\w+:)",
    # Huawei, H3C
    r"%%\d\d(?<component>[A-Z]\w*)/(?<level>\d)/(?=\w)",
    # VDSM
    rf"(?<thread>[\w.-]+)::(?<level>{WORDS})(?=::)",
    # Zig
    rf"(?<level>{WORDS})\((?<component>[\w.$-]+)\)(?=:)",
    # stunnel, with the number of the connection
    r"LOG(?<level>[0-7])\[(?<connection>[\w:]+)\](?=:)",
    # logrus: seconds since the start
    rf"(?<level>{WORDS})\[(?<uptime>\d+)\]",
    # PostgreSQL on Azure: the session
    rf"-(?<session>[\w.]+)-(?<level>{WORDS})(?=:)",
)
WRAPPED = (
    # syslog's number, which tells the level
    r"(?<![^\n])<(?<pri>\d{1,3})>(?:1 +)?",
    shapes.TRACE,
    rf"\[ *(?<value>{_NAME})\((?<pid>\d+)\) *\]",
    # strongSwan: the number of the thread, and the part of the program
    rf"\d\d\[(?<value>{_NAME})\]",
    # Kea: logger/process.thread
    rf"\[ *(?<value>{_NAME})/(?<pid>\d+)(?:\.\w+)? *\]",
    r"\[ *(?<pid>\d+)[:/](?<tid>\d+) *\]",
    r"[\[(](?i:pid|process)[:= ] *(?<pid>\d+)(?:[|,;][^\[\]()]*)?[\])]",
    r"\[ *(?<value>[A-Za-z_][\w.:<>~]*)@\d+ *\]",
    rf"\[ *(?<value>{_FILE})(?:[:(]\d+\)?|{_LINE}) *\]",
    rf"\( *(?<value>{_FILE}):(?:\d+|\w+\(\d+\)) *\)",
    rf"\{{ *(?<value>{_FILE}|[\w$-]+(?:\.[\w$-]+)+):\d+ *\}}",
    # the line, perhaps behind the function
    r"\[ *(?<value>[\w$-]+(?:\.[\w$-]+)+) *(?::[A-Za-z_]\w*)?:\d+ *\]",
    r"\[[^\[\]]*:(?<value>[\w.$]+)@\d+\]",
    r"\[ *(?<value>[A-Za-z_$][\w$]+) *(?::[A-Za-z_]\w*)?:\d+ *\]",
    # Blanks before the end are no part of a value. Each is read once: a line may have thousands.
    r"\[ *+(?<value>(?>(?:[^\[\] ]| +(?![ \]])|\[[^\[\]]*\])*)) *\]",
    r"\( *+(?<value>(?>(?:[^() ]| +(?![ )]))*)) *\)",
    r"< *+(?<value>(?>(?:[^<> ]| +(?![ >]))*)) *>",
    r"\{ *+(?<value>(?>(?:[^{} ]| +(?![ }]))*)) *\}",
    # where the line begins with quotes, or columns before it have them
    r"(?:(?<![^\n])|(?<=\"[,;\t])|(?<=\"[,;] ))\"(?<value>[^\"]*)\"",
    rf"(?:{shapes.OPENING}) *(?<value>\S*?) *(?:{shapes.CLOSING})",
)
# What may stand behind a bracket or a level.
BAR = r" *\|+ *"
COLON = r" *:[ \t]+"
COMMA = r"[,;] *"
BEFORE_BRACKET = r"(?=\[)"
BEHIND = (
    r" *\t+ *",
    rf"(?: *:)? +{shapes.SEPARATOR}:? +",
    r">+ +",
    BAR,
    shapes.DRAWN,
    COLON,
    r"::(?=[^\s:])",
    r" *:(?=\S)",
    COMMA,
    rf" *{BEFORE_BRACKET}",
    r" *\]:? *",
    r" *",
)
# Words with a sign behind them, the clearest sign first.
SIGNED = (
    r"(?<pid>\d+)#\d+:? +",
    r"(?<pid>\d+)/[A-Za-z]\w* +",
    # VDSM: module::line::logger::(function)
    r"(?<value>[\w.-]+)::\d+::[\w.-]*::\(\w+\) +",
    rf"(?<value>{_FILE})\(\d+\)(?: *: +| +)",
    rf"(?<value>{_NAME})[\[(] *(?<pid>\d+)(?::\w+)? *[\])]:? +",
    rf"(?<value>{_NAME}) \((?<pid>\d+)\): +",
    # bunyan: name/process on host:
    rf"(?<value>{_NAME})/(?<pid>\d+)(?: on [\w.-]+)?: +",
    rf"(?<value>{_NAME}){_LINE}(?:[\[(] *(?<pid>\d+)(?::\w+)? *[\])])?: +",
    rf"(?<value>{_NAME})(?:[(<][^\s()<>]*[)>])*: +",
    # ClickHouse, where some loggers have the name of a part behind them
    rf"(?<value>{_NAME})(?: \((?!{_SURE_WORDS}\))[\w. -]+\))?: +",
    rf"(?<value>{_NAME}){_LINE} *\](?: *:)? *",
    rf"(?<value>{_NAME}){_LINE} +:+ +",
    rf"(?<value>{_NAME})(?:[:@]\d+ [A-Za-z_][\w.:<>]*|{_LINE}) +{shapes.SEPARATOR} +",
    rf"(?<value>{_NAME}(?: {_NAME})?){_LINE}{BAR}",
    rf"(?<value>{_NAME}){_LINE}\t+",
    rf"(?<value>{_NAME}){_LINE}{shapes.DRAWN}",
    rf"(?<value>{_FILE}):\d+(?::\d+|:[\w.]+\(\))? +",
    rf"(?<value>{_FILE}) \d+: +",
    rf"(?<value>{shapes.DOTTED}):\d+ {{2,}}",
    rf"(?<value>{_NAME})> *",
    rf"(?<value>{_NAME})- +",
    rf"(?<value>{_NAME}){COMMA}",
    r"(?<value>[^\s\[\](){}<>\"'|,;=:]+(?:\(\d+\))?):(?=[^\s\d:])",
    r"(?<value>\d+):(?=\S)",
    # a name with brackets right behind it, as in `web[7f3a][o.s.Boot] ` and `app.add[7f3a]: `
    rf"(?<value>[A-Za-z_][\w.$-]*){BEFORE_BRACKET}",
)
# What stands behind a pair.
BEHIND_PAIR = rf"(?: +{shapes.SEPARATOR} +| *[,;|] *|: +| +|\t)"
# … and behind one in brackets of its own.
BEHIND_WRAPPED_PAIR = r"\][ \t]*"
_VALUE = r"=(?:\"[^\"]*\"|[^\s\"|,;\]]*)"
PAIR = re.compile(
    rf"(?P<key>[A-Za-z_][\w.-]*){_VALUE}{BEHIND_PAIR}|\[(?P<inner>[A-Za-z_][\w.-]*){_VALUE}\]"
)
PAIR_OF = r"{key}=(?:\"(?:[^\"]*)\"|(?<value>[^\s\"|,;\]]*))" + BEHIND_PAIR
# The keys of a logger's name, or of the place in the source.
CALLER_KEYS = ("caller", "source", "src")
LOGGER_KEYS = (*CALLER_KEYS, "logger", "component", "module", "mod", "subsystem", "class")
LOGGER_PAIR = r"{key}=\"?(?<value>[^\s\",:]+)(?::\d+)?\"?" + BEHIND_PAIR
# What the reader of records takes for a time and for a message.
OF_TIME = frozenset(("time", "date", "time_zone"))
TAKEN = OF_TIME | {"message"}
# Keys of the process.
PROCESS_KEYS = ("p", "pid", "process")
BARE = r"(?<value>[^\s\"'=|]+) +"

# A time is read to its end, with its fraction; a number between commas is no fraction.
WHOLE = r"(?:(?<![^Zz])|(?!\.\d|,\d++(?![,;])|:\d{1,6}\b(?![.\w])))"
BEHIND_TIME = (*ENDS[:-2], r"::(?=[^\s:])", r":(?=\S)", *ENDS[-2:])
