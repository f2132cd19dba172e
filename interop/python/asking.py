# SPDX-License-Identifier: CC0-1.0
"""How a node is asked (docs/federation.md §6): signed requests, bounded answers, tag keys in sealed boxes."""

import base64
import hashlib
import http.client
import json
import secrets
import struct
import time
import urllib.parse

import nacl.exceptions
import nacl.public

from keys import Refused, check, from_base64, key_of_text, signed, text_of_key
from tags import key_id


def signature_fields(request, log_key, created, expires, nonce):
    """The fields that sign a request: RFC 9421 in the profile."""
    covered, fields = '"@method" "@authority" "@path" "@query"', {}
    base = (f'"@method": {request["method"]}\n"@authority": {request["authority"]}\n'
            f'"@path": {request["path"]}\n"@query": ?{request["query"]}\n')
    if request["body"]:
        digest = base64.b64encode(hashlib.sha256(request["body"]).digest()).decode()
        fields["Content-Digest"] = f"sha-256=:{digest}:"
        covered += ' "content-digest"'
        base += f'"content-digest": {fields["Content-Digest"]}\n'
    key = text_of_key(bytes(log_key.verify_key))
    params = f'({covered});created={created};expires={expires};nonce="{nonce}";alg="ed25519";keyid="{key}";tag="sm2tp-v1"'
    base += f'"@signature-params": {params}'
    signature = base64.b64encode(log_key.sign(base.encode()).signature).decode()
    return fields | {"Signature-Input": f"sig1={params}", "Signature": f"sig1=:{signature}:"}


def ask(api, log_key, method, path, body=b"", most=8_000_000):
    """Asks a node: (status, answer, fields). No redirect is followed, and nothing is read beyond `most` octets."""
    url = urllib.parse.urlsplit(api + path)
    authority = url.netloc.lower().removesuffix(":443")
    request = {"method": method, "authority": authority, "path": url.path, "query": url.query, "body": body}
    now = int(time.time())
    fields = signature_fields(request, log_key, now, now + 60, secrets.token_hex(16))
    connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = connect(url.hostname, url.port, timeout=30)
    try:
        target = url.path + (f"?{url.query}" if url.query else "")
        connection.request(method, target, body or None, fields | {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read(most + 1)
        check(len(answer) <= most, "the answer is too long")
        return response.status, answer, response.headers
    finally:
        connection.close()


def ask_json(api, log_key, method, path, body=b""):
    """The same, as JSON; every answer but 200 is a refusal."""
    status, answer, _ = ask(api, log_key, method, path, body)
    check(status == 200, f"{method} {path}: {status} {answer[:200]}")
    return json.loads(answer)


def grant(sealed, log_key):
    """Opens a tag key that was sealed to our log key, and verifies that its federation signed it."""
    check(len(sealed) <= 4096, "the box is too large")
    try:
        plain = nacl.public.SealedBox(log_key.to_curve25519_private_key()).decrypt(sealed)
    except nacl.exceptions.CryptoError as error:
        raise Refused("the tag key was not sealed to us") from error
    said = json.loads(plain)
    key = from_base64(said["key"])
    check(len(key) == 32 and key_id(key).hex() == said["key_id"], "key_id is not that of the key")
    check(said["not_before"] < said["not_after"], "the tag key has no time")
    data = b"sm2tp-tagkey-v1\n" + key + struct.pack(">QQ", said["not_before"], said["not_after"])
    check(signed(data, from_base64(said["sig"]), key_of_text(said["federation"])), "the federation did not sign it")
    return said
