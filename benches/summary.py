#!/usr/bin/env python3
"""Makes Markdown tables of what benches/relays.sh printed: medians, and in brackets the ratio to Postfix.

    benches/summary.py [--base postfix] [FILE…]      standard input by default

Rates and their ratios: more is better. CPU, memory and syncs: less is better, so a ratio of ×0.10 is a tenth of Postfix's.
The last column is the lowest and the highest end-to-end rate of the rounds: where it is wide, the machine was not quiet.
"""

import argparse
import fileinput
import json
import sys
from collections import defaultdict
from statistics import median

RATES = ("accept_per_s", "end_to_end_per_s")
COLUMNS = {
    "accept_per_s": "accepted/s",
    "end_to_end_per_s": "end to end/s",
    "cpu_s_per_1000": "CPU s/1000 mails",
    "memory_peak_kib": "peak memory, MiB",
    "syncs_per_mail": "syncs/mail",
}
DIGITS = {"accept_per_s": 0, "end_to_end_per_s": 0, "cpu_s_per_1000": 2, "memory_peak_kib": 0, "syncs_per_mail": 2}


def read(files):
    """Figures by (octets, sessions, relay) and name; versions by relay."""
    figures, versions = defaultdict(lambda: defaultdict(list)), {}
    for line in fileinput.input(files):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            key = (told["octets"], told["sessions"], told["relay"])
        except (ValueError, KeyError, TypeError):
            sys.exit(f"{fileinput.filename()}, line {fileinput.filelineno()}: not a line of benches/relays.sh")
        versions.setdefault(told["relay"], told.get("version", ""))
        for name in (*COLUMNS, "duplicates", "mails"):
            if told.get(name) is not None:
                figures[key][name].append(told[name])
    return figures, versions


def cell(name, own, base):
    if not own[name]:
        return "–"
    value = median(own[name])
    shown = f"{value / (1024 if name == 'memory_peak_kib' else 1):,.{DIGITS[name]}f}".replace(",", " ")
    if own is base or not base or not base[name] or not median(base[name]):
        return shown
    return f"{shown} (×{ratio(value / median(base[name]))})"


def ratio(value):
    return f"{value:.0f}" if 10 <= value else f"{value:.1f}" if 1 <= value else f"{value:.2f}"


def spread(own):
    rates = own["end_to_end_per_s"]
    return f"{min(rates):,.0f}–{max(rates):,.0f} of {len(rates)}".replace(",", " ") if rates else "–"


def tables(figures, versions, base):
    # In the order in which they were measured, as relays.sh was told.
    order = list(versions)
    for octets in sorted({key[0] for key in figures}):
        print(f"### Mails of {octets:,} octets\n".replace(",", " "))
        print("| sessions | relay | " + " | ".join(COLUMNS.values()) + " | end to end/s, lowest–highest |")
        print("|---:|---|" + "---:|" * (len(COLUMNS) + 1))
        for sessions in sorted({key[1] for key in figures if key[0] == octets}):
            for relay in order:
                own = figures.get((octets, sessions, relay))
                if own:
                    with_base = figures.get((octets, sessions, base))
                    cells = [cell(name, own, with_base) for name in COLUMNS]
                    print(f"| {sessions} | {relay} | " + " | ".join(cells) + f" | {spread(own)} |")
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--base", default="postfix", help="what the others are compared with")
    args = parser.parse_args()
    figures, versions = read(args.files)
    tables(figures, versions, args.base)
    print("Versions: " + ", ".join(f"{relay} {version}".strip() for relay, version in versions.items()) + ".")
    for (octets, sessions, relay), own in figures.items():
        if sum(own["duplicates"]):
            print(f"{relay}, {sessions} sessions, {octets} octets: {sum(own['duplicates'])} mails came twice.")


if __name__ == "__main__":
    main()
