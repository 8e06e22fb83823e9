"""The parts that log headers are made of, as regular expressions: what opens a line, and what
follows its time (`header_times.py`).

`guess.py` chains these parts. Each is written for one line of a real program, named beside it; a
header that nobody foresaw is still understood as long as its parts are here.
"""

from __future__ import annotations

from collections.abc import Iterator

from fluent_krone.reading.levels import RANKS

CLOCK = r"\d\d:\d\d:\d\d"
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
# A sign between the parts of a header, with which no message goes on.
SEPARATOR = r"(?:-+>?|=+>|>{1,3}|~|::|–|—|›|»|→|▶|•|·|✔|✅|⋮)"
# Signs that are quotes around a part of a header, and a sign that is drawn behind one.
OPENING = "«|‹|“|【|「"
CLOSING = "»|›|”|】|」"
DRAWN = r" *(?:[~^]|(?<!#)#(?![\d#\[])) *"

# The names of a level in pairs such as `level=info`.
LEVEL_NAMES = "(?:level|lvl|severity|sev|log[._]?level|level_?name)"

# --- what may open a line before its time -------------------------------------------------------

# Where syslog comes over TCP, the size of each message stands before it.
PRIORITY = r"(?:\d+ +)?<(?<pri>\d{1,3})>(?:1 +)?"
REDIS_2 = r"\[(?<pid>\d+)\] +"
REDIS = r"\[?(?:\d+:)?(?<pid>\d+):[A-Z]\]? +"
NEST = r"\[\w+\] (?<pid>\d+) +- +"
LETTER = r"(?<level>[VDTIWEFCA])(?=\d{4,8}\b)"
LEADS = (
    "",
    # syslog RFC 5424 and 3164
    PRIORITY,
    r"\[{1,2} *",
    rf"(?:[<(~^#|*=]|{OPENING}) *",
    r"\[?(?i:time|ts|timestamp|date|t)=[\"']?",
    # journalctl -o short-full
    rf"{DAY},? +",
    # access logs: client, identity and user, perhaps behind the virtual host
    r"\A(?<client>[\w.:-]+) (?<ident>[^\s\[]\S*) (?<user>[^\s\[]\S*) \[",
    r"\A(?<vhost>[\w.:-]+) (?<client>[\w.:-]+) (?<ident>[^\s\[]\S*) (?<user>[^\s\[]\S*) \[",
    # glog, klog
    LETTER,
    # Redis
    REDIS,
    # NestJS
    NEST,
    # auditd
    r"type=(?<component>\w+) msg=audit\(",
    # Docker Compose and Heroku's foreman
    r"(?<container>[\w.-]+) +\| +",
    # Cisco IOS
    r"(?:\d+: )?[*.]",
    # Cisco IOS XR: the node
    r"[A-Z]+(?:/\w+)+:",
    # Puma, Suricata
    REDIS_2,
    # Chromium
    r"\[(?<pid>\d+):(?<tid>\d+):",
    # WebLogic
    r"#{4}<",
    # Cassandra, log4j patterns that begin with the level
    r"(?<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL) +\[(?<thread>[^\[\]]*)\] +",
    r"[\[<]?(?<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)[\]>]?:? +\[?",
    # logrus, Tendermint
    r"(?<level>TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI|[DIE])\[",
    # Erlang's reports
    r"=(?<level>[A-Z]+) REPORT={4} ",
    # GlassFish
    r"\[#\|",
    r"\"",
    r" +",
)

# --- what may follow ----------------------------------------------------------------------------

# Words of levels that are more often other words: those that count only so.
_DOUBTED = {"log": "(?-i:LOG)", "http": r"http(?=\]|: )"}


def _of_levels() -> Iterator[str]:
    """The words of levels in whatever case, but for letters and numbers.

    Case is ignored for the letters of ASCII alone, as lines are bytes.
    """
    for name in RANKS:
        word = name.decode()
        if word.replace(" ", "").isalpha() and len(name) > 2 and word != "failure":
            yield _DOUBTED.get(word) or _in_any_case(word)


def _in_any_case(word: str) -> str:
    if word.isascii() or word.upper() == word:
        return word
    by_letter = (sign if sign.isascii() else f"(?:{sign}|{sign.upper()})" for sign in word)
    whole = "|".join((word, word.capitalize(), word.upper()))
    return min("".join(by_letter), f"(?:{whole})", key=len)


LEVEL_WORDS = rf"(?i:{'|'.join(_of_levels())})"
LOGGER = r"[A-Za-z_][\w.$/@*#()-]*"
_RUST = r"[A-Za-z_][\w-]*(?:::[\w<>-]+)*"
# Spans of Rust's tracing, one of which at least has fields: `request{id=7}:db:`.
# The first id among the fields is that of the request.
_SPANS = (
    r"(?:(?=(?:[\w.:-]*\{[^{}]*\})*?[\w.:-]*\{[^{}]*?(?:(?:\b|_)id|\btrace)=\"?(?<request>[\w-]+))|)"
    r"(?=[\w.:-]*\{)(?:[\w.-]+(?:\{[^{}]*\})?:)+"
)
DOTTED = r"[A-Za-z_][\w$]*(?:\.[\w$-]+)+"
FILE = r"[\w./$@-]+\.(?:go|c|cc|cpp|h|hpp|py|rb|rs|java|kt|scala|js|ts|php|cs|m|mm|ex|erl|lua|pl)"

# RFC 5424: the structured data; at the end of the line they are the message. A message in UTF-8 has
# its mark.
STRUCTURED_DATA = (
    r"(?:(?:-|(?:\[(?:[^\]\"\\]|\"(?:[^\"\\]|\\.)*\")*\])+) +|- *\Z|(?=\[))"
    "(?:\ufeff)?"
)
# Host program pid message-id data. It is tried only behind `<34>1 `, since any words fit it.
_RFC_5424 = (
    r"(?<host>[^\s\[\]]+) (?<component>[^\s\[\]:]+) (?<pid>[\w.-]+) (?<msgid>[\w.-]+) "
    rf"{STRUCTURED_DATA}"
)
# Headers that are tried only behind a lead of their own.
BEHIND_LEAD: tuple[tuple[str, str], ...] = (
    (PRIORITY, _RFC_5424),
    # a sign for the level
    (REDIS, r"(?<level>[.*#-]) +"),
    (REDIS_2, r"(?<level>[.*#-]) +"),
    # LEVEL [context]
    (NEST, rf"(?<level>{LEVEL_WORDS}) +\[(?<component>[^\[\]]+)\] +"),
    # klog, glog: thread file:line]
    (LETTER, r"(?<tid>\d+) (?<component>[^\s:\]]+):\d+\] +"),
)
# Headers of well-known programs behind the time, each with all its parts; tried before single
# parts. Here are those that `header_columns.py` does not find: a part that only some lines have, a
# level that is no usual word, or signs that belong together.
KNOWN = (
    # logs of supercomputers as they were published: date node time user@host, then syslog's own
    rf"\d{{4}}\.\d\d\.\d\d (?<host>\S+) {MONTH} +\d{{1,2}} {CLOCK} \S+ "
    r"(?<component>[^\s:\[]+)(?:\[(?<pid>\d+)\])?: +",
    r"\d{4}\.\d\d\.\d\d (?<host>\S+) \d{4}-\d\d-\d\d-[\d.]+ \S+ [A-Z]+ (?<component>[A-Z_]+) "
    r"(?<level>[A-Z]+) +",
    # OpenStack: pid LEVEL logger [request and who asked]
    rf"(?<pid>\d+) (?<level>{LEVEL_WORDS}) (?<component>{DOTTED}) "
    r"\[(?:-|(?:None )?(?<request>req-[0-9a-f-]{36})[^\]]*)\] ",
    # Spring Boot with Sleuth: LEVEL [service,trace,span] pid --- [thread] logger :
    rf"(?<level>{LEVEL_WORDS}) +\[(?<service>[^\[\],]*),(?<trace>[0-9a-f]*),(?<span>[0-9a-f]*)"
    r"(?:,(?:true|false)?)?\] +(?<pid>\d+) +-{3} +\[(?<thread>[^\[\]]*)\] +(?<component>\S+) *: ",
    # Spring Boot 3: LEVEL pid --- [service] [thread] [trace-span] logger :
    rf"(?<level>{LEVEL_WORDS}) +(?<pid>\d+) +-{{3}} +(?:\[(?<service>[^\[\]]*)\] +)?"
    r"\[(?<thread>[^\[\]]*)\] +\[(?: +|(?<trace>[0-9a-f]{16,32})-(?<span>[0-9a-f]{8,16}))\] +"
    r"(?<component>\S+) *: ",
    # Cisco IOS XR: program[pid]: and a message that begins with class, group and level
    r"(?<component>[\w.-]+)\[(?<pid>\d+)\]: +(?=%[A-Z]\w*-[A-Z]\w*-(?<level>[0-7])-\w+ ?:)",
    # Ruby's Logger: #pid] LEVEL -- program:
    rf"#(?<pid>\d+)\] +(?<level>{LEVEL_WORDS}|ANY) -- (?<component>[^\s:]*): +",
    # MongoDB: level letter, component, [context]
    r"(?<level>[FEWID]\d?) +(?<component>[A-Z]+) +\[(?<thread>[^\[\]]*)\] +",
    # PostgreSQL's csvlog: user, database, pid, seven more, level, code
    r"(?:(?:\"(?:[^\"]|\"\")*\"|[^\",]*),){2}(?<pid>\d+),(?:(?:\"(?:[^\"]|\"\")*\"|[^\",]*),){7}"
    r"(?<level>[A-Z]+\d?),\w{5},",
    # MySQL 8: thread [level] [code] [subsystem]
    r"(?<tid>\d+) \[(?<level>System|Warning|Error|ERROR|Note)\] \[MY-\d+\] \[(?<component>\w+)\] +",
    # MySQL 5, MariaDB: thread [level] component:
    r"(?:(?<tid>\d+) )?\[(?<level>Note|Warning|ERROR|Error)\] "
    r"(?<component>[A-Z]\w*(?: [A-Z][\w/]*)?): +",
    # etcd 3.3, capnslog
    r"(?<level>[CEWNIDT]) \| (?<component>[\w./-]+): +",
    # Flask: LEVEL in module:
    rf"\[?(?<level>{LEVEL_WORDS})\]? in (?<component>[A-Za-z_][\w.]*): +",
    # Logback about itself
    rf"(?:\||(?<=\|))-(?<level>{LEVEL_WORDS}) in (?<component>[A-Za-z_][\w.$]*)\S* - +",
    # RabbitMQ, ejabberd: [level] <process>@module:function:line
    rf"\[(?<level>{LEVEL_WORDS})\] (?<thread><\d+(?:\.\d+)+>)(?:@(?<component>[\w-]+)\S*)? +",
    # Monolog, Laravel, Symfony: channel.LEVEL:
    rf"(?<component>[A-Za-z][\w-]*)\.(?<level>{LEVEL_WORDS}|EMERGENCY): +",
    # Rust's tracing within spans: LEVEL span{fields}:span: module:
    rf"(?<level>{LEVEL_WORDS}) +(?:{_SPANS} |(?=\w+::))(?<component>{_RUST}): +",
    # Apache 2.4: [module:level] [pid 1:tid 2]
    rf"\[(?<component>[\w-]*):(?<level>{LEVEL_WORDS}\d?)\] "
    r"\[pid (?<pid>\d+)(?::tid (?<tid>\d+))?\] +",
    # ZooKeeper: [myid:1] - LEVEL [thread:class@line] -
    rf"(?:\[myid:\d*\] )?- (?<level>{LEVEL_WORDS}) +\[.*:(?<component>[\w.$]+)@\d+\] - +",
    # Solr, HBase, Hadoop: LEVEL (thread) or [thread] [context] logger
    rf"(?<level>{LEVEL_WORDS}) +\((?<thread>[^()]*)\) +(?:\[[^\[\]]*\] +)?"
    rf"(?<component>{DOTTED}):? +",
    # log4net: [thread] LEVEL logger [ndc] -
    rf"\[(?<thread>[^\[\]]*)\] (?<level>{LEVEL_WORDS}) +(?<component>{LOGGER}) "
    rf"(?:\[[^\[\]]*\] |<[^<>]*> )?- +",
    # WebSphere: thread logger LEVEL
    r"(?<tid>[0-9a-f]{8}) (?<component>[\w.]+) +(?<level>[FEWAICDORZ123<>]) +",
    # macOS: thread type activity pid ttl process:
    r"0x[0-9a-f]+ +(?<level>[A-Z][a-z]+) +0x[0-9a-f]+ +(?<pid>\d+) +\d+ +"
    r"(?<component>[\w. -]+?): +",
    # pino-pretty: LEVEL (name/pid):
    rf"(?<level>{LEVEL_WORDS}) \((?:(?<component>[A-Za-z][\w-]*)/)?(?<pid>\d+)(?: on [^()]+)?\): +",
    # Celery: LEVEL/Process], python's LEVEL:logger:
    rf"(?<level>{LEVEL_WORDS})/(?<process>[\w-]+)\] +",
    # iOS: host program(library)[pid] <level>:
    rf"(?<host>\S+) (?<component>[^\s\[\]]+)\[(?<pid>\d+)\] <(?<level>{LEVEL_WORDS})>: +",
    # Android: pid tid level tag, where a user or a package stands among them
    r"(?:[a-z]\w*|\d+) +(?<pid>\d+) +(?<tid>\d+) (?<level>[VDIWEFA]) (?<component>[^:]+?) *: ",
    r"(?<pid>\d+)-(?<tid>\d+) +(?<component>\S+) +(?<package>\S+) +(?<level>[VDIWEFA])  ",
    # java.util.logging: logger method LEVEL:, where the level began a line of its own
    rf"(?<component>{DOTTED}) (?<function>[\w$<>]+) +(?<level>{LEVEL_WORDS}): +",
    # Samba: how much is to be written for such lines] file:line(function)
    r"(?<verbosity>\d{1,2})(?:, [^\]]*)?\] \S*?(?<component>[\w-]+)\.c:\d+\((?<function>\w+)\) +",
    # Play: [LEVEL] from logger in thread -
    rf"\[(?<level>{LEVEL_WORDS})\] from (?<component>\S+) in (?<thread>\S+) - ",
    # Heroku, Papertrail: program[process]:
    rf"(?<component>[A-Za-z][\w.-]*)\[(?!{LEVEL_WORDS}\])(?<process>[A-Za-z][\w.-]*)\]: +",
    # Chromium: level, file(line)
    r":(?<level>[A-Z]+\d?):(?<component>[\w./-]+)\(\d+\)\] +",
    # Fluentd: [level]: #worker
    rf"\[(?<level>{LEVEL_WORDS})\]: (?:#\d+ )?",
)

# A level behind which a mere blank is enough.
LOOSE_LEVEL = rf"(?<level>{LEVEL_WORDS})(?: +-+ +:? *|\t| *\|+ *|: +|:? *- +| +|:(?=[\w.]+:))"
# Host and program, only right behind a time, since any two words fit it. What names an id, as in
# `START RequestId: 7f3a`, is no program, and an address with a port is that of a client.
HOST_FIRST = (
    r"(?!\d+(?:\.\d+){3}:\d+ )(?<host>[^\s\[\]|]+) +"
    rf"(?!(?:{LEVEL_WORDS}|(?i:failed|denied|refused)|\w*(?:Id|ID|_id)):)"
    r"(?<component>[^\s\[\]:=\"]+)(?:\[(?<pid>\d+)\])?: +"
)
# The trace and the span of a request in brackets, perhaps behind the name of the service. Lines
# that belong to no request have only the commas.
TRACE = (
    r"\[(?:(?<service>[^\[\],]*), *)??(?<trace>[0-9a-f]{16}(?:[0-9a-f]{16})?|(?<=,)(?=,))"
    r"(?:[,;:/-]| ) *(?<span>[0-9a-f]{16}|(?<=,))(?:, *(?:true|false)?)?\]"
)
# Parts that a header has once, each in the spellings that are tried in turn.
ELEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("level", (LOOSE_LEVEL, r"(?<level>[VDIWEF]) +(?=[\w.$-]+ *:)")),
    (
        "component",
        (
            HOST_FIRST,
            r"(?<component>[\w.-]+\.exe)(?: \*\d\d)? - ",
            r"\[.*:(?<component>[\w.$]+)@\d+\] - ",
            rf"(?!(?=[A-Z]+ *\|){LEVEL_WORDS} *\|)(?<component>{LOGGER}) *\| *",
            # but for `ORA-00600: ` and `AMQ221007: `, which are a message's own numbers
            rf"(?![A-Z]+-\d|[A-Z]{{2,}}\d{{6,}}:)(?<component>{LOGGER}) *: +",
            rf"(?<component>{LOGGER}) - ",
            rf"(?<component>{DOTTED}) +",
            rf"(?<component>{LOGGER})(?:  +|\t)",
        ),
    ),
    (
        "process",
        (
            r"(?<pid>\d+) +(?<tid>\d+) +",
            # but for the status of a request, as gin writes it
            r"(?![1-5]\d\d *\|)(?<pid>\d+) *\| *",
            r"(?<pid>\d+):? +",
            r"\[(?<pid>\d+)\]:? *",
        ),
    ),
    ("trace", (rf"{TRACE} *(?:- +)?",)),
    ("thread", (r"\[(?<thread>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\] *(?:- +)?",)),
)
# Kinds with which a header may end; a bare number or bracket may be the message's own.
LAST_KINDS = ("time", "stamp", "level", "component", "trace", "known")
SURELY_PROCESS = (r"(?<pid>\d+)#", r"(?<pid>\d+) *\|", r"\[pid")
