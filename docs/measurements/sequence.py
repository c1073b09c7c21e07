#!/usr/bin/env python3
"""One table: the sequence model alone (`sequence_risk` of `vedette score`) beside STIDE and Markov chains of order 1 to 3, on the same sequences.

usage: sequence.py --bin target/release/vedette --data DIR [--more FILE.json] [--json OUT]    (needs numpy)

Sets: `hdfs_100k` (train without its labelled anomalies; test normals against all anomalies), `hdfs_logdeep_partial` (half of train held out as normals), the two agent sets as bare
tool sequences (clean sessions against succeeded hijacks, and against direct_goal), and what `--more` names: {"name": {"train": [[int]], "normal": [[int]], "anomaly": [[int]]}}.
Every method learns from the same unlabelled train sequences; labels are read here, for the AUC only. A sequence's score is the highest of its calls'.
STIDE: share of windows of 6 that were never seen (Forrest et al. 1996), at most 20 windows back (locality frame). Markov: highest -ln p, Witten-Bell of order 1, 2, 3."""
import argparse, collections, gzip, json, math, os, random, subprocess, sys, tempfile
try:
    import numpy as np
except ImportError:
    sys.exit("sequence.py: numpy is missing: python3 -m venv V && V/bin/pip install numpy")
CAP = 1000  # sequences of a kind, drawn by a fixed seed

def auc(positive, negative):
    p, n = np.asarray(positive, float), np.sort(np.asarray(negative, float))
    return float(((np.searchsorted(n, p, "left") + np.searchsorted(n, p, "right")) / 2).mean() / len(n))

def lines(path):
    with gzip.open(path, "rt") as f:
        for line in f:
            yield json.loads(line)

def sets(data):
    j = lambda n: os.path.join(data, n)
    rows = list(lines(j("hdfs_100k.jsonl.gz")))
    yield "hdfs_100k", [r["seq"] for r in rows if r["split"] == "train" and r["label"] == "benign"], [r["seq"] for r in rows if r["split"] == "test" and r["label"] == "benign"], {"anomaly": [r["seq"] for r in rows if r["label"] != "benign"]}
    rows = list(lines(j("hdfs_logdeep_partial.jsonl.gz"))); train = [r["seq"] for r in rows if r["split"] == "train"]; random.Random(1).shuffle(train)
    yield "hdfs_logdeep", train[: len(train) // 2], train[len(train) // 2 :], {"anomaly": [r["seq"] for r in rows if r["split"] != "train"]}
    for name in ("agentdojo", "agentdyn_dailylife"):
        label = {r["session"]: r for r in lines(j(name + ".sessions.jsonl.gz"))}; tools = collections.defaultdict(list); number = {}
        for c in lines(j(name + ".calls.jsonl.gz")):
            tools[c["session"]].append(number.setdefault(c["tool"], len(number) + 1))
        pick = lambda split, outcome: [tools[s] for s, r in label.items() if r["split"] == split and r["outcome"] == outcome]
        yield name, pick("train", "clean"), pick("test", "clean"), {o: pick("test", o) for o in ("succeeded", "direct_goal")}

def stide(train):
    n = 6; seen = {tuple(q[i : i + n]) for q in train for i in range(max(1, len(q) - n + 1))}
    def score(q):
        miss = np.array([tuple(q[i : i + n]) not in seen for i in range(max(1, len(q) - n + 1))], float)
        return np.convolve(miss, np.ones(20))[: len(miss)].max() / 20
    return score

def markov(train, order):
    follow = collections.defaultdict(collections.Counter)
    for q in train:
        h = (0,) * order + tuple(q)
        for i in range(order, len(h)):
            for k in range(order + 1):
                follow[h[i - k : i]][h[i]] += 1
    total = {c: (sum(f.values()), len(f)) for c, f in follow.items()}; words = len(follow[()])
    def score(q):
        h, worst = (0,) * order + tuple(q), 0.0
        for i in range(order, len(h)):
            p = 1 / (words + 1)
            for k in range(order + 1):
                c = h[i - k : i]
                if c not in total: break
                n, kinds = total[c]; p = (follow[c][h[i]] + kinds * p) / (n + kinds)
            worst = max(worst, -math.log(p))
        return worst
    return score

def vedette(binary, train, tests):
    with tempfile.TemporaryDirectory(prefix="vedette-sequence-") as d:
        with gzip.open(os.path.join(d, "set.jsonl.gz"), "wt") as f:
            for kind, part in [("train", train), *tests.items()]:
                for i, q in enumerate(part):
                    f.write(json.dumps({"id": "%s-%d" % (kind, i), "split": "train" if kind == "train" else "test", "seq": q}) + "\n")
        for args in (["fit", "--split", "train", "--out", d + "/m"], ["score", "--split", "test", "--model", d + "/m", "--out", d + "/s"]):
            r = subprocess.run([binary, args[0], "--data", d, "--set", "set", *args[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if r.returncode: sys.exit("sequence.py: vedette %s failed\n%s" % (args[0], r.stdout[-2000:]))
        out = {k: [0.0] * len(v) for k, v in tests.items()}
        for line in open(d + "/s"):
            r = json.loads(line); kind, i = r["session"].rsplit("-", 1); out[kind][int(i)] = max(out[kind][int(i)], r["sequence_risk"])
        return out

def main():
    a = argparse.ArgumentParser(); a.add_argument("--bin", required=True); a.add_argument("--data", required=True); a.add_argument("--more"); a.add_argument("--json"); a.add_argument("--only", default=""); x = a.parse_args()
    todo = list(sets(x.data)) if x.only != "more" else []
    if x.more:
        todo += [(n, s["train"], s["normal"], {"anomaly": s["anomaly"]}) for n, s in json.load(open(x.more)).items()]
    table = {}
    for name, train, normal, kinds in todo:
        if x.only and x.only not in ("more", name): continue
        draw = lambda q: random.Random(7).sample(q, CAP) if len(q) > CAP else q
        train, tests = [q for q in train if q], {k: [q for q in draw(v) if q] for k, v in {"normal": normal, **kinds}.items()}
        methods = {"STIDE": stide(train), **{"Markov %d" % o: markov(train, o) for o in (1, 2, 3)}}
        scores = {m: {k: [f(q) for q in v] for k, v in tests.items()} for m, f in methods.items()}; scores["vedette"] = vedette(x.bin, train, tests)
        for kind in kinds:
            row = {m: round(auc(s[kind], s["normal"]), 3) for m, s in scores.items()}; table["%s / %s" % (name, kind)] = row
            print("%-34s %s   (train %d, normal %d, anomalous %d)" % (name + " / " + kind, "  ".join("%s %.3f" % i for i in row.items()), len(train), len(tests["normal"]), len(tests[kind])), flush=True)
    if x.json:
        json.dump(table, open(x.json, "w"), indent=1)

main()
