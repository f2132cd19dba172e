# SPDX-License-Identifier: CC0-1.0
"""A node that only reads: asks for a peering, pulls what its peer has, looks addresses up. See interop/README.md."""

import base64
import datetime
import json
import os
import pathlib
import sys
import time
import urllib.parse

import nacl.signing

from asking import ask, ask_json, grant
from keys import Refused, check, descriptor, fingerprint, from_base64, key_of_text, text_of_key
from segments import CLASSES, TAGGED, header_of, records
from tags import normalise, tag

USAGE = "join FOLDER PEER-API OWN-API | pull FOLDER | look FOLDER ADDRESS"


class Node:
    """A folder: node.json, and a file for each segment."""

    def __init__(self, folder, said=None):
        self.folder = pathlib.Path(folder)
        self.said = said or json.loads((self.folder / "node.json").read_text())
        self.log_key = nacl.signing.SigningKey(base64.b64decode(self.said["log_seed"]))

    def save(self):
        (self.folder / "node.json").write_text(json.dumps(self.said, indent=2))

    def ask(self, path, most=8_000_000):
        return ask(self.said["api"], self.log_key, "GET", path, most=most)

    def ask_json(self, path):
        return ask_json(self.said["api"], self.log_key, "GET", path)

    def descriptor(self, origin):
        check(origin in self.said["descriptors"], f"no descriptor of {origin}")
        return descriptor(self.said["descriptors"][origin])

    def learn(self, text):
        """The highest seq wins."""
        new = descriptor(text)
        known = self.said["descriptors"].get(new["node"])
        if known is None or descriptor(known)["seq"] < new["seq"]:
            self.said["descriptors"][new["node"]] = text


def join(folder, peer_api, own_api):
    """§7: makes keys and asks the peer. Then two people compare the fingerprints by voice, and the other one accepts."""
    os.umask(0o077)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    node_key, log_key = nacl.signing.SigningKey.generate(), nacl.signing.SigningKey.generate()
    host, now = urllib.parse.urlsplit(own_api).hostname, int(time.time())
    term = {"key": text_of_key(bytes(log_key.verify_key)), "not_before": now - 60, "not_after": now + 400 * 86400}
    payload = json.dumps({
        "node": text_of_key(bytes(node_key.verify_key)), "seq": now, "name": host, "api": own_api,
        "contact": f"postmaster@{host}", "log_keys": [term], "versions": [1], "tag_schemes": [1], "retention_days": 400,
    }).encode()
    sig = node_key.sign(b"sm2tp-node-v1\n" + payload).signature
    text = json.dumps({"payload": base64.b64encode(payload).decode(), "sig": base64.b64encode(sig).decode()})
    peer = descriptor(ask(peer_api, log_key, "GET", "/node", most=65536)[1].decode())["node"]
    wish = json.dumps({"descriptor": text, "note": "a node that only reads, in Python"}).encode()
    request = ask_json(peer_api, log_key, "POST", "/peerings", wish)["id"]
    # The node key would be kept offline: it is needed again only for the next descriptor.
    node_seed, log_seed = (base64.b64encode(bytes(key)).decode() for key in (node_key, log_key))
    Node(folder, {
        "node_seed": node_seed, "log_seed": log_seed, "api": peer_api, "peer": peer, "request": request, "tag_keys": {},
        "descriptors": {}, "heads": {}, "cursor": None,
    }).save()
    print(f"ours   {fingerprint(bytes(node_key.verify_key))}\ntheirs {fingerprint(key_of_text(peer))}")


def pull(folder):
    node = Node(folder)
    said = node.said
    answer = node.ask_json(f"/peerings/{said['request']}")
    if answer["state"] != "accepted":
        print("the peer has not decided yet")
        return
    for sealed in answer["tagkeys"]:
        key = grant(from_base64(sealed), node.log_key)
        said["tag_keys"][key["key_id"]] = key["key"]  # whichever federation it is of: we only look up
    node.learn(node.ask("/node", 65536)[1].decode())
    check(said["peer"] in said["descriptors"], "another node answers there")
    after = ""
    while after is not None:
        page = node.ask_json(f"/nodes{after}")
        for text in page["nodes"]:
            node.learn(text)
        after = f"?after={page['cursor']}" if page["nodes"] and page["cursor"] else None
    new = []
    while pull_page(node, new):
        node.save()
    node.save()
    print(f"{len(new)} segments with {sum(new)} events are new")


def pull_page(node, new):
    """Reads one page of the feed. True where there may be another."""
    after = f"after={node.said['cursor']}&" if node.said["cursor"] else ""
    status, feed, fields = node.ask(f"/feed?{after}limit=1000", 1_000_000)
    if status == 410 and after:
        node.said["cursor"] = None  # the peer restored a backup: its feed is a new one
        return True
    check(status == 200 and len(feed) % 248 == 0, f"the feed: {status}")
    for at in range(0, len(feed), 248):
        try:
            new += take(node, feed[at + 8:at + 248])
        except (Refused, KeyError, TypeError) as error:
            print(f"left out: {error}", file=sys.stderr)  # one mad origin does not stop the others
    node.said["cursor"] = fields["SM2TP-Cursor"]
    return len(feed) == 248_000


def take(node, octets):
    """Takes a header of the feed: fetches its body and keeps both. Answers with [its events], or [] where it is known."""
    origin = text_of_key(octets[8:40])
    header = header_of(octets, node.descriptor(origin))
    epoch, segno = header["epoch"], header["segno"]
    file = node.folder / f"{origin}-{epoch}-{segno}.seg"
    if file.exists():
        check(file.read_bytes()[:240] == octets, f"{origin} signed two segments for one place")
        return []
    check(header["sealed_at"] <= time.time() + 600, "it is sealed in the future")
    check(follows(header, node.said["heads"].get(origin)), f"it is not the next one of {origin}")
    status, segment, _ = node.ask(f"/log/{origin}/{epoch}/{segno}")
    check(status == 200 and segment[:240] == octets, f"its body: {status}")
    events = records(header, segment[240:])
    file.write_bytes(segment)
    node.said["heads"][origin] = {
        "epoch": epoch, "segno": segno, "hash": header["hash"].hex(), "next": header["first"] + header["count"],
    }
    return [len(events)]


def follows(header, head):
    """§5, the chain. Of an origin that we do not know yet, the beginning may be pruned."""
    if head and head["epoch"] == header["epoch"]:
        found = (header["segno"], header["prev"].hex(), header["first"])
        return found == (head["segno"] + 1, head["hash"], head["next"])
    begins = header["segno"] == 0 and header["prev"] == bytes(32)
    return head["epoch"] < header["epoch"] and begins if head else begins or 0 < header["segno"]


def look(folder, address):
    """The last word of each origin about an address and about its domain (§8.5). What to believe of it is §8."""
    node = Node(folder)
    normalised = normalise(address)
    subjects = (normalised, "@" + normalised.rpartition("@")[2])
    last = {}
    for file in node.folder.glob("*.seg"):
        segment = file.read_bytes()
        origin = node.descriptor(text_of_key(segment[8:40]))
        header = header_of(segment[:240], origin)
        key = node.said["tag_keys"].get(header["key_id"].hex())
        tags = [tag(base64.b64decode(key), subject) for subject in subjects] if key else []
        for sequence, event in records(header, segment[240:]).items():
            if event["class"] in TAGGED and event["subject"] in tags:
                place = (origin["node"], event["subject"])
                word = ((header["epoch"], sequence), origin["name"], event)
                last[place] = max(last.get(place, word), word, key=lambda word: word[0])
    lines = []
    for _, name, event in last.values():
        hour = datetime.datetime.fromtimestamp(event["hour"] * 3600, datetime.timezone.utc)
        enhanced = f"{event['enhanced1']}.{event['enhanced2']}.{event['enhanced3']}"
        lines.append(f"{CLASSES[event['class']]} {hour:%Y-%m-%dT%H:00Z} {event['code']} {enhanced} {name}")
    print("\n".join(sorted(lines)) or "nobody says anything")


if __name__ == "__main__":
    commands = {("join", 5): join, ("pull", 3): pull, ("look", 4): look}
    command = commands.get((sys.argv[1] if 1 < len(sys.argv) else "", len(sys.argv)))
    try:
        sys.exit(command(*sys.argv[2:]) if command else USAGE)
    except (Refused, OSError, ValueError) as why:
        sys.exit(str(why))
