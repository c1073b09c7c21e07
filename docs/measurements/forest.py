#!/usr/bin/env python3
"""Our isolation forest beside scikit-learn's on the same rows in the same run: AUC over seeds, rank correlation at 500 trees, speed on one core.

usage: forest.py --data DIR [--target DIR] [--json OUT]
Makes a virtual environment with scikit-learn in the target folder, builds `detector`'s example `forest_rows` there. Rows: event counts of hdfs_100k (anomalies), queries of
extraction_lab (extraction clients), scikit-learn's breast cancer set (malignant). Fitted on train rows without labels."""
import argparse, collections, gzip, json, os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__)); ROOT = os.path.join(HERE, "..", "..")
a = argparse.ArgumentParser(); a.add_argument("--data", required=True); a.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))); a.add_argument("--json"); a.add_argument("--inside", action="store_true"); x = a.parse_args()
if not x.inside:
    venv = os.path.join(x.target, "forest-venv"); python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", venv]); subprocess.check_call([python, "-m", "pip", "install", "-q", "scikit-learn"])
    subprocess.check_call(["cargo", "build", "--release", "--locked", "-p", "detector", "--example", "forest_rows"], cwd=ROOT, env={**os.environ, "CARGO_TARGET_DIR": x.target})
    sys.exit(subprocess.call([python, __file__, *sys.argv[1:], "--inside", "--target", x.target], env={**os.environ, "OMP_NUM_THREADS": "1"}))

import tempfile, time
import numpy as np
from scipy.stats import spearmanr
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
lines = lambda n: (json.loads(l) for l in gzip.open(os.path.join(x.data, n), "rt"))

def hdfs():
    rows = list(lines("hdfs_100k.jsonl.gz")); width = max(max(r["seq"]) for r in rows) + 1
    of = lambda some: np.array([np.bincount(r["seq"], minlength=width) for r in some], float)
    train = [r for r in rows if r["split"] == "train" and r["label"] == "benign"]; test = [r for r in rows if r["split"] == "test"] + [r for r in rows if r["split"] == "train" and r["label"] != "benign"]
    return of(train), of(test), np.array([r["label"] != "benign" for r in test])

def queries():
    label = {r["session"]: r for r in lines("extraction_lab.sessions.jsonl.gz")}; fit, test, y = [], [], []
    for n, c in enumerate(lines("extraction_lab.calls.jsonl.gz")):
        r = label[c["session"]]
        if n % 5 == 0:
            (fit if r["split"] == "train" else test).append(c["args"]["x"])
            if r["split"] == "test": y.append(r["label"] == "extraction")
    return np.array(fit, float), np.array(test, float), np.array(y)

def cancer():
    d = datasets.load_breast_cancer(); benign = d.target == 1; rows = np.flatnonzero(benign)
    test = np.setdiff1d(np.arange(len(benign)), rows[::2]); return d.data[rows[::2]], d.data[test], ~benign[test]

def ours(fit, test, trees, seed):
    with tempfile.TemporaryDirectory() as t:
        for n, m in (("fit", fit), ("test", test)): np.savetxt(os.path.join(t, n), m, delimiter=",", fmt="%.17g")
        r = subprocess.run([os.path.join(x.target, "release", "examples", "forest_rows"), os.path.join(t, "fit"), os.path.join(t, "test"), str(trees), str(seed)], capture_output=True, text=True, check=True)
    return np.array(r.stdout.split(), float), [float(v) for v in r.stderr.split()]

def theirs(fit, test, trees, seed):
    f = IsolationForest(n_estimators=trees, max_samples=min(256, len(fit)), random_state=seed, n_jobs=1).fit(fit); s = -f.score_samples(test)
    big, one = np.resize(test, (100_000, test.shape[1])), test[:1]
    t = time.perf_counter(); f.score_samples(big); batch = len(big) / (time.perf_counter() - t)
    t = time.perf_counter(); [f.score_samples(one) for _ in range(10)]; return s, [batch, (time.perf_counter() - t) / 10 * 1e6]

out = {}
for name, make in (("hdfs_100k counts", hdfs), ("extraction_lab queries", queries), ("breast cancer", cancer)):
    fit, test, y = make(); a = [[roc_auc_score(y, f(fit, test, 100, seed)[0]) for seed in range(5)] for f in (ours, theirs)]
    (o, speed), (t, their_speed) = ours(fit, test, 500, 1), theirs(fit, test, 500, 1); within = spearmanr(t, theirs(fit, test, 500, 2)[0])[0]
    _, speed = ours(fit, np.resize(test, (20_000, test.shape[1])), 100, 1); _, their_speed = theirs(fit, test, 100, 1)
    out[name] = {"rows fitted": len(fit), "rows scored": len(test), "features": fit.shape[1], "auc": [round(np.mean(v), 4) for v in a], "auc spread over 5 seeds": [round(np.std(v), 4) for v in a], "rank correlation at 500 trees": round(spearmanr(o, t)[0], 4),
                 "the same between two seeds of scikit-learn": round(within, 4), "rows/s in batches, 100 trees": [round(speed[0]), round(their_speed[0])], "us a single row": [round(speed[1], 2), round(their_speed[1], 1)]}
    print(name, json.dumps(out[name]), flush=True)
print("pairs: ours, scikit-learn %s; one core; load now %.1f" % (__import__("sklearn").__version__, os.getloadavg()[0]))
if x.json:
    json.dump(out, open(x.json, "w"), indent=1)
