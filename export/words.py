"""The words by which the offline tree reads log sentences: verbs, small words, and words of status.

These are tables to be extended; the rules that use them are in `hierarchy.py`.
"""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """The words of a text, which are separated by blanks."""
    return frozenset(text.split())


# Verbs that logs use, in the base form, which names the action.
VERBS = word_set(
    """
    abort accept access acquire activate add adjust allocate allow answer append apply ask
    assert assign assume attach attempt authenticate authorize backup bind block boot bounce
    bring build cache calibrate call cancel catch change check choose clean cleanup clear clone
    close collect commit compile complete compress compute configure confirm connect contact
    control convert copy correct crash create deactivate decode decommission defer delete
    deliver deny deploy destroy detach detect determine disable discard disconnect discover
    display dispatch drop dump elect emit enable encode enqueue enter establish evict exceed
    exchange execute exit expire export extract fetch fill find finalize finish force flush
    forward free generate get give go grant handle hang hold identify ignore import
    increment init initialize insert inspect install instantiate interrupt invalidate invoke
    issue join kill launch lease leave limit link list listen load lock log login logout
    lookup lose make map mark match merge migrate miss modify monitor mount move negotiate
    notify obtain open park parse pass pause perform ping plug poll populate post prepare
    print probe proceed process progress promote protect provide publish pull purge push put
    query quit raise read rebuild receive reclaim recompute reconnect record recover
    redirect redo refresh refuse regenerate register reject release reload relocate remount
    remove rename renew reopen repair repeat replace replay replicate reply report request
    reschedule reserve reset resize resolve respond restart restore resume retrieve retry
    return reuse revalidate revoke roll rotate route run save scan schedule search select
    send serve set setup show shut shutdown skip sleep snapshot spawn speculate start stop
    store stream submit subscribe succeed suppress suspend swap switch sync synchronize take
    terminate test throttle throw touch trace track train transfer transition translate
    transmit trigger truncate turn unblock uninstall unlink unload unlock unmount unpack
    unregister update upgrade upload use validate verify wait wake warn watch wipe write
    """
)
# Verbs that stand in front of the verb that tells what is done.
AUXILIARY = word_set(
    """
    be is are was were been being has have had having do does did will would can could may
    must should got get
    """
)
# Verbs that tell only how an action went; any other verb of the sentence says more.
WEAK = word_set(
    """
    try attempt begin cause come continue need keep become fail succeed time exist seem
    expect belong follow
    """
)
# Words that look like a form of a verb and are none.
NOT_VERBS = word_set(
    """
    string thing during nothing something anything everything according king ring need speed
    feed seed bed red embedded advanced ongoing following existing setting settings missing
    pending bus address access process status class progress less unless this his its as
    always news dns nfs tls https has was alias
    """
)
# Small words: they neither name an entity nor an action.
STOP = word_set(
    """
    the a an this that these those to of for from by on at in into onto with without via as
    and or but if then than so when while because due per not no non it its there you your
    we our my i he they them than until after before since over under up down out off all
    any each some both only just already still also again now very too yet new old next
    which who whose what where how here please more most less least such same other another
    about against between during within upon existing following pending trying
    """
)
# Small words that may follow a verb whose object is named before it.
PREPOSITIONS = word_set(
    """
    to of for from by on at in into onto with without via as after before since within
    """
)
# Levels: a label such as `[ERROR]` says how grave a line is, not whose line it is.
SEVERITY = word_set(
    """
    error warning warn info notice debug fatal critical alert emergency severe err exception
    trace
    """
)
# Verbs that hand over to the next one: `start … to transfer` is a transfer.
CONTROL = word_set(
    """
    start ask request begin try attempt wait go
    """
)
# Verbs that only say that something is to be done: `stop requested` is about stopping.
DELEGATING = word_set("ask request schedule order")
# Words after which a verb stands in its base form.
BEFORE_BASE = word_set(
    """
    to not cannot can't will please could unable couldn't didn't don't
    """
)
# Irregular forms → the base form.
IRREGULAR = {
    "sent": "send", "found": "find", "lost": "lose", "began": "begin", "ran": "run",
    "took": "take", "wrote": "write", "written": "write", "read": "read", "built": "build",
    "chosen": "choose", "given": "give", "held": "hold", "kept": "keep", "left": "leave",
    "made": "make", "brought": "bring", "caught": "catch", "frozen": "freeze", "threw": "throw",
    "thrown": "throw", "shutting": "shutdown", "shut": "shutdown", "bound": "bind",
    "hung": "hang", "woke": "wake", "dying": "die", "died": "die", "dies": "die",
}  # fmt: skip
# Nouns that stand for the verb they are made of: `verification failed` is about verifying.
NOMINAL = {
    "verification": "verify", "authentication": "authenticate", "registration": "register",
    "startup": "start", "initialization": "initialize", "termination": "terminate",
    "allocation": "allocate", "creation": "create", "deletion": "delete", "detection": "detect",
    "configuration": "configure", "replication": "replicate", "installation": "install",
    "transmission": "transmit", "retransmission": "retransmit", "validation": "validate",
    "synchronization": "synchronize", "recovery": "recover", "removal": "remove",
    "negotiation": "negotiate",
}  # fmt: skip
# Status and the words (regular expressions) that say so, the gravest first: the first that is found
# names the status.
STATUS_RULES: tuple[tuple[str, str], ...] = (
    ("timeout", r"time[ds]?[ -]?outs?|deadline exceeded"),
    ("exception", r"\w*exceptions?|traceback|stack trace"),
    ("refused", r"refus(?:ed|es|al)"),
    ("denied", r"den(?:ied|ies)|forbidden|not permitted|unauthori[sz]ed|blocked by"),
    ("failed", r"fail(?:ed|ures?|s)?|unsuccessful\w*|(?:ok|success|passed)=(?:false|no|0)"),
    ("unable", r"unable|can ?not|can't|could ?n[o']t|couldn't|impossible"),
    ("fatal", r"fatal|panic\w*|crash\w*|oops|segfault\w*"),
    ("aborted", r"abort(?:ed|s)?"),
    ("killed", r"killed"),
    ("corrupt", r"corrupt\w*|mismatch\w*|inconsisten\w*|bad|broken|bogus|malformed"),
    ("invalid", r"invalid|illegal|unsupported|not supported|unrecogni[sz]ed|unknown|undefined"),
    ("missing", r"missing|not found|no such|not exist|lacks?|absent"),
    (
        "unavailable",
        r"unavailable|not available|unreachable|no route|not responding|not accessible|offline",
    ),
    ("lost", r"lost|disconnect(?:ed)?|reset by peer|connection reset|link down"),
    ("rejected", r"reject(?:ed|s)?|declined|dropped|discarded"),
    ("error", r"\w*errors?|err|faults?"),
    ("interrupted", r"interrupted|cancell?ed"),
    (
        "exceeded",
        r"exceed(?:ed|s)?|too (?:many|large|long|old|big|small)|overflow\w*"
        r"|out of (?:memory|space)|full",
    ),
    ("unexpected", r"unexpected\w*|abnormal\w*"),
    ("redundant", r"redundant|duplicated?|already"),
    ("expired", r"expired|stale"),
    ("empty", r"empty"),
    ("warning", r"warn(?:ing|ings)?"),
    ("retried", r"retry|retried"),
    ("disabled", r"disabled|inactive|turned off"),
    ("not", r"not (\w+)"),
    ("succeeded", r"succe\w+|ok|passed"),
    ("completed", r"complete(?:d|ly)?|finished|done"),
    ("ready", r"ready|enabled|active|available|up and running"),
)
# Status words of a step that went well.
GOOD = word_set("none succeeded completed ready")
