"""Tokens and hashes whose form tells their issuer: `ghp_…`, `AKIA…`, `hvs.…`, `$2b$…`."""

from __future__ import annotations

from .base import ALONE, ENDS, Rule

_PREFIXES = (
    # GitHub, GitLab, Slack, npm, PyPI, Hugging Face, Google
    "gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox[a-z][.-]|xapp-|npm_|pypi-|hf_|ya29\\.|1//0|GOCSPX-"
    "|AIza"
    # OpenAI, Anthropic, Stripe, DigitalOcean, SendGrid, Shopify, Square, Docker Hub
    "|sk-|[sprw]k_(?:live|test)_|whsec_|do[opr]_v1_|SG\\.|shp(?:at|ca|pa|ss)_|sq0[a-z]{3}-"
    "|dckr_pat_"
    # Vault, Databricks, Grafana, Atlassian, Bitbucket, Postman, New Relic, Sentry, Linear, Notion
    "|hv[sbr]\\.|dapi(?=[0-9a-f]{10})|gl(?:sa|c)_|ATATT3x|ATBB|ATCTT3x|PMAK-|NRAK-|NRJS-"
    "|sntry[su]_|lin_api_|ntn_|secret_"
    # Supabase, PlanetScale, Pulumi, Doppler, Netlify, Fly, RubyGems, Artifactory, Alibaba, Tencent
    "|sbp_|pscale_[a-z]{2,8}_|pul-|dp\\.(?:pt|st|sa|ct|scim)\\.|nf[pc]_|fo1_|fm2_|rubygems_|AKCp"
    "|LTAI|AKID|AQVN"
    # Mailgun, age, Terraform, Facebook, EasyPost, Flutterwave, Dropbox, Figma, Airtable, Replicate
    "|key-(?=[0-9a-f]{20})|AGE-SECRET-KEY-|tfr?_|EAA[A-Z]|Atz[ar]\\||EZ[AT]K|FLW(?:SECK|PUBK)"
    "|sl\\.[A-Z]|figd_|r8_|pat(?=[A-Z0-9]{14}\\.)"
    # CircleCI, Buildkite, Clojars, Contentful, Adafruit, Confluent, Prefect, Groq, xAI, Perplexity
    "|CCIPAT_|bk(?:ua|at)_|CLOJARS_|CFPAT-|aio_|cflt|pnu_|gsk_|xai-|pplx-|tskey-|sgp_|lsv2_|phc_"
    "|phx_"
)
FORMS: tuple[Rule, ...] = (
    Rule(
        r"((?<![a-z])(?:bearer|basic|negotiate|ntlm|apikey|digest|ssws|splunk|jwt"
        r"|hawk)\s{1,4})(?=(?-i:[a-z._~+/=-]{0,7}[0-9A-Z])|\S{16})"
        r"[a-z0-9._~+/=:-]{8,}",
        r"\1<token>",
    ),
    Rule(rf"{ALONE}(?:A[KS]IA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{{16}}(?![A-Za-z0-9_-])", "<token>"),
    Rule(rf"{ALONE}(?:{_PREFIXES})[\w.~/+=-]{{10,}}", "<token>"),
    Rule(rf"{ALONE}(?:AC|SK|AP|CA|SM|MM|PN|CN)[0-9a-f]{{32}}{ENDS}", "<token>"),
    Rule(rf"{ALONE}0x[0-9a-f]{{32,}}(?![0-9a-z])", "<token>"),
    # Azure AD: three characters, a digit, `Q~`.
    Rule(r"(?<![\w.~-])[\w.~-]{3}[0-9]Q~[\w.~-]{20,}", "<token>"),
    Rule(rf"{ALONE}[0-9a-f]{{32}}-us[0-9]{{1,2}}{ENDS}", "<token>"),
    # Telegram, Vault's first form, Kubernetes bootstrap tokens, Terraform Cloud, Discord.
    Rule(r"(?<![\w:])(?:bot)?[0-9]{8,10}:[\w-]{30,}", "<token>"),
    Rule(rf"{ALONE}s\.[a-z0-9]{{20,}}{ENDS}", "<token>"),
    Rule(r"(?<![\w.-])[a-z0-9]{6}\.(?=[a-z]{0,15}[0-9])[a-z0-9]{16}(?![\w.-])", "<token>"),
    Rule(r"(?<![\w.-])[\w-]{10,20}\.atlasv1\.[\w-]{20,}", "<token>"),
    Rule(r"(?<![\w.-])[MNO][\w-]{22,28}\.[\w-]{6}\.[\w-]{25,40}", "<token>"),
    Rule(r"(?<=hooks\.slack\.com/services/)[\w/]+", "<token>"),
    Rule(r"(?<=hooks\.slack\.com/workflows/)[\w/]+", "<token>"),
    Rule(r"((?:discord|discordapp)\.com/api/webhooks/)[\w/-]+", r"\1<token>"),
    Rule(r"((?:webhook\.office\.com|outlook\.office\.com)/webhook\w{0,3}/)[\w@/.-]+", r"\1<token>"),
    Rule(rf"{ALONE}eyJ[\w-]{{5,}}\.[\w.-]+", "<token>"),
    # Hashes of passwords: crypt, bcrypt, argon2, Kerberos, LDAP.
    Rule(
        r"(?<![\w$])\$(?:2[abxy]?|1|5|6|7|y|apr1|argon2\w{0,2}|krb5\w{0,10}|pbkdf2[\w-]{0,12}"
        r"|scrypt|P|H|sha1|md5)"
        r"\$(?:[^\s\"',;]|,(?=[a-z]=)){8,}",
        "<secret>",
    ),
    Rule(r"(\$ANSIBLE_VAULT;[\w.;]{1,40})\s{1,4}[0-9a-f][0-9a-f\s]{15,}", r"\1 <secret>"),
    Rule(
        r"\{(?:S?SHA[0-9]{0,3}|S?MD5|CRYPT|BCRYPT|PBKDF2[\w-]{0,8}|ARGON2)\}[^\s\"',;<]+",
        "<secret>",
    ),
    # As Django and Werkzeug write them: pbkdf2_sha256$260000$salt$…, scrypt:32768:8:1$salt$….
    Rule(
        r"(?<![\w$])(?:pbkdf2|bcrypt|scrypt|argon2|md5|sha1|sha256"
        r"|sha512)[\w:]{0,24}\$[^\s\"',;]{8,}",
        "<secret>",
    ),
    # Keys of products: groups of letters and digits in capitals.
    Rule(
        r"(?-i:(?<![\w-])(?=[0-9-]{0,30}[A-Z])(?=[A-Z-]{0,30}[0-9])"
        r"(?:[A-Z0-9]{5}(?:-[A-Z0-9]{5}){2,7}|[A-Z0-9]{4}(?:-[A-Z0-9]{4}){3,7})(?![\w-]))",
        "<secret>",
    ),
    Rule(r"((?<![a-z])ssh-(?:rsa|dss|ed25519)\s{1,4})[a-z0-9+/=]{16,}", r"\1<token>"),
)
