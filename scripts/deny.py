"""Check the rules of deny.toml that need no download: licences, sources, banned crates. For machines without cargo-deny.

Reads `cargo metadata` for the targets in [graph], as cargo-deny does. Deliberately absent: advisories (they need the
advisory database) and duplicate versions (a warning there).
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def packages(targets):
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    for target in targets:
        command += ["--filter-platform", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"cargo metadata failed:\n{done.stderr}")
    data = json.loads(done.stdout)
    used = {node["id"] for node in data["resolve"]["nodes"]}
    return [package for package in data["packages"] if package["id"] in used]


class Licence:
    """An SPDX expression: OR binds weaker than AND; `A/B` is the old way to write OR."""

    def __init__(self, text, allowed):
        self.words = re.findall(r"\(|\)|[^\s()]+", text.replace("/", " OR "))
        self.allowed, self.at = allowed, 0

    def word(self):
        return self.words[self.at] if self.at < len(self.words) else None

    def holds(self):
        answer = self.either()
        return answer and self.word() is None

    def either(self):
        answer = self.both()
        while self.word() == "OR":
            self.at += 1
            answer = self.both() or answer
        return answer

    def both(self):
        answer = self.one()
        while self.word() == "AND":
            self.at += 1
            answer = self.one() and answer
        return answer

    def one(self):
        word = self.word()
        self.at += 1
        if word == "(":
            answer = self.either()
            self.at += 1
            return answer
        if self.word() == "WITH":
            word = f"{word} WITH {self.words[self.at + 1]}"
            self.at += 2
        return word in self.allowed


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in rules["licenses"].get("exceptions", [])}
    clarified = {entry["crate"]: entry["expression"] for entry in rules["licenses"].get("clarify", [])}
    banned = {entry["crate"]: entry.get("reason", "") for entry in rules["bans"]["deny"]}
    registries = {f"registry+{url}" for url in rules["sources"]["allow-registry"]}
    found, problems = packages(rules["graph"]["targets"]), []
    for package in found:
        name, version, source = package["name"], package["version"], package["source"]
        if source is None:
            continue
        licence = clarified.get(name) or package["license"]
        if not licence:
            problems.append(f"{name} {version}: states no licence ({package['license_file']})")
        elif not Licence(licence, allowed | exceptions.get(name, set())).holds():
            problems.append(f"{name} {version}: licence {licence} is not allowed")
        if source not in registries:
            problems.append(f"{name} {version}: comes from {source}")
        if name in banned:
            problems.append(f"{name} {version}: is banned: {banned[name]}")
    for problem in problems:
        print(problem)
    print(f"{len(found)} packages, {len(problems)} denied")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
