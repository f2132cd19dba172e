# SPDX-License-Identifier: CC0-1.0
"""Segments and the events in them (docs/federation.md §4 and §5)."""

import hashlib
import struct

from keys import check, may_seal, signed, text_of_key

CLASSES = dict(enumerate("HARD SOFT REFUSED COMPLAINT DOMAIN_DEAD RETRACT ERASE CONTRADICT".split(), 1))
TAGGED = (1, 2, 5, 6, 8)  # the classes whose subject is a tag

HEADER = struct.Struct(">4s4B32s32sIIQIIQ8s32s32s64s")
FIELDS = ("magic version record_octets tag_scheme flags origin log_key epoch segno first count zero sealed_at key_id prev "
          "root sig").split()


def header_of(octets, said):
    """Reads a header and verifies it with the descriptor of its origin."""
    check(len(octets) == 240 and octets.startswith(b"SM2S"), "no header")
    header = dict(zip(FIELDS, HEADER.unpack(octets)), hash=hashlib.sha256(octets).digest())
    check(header["record_octets"] > 0 and 1 <= header["count"] <= 4096, "no record, or too many")
    check(header["first"] + header["count"] < 2**64, "the sequence numbers end before it does")
    check(text_of_key(header["origin"]) == said["node"], "it is of another origin")
    check(may_seal(said, header), "that log key could not seal this")
    check(signed(b"sm2tp-segment-v1\n" + octets[:176], header["sig"], header["log_key"]), "the signature is wrong")
    formed = (header["record_octets"], header["flags"], header["zero"]) == (32, 0, 0)
    check(header["version"] != 1 or formed, "no header of version 1")
    return dict(header, readable=header["version"] == 1 and header["tag_scheme"] == 1)


def records(header, body):
    """The events that are left in a body, each under its sequence number. A body that cannot be read has none."""
    check(len(body) >= 2, "the body is cut short")
    n, count, octets = int.from_bytes(body[:2], "big"), header["count"], header["record_octets"]
    check(n <= count and len(body) == 2 + n * 34 + (count - n) * octets, "the body has a wrong length")
    indexes = struct.unpack(f">{n}H", body[2:2 + 2 * n])
    redacted = set(indexes)
    check(list(indexes) == sorted(redacted) and max(indexes, default=0) < count, "wrong redacted indexes")
    at, leaves, left = 2 + 2 * n, [], {}
    for index in range(count):
        length = 32 if index in redacted else octets
        entry, at = body[at:at + length], at + length
        if index in redacted:
            leaves.append(entry)
        else:
            leaves.append(hashlib.sha256(b"\0" + entry).digest())
            left[header["first"] + index] = entry
    check(root(leaves) == header["root"], "the body is not that of its header")
    return {place: event(record, header["sealed_at"]) for place, record in left.items()} if header["readable"] else {}


def root(hashes):
    """RFC 6962, with an odd last node moving up."""
    while len(hashes) > 1:
        pairs = [hashes[at:at + 2] for at in range(0, len(hashes), 2)]
        hashes = [hashlib.sha256(b"\1" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return hashes[0]


RECORD = struct.Struct(">BBHBBHIHBB16s")
RECORD_FIELDS = "class source code enhanced1 enhanced2 enhanced3 hour count provider weeks subject".split()


def event(record, sealed_at):
    """§4. Hours are judged by when the segment was sealed, and those of unknown classes not at all."""
    said = dict(zip(RECORD_FIELDS, RECORD.unpack(record)))
    age_s = sealed_at - said["hour"] * 3600
    check(said["class"] not in CLASSES or 0 <= age_s <= 34_560_000, "an event is too old or not yet")
    return said
