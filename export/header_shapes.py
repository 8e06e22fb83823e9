"""The parts that log headers are made of, as regular expressions: what opens a line, times, what
follows.

`guess.py` chains these parts. Each is written for one line of a real program, named beside it; a
header that nobody foresaw is still understood as long as its parts are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# --- times --------------------------------------------------------------------------------------

_CLOCK = r"\d\d:\d\d:\d\d"
# Microseconds are what `%f` reads; further digits stay outside the time.
_FRACTION = r"(?:[.,:]\d{1,6})?"
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)"
# Named one by one: three capitals that end in T may as well be a word, as in `GET /`.
_ZONE_NAME = (
    r"(?:UTC|GMT|CES?T|EES?T|WES?T|BST|IST|MSK|E[SD]T|C[SD]T|M[SD]T|P[SD]T|AK[SD]T|HST|JST|KST|SGT"
    r"|HKT|AE[SD]T|AC[SD]T|AWST|NZ[SD]T|SAST|BRT|ART|TRT|PKT|WIB|PHT|ICT)"
)
# UTC+2, GMT-03:30
_ZONE_OFFSET = r"(?:[+-]\d\d?(?::?\d\d)?)?"
# ISO 8601 and its relatives, which the record reader reads without a format: fraction and zone
# belong to the time, with or without a blank before the zone.
_ISO = (
    rf"\d{{4}}-\d\d-\d\d(?:[Tt]| {{1,2}}){_CLOCK}(?:[.,]\d{{1,9}})?"
    rf"(?:[Zz]| (?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Pacific)/[\w/]+"
    rf"| ?[+-]\d\d:?\d\d\b| ?[+-]\d\d\b| {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.]|[+-]\d+(?!\w)))?+"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# A month's name in another language, as `month_of` of the record reader knows it.
MONTH_NAME = r"(?:[^\s\d./:,;|=()\[\]<>\"'-]{3,20}|1?\d月)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"


def _halves(sign: str, year: str, year_format: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Times with am or pm, with and without a fraction of a second."""
    day = rf"\d\d?{re.escape(sign)}\d\d?{re.escape(sign)}{year},? \d\d?:\d\d:\d\d"
    dates = [sign.join((*order, year_format)) for order in (("%m", "%d"), ("%d", "%m"))]
    for fraction, form in ((r"", ""), (r"\.\d{1,6}", ".%f")):
        clocks = [f"{date}{comma} %I:%M:%S{form} %p" for comma in ("", ",") for date in dates]
        yield rf"{day}{fraction} [AaPp][Mm]", tuple(clocks)


# (pattern, strptime formats to try). Without a format the record reader reads the time as it is.
# Of several formats the one is taken that reads most of the lines and steps back least; to each
# of them a fraction and an offset are added where the lines have them.
TIMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (_ISO, ()),
    (rf"\d{{8}}T\d{{6}}(?:[.,]\d{{1,9}})?{_OFFSET}?", ()),
    (rf"\d{{4}}-\d\d-\d\d\t{_CLOCK}", ("%Y-%m-%d\t%H:%M:%S",)),
    # Cisco NX-OS: 2024 Oct 15 13:00:00
    (rf"\d{{4}}[-/ ]{_MONTH}[-/ ][ \d]?\d[ :T]{_CLOCK}(?:\.\d{{1,9}})?", ()),
    (rf"\d{{4}}/\d\d/\d\d {_CLOCK}", ("%Y/%m/%d %H:%M:%S",)),
    (r"\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d", ("%Y-%m-%d %H.%M.%S",)),
    (r"(?:19|20)\d\d[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d(?:\d{3})?(?!\d)", ()),
    # gin
    (rf"\d{{4}}/\d\d/\d\d - {_CLOCK}", ("%Y/%m/%d - %H:%M:%S",)),
    # Unreal Engine, Zabbix
    (r"\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d", ("%Y.%m.%d-%H.%M.%S",)),
    (r"\d{8}:\d{6}", ("%Y%m%d:%H%M%S",)),
    # date and time in brackets or pairs of their own: the reader joins them
    (
        r"(?<date>\d{4}[-/.]\d\d[-/.]\d\d)\"?(?:\] *\[| *[,;|] *| +time=)\"?"
        rf"(?<time>{_CLOCK}(?:[.,]\d{{1,9}})?)\"?",
        (),
    ),
    # with the words of a language: 2024年10月15日 13:00:00, 15. Oktober 2024 13:00:00,
    # 15-oct.-2024 13:00:00, окт 15, 2024 13:00:00
    (
        r"\d{4}(?:年|년) ?\d\d?(?:月|월) ?\d\d?(?:日|일) *(?:(?:上午|下午|午前|午後|오전|오후) ?)?"
        r"\d\d?(?::|时|時)\d\d(?::|分)\d\d(?:[.,]\d{1,9})?(?:秒)?",
        (),
    ),
    (rf"\d\d?\.?[- /]{MONTH_NAME}\.?[- /]\d{{4}},?[: ]{_CLOCK}(?:[.,]\d{{1,9}})?", ()),
    (
        rf"{MONTH_NAME}\.? \d\d?, \d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})?"
        r"(?: [AaPp]\.? ?[Mm]\.?| ?(?:上午|下午|午前|午後|오전|오후))?",
        (),
    ),
    (rf"\d{{4}}\.\d\d\.\d\d {_CLOCK}", ("%Y.%m.%d %H:%M:%S",)),
    *_halves("/", r"\d{4}", "%Y"),
    *_halves("/", r"\d\d", "%y"),
    *_halves("-", r"\d{4}", "%Y"),
    *_halves(".", r"\d{4}", "%Y"),
    # PHP with the zone of its configuration
    (rf"\d\d?-{_MONTH}-\d{{4}} {_CLOCK} [A-Z][A-Za-z]+/[A-Z][A-Za-z_]+", ()),
    (
        rf"\d\d/\d\d/\d\d {_CLOCK}",
        ("%y/%m/%d %H:%M:%S", "%m/%d/%y %H:%M:%S", "%d/%m/%y %H:%M:%S"),
    ),
    (
        rf"\d\d?/\d\d?/\d{{4}},? {_CLOCK}",
        ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y, %H:%M:%S", "%d/%m/%Y, %H:%M:%S"),
    ),
    (rf"\d\d?/\d\d?/\d{{4}}:{_CLOCK}", ("%m/%d/%Y:%H:%M:%S", "%d/%m/%Y:%H:%M:%S")),
    (rf"{_MONTH}[/-]\d\d?[/-]\d{{4}} {_CLOCK}", ("%b/%d/%Y %H:%M:%S", "%b-%d-%Y %H:%M:%S")),
    (rf"\d\d/\d\d/\d{{4}} -- {_CLOCK}", ("%d/%m/%Y -- %H:%M:%S", "%m/%d/%Y -- %H:%M:%S")),
    (rf"\d\d-\d\d-\d{{4}} {_CLOCK}", ("%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S")),
    (rf"\d\d?\.\d\d?\.\d{{4}},? {_CLOCK}", ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y, %H:%M:%S")),
    (rf"\d\d?/{_MONTH}/\d{{4}}[: ]{_CLOCK}", ("%d/%b/%Y:%H:%M:%S", "%d/%b/%Y %H:%M:%S")),
    (rf"\d\d? {_MONTH} \d{{4}} {_CLOCK}", ("%d %b %Y %H:%M:%S",)),
    (rf"{_DAY}, \d\d? {_MONTH} \d{{4}} {_CLOCK}", ("%a, %d %b %Y %H:%M:%S",)),
    (rf"\d\d?-{_MONTH}-\d{{4}} {_CLOCK}", ("%d-%b-%Y %H:%M:%S",)),
    (rf"{_DAY} {_MONTH} [ \d]\d {_CLOCK}\.\d{{1,6}} \d{{4}}", ("%a %b %d %H:%M:%S.%f %Y",)),
    (rf"{_DAY} {_MONTH} [ \d]\d {_CLOCK} \d{{4}}", ("%a %b %d %H:%M:%S %Y",)),
    (rf"{_MONTH} [ \d]\d \d{{4}} {_CLOCK}", ("%b %d %Y %H:%M:%S",)),
    (
        rf"{_MONTH} \d\d?, \d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,6}})? [AaPp][Mm]",
        ("%b %d, %Y %I:%M:%S %p", "%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S,%f %p",
         "%b %d, %Y, %I:%M:%S,%f %p", "%b %d, %Y, %I:%M:%S.%f %p"),
    ),
    # DB2, with its offset in minutes
    (r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}[+-]\d{3}(?!\d)", ()),
    (r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d", ("%Y-%m-%d-%H.%M.%S",)),
    (
        r"\d{8}[-_ ]\d\d?:\d\d?:\d\d?",
        ("%Y%m%d-%H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%d_%H:%M:%S"),
    ),
    (r"\d{8}[ _-]\d{6}", ("%Y%m%d %H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d-%H%M%S")),
    (rf"\d{{6}} {_CLOCK}", ("%y%m%d %H:%M:%S",)),
    (r"\d{6} \d{6}", ("%y%m%d %H%M%S",)),
    # Seconds, milliseconds, microseconds or nanoseconds since 1970.
    (r"(?<![\d.])1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?(?![\d.]\d|\d)", ()),
    (r"1\.\d{9,}[eE]\+?0?9", ()),
)  # fmt: skip
# What may stand behind a time with a format: its fraction, its offset, and how these are read.
FRACTIONS = ((r"\.\d{1,6}", ".%f"), (r",\d{1,6}", ",%f"), (r":\d{1,6}", ":%f"), (r"", ""))
OFFSETS = (
    (rf" {_OFFSET}(?!\w)", " %z"),
    (rf" {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.-])", " %Z"),
    (rf"{_OFFSET}(?!\w)", "%z"),
    (r"", ""),
)
# Times without a year, or without a date: no `time` group, so that the event time counts that the
# shipper gave. `inputs/stamps.py` knows the common ones.
YEARLESS = (
    rf"{MONTH_NAME}\.? [ \d]?\d {_CLOCK}{_FRACTION}",
    rf"{_MONTH} [ \d]?\d {_CLOCK}{_FRACTION}",
    rf"{_DAY} {_MONTH} [ \d]?\d {_CLOCK}{_FRACTION}",
    rf"\d\d[-./]\d\d[- |]{_CLOCK}{_FRACTION}",
    rf"\d{{4}} {_CLOCK}\.\d+",
    rf"{_CLOCK}(?:[.,:]\d{{1,9}})?Z?",
)
# A zone that is no part of the time's own form.
ZONES = (rf" {_ZONE_NAME}(?= |\]|>|:)", "")
# A sign between the parts of a header, with which no message goes on.
SEPARATOR = r"(?:-+>?|=+>|>{1,3}|~|::|–|—|›|»|→|▶|•|·|✔|✅|⋮)"
# What closes a time.
ENDS = (
    r"\]:? +- +", r"\](?=\[)", r"\]:? *", r"> *", rf" +{SEPARATOR} +", r"; *", r"\t", r", *",
    r" *\| *", r" +: +", r": +",
    r"\" +", r":\d+\): *", r" +", "",
)  # fmt: skip

# --- what may open a line before its time
# ----------------------------------------------------------

PRIORITY = r"<(?<pri>\d{1,3})>(?:1 +)?"
REDIS = r"(?<pid>\d+):[A-Z] +"
NEST = r"\[\w+\] (?<pid>\d+) +- +"
LETTER = r"(?<level>[VDTIWEFCA])(?=\d{4})"
LEADS = (
    "",
    # syslog RFC 5424 and 3164
    PRIORITY,
    r"\[ *",
    r"[<(] *",
    r"(?:time|ts|timestamp|date|t)=\"?",
    # journalctl -o short-full
    rf"{_DAY},? +",
    # access logs: client, identity and user, perhaps behind the virtual host
    r"\A(?<client>[\w.:-]+) (?<ident>\S+) (?<user>\S+) \[",
    r"\A(?<vhost>[\w.:-]+) (?<client>[\w.:-]+) (?<ident>\S+) (?<user>\S+) \[",
    # Ruby's Logger; the letter says what the word behind the time says again
    r"[DIWEFA], \[ *",
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
    # kubectl logs --prefix
    r"\[pod/(?<pod>[^\]]+)\] +",
    # Cisco IOS
    r"(?:\d+: )?[*.]",
    # Puma, Suricata
    r"\[(?<pid>\d+)\] +",
    # Prometheus and other Go programs
    r"(?:level|lvl)=\"?(?<level>[a-z]+)\"? +(?:ts|time|t)=\"?",
    # Grafana
    r"logger=(?<component>[\w.:/-]+) (?:t|ts|time)=",
    # WebLogic
    r"#{4}<",
    # Cassandra, log4j patterns that begin with the level
    r"(?<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL) +\[(?<thread>[^\[\]]*)\] +",
    r"\[?(?<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)\]?:? +\[?",
    # logrus
    r"(?<level>TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[",
    r" +",
)

# --- what may follow
# -------------------------------------------------------------------------------

LEVEL_WORDS = (
    r"(?i:trace|debug|info|information|notice|note|warn|warning|error|err|crit|critical|fatal"
    r"|severe|alert|emerg|fine|finer|finest|config|log|panic|verbose|inf|wrn|dbg|ftl|vrb|trc"
    r"|default|fault"
    r"|deprecated|success|dpanic|erro|debg|eror|dbug|debu|fata|pani|fail|trce|display|veryverbose"
    # npm's levels; `http` may as well be a logger's name or a word
    r"|silly|http(?=\]|: )"
    # as Java, PostgreSQL and others write them in the language of the machine
    r"|infos|informazioni|informatie|fein|feiner|konfiguration|konfig|warnung|avertissement"
    r"|attention|advertencia|avvertenza|waarschuwing|aviso|hinweis|schwerwiegend|grave|fehler"
    r"|erreur|errore|fout|informaci(?:ó|Ó)n|informa(?:ç|Ç)(?:õ|Õ)es|advert(?:ê|Ê)ncia"
    r"|信息|警告|错误|严重|调试|情報|エラー|致命的|重大|정보|경고|심각|오류"
    r"|ИНФО|ИНФОРМАЦИЯ|ПРЕДУПРЕЖДЕНИЕ|ОШИБКА|СЕРЬЕЗНО)"
)
LOGGER = r"[A-Za-z_][\w.$/@*#()-]*"
_RUST = r"[A-Za-z_][\w-]*(?:::[\w<>-]+)*"
DOTTED = r"[A-Za-z_][\w$]*(?:\.[\w$-]+)+"
_BRACKETS = r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]"
FILE = r"[\w./$@-]+\.(?:go|c|cc|cpp|h|hpp|py|rb|rs|java|kt|scala|js|ts|php|cs|m|mm|ex|erl|lua|pl)"

# RFC 5424: host program pid message-id structured-data. It is tried only behind `<34>1 `, since any
# words fit it.
_RFC_5424 = (
    r"(?<host>[^\s\[\]]+) (?<component>[^\s\[\]:]+) (?<pid>[\w.-]+) (?<msgid>[\w.-]+) "
    r"(?:-|(?:\[(?:[^\]\"\\]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: +|\Z)"
)
# Headers that are tried only behind a lead of their own.
BEHIND_LEAD: tuple[tuple[str, str], ...] = (
    (PRIORITY, _RFC_5424),
    # a sign for the level
    (REDIS, r"(?<level>[.*#-]) +"),
    # LEVEL [context]
    (NEST, rf"(?<level>{LEVEL_WORDS}) +\[(?<component>[^\[\]]+)\] +"),
    # klog, glog: thread file:line]
    (LETTER, r"(?<tid>\d+) (?<component>[^\s:\]]+):\d+\] +"),
)
# Headers of well-known programs behind the time, each with all its parts; tried before single
# parts.
KNOWN = (
    # logs of supercomputers as they were published: date node time user@host, then syslog's own
    rf"\d{{4}}\.\d\d\.\d\d (?<host>\S+) {_MONTH} +\d{{1,2}} {_CLOCK} \S+ "
    r"(?<component>[^\s:\[]+)(?:\[(?<pid>\d+)\])?: +",
    r"\d{4}\.\d\d\.\d\d (?<host>\S+) \d{4}-\d\d-\d\d-[\d.]+ \S+ [A-Z]+ (?<component>[A-Z_]+) "
    r"(?<level>[A-Z]+) +",
    # OpenStack: pid LEVEL logger [request and who asked]
    rf"(?<pid>\d+) (?<level>{LEVEL_WORDS}) (?<component>{DOTTED}) "
    r"\[(?:-|(?:None )?(?<request>req-[0-9a-f-]{36})[^\]]*)\] ",
    # Spring Boot 2 and 3: level pid --- [app] [thread] [trace] logger :
    rf" *(?<level>{LEVEL_WORDS}) +(?<pid>\d+) --- +(?:{_BRACKETS} +)?\[(?<thread>[^\[\]]*)\] +"
    rf"(?:{_BRACKETS} +)?(?<component>{LOGGER}) +: +",
    # CockroachDB
    r"(?<tid>\d+) (?:\d+@)?(?<component>[^\s:]+\.go):\d+ +(?:⋮ +)?(?:\[[^\[\]]*\] +)?(?:\d+ +)?",
    # Ruby's Logger: #pid] LEVEL -- program:
    rf"#(?<pid>\d+)\] +(?<level>{LEVEL_WORDS}|ANY) -- (?<component>[^\s:]*): +",
    # LEVEL [thread] logger: as Hadoop and Tomcat write it
    rf"(?<level>{LEVEL_WORDS}) +\[(?<thread>[^\[\]]*)\] +(?<component>{DOTTED}|{LOGGER}(?=:))"
    r"(?::| -)? +",
    # zap console, with and without logger and caller; controller-runtime, Caddy
    rf"(?<level>{LEVEL_WORDS})\t(?<component>[A-Za-z][\w.-]*)\t(?:[\w./@-]+\.go:\d+\t)",
    rf"(?<level>{LEVEL_WORDS})\t(?<component>[\w./@-]+\.go):\d+\t",
    rf"(?<level>{LEVEL_WORDS})\t(?<component>[A-Za-z][\w.-]*)\t",
    # Jenkins: [id=1]⇥LEVEL⇥logger:
    rf"\[id=\d+\]\t(?<level>{LEVEL_WORDS})\t(?<component>{LOGGER}): +",
    # AWS Lambda: request id, level
    rf"(?<request>[0-9a-f]{{8}}-[0-9a-f-]{{27}})[\t ]+(?<level>{LEVEL_WORDS})[\t ]+",
    # MongoDB: level letter, component, [context]
    r"(?<level>[FEWID]\d?) +(?<component>[A-Z]+) +\[(?<thread>[^\[\]]*)\] +",
    # PostgreSQL with usual prefixes
    r"\[(?<pid>\d+)(?:-\d+)?\]:?(?: \[\d+-\d+\])?(?: (?:user=\S*?,?db=\S*|[^\s@\[\]]*@[^\s:]+))? +"
    r"(?<level>LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|DETAIL|HINT|STATEMENT|CONTEXT)"
    r": +",
    # PostgreSQL's csvlog: user, database, pid, seven more, level, code
    r"(?:(?:\"(?:[^\"]|\"\")*\"|[^\",]*),){2}(?<pid>\d+),(?:(?:\"(?:[^\"]|\"\")*\"|[^\",]*),){7}"
    r"(?<level>[A-Z]+\d?),\w{5},",
    # MySQL 8: thread [level] [code] [subsystem]
    r"(?<tid>\d+) \[(?<level>System|Warning|Error|Note)\] \[MY-\d+\] \[(?<component>\w+)\] +",
    # MySQL 5, MariaDB: thread [level] component:
    r"(?:(?<tid>\d+) )?\[(?<level>Note|Warning|ERROR|Error)\] (?<component>[A-Z][\w -]{0,30}): +",
    r"(?:(?<tid>\d+) )?\[(?<level>Note|Warning|ERROR|Error)\] +",
    # etcd 3.3, capnslog
    r"(?<level>[CEWNIDT]) \| (?<component>[\w./-]+): +",
    # Envoy, and others with nothing but brackets: [thread][level][logger] [file:line]
    rf"\[(?<tid>\d+)\] ?\[(?<level>{LEVEL_WORDS})\] ?\[(?<component>[\w.-]+)\] "
    rf"(?:\[{FILE}:\d+\] )?",
    # Elasticsearch, Logstash, OpenSearch
    rf"\[(?<level>{LEVEL_WORDS}) *\]\[(?<component>[\w.$-]+) *\] +",
    # spdlog: [logger] [level]
    rf"\[(?<component>[A-Za-z][\w.-]*)\] \[(?<level>{LEVEL_WORDS})\] +",
    rf"\[(?<tid>0x[0-9a-f]+|\d+)\] \[(?<level>{LEVEL_WORDS})\] +",
    # log4js: [LEVEL] logger - ; Play, akka: [LEVEL] logger -
    rf"\[(?<level>{LEVEL_WORDS})\] (?:from )?(?<component>{LOGGER})(?: in \S+)? - +",
    # RabbitMQ: [level] <process>
    rf"\[(?<level>{LEVEL_WORDS})\] (?<thread><\d+(?:\.\d+)+>)(?:@\S+)? +",
    # Rust's env_logger: LEVEL target]
    rf"(?<level>{LEVEL_WORDS}) +(?<component>{_RUST})\] +",
    # Rust's tracing: LEVEL thread span{…}: target:
    rf"(?<level>{LEVEL_WORDS}) +(?:(?:[\w-]+ +)?ThreadId\(\d+\) +)?(?:[\w-]+\{{[^}}]*\}}: ?)*"
    rf"(?<component>{_RUST}): +",
    # Monolog, Laravel, Symfony: channel.LEVEL:
    rf"(?<component>[A-Za-z][\w-]*)\.(?<level>{LEVEL_WORDS}|EMERGENCY): +",
    # PHP's own: PHP Warning:
    r"(?<component>PHP) (?<level>(?:Core |Compile |Parse |Fatal |Recoverable fatal )?"
    r"(?i:error|warning|notice|deprecated|strict standards)): +",
    # Apache 2.4: [module:level] [pid 1:tid 2]
    rf"\[(?<component>[\w-]*):(?<level>{LEVEL_WORDS}\d?)\] "
    r"\[pid (?<pid>\d+)(?::tid (?<tid>\d+))?\] +",
    # Sidekiq, good_job
    rf"pid=(?<pid>\d+) tid=(?<tid>\w+)(?: class=(?<component>[\w:]+))?(?: \w+=\S+)*? "
    rf"(?<level>{LEVEL_WORDS}): +",
    # ZooKeeper: [myid:1] - LEVEL [thread:class@line] -
    rf"\[myid:\d*\] - (?<level>{LEVEL_WORDS}) +\[.*:(?<component>[\w$]+)@\d+\] - +",
    # Cassandra: file:line -
    rf"(?<component>{FILE}):\d+ - +",
    # Solr, HBase, Hadoop: LEVEL (thread) or [thread] [context] logger
    rf"(?<level>{LEVEL_WORDS}) +\((?<thread>[^()]*)\) +(?:\[[^\[\]]*\] +)?"
    rf"(?<component>{DOTTED}):? +",
    # JBoss with two brackets: LEVEL [logger] (thread), and Quarkus
    rf"(?<level>{LEVEL_WORDS}) +\[(?<component>{LOGGER})\] \((?<thread>[^()]*)\) +",
    # log4net: [thread] LEVEL logger [ndc] -
    rf"\[(?<thread>[^\[\]]*)\] (?<level>{LEVEL_WORDS}) +(?<component>{LOGGER}) "
    rf"(?:\[[^\[\]]*\] |<[^<>]*> )?- +",
    # Loguru: LEVEL | module:function:line -
    rf"(?<level>{LEVEL_WORDS}) +\| (?<component>[\w.<>]+):[\w.<>]+:\d+ - +",
    # Airflow: {file:line} LEVEL -
    rf"\{{(?<component>[\w.-]+):\d+\}} (?<level>{LEVEL_WORDS}) - +",
    # Asterisk: LEVEL[pid][call] file:
    r"(?<level>NOTICE|WARNING|ERROR|VERBOSE|DEBUG|SECURITY|DTMF)\[(?<pid>\d+)\](?:\[[^\]]*\])?:? "
    r"(?<component>[\w.-]+):(?:\d+)?(?: \w+:)? +",
    # Cisco IOS: %FACILITY-SEVERITY-
    r"%(?<component>[A-Z][A-Z0-9_]*)-(?<level>\d)-(?=[A-Z0-9_]+:)",
    # WebSphere: thread logger LEVEL
    r"(?<tid>[0-9a-f]{8}) (?<component>[\w.]+) +(?<level>[FEWAICDORZ123<>]) +",
    # WebLogic: <level> <subsystem>
    r"<(?<level>\w+)> <(?<component>[\w .-]+)> +(?:<[^<>]*> +)?",
    # Suricata
    r"(?:\([\w.:-]+\) )?<(?<level>\w+)> (?:\(\w+\) )?-+ +",
    # Gitea, Beego: file:line:function [L]
    r"\.*(?<component>[\w./-]+\.go):\d+:[\w.()*]+ \[(?<level>[A-Z])\] +",
    r"\[(?<level>[MACEWNID])\] +\[(?<component>[\w./-]+\.go):\d+\] +",
    # Ceph: thread level
    r"(?<tid>[0-9a-f]{12}) +(?<level>-?\d+) +",
    # Unbound, BIND: program[pid:thread] level:, category: level:
    rf"(?<component>[\w-]+)\[(?<pid>\d+)(?::\d+)?\] (?<level>{LEVEL_WORDS}): +",
    rf"(?<component>[a-z][\w-]*): (?<level>{LEVEL_WORDS}): +",
    # macOS: thread type activity pid ttl process:
    r"0x[0-9a-f]+ +(?<level>[A-Z][a-z]+) +0x[0-9a-f]+ +(?<pid>\d+) +\d+ +"
    r"(?<component>[\w. -]+?): +",
    # winston: [label] level:, level [label]:
    rf"\[(?<component>[A-Za-z][\w.:/-]*)\] (?<level>{LEVEL_WORDS}): +",
    rf"(?<level>{LEVEL_WORDS}) \[(?<component>[A-Za-z][\w.:/-]*)\]: +",
    # pino-pretty: LEVEL (name/pid):
    rf"(?<level>{LEVEL_WORDS}) \((?:(?<component>[A-Za-z][\w-]*)/)?(?<pid>\d+)(?: on [^()]+)?\): +",
    # Celery: LEVEL/Process], python's LEVEL:logger:
    rf"(?<level>{LEVEL_WORDS})/(?<process>[\w-]+)\] +",
    # Heroku, Papertrail: program[process]:
    rf"(?<component>[A-Za-z][\w.-]*)\[(?!{LEVEL_WORDS}\])(?<process>[A-Za-z][\w.-]*)\]: +",
    # Fluentd: [level]: #worker
    rf"\[(?<level>{LEVEL_WORDS})\]: (?:#\d+ )?",
    # Fluent Bit: [level] [component]
    rf"\[ *(?<level>{LEVEL_WORDS})\] \[(?!client |[^\]]*:\d+\])(?<component>[\w:. -]+)\] +",
)

# Kinds of which a header has one, each in the spellings that are tried in turn.
ELEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "level",
        (
            rf"\[ *(?<level>{LEVEL_WORDS}) *\](?:: | *- +|\t| *)",
            rf"\((?<level>{LEVEL_WORDS})\) *",
            rf"<(?<level>{LEVEL_WORDS})> *",
            rf"(?:level|lvl|severity)=\"?(?<level>{LEVEL_WORDS}|eror|dbug|crit)\"?,?(?: +|\t)",
            rf"(?<level>{LEVEL_WORDS}) *\| *",
            rf"(?<level>{LEVEL_WORDS})/[\w-]+\] *",
            rf"(?<level>{LEVEL_WORDS}):(?=[\w.]+:)",
            rf"(?<level>{LEVEL_WORDS})(?: +-+ +:? *|\t|: +|:? *- +| +|:(?=[\w.]+:))",
            rf"(?<level>{LEVEL_WORDS})\] +",
            r"\[(?<level>[VDIWEFTC])\] +",
            r"(?<level>[VDIWEF]) +(?=[\w.$-]+ *:)",
        ),
    ),
    (
        "component",
        (
            # only right behind a time, since any two words fit it
            r"(?<host>[^\s\[\]]+) +(?<component>[^\s\[\]:]+)(?:\[(?<pid>\d+)\])?: +",
            r"(?<component>[\w.-]+\.exe)(?: \*\d\d)? - ",
            r"\[.*:(?<component>[\w$]+)@\d+\] - ",
            rf"\[(?<component>[\w-]*):{LEVEL_WORDS}\] *",
            r"\{(?<component>[\w.-]+):\d+\} *",
            rf"\[ *(?<component>{DOTTED}) *\](?: - +| *)",
            rf"(?<component>{DOTTED})\[\d+\] +",
            r"(?:caller|source|src)=\"?(?<component>[\w./@-]+):\d+\"? +(?!component=|logger=)",
            r"(?:caller|source|src)=\"?\S+?\"? +"
            r"(?:component|logger)=\"?(?<component>[\w./:-]+)\"? +",
            r"(?:component|logger|module|subsystem|name)=\"?(?<component>[\w./:-]+)\"? +",
            r"(?<component>[A-Za-z_][\w.-]*):\d+\] ",
            r"(?<component>[A-Za-z_][\w./-]*):\d+(?: -|:)? +",
            rf"(?<component>{LOGGER})\[(?<pid>\d+)\]: +",
            rf"(?<component>{LOGGER}) *\| *",
            # but for `ORA-00600: `, which is a message's own number
            rf"(?![A-Z]+-\d)(?<component>{LOGGER}) *: +",
            rf"(?![A-Z]+-\d)(?<component>{_RUST}): +",
            rf"(?<component>{LOGGER}):(?=[^\s:])",
            rf"(?<component>{LOGGER}) - ",
            rf"(?<component>{DOTTED}) +",
            rf"(?<component>{LOGGER})(?:  +|\t)",
        ),
    ),
    (
        "process",
        (
            r"(?<pid>\d+) +--- +",
            r"(?<pid>\d+) +(?<tid>\d+) +",
            r"(?<pid>\d+) *\| *",
            r"(?<pid>\d+)#\d+: +",
            r"(?<pid>\d+):? +",
            r"\[pid:? (?<pid>\d+)(?:[:,] ?tid:? (?<tid>\d+))?\] *",
            r"\[(?<pid>\d+)\]:? *",
            r"\((?<pid>\d+)\) +",
            r"pid=(?<pid>\d+),? +",
        ),
    ),
    (
        "thread",
        (
            r"\[(?<thread>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\] *(?:- +)?",
            r"\((?<thread>[A-Za-z][^()]*)\) +",
            r"<(?<thread>\d+(?:\.\d+)+)> +",
        ),
    ),
)
HOST_FIRST = ELEMENTS[1][1][0]
# Kinds with which a header may end; a bare number or bracket may be the message's own.
CLOSING = ("time", "stamp", "level", "component", "known")
SURELY_PROCESS = (r"(?<pid>\d+)#", r"(?<pid>\d+) *\|", r"\[pid")
