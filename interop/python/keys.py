# SPDX-License-Identifier: CC0-1.0
"""Who a node is (docs/federation.md §2): keys, signatures, descriptors. Needs python3-nacl."""

import base64
import hashlib
import json
import re

import nacl.exceptions
import nacl.signing


class Refused(Exception):
    """What another node sent is not as the specification wants it."""


def check(holds, otherwise):
    if not holds:
        raise Refused(otherwise)


def text_of_key(key):
    """Keys in texts: base64url without padding."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def key_of_text(text):
    check(isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_-]{43}", text), "no key")
    key = base64.urlsafe_b64decode(text + "=")
    check(text_of_key(key) == text, "no key")
    return key


def from_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Refused("no base64") from error
    check(base64.b64encode(data).decode() == text, "no standard base64")
    return data


def fingerprint(node):
    digits = hashlib.sha256(node).hexdigest()[:32]
    return " ".join(digits[at:at + 4] for at in range(0, 32, 4))


def signed(data, sig, key):
    """libsodium is as strict as the specification: no small order, nothing that is not canonical."""
    try:
        nacl.signing.VerifyKey(key).verify(data, sig)
        return True
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError, nacl.exceptions.TypeError):
        return False


def descriptor(text):
    """Reads and verifies the text of a descriptor."""
    check(len(text.encode()) <= 65536, "the descriptor is too long")
    try:
        envelope = json.loads(text)
        payload = from_base64(envelope["payload"])
        said = json.loads(payload)
        sig, node, seq = from_base64(envelope["sig"]), key_of_text(said["node"]), said["seq"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("no descriptor") from error
    check(signed(b"sm2tp-node-v1\n" + payload, sig, node), "the descriptor is not signed by its node")
    check(isinstance(seq, int) and 0 <= seq < 2**53, "seq is too high")
    return said


def may_seal(said, header):
    key, place = text_of_key(header["log_key"]), (header["epoch"], header["segno"])
    terms = [term for term in said["log_keys"] if term["key"] == key]
    valid = any(term["not_before"] <= header["sealed_at"] <= term["not_after"] for term in terms)
    revoked = [r for r in said.get("revoked", []) if r["key"] == key and (r["after_epoch"], r["after_segno"]) < place]
    return valid and not revoked and not said.get("retired", False)
