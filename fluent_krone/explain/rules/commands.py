"""Secrets among the arguments of commands: `curl -u`, `mysql -p`, `sshpass -p`, `scott/tiger@`."""

from __future__ import annotations

from .base import IS_MASK, MASKED, SECRET_KEYS, Rule, after, keyed

COMMANDS: tuple[Rule, ...] = (
    keyed(
        rf"(?<![\w-])(?:--?|/)[\w-]{{0,20}}(?:{SECRET_KEYS})[\w-]{{0,20}}(?:\s{{1,4}}+|:)",
        "<secret>",
    ),
    keyed(
        r"(?<![\w-])--?(?:[a-z0-9]{1,20}-){0,3}(?:[a-z]{0,12}(?<!by)(?<!com)pass|pw|pin|otp"
        r"|psk)\s{1,4}+",
        "<secret>",
    ),
    after(
        r"(?<!\S)(?:-u|-a|--auth|--user|--proxy-user|--basic|--credentials?)[\s=]{0,4}[\"']?",
        rf"(?!{MASKED}|https?:|[^\s:]{{1,80}}:[0-9]{{1,5}}(?:/"
        rf"|(?!\S)))[^\s:\"'-][^\s:\"']{{0,80}}:[^\s\"']+",
        "<secret>",
    ),
    after(
        r"(?<![\w-])(?:mysql\w{0,12}|mariadb[\w-]{0,12}|xtrabackup|mycli"
        r"|pgloader)(?:\s[^|;\n]{0,120}?)?"
        r"\s-p",
        rf"(?!{IS_MASK})[^\s-]\S*",
        "<secret>",
    ),
    after(
        r"(?<![\w-])(?:sshpass|docker\s{1,4}login|podman\s{1,4}login|helm\s{1,4}registry"
        r"|az\s{1,4}login|plink|pscp"
        r"|zip|7z|unzip|mongo\w{0,8}|rabbitmqadmin|ipmitool|nmcli|oc\s{1,4}login|smbclient"
        r"|mount\.cifs|sqlcmd"
        r"|sqlplus|bcp|kinit|cqlsh|influx|ftp|lftp|mosquitto_\w{1,4}|psexec|wmic|evil-winrm"
        r"|rdesktop|imapsync|isql)(?:\s[^|;\n]{0,120}?)?\s-(?:p|pw|P|w)\s{0,4}[\"']?",
        rf"(?!{IS_MASK}|[0-9]{{2,5}}(?!\S))[^\s\"'-][^\s\"']*",
        "<secret>",
    ),
    after(
        r"(?<![\w-])(?:redis-cli|ldap[a-z]{1,12}|valkey-cli|keydb-cli)(?:\s[^|;\n]{0,120}?)?"
        r"\s(?:-a|-w)\s{1,4}[\"']?",
        rf"(?!{IS_MASK})[^\s\"']+",
        "<secret>",
    ),
    after(
        r"(?<![\w-])(?:openssl\s[^|;\n]{0,120}?\s-k|ssh-keygen\s(?:[^|;\n]{0,120}?\s)??-(?-i:[PN])"
        r"|wpa_passphrase\s{1,4}\S{1,64})\s{1,4}[\"']?",
        rf"(?!{IS_MASK})[^\s\"'-][^\s\"']*",
        "<secret>",
    ),
    after(
        r"(?<![\w-])snmp\w{1,12}\s(?:[^|;\n]{0,120}?\s)??(?-i:-[cAX])\s{1,4}[\"']?",
        rf"(?!{IS_MASK})[^\s\"'-][^\s\"']*",
        "<secret>",
    ),
    # Options of programs of Windows; not those of MSBuild, /p:Configuration=Release.
    after(r"(?<!\S)/(?:p|pw|pass|pwd):[\"']?", rf"(?!{IS_MASK})[^\s=\"']+(?![^\s\"'])", "<secret>"),
    # A user and a password for any command: -U bob -P hunter2, /ru bob /rp hunter2, -u bob,hunter2.
    after(
        r"(?<!\S)(?:-u|/r?u)[\s:]{1,2}[^\s-]\S{0,60}\s{1,4}(?:-p|/r?p)[\s:]{1,2}[\"']?",
        rf"(?!{IS_MASK}|[0-9]{{2,5}}(?!\S))[^\s\"'-][^\s\"']*",
        "<secret>",
    ),
    after(r"(?<!\S)-u\s{0,2}[\w.@-]{1,40},", rf"(?!{IS_MASK})[^\s,]+(?!\S)", "<secret>"),
    after(
        r"ConvertTo-SecureString\s{1,4}(?:-String\s{1,4})?[\"']?",
        rf"(?!{IS_MASK}|-)[^\s\"']+",
        "<secret>",
    ),
    after(r"(?<!\S)-U\s{0,4}[\"']?", r"[^\s%\"']{1,64}%[^\s\"']+", "<secret>"),
    after(
        r"htpasswd\s{1,4}-\w{0,4}b\w{0,4}\s{1,4}\S{1,200}\s{1,4}\S{1,64}\s{1,4}",
        rf"(?!{IS_MASK})\S+",
        "<secret>",
    ),
    after(
        r"(?<![a-z])(?:echo|printf)\s{1,4}(?:-\w{1,4}\s{1,4})?",
        rf"(?!{IS_MASK})[^\s|]{{1,200}}(?=\s{{0,4}}\|\s{{0,4}}(?:sudo|passwd|chpasswd|su|kinit"
        rf"|openssl|docker|cryptsetup))",
        "<secret>",
    ),
    after(
        r"identified\s{1,4}(?:(?:with|via)\s{1,4}\S{1,60}\s{1,4})?(?:by|as"
        r"|using)\s{1,4}(?:password\s{1,4})?[\"']?",
        rf"(?!{IS_MASK})[^\s\"';]+",
        "<secret>",
    ),
    after(
        r"rabbitmqctl\s(?:[^|;\n]{0,80}?\s)??(?:add_user|change_password|authenticate_user)"
        r"\s{1,4}\S{1,64}\s{1,4}",
        rf"(?!{IS_MASK})[^\s;]+",
        "<secret>",
    ),
    # Windows: net use Z: \\\\srv\\share hunter2 /user:bob, net user bob hunter2 /add.
    after(
        r"(?<![\w-])net\s{1,4}use\s(?:[^|;\n]{0,120}?\s)??(?:/user:\S{1,64}"
        r"|\\\\[^\s|;]{1,100})\s{1,4}",
        rf"(?!{IS_MASK}|[/\\])[^\s;]+",
        "<secret>",
    ),
    after(
        r"(?<![\w-])net\s{1,4}user\s{1,4}[^\s/]{1,64}\s{1,4}",
        rf"(?!{IS_MASK}|/)[^\s;]+(?=\s{{0,4}}(?:/|$))",
        "<secret>",
    ),
    # user/password@service, as Oracle and Kerberos write it; not a package or an image.
    Rule(
        r"(?<![\w/.@-])[\w$#.-]{1,40}/(?!<)[^\s/@:,;]{1,60}@(?!sha256:|v?[0-9]+\."
        r"|latest)(?=[\w/\[<])",
        "<secret>@",
    ),
    # user:password@host without a scheme. No host, but a line of the source, is a number.
    Rule(
        rf"(?<![\w/.:@-])(?!{IS_MASK}|(?:sips?|mailto|xmpp|acct"
        rf"|im):)[\w.+-]{{1,40}}:(?!<)[^\s:@/,;<]{{1,60}}@(?![0-9]{{1,6}}(?![\w.-]))(?=[\w\[<])",
        "<secret>@",
    ),
)
