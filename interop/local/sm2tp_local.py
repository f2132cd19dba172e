#!/usr/bin/env python3
"""The local API of SM2TP (docs/local.md). As a program: sm2tp_local.py SOCKET CALL, where CALL is JSON."""
import json
import socket
import sys


def ask(path, call):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(json.dumps(call).encode() + b"\n")
        return json.loads(connection.makefile("rb").readline())


def may_i(path, sender, recipient, **more):
    """True where the node does not answer: it must not stop your mail (I8)."""
    try:
        return ask(path, {"may_i": {"recipient": recipient, "sender": sender, **more}})["answer"] not in ("no", "later")
    except (OSError, ValueError):
        return True


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[1], json.loads(sys.argv[2]))))
