# SPDX-License-Identifier: CC0-1.0
"""Checks this implementation against interop/vectors.json, or segments of a node against its descriptor."""

import json
import pathlib
import sys

import nacl.signing

from asking import grant, signature_fields
from keys import Refused, check, descriptor, fingerprint, from_base64, key_of_text, signed, text_of_key
from segments import header_of, records
from tags import is_token, key_id, normalise, normalise_domain, tag

checked = 0


def same(what, found, wanted):
    """Two values that must be the same."""
    global checked
    checked += 1
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def refuses(what, does, *args):
    try:
        does(*args)
    except Refused:
        same(what, True, True)
        return
    raise Refused(f"{what} was taken")


def flipped(octets, at):
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1:]


def vectors(all_of_them):
    tags(all_of_them["tags"])
    for name, key in all_of_them["keys"].items():
        public = bytes(nacl.signing.SigningKey(bytes.fromhex(key["seed"])).verify_key)
        same(f"key {name}", (public.hex(), text_of_key(public), key_of_text(key["text"])), (key["public"], key["text"], public))
    for weak in all_of_them["weak_keys"]:
        good = signed(weak["message"].encode(), bytes.fromhex(weak["sig"]), bytes.fromhex(weak["key"]))
        same(f"a signature by {weak['why']}", good, False)
    node = all_of_them["keys"]["node"]
    same("fingerprint", fingerprint(bytes.fromhex(node["public"])), node["fingerprint"])
    text = all_of_them["descriptor"]["text"]
    same("descriptor", descriptor(text), json.loads(all_of_them["descriptor"]["payload"]))
    refuses("a descriptor that was changed", descriptor, text[:200] + "AAAA" + text[204:])
    segments(all_of_them, descriptor(text))
    log, peer_log = (nacl.signing.SigningKey(bytes.fromhex(all_of_them["keys"][n]["seed"])) for n in ("log", "peer_log"))
    for request in all_of_them["requests"]:
        parts = request | {"body": request["body"].encode()}
        fields = signature_fields(parts, log, request["created"], request["expires"], request["nonce"])
        found = (fields["Signature-Input"], fields["Signature"], fields.get("Content-Digest"))
        same(f"request {request['name']}", found,
             (request["signature_input"], request["signature"], request["content_digest"]))
    sealed = bytes.fromhex(all_of_them["tag_key_grant"]["sealed_to_peer_log"])
    same("tag key", from_base64(grant(sealed, peer_log)["key"]).hex(), all_of_them["tag_key_grant"]["key"])
    refuses("a tag key for somebody else", grant, sealed, log)


def tags(said):
    key = bytes.fromhex(said["key"])
    same("key_id", key_id(key).hex(), said["key_id"])
    for a in said["addresses"]:
        same(f"normalised {a['address']!a}", normalise(a["address"]), a["normalised"])
        same(f"tag of {a['address']!a}", tag(key, a["normalised"]).hex(), a["tag"])
        same(f"{a['address']!a} is published", is_token(a["normalised"]), False)
    for d in said["domains"]:
        same(f"tag of {d['domain']!a}", tag(key, "@" + normalise_domain(d["domain"])).hex(), d["tag"])
    for a in said["no_tag"]:
        refuses(f"an address with {a['why']}", normalise, a["address"])
    for address in said["not_published"]:
        same(f"{address} is a token", is_token(normalise(address)), True)


def segments(all_of_them, origin):
    for wanted in all_of_them["segments"]:
        name, octets, body = wanted["name"], bytes.fromhex(wanted["header"]), bytes.fromhex(wanted["body"])
        header = header_of(octets, origin)
        for ours, theirs in (("first", "first_sequence"),) + tuple((n, n) for n in "epoch segno count sealed_at".split()):
            same(f"{theirs} of {name}", header[ours], wanted[theirs])
        for field in "prev root hash key_id".split():
            same(f"{field} of {name}", header[field].hex(), wanted[field])
        events = list(records(header, body).values())
        for event, record in zip(events, all_of_them["records"][name], strict=True):
            found = (event["class"], event["source"], event["code"], event["hour"], event["count"], event["provider"],
                     event["weeks"], [event["enhanced1"], event["enhanced2"], event["enhanced3"]], event["subject"].hex())
            names = "class source smtp_code hour count provider ttl_weeks enhanced subject".split()
            same(f"record {record['what']}", found, tuple(record[n] for n in names))
        for at in range(240):
            refuses(f"header {name} with another octet {at}", header_of, flipped(octets, at), origin)
        for at in range(len(body)):
            refuses(f"body {name} with another octet {at}", records, header, flipped(body, at))
        refuses(f"body {name} cut short", records, header, body[:-1])
    first = header_of(bytes.fromhex(all_of_them["segments"][0]["header"]), origin)
    left = list(records(first, bytes.fromhex(all_of_them["redaction"]["body"])))
    same("redaction", left, [n for n in range(first["count"]) if n not in all_of_them["redaction"]["indexes"]])
    proof = bytes.fromhex(all_of_them["equivocation"]["proof"])
    one, two = header_of(proof[:240], origin), header_of(proof[240:], origin)
    same("equivocation", (one["epoch"], one["segno"]), (two["epoch"], two["segno"]))
    same("the smaller bytes first", proof[:240] < proof[240:], True)


def files(origin, paths):
    """Prints a line for each segment that is good, and ends at the first that is not."""
    for path in paths:
        segment = pathlib.Path(path).read_bytes()
        header = header_of(segment[:240], descriptor(pathlib.Path(origin).read_text()))
        events = len(records(header, segment[240:]))
        print(f"{header['epoch']}.{header['segno']} {events} of {header['count']} events, root {header['root'].hex()}")


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["vectors"] and len(sys.argv) == 3:
            vectors(json.loads(pathlib.Path(sys.argv[2]).read_text()))
            print(f"{checked} values are right")
        elif sys.argv[1:2] == ["segments"] and 3 < len(sys.argv):
            files(sys.argv[2], sys.argv[3:])
        else:
            sys.exit("vectors FILE | segments DESCRIPTOR FILE…")
    except Refused as wrong:
        sys.exit(str(wrong))
