#!/usr/bin/env python3
"""Writes README's tables of figures from the JSON files beside this script; with --check only says whether they agree.

A table stands between `<!-- figures: NAME of FILE.json -->` and `<!-- end of figures -->`."""
import json, os, re, sys

HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(HERE, "../../README.md")
VIEWS = [
    ("calls, missions and results (response bodies)", "original"),
    ("the same, the attack's wrapper words removed", "plain"),
    ("calls and results, no missions", "no_mission"),
    ("calls and missions, no results", "no_results"),
    ("all, learned from traffic with 2 % hijacked sessions", "contaminated"),
]
percent = lambda *shares: " / ".join("-" if share is None else "%.1f" % (100 * share) for share in shares)


def development(figures):
    sets = ["agentdojo", "agentdyn_dailylife"]
    yield "| the log carries | agentdojo: in time at 5 % / 1 % | agentdyn dailylife: in time at 5 % / 1 % |"
    yield "|---|---|---|"
    for words, view in VIEWS:
        rows = [figures["%s/%s" % (name, view)] for name in sets]
        yield "| %s | %s |" % (words, " | ".join(percent(row["goal@5"], row["goal@1"]) for row in rows))


def compared(figures):
    """ROC area, then what is caught at 5 % and 1 % of honest sessions flagged: hijacks in time, of events all anomalies."""
    yield "| method | %s |" % " | ".join(figures)
    yield "|---|%s" % ("---|" * len(figures))
    for methods in zip(*(each["compared"] for each in figures.values())):
        cells = []
        for row in methods:
            hijacks = row["auc_succeeded"] is not None
            area, caught = (row["auc_succeeded"], row["in_time"]) if hijacks else (row["auc_attacks"], row["caught"])
            cells.append("%s; %s" % (percent(area), percent(caught["0.05"], caught["0.01"])))
        yield "| %s | %s |" % (methods[0]["method"], " | ".join(cells))


def table(match):
    kind, file = match.group(1), match.group(2)
    with open(os.path.join(HERE, file)) as source:
        figures = json.load(source)["figures"]
    lines = {"development": development, "compared": compared}[kind](figures)
    return "<!-- figures: %s of %s -->\n%s\n<!-- end of figures -->" % (kind, file, "\n".join(lines))


with open(README) as source:
    old = source.read()
new, tables = re.subn(r"<!-- figures: (\w+) of ([\w.-]+) -->\n.*?\n<!-- end of figures -->", table, old, flags=re.S)
if tables == 0:
    sys.exit("readme.py: README.md has no table of figures: did a marker change?")
if "--check" in sys.argv[1:]:
    if new != old:
        sys.exit("readme.py: README.md's tables are not what docs/measurements/*.json say: run docs/measurements/readme.py")
elif new != old:
    with open(README, "w") as out:
        out.write(new)
print("README.md: %d tables of figures agree with docs/measurements" % tables)
