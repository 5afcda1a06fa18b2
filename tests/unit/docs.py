#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation names functions and files; each must exist in the source."""

import os
import re

SOURCE = os.environ["YADO_SOURCE"]
PAGES = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/block.md", "docs/engine.md", "tests/README.md"]
FUNCTION = re.compile(r"\b([a-z][a-z0-9]*_[a-z0-9_]+)\(")
FILE = re.compile(r"\b((?:src|tests|scripts|bench|docs)/[\w./-]*\w)(?![\w<*])")
LINK = re.compile(r"\]\(([^):#]+)\)")
# Where a word before a parenthesis is not a function of ours.
FOREIGN = {"clock_gettime", "mmap", "full_path", "current_source_dir"}


def source_text():
    text = []
    for folder, _, names in os.walk(os.path.join(SOURCE, "src")):
        for name in names:
            if name.endswith((".c", ".h", ".S")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text.append(file.read())
    with open(os.path.join(SOURCE, "tests", "tap.h"), encoding="utf-8") as file:
        text.append(file.read())
    return "\n".join(text)


def main():
    words = set(re.findall(r"\w+", source_text()))
    for number, page in enumerate(PAGES, 1):
        path = os.path.join(SOURCE, page)
        if not os.path.exists(path):
            print(f"not ok {number} - {page} exists")
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        missing = [f"{name}()" for name in FUNCTION.findall(text) if name not in words | FOREIGN]
        for name in FILE.findall(text):
            if not os.path.exists(os.path.join(SOURCE, name)):
                missing.append(name)
        for name in LINK.findall(text):
            if not os.path.exists(os.path.join(os.path.dirname(path), name)):
                missing.append(name)
        print(f"{'not ok' if missing else 'ok'} {number} - what {page} names exists")
        for name in sorted(set(missing)):
            print(f"# {name} does not")
    print(f"1..{len(PAGES)}")


main()
