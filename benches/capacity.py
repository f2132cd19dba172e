#!/usr/bin/env python3
"""What one small machine does: `sm2tp` within one core and 1 GiB, and how cost grows with volume, queue, addresses and peers.

Usage: benches/capacity.py [--out FILE]    prints one JSON object a line and a table at the end; docs/capacity.md explains both
  SM2TP=target/release/sm2tp  DIR=/var/tmp (the disk that is measured)  CORES=1  MEMORY=1G  ROUNDS=3  SMALL=1 (a quick try)

The program under measurement lives in a control group of its own (v2, or v1 with the controllers cpu and memory), with so many
cores' time in each tenth of a second and so much memory, page cache included, and no swap. Load generator and sink are outside
of it. Where no control group can be made, it is pinned to one core and its address space is bounded; the lines say which it was
("limits"). Run it as root on a quiet machine with at least two cores; it takes about half an hour.
"""

import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SM2TP = str(Path(os.environ.get("SM2TP", "target/release/sm2tp")).resolve())
DIR = os.environ.get("DIR", "/var/tmp")
CORES = float(os.environ.get("CORES", "1"))
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
SMALL = os.environ.get("SMALL") == "1"
ROUNDS = int(os.environ.get("ROUNDS", "1" if SMALL else "3"))
PERIOD_US = 100_000
START_S_MAX = 120


def octets(text):
    return int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text)


MEMORY = octets(os.environ.get("MEMORY", "1G"))


class Cage:
    """The limits, for one program and all that it starts."""

    def __init__(self):
        name = f"sm2tp-capacity-{os.getpid()}"
        self.folders, self.peak = [], None
        try:
            self.kind = self.make_v2(name) or self.make_v1(name)
        except OSError:
            self.kind = None
        if self.kind is None:
            self.remove()
            self.kind = "one core by affinity, address space bounded; no control group can be made here"

    def make_v2(self, name):
        root = Path("/sys/fs/cgroup")
        if not {"cpu", "memory"} <= set(text_of(root / "cgroup.subtree_control").split()):
            return None
        self.make(root / name)
        write(root / name / "cpu.max", f"{int(CORES * PERIOD_US)} {PERIOD_US}")
        write(root / name / "memory.max", MEMORY)
        write(root / name / "memory.swap.max", 0, optional=True)
        return "control group, version 2"

    def make_v1(self, name):
        cpu, memory = (Path("/sys/fs/cgroup", controller) for controller in ("cpu", "memory"))
        if not (cpu / "cpu.cfs_quota_us").exists() or not (memory / "memory.limit_in_bytes").exists():
            return None
        for root in (cpu, memory):
            self.make(root / name)
        write(cpu / name / "cpu.cfs_period_us", PERIOD_US)
        write(cpu / name / "cpu.cfs_quota_us", int(CORES * PERIOD_US))
        write(memory / name / "memory.limit_in_bytes", MEMORY)
        write(memory / name / "memory.memsw.limit_in_bytes", MEMORY, optional=True)
        return "control groups cpu and memory, version 1"

    def make(self, folder):
        folder.mkdir()
        self.folders.append(folder)

    def enter(self):
        """Runs in the child, before the program."""
        for folder in self.folders:
            write(folder / "cgroup.procs", os.getpid())
        if not self.folders:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            # jemalloc reserves more than it uses.
            resource.setrlimit(resource.RLIMIT_AS, (8 * MEMORY, 8 * MEMORY))

    def remove(self):
        for folder in self.folders:
            for name in ("memory.peak", "memory.max_usage_in_bytes"):
                self.peak = int(text_of(folder / name) or 0) or self.peak
        for folder in self.folders:
            try:
                folder.rmdir()
            except OSError as error:
                print(f"capacity: {folder} stays: {error}", file=sys.stderr)
        self.folders = []


def text_of(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def write(path, value, optional=False):
    try:
        Path(path).write_text(str(value))
    except OSError:
        if not optional:
            raise


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def lines(out):
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def bench(*words):
    """A bench within the limits."""
    cage = Cage()
    try:
        said = subprocess.run([SM2TP, "bench", *map(str, words), "--json"], preexec_fn=cage.enter, capture_output=True, text=True)
        if said.returncode != 0:
            # A program that is out of memory is an answer, too.
            why = said.stderr.strip().splitlines()[-1:] or [f"ended by signal {-said.returncode}"]
            return [{"failed": why[0]}], cage
        return lines(said.stdout), cage
    finally:
        cage.remove()


def relay(sessions, mails, size):
    """A node within the limits; who sends and who takes the mail is outside of them."""
    cage, place = Cage(), Path(tempfile.mkdtemp(prefix="sm2tp-capacity-", dir=DIR))
    smtp, sink = free_port(), free_port()
    config = place / "sm2tp.toml"
    config.write_text(
        f'hostname = "sm2tp.bench.example"\ndata_dir = "{place}/data"\n[smtp]\nlisten = ["127.0.0.1:{smtp}"]\n'
        'trusted_networks = ["127.0.0.1/32"]\nconnections_per_client_max = 2000\n'
        f'[relay]\nroutes = {{ "bench.test" = "127.0.0.1:{sink}" }}\nconnections_per_site_max = 50\ntls = "off"\n'
        '[dns]\nservers = ["127.0.0.1:9"]\n'
    )
    node = None
    try:
        subprocess.run([SM2TP, "dkim", "new", "bench.example", "--algorithm", "ed25519", "--config", config], check=True, capture_output=True)
        quiet = dict(os.environ, SM2TP_LOG="error")
        node = subprocess.Popen([SM2TP, "serve", "--config", config], preexec_fn=cage.enter, env=quiet, stdout=subprocess.DEVNULL)
        until_open(smtp, node)
        said = subprocess.run(
            [SM2TP, "bench", "relay", "--json", "--sessions", str(sessions), "--mails", str(mails), "--octets", str(size),
             "--to", f"127.0.0.1:{smtp}", "--sink", f"127.0.0.1:{sink}", "--pid", str(node.pid)],
            capture_output=True, text=True,
        )
        found = lines(said.stdout) or [{"failed": (said.stderr.strip() or "no answer").splitlines()[-1]}]
        return found[0], cage
    finally:
        if node is not None and node.poll() is None:
            node.send_signal(signal.SIGTERM)
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()
        cage.remove()
        shutil.rmtree(place, ignore_errors=True)


def until_open(port, node):
    for _ in range(START_S_MAX * 20):
        if node.poll() is not None:
            sys.exit(f"capacity: the node ended with {node.returncode}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("capacity: the node does not listen")


class Report:
    def __init__(self, out):
        self.out, self.found = out, []

    def add(self, what, given, figures, cage):
        line = {"what": what, **given, **figures, "limits": cage.kind, "group_peak": cage.peak, "cores": CORES, "memory": MEMORY}
        self.found.append(line)
        print(json.dumps(line), file=self.out, flush=True)

    def table(self):
        for title, what, columns in TABLES:
            rows = {}
            for line in (line for line in self.found if line["what"] == what):
                rows.setdefault(line["given"], []).append(line)
            if not rows:
                continue
            print(f"\n{title}\n")
            print("| " + " | ".join([what] + [head for head, _, _ in columns]) + " |")
            print("|" + "---:|" * (len(columns) + 1))
            for given, found in rows.items():
                failed = [line["failed"] for line in found if "failed" in line]
                cells = [failed[0]] if failed else [cell(found, key, scale) for _, key, scale in columns]
                print("| " + " | ".join([str(given)] + cells) + " |")


def cell(found, key, scale):
    """The median, and the range where there were several rounds."""
    values = [value_of(line, key) / scale for line in found if value_of(line, key) is not None]
    if not values:
        return ""
    number = lambda value: f"{value:,.0f}" if 100 <= value else f"{value:.3g}"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}–{number(max(values))})"


def value_of(line, key):
    for part in key.split("."):
        line = line.get(part) if isinstance(line, dict) else None
    return line


TABLES = [
    ("Mail through the node, 10 kB each, by connections at the same time", "relay", [
        ("accepted/s", "accept_per_s", 1), ("end to end/s", "end_to_end_per_s", 1),
        ("CPU s for 1 000", "cpu_s_per_1000", 1), ("memory of the node, MiB", "memory_peak_kib", 1024),
        ("with the page cache, MiB", "group_peak", 2**20)]),
    ("Mails that wait", "queue", [
        ("until the first 250, s", "first_250_s", 1), ("memory, MiB", "memory_mib", 1),
        ("end to end/s meanwhile", "end_to_end_per_s", 1), ("CPU s for 1 000", "cpu_s_per_1000", 1)]),
    ("Addresses that the node knows", "admit", [
        ("octets of memory each", "octets_per_address", 1), ("a decision, us (median)", "admit_median_us", 1),
        ("a decision, us (99 %)", "admit_p99_us", 1)]),
    ("Results counted in the ledger", "absorb", [
        ("counted/s", "absorb_per_s", 1), ("disk, octets each", "octets_each", 1), ("views made again, events/s", "rebuild_events_per_s", 1)]),
    ("Events told by peers", "federation", [
        ("taken/s", "taken_per_s", 1), ("index on the disk, MiB", "index_octets", 2**20), ("segments on the disk, MiB", "segment_octets", 2**20),
        ("memory at most, MiB", "memory_peak_kib", 1024), ("look-up of a known tag, us (median)", "known.median", 1)]),
]


def main():
    if not os.access(SM2TP, os.X_OK):
        sys.exit(f"capacity: {SM2TP} is missing: cargo build --locked --release -p sm2tp --features jemalloc, or SM2TP=PROGRAM")
    out = open(sys.argv[sys.argv.index("--out") + 1], "w") if "--out" in sys.argv else sys.stdout
    report = Report(out)
    for _ in range(ROUNDS):
        for sessions in (1, 16, 64):
            found, cage = relay(sessions, 300 if SMALL else 10_000, 10_240)
            report.add("relay", {"given": sessions}, found, cage)
    for waiting in (1_000,) if SMALL else (10_000, 100_000, 1_000_000):
        found, cage = bench("queue", "--waiting", waiting, "--mails", 300 if SMALL else 5_000, "--dir", DIR)
        report.add("queue", {"given": waiting}, found[-1], cage)
    for addresses in (10_000,) if SMALL else (100_000, 1_000_000, 10_000_000):
        found, cage = bench("admit", "--addresses", addresses, "--questions", 10_000 if SMALL else 200_000)
        report.add("admit", {"given": addresses}, found[-1], cage)
    for outcomes in (2_000,) if SMALL else (100_000, 1_000_000):
        found, cage = bench("absorb", "--outcomes", outcomes, "--addresses", outcomes // 3, "--dir", DIR)
        figures = found[-1]
        if "octets" in figures:
            figures["octets_each"] = figures["octets"] / figures["outcomes"]
        report.add("absorb", {"given": outcomes}, figures, cage)
    for events in (20_000,) if SMALL else (1_000_000, 10_000_000):
        found, cage = bench("federation", "--events", events, "--looks", 2_000 if SMALL else 100_000, "--dir", DIR)
        report.add("federation", {"given": events}, found[-1], cage)
    report.table()


if __name__ == "__main__":
    main()
