#!/usr/bin/env python3
"""Holds the dependency tree to deny.toml: allowed licences, banned crates, one version of each heavy or security crate.

A short stand-in for `cargo deny check licenses bans`, which takes minutes to build and so cannot be asked of a fresh
machine; both read the same file. Looks at the tree that is built on this host, dev-dependencies included.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict


def allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression can be met with `licences` alone. AND binds tighter than OR (SPDX 2.3, annex D.4)."""
    expression = expression.replace("/", " OR ")  # what crates wrote before SPDX
    tokens = re.findall(r"[()]|[^\s()]+", re.sub(r"\s+WITH\s+", "\0", expression))

    def either() -> bool:
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = one() and met
        return met

    def one() -> bool:
        if not tokens:
            return False
        token = tokens.pop(0)
        if token == "(":
            met = either()
            return bool(tokens) and tokens.pop(0) == ")" and met
        return token.replace("\0", " WITH ") in licences

    return either() and not tokens


def faults(packages: list[dict], rules: dict) -> list[str]:
    """What is wrong with these packages (as `cargo metadata` lists them), one line each."""
    licences = set(rules["licenses"]["allow"])
    banned = {rule["crate"]: rule["reason"] for rule in rules["bans"]["deny"] if "reason" in rule}
    single = {rule["crate"] for rule in rules["bans"]["deny"] if rule.get("deny-multiple-versions")}
    tolerated = {rule["crate"] for rule in rules["bans"]["skip"]}
    found, versions = [], defaultdict(set)

    for package in packages:
        name, version = package["name"], package["version"]
        if f"{name}@{version}" not in tolerated:
            versions[name].add(version)
        if not allowed(package["license"] or "", licences):
            found.append(f"{name} {version}: licence `{package['license']}` is not on the list")
        if name in banned:
            found.append(f"{name} {version}: banned, {banned[name]}")
    for name in sorted(single):
        if len(versions[name]) > 1:
            found.append(f"{name}: one version only, but the tree has {', '.join(sorted(versions[name]))}")
    return found


def built_twice() -> list[str]:
    """Crates whose features differ between `make up` and `make test`, so that each builds them for itself."""
    def features(*arguments: str) -> set[str]:
        command = ["cargo", "tree", "--locked", "--prefix", "none", "--format", "{p} {f}", *arguments]
        lines = subprocess.check_output(command, text=True).splitlines()
        return {line.removesuffix(" (*)") for line in lines if line}

    tests = features("--workspace", "--edges", "normal,build,dev")
    binary = features("--package", "vedette", "--edges", "normal,build")
    return sorted(line.split()[0] for line in binary - tests)


def self_test() -> None:
    """The rules can fail: a check that lets everything through would look just like a clean tree."""
    licences = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}
    for expression, verdict in [
        ("MIT", True), ("MIT/Apache-2.0", True), ("GPL-3.0-only OR MIT", True), ("GPL-3.0-only AND MIT", False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True), ("(MIT OR GPL-3.0-only) AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT AND GPL-3.0-only", False), ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH something", False), ("", False), ("(MIT", False), ("MIT MIT", False),
    ]:
        assert allowed(expression, licences) is verdict, f"`{expression}` should be {verdict}"
    rules = {
        "licenses": {"allow": ["MIT"]},
        "bans": {"deny": [{"crate": "a", "deny-multiple-versions": True}, {"crate": "b", "reason": "no"}], "skip": []},
    }
    package = lambda name, version, license="MIT": {"name": name, "version": version, "license": license}
    assert faults([package("a", "1"), package("c", "1"), package("c", "2")], rules) == []
    assert len(faults([package("a", "1"), package("a", "2")], rules)) == 1
    assert len(faults([package("b", "1"), package("c", "1", "GPL-3.0-only"), package("d", "1", None)], rules)) == 3
    rules["bans"]["skip"] = [{"crate": "a@1", "reason": "why"}]
    assert faults([package("a", "1"), package("a", "2")], rules) == []
    assert len(faults([package("a", "1"), package("a", "2"), package("a", "3")], rules)) == 1


def main() -> int:
    self_test()
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True))[1]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host]
    metadata = json.loads(subprocess.check_output(command))
    resolved = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in resolved]
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)

    found = faults(packages, rules)
    for fault in found:
        print(f"  {fault}")
    versions = defaultdict(set)
    for package in packages:
        versions[package["name"]].add(package["version"])
    for rule in rules["bans"]["skip"]:
        name, _, version = rule["crate"].partition("@")
        if version not in versions[name]:
            print(f"  {rule['crate']}: tolerated in deny.toml, but the tree no longer has it")
    if apart := built_twice():
        print(f"  `make up` and `make test` each build their own {', '.join(apart)}: ask for the same features in vedette/Cargo.toml")
    twice = sorted(name for name, held in versions.items() if len(held) > 1)
    print(f"{len(packages)} crates, {len(found)} faults; light crates in more than one version: {', '.join(twice) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
