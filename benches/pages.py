#!/usr/bin/env python3
"""How fast and how large the first page is on a node with a long past, and what the HTTP part takes in memory.

Usage: benches/pages.py [PROGRAM]     by default target/release/sm2tp
Environment: EVENTS=10000000 (outcomes of the last 35 days), ADDRESSES=1000000, ROUNDS=50, DIR=/var/tmp (some gigabytes),
KEPT= a directory with a ledger of an earlier run (sm2tp bench absorb --keep), which is left as it is.
Prints a line for each page: milliseconds of the first and of the median, octets; then the memory of the node before anybody looked,
afterwards and at the highest (KiB), and the same of a node without [http].
"""

import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

EVENTS = int(os.environ.get("EVENTS", "10000000"))
ADDRESSES = int(os.environ.get("ADDRESSES", "1000000"))
ROUNDS = int(os.environ.get("ROUNDS", "50"))
PASSWORD = "correct horse battery"
PAGES = ["/", "/figures?days=7", "/figures?days=30", "/queue", "/orgs", "/orgs/show?name=org-1", "/exits", "/suppression",
         "/suppression?address=user1%40domain1.example", "/senders", "/federation", "/programs", "/tail", "/settings"]


def memory(pid):
    """Now and at the highest, in KiB."""
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return int(status["VmRSS"].split()[0]), int(status["VmHWM"].split()[0])


def start(program, config):
    node = subprocess.Popen([program, "serve", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    at = None
    for line in node.stdout:
        if line.startswith("http "):
            host, port = line.split()[1].rsplit(":", 1)
            at = (host, int(port))
        if line.strip() == "ready":
            return node, at
    sys.exit("the node did not start")


def stop(node):
    node.send_signal(signal.SIGTERM)
    node.wait()


def ask(connection, path, cookie, body=None):
    """One request; answers with milliseconds, status, fields and octets."""
    fields = {"Cookie": cookie, "Accept-Language": "en"}
    if body is not None:
        fields["Content-Type"] = "application/x-www-form-urlencoded"
    began = time.monotonic()
    connection.request("GET" if body is None else "POST", path, body, fields)
    answer = connection.getresponse()
    content = answer.read()
    return (time.monotonic() - began) * 1000, answer.status, answer.headers, content


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "target/release/sm2tp"
    kept = os.environ.get("KEPT")
    folder = tempfile.mkdtemp(prefix="sm2tp-bench-pages-", dir=os.environ.get("DIR", "/var/tmp"))
    node = None
    try:
        data = os.path.join(folder, "data")
        if kept:
            shutil.copytree(kept, data)
        else:
            began = time.monotonic()
            subprocess.run([program, "bench", "absorb", "--outcomes", str(EVENTS), "--addresses", str(ADDRESSES), "--days", "35",
                            "--dir", data, "--keep"], check=True, stdout=subprocess.DEVNULL)
            print(f"{EVENTS} outcomes of 35 days: made in {time.monotonic() - began:.0f} s, "
                  f"{os.path.getsize(os.path.join(data, 'ledger.sqlite')) >> 20} MiB", flush=True)
        os.chmod(data, 0o700)
        plain = f'hostname = "bench.example.org"\ndata_dir = "{data}"\n'
        config, bare = os.path.join(folder, "sm2tp.toml"), os.path.join(folder, "bare.toml")
        with open(bare, "w") as out:
            out.write(plain)
        with open(config, "w") as out:
            out.write(plain + '[http]\nlisten = ["127.0.0.1:0"]\n')
        node, _ = start(program, bare)
        for number in range(10):
            subprocess.run([program, "org", "add", f"org-{number}", "--config", bare], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([program, "account", "add", "anna", "--role", "owner", "--config", bare], check=True, stdout=subprocess.DEVNULL,
                       input=f"{PASSWORD}\n{PASSWORD}\n", text=True)
        bare_rest, bare_peak = memory(node.pid)
        stop(node)
        node, at = start(program, config)
        rest, _ = memory(node.pid)
        connection = http.client.HTTPConnection(*at)
        form = urllib.parse.urlencode({"name": "anna", "password": PASSWORD, "next": "/"})
        _, status, fields, content = ask(connection, "/login", "", form)
        if status != 303:
            sys.exit(f"no login: {status} {content!r}")
        # Argon2id has taken its memory by now, as at every login.
        login_rest, _ = memory(node.pid)
        cookie = re.split(";", fields["Set-Cookie"])[0]
        for path in PAGES:
            times, octets = [], 0
            for _ in range(ROUNDS):
                took, status, _, content = ask(connection, path, cookie)
                if status != 200:
                    sys.exit(f"{path}: {status} {content[:500]!r}")
                times.append(took)
                octets = len(content)
            print(f"{path:45} first {times[0]:7.1f} ms  median {statistics.median(times):7.1f} ms  {octets:7} octets", flush=True)
        after, peak = memory(node.pid)
        print(f"memory in KiB: with [http] {rest} at rest, {login_rest} after a login, {after} after {ROUNDS * len(PAGES)} pages, {peak} at the "
              f"highest; without [http] {bare_rest} at rest, {bare_peak} at the highest")
    finally:
        if node is not None and node.poll() is None:
            stop(node)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
