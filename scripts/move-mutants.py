#!/usr/bin/env python3
"""Mutation testing of the contracts: changes the Move sources in one place at a time and runs the module's own tests.

    scripts/move-mutants.py                  all modules
    scripts/move-mutants.py token escrow     only these
    scripts/move-mutants.py --list           only name the mutants

What is changed: a comparison, an operator, a truth value, a number; and what is taken out: a check, an event, an assignment.
Not changed: comments, abort codes (their names are what tests ask for) and code for tests alone. A mutant that does not
compile says nothing and is not counted. The exit code is 0 when at least nine of ten are noticed.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "contracts"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PATIENCE_S = 120
WANTED_PERCENT = 90

SWAPS = [
    (" == ", " != "), (" != ", " == "), (" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "),
    (" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (" % ", " / "), (" && ", " || "), (" || ", " && "),
]


def code_of(line):
    return re.sub(r"//.*", "", line)


def end_of_statement(lines, at):
    """The line with which the statement that begins on line `at` ends."""
    depth = 0
    for i in range(at, len(lines)):
        code = code_of(lines[i])
        depth += code.count("(") + code.count("{") - code.count(")") - code.count("}")
        if depth == 0 and code.rstrip().endswith(";"):
            return i
    return at


def mutants(text):
    """(line number, what was done, the changed text)"""
    lines = text.split("\n")

    def replaced(i, line, upto=None):
        return "\n".join(lines[:i] + [line] + lines[(upto if upto is not None else i) + 1 :])

    skip_to = -1
    for i, line in enumerate(lines):
        code = code_of(line)
        if line.strip() == "#[test_only]":
            j = i
            while "}" not in lines[j]:
                j += 1
            # One function follows; it ends at a brace in its own column.
            own = re.match(r" *", line).group(0)
            while not lines[j].startswith(own + "}") and not lines[j].rstrip().endswith("}"):
                j += 1
            skip_to = j
        if i <= skip_to or not code.strip() or re.match(r"\s*(use|module|struct|const E_|#\[)", code):
            continue
        constant = re.match(r"\s*const ", code)
        if not constant:
            for old, new in SWAPS:
                at = code.find(old)
                while at >= 0:
                    yield i + 1, f"{old.strip()} became {new.strip()}", replaced(i, line[:at] + new + line[at + len(old) :])
                    at = code.find(old, at + 1)
            for match in re.finditer(r"(?<=[( ])!(?=[\w(])", code):
                yield i + 1, "! was taken out", replaced(i, line[: match.start()] + line[match.end() :])
            for match in re.finditer(r"\b(true|false)\b", code):
                new = "false" if match.group(0) == "true" else "true"
                yield i + 1, f"{match.group(0)} became {new}", replaced(i, line[: match.start()] + new + line[match.end() :])
            stripped = code.strip()
            if stripped.startswith("assert!("):
                yield i + 1, "a check was taken out", replaced(i, "", end_of_statement(lines, i))
            if stripped.startswith("event::emit("):
                yield i + 1, "an event was taken out", replaced(i, "", end_of_statement(lines, i))
            if re.match(r"[\w.]+ = .*;$", stripped):
                yield i + 1, "an assignment was taken out", replaced(i, "")
        for match in re.finditer(r"(?<![\w\"x@])\d[\d_]*(?!\w)", code):
            if code[: match.start()].count('"') % 2:
                continue
            number = int(match.group(0).replace("_", ""))
            yield i + 1, f"{number} became {number + 1}", replaced(i, line[: match.start()] + str(number + 1) + line[match.end() :])


def package(to):
    for folder in ("sources", "tests", "standin"):
        shutil.copytree(CONTRACTS / folder, to / folder)
    (to / "Move.toml").write_text(
        '[package]\nname = "iog"\nversion = "1.0.0"\n[addresses]\niog = "0xcafe"\n'
        '[dependencies]\nAptosFramework = { local = "./standin" }\n'
    )


def outcome(to, module):
    program = [str(TARGET / "debug/iog-devchain"), "move-compiler", "check", str(to), f"--filter={module}_tests"]
    try:
        ran = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S, env=os.environ | {"MOVE_HOME": str(to / ".move")})
    except subprocess.TimeoutExpired:
        return "noticed"
    words = ran.stdout + ran.stderr
    if "Running Move unit tests" not in words:
        return "does not compile"
    return "survived" if ran.returncode == 0 and "Test result: OK" in words else "noticed"


def main():
    chosen = [word for word in sys.argv[1:] if not word.startswith("--")]
    modules = chosen or sorted(path.stem for path in (CONTRACTS / "sources").glob("*.move"))
    if "--list" not in sys.argv:
        if "IOG_MOVE_LIBS" not in os.environ:
            sys.exit("IOG_MOVE_LIBS is not set: run this through `bash -c 'source scripts/lib.sh && scripts/move-mutants.py'`")
        subprocess.run(["cargo", "build", "-q", "-p", "devchain"], cwd=ROOT, check=True)
    totals = {"noticed": 0, "survived": 0}
    with tempfile.TemporaryDirectory() as folder:
        to = pathlib.Path(folder)
        package(to)
        for module in modules:
            source = to / f"sources/{module}.move"
            text = source.read_text()
            if "--list" not in sys.argv and outcome(to, module) != "survived":
                sys.exit(f"the tests of {module} fail without any change")
            counts = {"noticed": 0, "survived": 0, "does not compile": 0}
            for number, words, changed in mutants(text):
                where = f"{module}.move:{number}: {words}"
                if "--list" in sys.argv:
                    print(where)
                    continue
                source.write_text(changed)
                result = outcome(to, module)
                counts[result] += 1
                if result == "survived":
                    print(f"survived: {where}: {text.splitlines()[number - 1].strip()}", flush=True)
            source.write_text(text)
            counted = counts["noticed"] + counts["survived"]
            if counted:
                print(f"{module}: {counts['noticed']} of {counted} noticed, {counts['does not compile']} did not compile", flush=True)
            totals["noticed"] += counts["noticed"]
            totals["survived"] += counts["survived"]
    counted = sum(totals.values())
    if counted:
        print(f"all: {totals['noticed']} of {counted} noticed ({100 * totals['noticed'] / counted:.1f} %)")
        sys.exit(0 if 100 * totals["noticed"] >= WANTED_PERCENT * counted else 1)


main()
