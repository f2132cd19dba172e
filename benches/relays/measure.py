#!/usr/bin/env python3
"""Measures one relay once: starts it afresh, loads it with `sm2tp bench relay`, prints one JSON object.

Speed: as `sm2tp bench relay` sees it from outside. Load generator and sink share the machine with the relay.
CPU: `usage_usec` of a control group (v2) in which the relay and all that it forks live, so that processes of a few
milliseconds and orphans count too (Exim has one for each mail); from the first connection until the relay is calm.
Memory: the highest sum of PSS (shared pages once) over the group, sampled at most ten times a second and never for more
than a twentieth of one core; a relay of one process has VmHWM instead, which the kernel keeps exactly and which is not
lower. The pages of the disk cache count for nobody.
Syncs (--syncs): a run of its own under strace, which lets only these calls stop (--seccomp-bpf), counted from the first
connection until the relay is calm. strace makes each sync a little longer, so a relay that shares syncs between mails
may share a little more than without it. Speeds of that run are not printed. What io_uring or O_SYNC would write is not
seen; none of the relays here does that. OpenSMTPD, whose spool the file system syncs at each write (opensmtpd.sh), has
those writes counted, and not what the folders cost besides.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")
SYNCED_WRITES = ("write", "writev", "pwrite64")
# As OpenSMTPD names them, chrooted or not.
SPOOL_FILE = re.compile(r"/(temporary|incoming|queue)/")
SAMPLE_S_MIN = 0.1
SAMPLE_SHARE = 20
FILES = 65536
START_S_MAX = 60
CALM_S_MAX = 30
# A relay that still works uses more than this share of a core; what idles uses less.
CALM_CPU_SHARE = 0.05


class Failure(Exception):
    """A measurement that gave nothing."""


class Group:
    """A control group: all processes of one relay, whoever their parents are."""

    def __init__(self):
        root = cgroup2_root()
        self.path = Path(root, f"sm2tp-bench-{os.getpid()}")
        try:
            self.path.mkdir()
        except OSError as error:
            raise Failure(f"{error}: a control group (v2) is needed, as root, in a container that may make one") from error

    def enter(self):
        Path(self.path, "cgroup.procs").write_text(str(os.getpid()))

    def cpu_s(self):
        usage = re.search(r"^usage_usec (\d+)", Path(self.path, "cpu.stat").read_text(), re.M)
        return int(usage[1]) / 1e6

    def processes(self):
        return [int(line) for line in Path(self.path, "cgroup.procs").read_text().split()]

    def pss_kib(self):
        return sum(field_kib(f"/proc/{pid}/smaps_rollup", "Pss") for pid in self.processes())

    def end(self):
        for _ in range(500):
            processes = self.processes()
            if not processes:
                break
            for pid in processes:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        for _ in range(500):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.02)


def cgroup2_root():
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return where
    raise Failure("no control groups of version 2 are mounted: mount -t cgroup2 none /mnt")


def field_kib(path, name):
    """A field of smaps_rollup or status; 0 for a process that has ended meanwhile."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(path).read_text(), re.M)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def free_port():
    # The relays cannot tell us which port they chose.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for_greeting(port, relay):
    for _ in range(START_S_MAX * 10):
        if relay.poll() is not None:
            raise Failure("it ended at once")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                if client.recv(100).startswith(b"220"):
                    client.sendall(b"QUIT\r\n")
                    client.recv(100)
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise Failure(f"it did not greet in {START_S_MAX} s")


def wait_until_calm(group):
    """Removing mail from the spool belongs to the work, wherever a relay does it after the delivery."""
    for _ in range(CALM_S_MAX * 4):
        before = group.cpu_s()
        time.sleep(0.25)
        if group.cpu_s() - before < 0.25 * CALM_CPU_SHARE:
            return


def load(args, relay_port, sink_port, group):
    """Runs the load; gives its figures and the memory at the highest."""
    command = [os.environ["SM2TP"], "bench", "relay", "--json", "--sessions", str(args.sessions)]
    command += ["--octets", str(args.octets), "--mails", str(args.mails), "--client", args.client, "--offer", args.offer]
    command += ["--to", f"127.0.0.1:{relay_port}", "--sink", f"127.0.0.1:{sink_port}"]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        try:
            while bench.poll() is None:
                began = time.monotonic()
                if not args.syncs:
                    peak = max(peak, group.pss_kib())
                time.sleep(max(SAMPLE_S_MIN, SAMPLE_SHARE * (time.monotonic() - began)))
            out, err = bench.communicate()
        finally:
            bench.kill()
    if bench.returncode != 0:
        raise Failure(err.strip() or f"the load ended with {bench.returncode}")
    processes = group.processes()
    if len(processes) == 1:
        peak = max(peak, field_kib(f"/proc/{processes[0]}/status", "VmHWM"))
    return json.loads(out), peak


def syncs_in(trace):
    """Calls in strace's log; a call that another interrupts has its name and bracket once only."""
    calls = dict.fromkeys((*SYNCS, *SYNCED_WRITES), 0)
    for found in re.finditer(r"^\d+ +(\w+)\((?:\d+<([^>]*)>)?", trace, re.M):
        if found[1] in SYNCS or found[1] in SYNCED_WRITES and SPOOL_FILE.search(found[2] or ""):
            calls[found[1]] += 1
    return calls


def measure(args, place, group):
    script = Path(__file__).with_name(f"{args.relay}.sh")
    relay_port, sink_port, trace = free_port(), free_port(), Path(place, "strace")
    command = [str(script), "run", place, str(relay_port), str(sink_port)]
    if args.syncs:
        names = SYNCS + SYNCED_WRITES if args.relay == "opensmtpd" else SYNCS
        # Eight octets of a text are enough, and the files' names are asked for only where they matter.
        shown = ["-y", "-s", "8"] if args.relay == "opensmtpd" else []
        command = ["strace", "-f", "--seccomp-bpf", "-qq", *shown, "-e", "signal=none", "-e", f"trace={','.join(names)}",
                   "-o", str(trace), *command]
    version = subprocess.run([str(script), "version"], capture_output=True, text=True, check=False).stdout.strip()
    with open(Path(place, "output"), "wb") as output:
        relay = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 start_new_session=True, preexec_fn=group.enter)
    wait_for_greeting(relay_port, relay)
    wait_until_calm(group)
    cpu_before = group.cpu_s()
    syncs_before = syncs_in(trace.read_text()) if args.syncs else {}
    figures, peak = load(args, relay_port, sink_port, group)
    wait_until_calm(group)
    said = {"relay": args.relay, "version": version}
    if not args.syncs:
        cpu = (group.cpu_s() - cpu_before) / args.mails * 1000
        return said | figures | {"cpu_s_per_1000": round(cpu, 4), "memory_peak_kib": peak}
    after = syncs_in(trace.read_text())
    calls = {name: after[name] - syncs_before[name] for name in after if syncs_before[name] < after[name]}
    return said | {"sessions": args.sessions, "octets": args.octets, "mails": args.mails,
                   "syncs_per_mail": round(sum(calls.values()) / args.mails, 4), "calls": calls}


def stop(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("relay")
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--octets", type=int, required=True)
    parser.add_argument("--mails", type=int, required=True)
    parser.add_argument("--offer", default="chunking", help="what the sink offers: data, chunking")
    parser.add_argument("--client", default="lockstep", help="how each session speaks: lockstep, pipelining")
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--syncs", action="store_true", help="count syncs instead of speed")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    # One connection more in and one more out for each session, in one process where a relay is one.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES), hard))
    place = tempfile.mkdtemp(prefix=f"sm2tp-bench-{args.relay}-", dir=args.dir)
    os.chmod(place, 0o755)
    group = None
    try:
        group = Group()
        print(json.dumps(measure(args, place, group)), flush=True)
    except Failure as failure:
        print(f"{args.relay}, {args.sessions} sessions, {args.octets} octets: {failure}", file=sys.stderr)
        for name in ("output", "log/mainlog", "log/paniclog", "maillog"):
            log = Path(place, name)
            if log.exists():
                print(f"--- {name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:]), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if group:
            group.end()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
