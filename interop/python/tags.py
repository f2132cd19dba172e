# SPDX-License-Identifier: CC0-1.0
"""Addresses as tags (docs/federation.md §3). Needs python3-idna for international domains.

A subject is a normalised address, or "@domain" for a dead domain.
"""

import hashlib
import hmac
import re
import unicodedata

import idna

from keys import Refused, check


def tag(key, subject):
    return hmac.new(key, b"sm2tp-addr-v1\0" + subject.encode(), "sha256").digest()[:16]


def key_id(key):
    return hashlib.sha256(b"sm2tp-keyid\0" + key).digest()[:8]


def normalise(address):
    address = address.strip(" \t\r\n")
    check(len(address.encode()) <= 254, "too long")
    check(all(unicodedata.category(char) != "Cc" for char in address), "control characters")
    local, at, domain = address.rpartition("@")
    check(at and local and not local.startswith("@"), "no @, nothing before it, or a source route")
    atom = r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\U0010ffff]+"
    quoted = re.fullmatch(rf'"({atom}(?:\.{atom})*)"', local)
    local = lower(unicodedata.normalize("NFC", quoted[1] if quoted else local))
    normalised = f"{local}@{normalise_domain(domain)}"
    check(len(normalised.encode()) <= 254, "too long")
    return normalised


def normalise_domain(domain):
    domain = domain.removesuffix(".")
    if not domain.isascii():
        domain = to_ascii(domain.replace("\u1e9e", "ß"))  # as all tables since Unicode 15.1 say; Debian's may be older
    domain = lower(domain)
    label = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    check(len(domain) <= 253 and re.fullmatch(rf"{label}(?:\.{label})*", domain), "no domain")
    return domain


def lower(text):
    """A to Z only: what other capitals mean depends on the language."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def to_ascii(domain):
    """UTS 46, non-transitional. The idna package has the tables; its own encode() asks for IDNA 2008, which is narrower."""
    try:
        labels = idna.uts46_remap(domain, std3_rules=False, transitional=False).split(".")
        spelt = [label[4:].encode().decode("punycode") if label.startswith("xn--") else label for label in labels]
        is_bidi = any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for label in spelt for char in label)
        for label, written in zip(spelt, labels):
            # What an A-label spells must be what the mapping would have made of it.
            again = idna.uts46_remap(label, std3_rules=False, transitional=False)
            check(again == label and not (written.startswith("xn--") and label.isascii()), "no A-label")
            check(not unicodedata.category(label[:1] or "a").startswith("M"), "a label begins with a mark")
            joiners = [at for at, char in enumerate(label) if char in "\u200c\u200d"]
            check(all(idna.valid_contextj(label, at) for at in joiners), "a joiner that joins nothing")
            check(not is_bidi or idna.check_bidi(label, check_ltr=True), "letters from both sides")
    except (idna.IDNAError, UnicodeError, ValueError) as error:
        raise Refused("the domain has no A-label form") from error
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in spelt)


def is_token(normalised):
    """Bounce tokens name a mail, not a mailbox: no event about them leaves a node."""
    local = normalised.rpartition("@")[0]
    words = re.search(r"(?:^|[-+_.])(?:bounces?|returns?|verp|fbl)[-+_.]", local)
    runs = re.findall(r"[0-9a-f]{20,}", local)
    hexadecimal = any(re.search(r"[0-9]", run) for run in runs)
    return bool("=" in local or re.match(r"srs[01][=+-]", local) or words or hexadecimal)
