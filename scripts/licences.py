#!/usr/bin/env python3
"""Checks that every crate we build with may be part of a program under AGPL-3.0-or-later, and that they stay few.

Asks cargo only, installs nothing, needs no network once the crates are there. `scripts/licences.py --self-test`
checks the reader of licence expressions; `--list` prints what the program is built of, for its package.
"""

import json
import re
import subprocess
import sys

# Compatible with AGPL-3.0-or-later. A new one needs a decision record.
ALLOWED = {
    "0BSD", "AGPL-3.0-or-later", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BlueOak-1.0.0", "BSD-2-Clause",
    "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Zlib",
}

# A second implementation of TLS, or the one of the system: one is enough to watch.
FORBIDDEN = ("native-tls", "openssl-sys", "ring")

# A relay that volunteers audit; STYLE says 350, decisions 0053, 0068 and 0075 why it is more.
LOCKED_MAX = 385


def allowed(expression):
    """Reads an SPDX expression: AND binds tighter than OR, `A/B` is the old spelling of `A OR B`."""
    words = re.findall(r"[()]|[^\s()/]+|/", expression)
    words = ["OR" if word == "/" else word for word in words]
    position = 0

    def peek():
        return words[position] if position < len(words) else None

    def take():
        nonlocal position
        position += 1
        return words[position - 1]

    def any_of():
        answers = [all_of()]
        while peek() == "OR":
            take()
            answers.append(all_of())
        return any(answers)

    def all_of():
        answers = [one()]
        while peek() == "AND":
            take()
            answers.append(one())
        return all(answers)

    def one():
        word = peek()
        if word == "(":
            take()
            answer = any_of()
            if peek() != ")":
                raise ValueError("a bracket is not closed")
            take()
            return answer
        if word in (None, ")", "OR", "AND", "WITH"):
            raise ValueError(f"a licence was due, found {word!r}")
        name = take()
        if peek() == "WITH":
            take()
            if peek() is None:
                raise ValueError("an exception was due after WITH")
            name = f"{name} WITH {take()}"
        return name in ALLOWED

    answer = any_of()
    if peek() is not None:
        raise ValueError(f"{peek()!r} is left over")
    return answer


def cargo(*arguments):
    answer = subprocess.run(["cargo", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        sys.exit(f"licences: cargo {' '.join(arguments)} failed with {answer.returncode}")
    return answer.stdout


def faults():
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        if not licence:
            yield f"{name}: names no licence (licence file: {package['license_file']})"
            continue
        try:
            if not allowed(licence):
                yield f"{name}: {licence} is not in the list of scripts/licences.py"
        except ValueError as error:
            yield f"{name}: {licence!r} cannot be read: {error}"
    with open("Cargo.lock", encoding="utf-8") as file:
        locked = sum(line.strip() == "[[package]]" for line in file)
    if LOCKED_MAX < locked:
        yield f"Cargo.lock has {locked} entries; {LOCKED_MAX} are the limit"
    # The lock file also names what no feature of ours uses; the tree is what is built.
    tree = cargo("tree", "--workspace", "--locked", "--target=all", "--edges=all", "--prefix=none", "--format={p}")
    built = {line.split()[0] for line in tree.splitlines() if line.strip()}
    for name in FORBIDDEN:
        if name in built:
            yield f"{name} is built in; see which crate asks for it: cargo tree --workspace -i {name}"
    print(f"licences: {len(packages)} crates looked at, {locked} locked, {len(built)} built")


def listed():
    """The crates that the program is built of, each with its licence."""
    tree = cargo("tree", "--package=sm2tp", "--locked", "--features=jemalloc", "--edges=normal", "--prefix=none", "--format={p} {l}")
    # A crate of a folder says where that is, which is nobody's business.
    crates = {re.sub(r" \(/.*?\)| \(\*\)| \(proc-macro\)", "", line).strip() for line in tree.splitlines()}
    print("SM2TP is built of these crates (name, version, licence), and with the standard library of Rust (Apache-2.0 or MIT).")
    print("Their sources are at https://crates.io/. SQLite, which is part of libsqlite3-sys, is in the public domain.\n")
    print("\n".join(sorted(crate for crate in crates if crate)))


def self_test():
    for expression, want in [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("MIT OR GPL-2.0-only", True),
        ("MIT AND GPL-2.0-only", False),
        ("Unlicense/MIT", True),
        ("GPL-2.0-only OR MIT AND ISC", True),
        ("(GPL-2.0-only OR MIT) AND ISC", True),
        ("(GPL-2.0-only OR MIT) AND OpenSSL", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH GCC-exception-3.1 OR MIT", True),
        ("ISC AND (Apache-2.0 OR ISC) AND (Apache-2.0 OR ISC OR MIT-0)", True),
    ]:
        if allowed(expression) != want:
            sys.exit(f"licences: {expression!r} should be {want}")
    for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH"]:
        try:
            allowed(expression)
        except ValueError:
            continue
        sys.exit(f"licences: {expression!r} should not be readable")
    print("licences: the reader of expressions is right")


def main():
    if "--list" in sys.argv[1:]:
        return listed()
    self_test()
    if "--self-test" in sys.argv[1:]:
        return
    found = list(faults())
    for fault in found:
        print(f"licences: {fault}", file=sys.stderr)
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main()
