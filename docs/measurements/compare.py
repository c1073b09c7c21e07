#!/usr/bin/env python3
"""`vedette measure --compare` on sets of sessions and of numbered events, into one file: the detector, its parts, STIDE, Markov chains and
the number of calls.

Agent sets: user tasks left out of fitting in turn (`--folds 5`). Sets of events (NAME.jsonl.gz): learned from their train sequences as they
are, and where there are labelled anomalies among them (`NAME, honest`) without those; a set whose test part has no normal sequence lends every second of
its train sequences to it.

usage: compare.py --bin VEDETTE --data DIR [--sets a,b] [--events c,d] [--json OUT --machine TEXT]"""
import argparse, datetime, gzip, json, os, subprocess, tempfile

arguments = argparse.ArgumentParser()
arguments.add_argument("--bin", required=True)
arguments.add_argument("--data", required=True)
arguments.add_argument("--sets", default="agentdojo,agentdyn_dailylife")
arguments.add_argument("--events", default="hdfs_100k,hdfs_logdeep_partial")
arguments.add_argument("--json")
arguments.add_argument("--machine", default="")
options = arguments.parse_args()


def vedette(*words):
    return subprocess.run([options.bin, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def read(name):
    with gzip.open(os.path.join(options.data, name + ".jsonl.gz"), "rt") as lines:
        return [json.loads(line) for line in lines]


def events(name, rows):
    """A copy of a set of events in a folder of its own, and the model of its train sequences."""
    folder = tempfile.mkdtemp(prefix="vedette-compare-")
    if not any(row["split"] == "test" and row["label"] == "benign" for row in rows):
        for row in [row for row in rows if row["label"] == "benign"][::2]:
            row["split"] = "test"
    with gzip.open(os.path.join(folder, name + ".jsonl.gz"), "wt") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    model = os.path.join(folder, "model")
    vedette("fit", "--data", folder, "--set", name, "--split", "train", "--out", model)
    return ["--data", folder, "--set", name, "--model", model]


todo = {name: ["--data", options.data, "--set", name, "--folds", "5"] for name in filter(None, options.sets.split(","))}
figures = {}
for name in filter(None, options.events.split(",")):
    rows = read(name)
    todo[name] = events(name, rows)
    honest = [row for row in rows if row["split"] == "test" or row["label"] == "benign"]
    if len(honest) < len(rows):
        todo[name + ", honest"] = events(name, honest)
for name, words in todo.items():
    measured = json.loads(vedette("measure", "--split", "test", "--compare", "--json", *words))
    figures[name] = {"sessions": measured["sessions"], "compared": measured["compared"]}
    print("%s (%s)" % (name, ", ".join("%s %d" % each for each in measured["sessions"].items())))
    for row in measured["compared"]:
        hijacks = row["auc_succeeded"] is not None
        area, caught = (row["auc_succeeded"], row["in_time"]) if hijacks else (row["auc_attacks"], row["caught"])
        print("  %-28s ROC %5.1f   @5 %% %5.1f   @1 %% %5.1f" % (row["method"], *(100 * x for x in (area, caught["0.05"], caught["0.01"]))), flush=True)
if options.json:
    commit = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    head = {"commit": commit, "date": datetime.date.today().isoformat(), "machine": options.machine, "command": "python3 docs/measurements/compare.py --bin VEDETTE --data DIR"}
    with open(options.json, "w") as out:
        json.dump({**head, "figures": figures}, out, indent=1)
        out.write("\n")
