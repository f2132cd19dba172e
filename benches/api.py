#!/usr/bin/env python3
"""How many requests a second /api/v1 answers, and what they cost: a node of its own on loopback, a token, kept connections.

Usage: benches/api.py [PROGRAM]     by default target/release/sm2tp
Environment: REQUESTS=20000 (of each kind), CLIENTS=4 (processes with a connection each).
Prints a line for each kind: requests a second, CPU seconds of the node for 1 000, its memory at rest and at the highest (KiB).
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process

REQUESTS = int(os.environ.get("REQUESTS", "20000"))
CLIENTS = int(os.environ.get("CLIENTS", "4"))
KINDS = {
    "me": ("GET", "/api/v1/me", None),
    "queue": ("GET", "/api/v1/queue?limit=10", None),
    "orgs": ("GET", "/api/v1/orgs", None),
    "explain": ("POST", "/api/v1/explain", {"address": "jean@x.example", "stream": "bulk"}),
    "mails": ("POST", "/api/v1/mails", {"from": "anna@asso.example", "to": ["jean@x.example"], "text": "hello", "org": "asso"}),
}


def usage(pid):
    """CPU seconds, and memory now and at the highest in KiB."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return cpu, int(status["VmRSS"].split()[0]), int(status["VmHWM"].split()[0])


def client(at, request, count):
    """Asks over one connection, and again over the next one where the door closed it."""
    made = None
    for _ in range(count):
        if made is None:
            made = socket.create_connection(at)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            rest = b""
        made.sendall(request)
        while b"\r\n\r\n" not in rest:
            rest += made.recv(65536)
        head, rest = rest.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        if not 200 <= status < 300:
            sys.exit(f"{status}: {rest!r}")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(rest) < length:
            rest += made.recv(65536)
        rest = rest[length:]
        if b"connection: close" in head.lower():
            made.close()
            made = None


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "target/release/sm2tp"
    folder = tempfile.mkdtemp(prefix="sm2tp-bench-api-")
    config = os.path.join(folder, "sm2tp.toml")
    with open(config, "w") as out:
        # No [relay]: what is handed in stays in the queue, and only the interface is measured.
        out.write(f'hostname = "bench.example.org"\ndata_dir = "{folder}/data"\n[smtp]\nlisten = ["127.0.0.1:0"]\n')
        out.write('[http]\nlisten = ["127.0.0.1:0"]\n[relay]\nsmarthost = "127.0.0.1:9"\n[watch]\nmode = "off"\n')
    node = subprocess.Popen([program, "serve", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        at = None
        for line in node.stdout:
            if line.startswith("http "):
                host, port = line.split()[1].rsplit(":", 1)
                at = (host, int(port))
            if line.strip() == "ready":
                break

        def ask(*args):
            done = subprocess.run([program, *args, "--json", "--config", config], check=True, capture_output=True, text=True)
            return json.loads(done.stdout)

        ask("org", "add", "asso", "--domain", "asso.example")
        secret = ask("token", "new", "bench", "--role", "owner", "--scope", "all", "--rate", "1000000/min")["secret"]
        for name, (method, path, body) in KINDS.items():
            content = json.dumps(body).encode() if body is not None else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {secret}\r\n"
            if body is not None:
                head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            request = head.encode() + b"\r\n" + content
            cpu, rest, _ = usage(node.pid)
            began = time.monotonic()
            clients = [Process(target=client, args=(at, request, REQUESTS // CLIENTS)) for _ in range(CLIENTS)]
            for each in clients:
                each.start()
            for each in clients:
                each.join()
            took = time.monotonic() - began
            if any(each.exitcode for each in clients):
                sys.exit(f"{name}: a client failed")
            used, _, peak = usage(node.pid)
            count = REQUESTS // CLIENTS * CLIENTS
            print(f"{name:8} {count / took:8.0f}/s  {(used - cpu) / count * 1000:6.3f} CPU s/1000  {rest} -> {peak} KiB", flush=True)
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
