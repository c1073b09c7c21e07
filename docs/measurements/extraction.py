#!/usr/bin/env python3
"""Extraction per client beside published detectors, in one run, every threshold where 1 % of ordinary test clients are flagged: families caught and after how many queries, hard honest
clients flagged, attacks split over identities by group.

usage: extraction.py --bin target/release/vedette --data DIR [--target DIR] [--only NAME,...] [--json OUT]

Sets: `extraction_lab` of the data folder, and three made here from a seed, with other data, victims, attacks and the honest clients that are hard to tell from attackers: `digits` (64 whole
numbers; neural network), `cancer` (30 numbers of very different size; forest), `mixture` (12 numbers in six groups, made here; neural network). Attacks besides the published set's: latin
hypercube, independent features of the right size, foreign smooth data, uncertainty sampling from it, boundary walks between honest rows, mixtures of honest rows, and honest rows themselves
(`pool`, which nobody can tell by content). Hard honest clients: explainers by perturbation (LIME) and by coalitions (SHAP), what-if sweeps, counterfactual search, QA that mutates fields.
Baselines: number of queries; PRADA (Juuti et al. 2019: 1 - Shapiro-Wilk W of least distances among a class's queries, recent 100); near-duplicates of own earlier queries; mean distance of
the last 30 distinct queries from what train clients send, pool a. Needs scikit-learn; makes a virtual environment with it in the target folder."""
import argparse, collections, gzip, hashlib, json, os, subprocess, sys, tempfile
a = argparse.ArgumentParser(); a.add_argument("--bin", required=True); a.add_argument("--data", required=True); a.add_argument("--only", default="extraction_lab,digits,cancer,mixture"); a.add_argument("--json")
a.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "target"))); a.add_argument("--inside", action="store_true"); x = a.parse_args()
if not x.inside:
    venv = os.path.join(x.target, "forest-venv"); python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", venv]); subprocess.check_call([python, "-m", "pip", "install", "-q", "scikit-learn"])
    sys.exit(subprocess.call([python, "-W", "ignore", __file__, *sys.argv[1:], "--inside"], env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}))

import numpy as np
from scipy.stats import shapiro
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
QUERIES, SEED, START = 600, 5, 1_772_000_000_000

def rows_of(name, r):
    if name == "digits": b = datasets.load_digits(); return b.data, b.target
    if name == "cancer": b = datasets.load_breast_cancer(); return np.round(b.data, 4), b.target
    parts = [r.normal(size=12) * 1.5 + r.normal(size=(1000, 4)) @ (r.normal(size=(12, 4)) * 0.8).T + r.normal(size=(1000, 12)) * 0.25 for _ in range(6)]
    X = np.vstack(parts); X[:, 9] = np.round(np.exp(X[:, 9] / 2)); X[:, 10] = X[:, 10] > 0; X[:, 11] = np.round(X[:, 11])
    return np.round(X, 3), np.repeat([0, 1, 2, 0, 1, 2], 1000)

class Lab:
    """One victim and its clients; `clients` holds {"session", "label", "outcome", ..., "rows", "times", "answers"}."""
    def __init__(self, name):
        r = self.r = np.random.default_rng(SEED); self.name = name; self.clients = []; X, y = rows_of(name, r); order = r.permutation(len(X)); X, y = X[order], y[order]
        self.whole = name == "digits"; self.low, self.high, self.mean, self.sd = X.min(0), X.max(0), X.mean(0), X.std(0) + 1e-9
        own, first, second, rest = np.array_split(np.arange(len(X)), [int(len(X) * s) for s in (0.25, 0.42, 0.59)])
        model = RandomForestClassifier(60, random_state=1) if name == "cancer" else make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=200, random_state=1))
        self.victim = model.fit(X[own], y[own]); self.d = X.shape[1]
        for split, part, pool, n in (("train", first, "a", 90), ("train", second, "b", 90), ("test", rest, None, 240)):
            for _ in range(n): rows, kind = self.ordinary(X[part]); self.add(rows, "benign", kind, split, pool=pool, pace=r.choice(["paced", "paced", "tool", "slow"]))
        self.rows = X[rest]
        for kind in ("lime", "shap", "what_if", "counterfactual", "mutating_qa"):
            for _ in range(12): self.add(getattr(self, kind)(), "benign", kind, "test", hard=True, pace=r.choice(["paced", "tool"]))
        for family in ("uniform", "hypercube", "independent", "line_search", "jacobian", "foreign", "uncertainty", "boundary", "mixed", "pool"):
            attack = getattr(self, family)
            for i in range(5): self.add(attack(), "extraction", family, "test", pace=("tool", "paced", "slow")[i % 3])
            for n in (5, 10, 20, 30):
                for mode in ("blocks", "roundrobin"):
                    rows = attack(); at = START + int(r.uniform(0, 9 * 864e5))
                    for j, part in enumerate(np.array_split(rows, n) if mode == "blocks" else [rows[j::n] for j in range(n)]):
                        start = at + (int(j * QUERIES / n * 4e4) if mode == "blocks" else int(r.uniform(0, 6e4)))
                        self.add(part, "extraction", family, "test", group="%s-%d-%s" % (family, n, mode), identities=n, start=start)
    def add(self, rows, label, outcome, split, pool=None, hard=False, pace="paced", group=None, identities=1, start=None):
        name = "x-" + hashlib.sha1(("%s %d" % (self.name, len(self.clients))).encode()).hexdigest()[:14]; start = START + int(self.r.uniform(0, 864e6)) if start is None else start
        gaps = {"tool": lambda n: 5 + self.r.exponential(25, n), "paced": lambda n: self.r.exponential(4e4, n), "slow": lambda n: self.r.uniform(12e4, 9e5, n)}[pace](len(rows))
        self.clients.append({"session": name, "label": label, "outcome": outcome, "split": split, "pool": pool, "hard": hard, "identity_group": group, "n_identities": identities,
                             "rows": rows, "times": start + np.cumsum(gaps).astype(int), "answers": self.ask(rows)})
    def ask(self, rows): return self.victim.predict_proba(np.atleast_2d(rows))
    def label(self, row): return int(self.ask(row).argmax())
    def fix(self, rows, whole=None): return np.round(np.atleast_2d(rows), 0 if (self.whole if whole is None else whole) else 4)
    def one(self): return self.rows[self.r.integers(len(self.rows))].copy()
    # Ordinary clients.
    def ordinary(self, X):
        r, n = self.r, int(np.clip(np.exp(self.r.normal(4.6, 1.0)), 5, 900)); kind = r.choice(["iid", "iid", "skewed", "repeats", "stream", "batch", "noisy", "canary"]); draw = lambda some: some[r.integers(len(some), size=n)]
        if kind == "skewed": f = np.argsort(X[:, r.integers(self.d)]); return draw(X[f[: len(f) // 2] if r.random() < 0.5 else f[len(f) // 2 :]]), kind
        if kind == "repeats": return draw(draw(X)[: max(2, n // 20)]), kind
        if kind == "batch": return X[r.permutation(len(X))[:n]], kind
        if kind == "noisy": return self.fix(draw(X) + r.normal(size=(n, self.d)) * self.sd * 0.02), kind
        if kind == "canary": return draw(X[r.integers(len(X), size=3)]), kind
        if kind == "iid": return draw(X), kind
        left, out = X[r.permutation(len(X))[:600]], []; at = left[0]
        for _ in range(min(n, len(left))): j = int((((left - at) / self.sd) ** 2).sum(1).argmin()); at = left[j]; out.append(at); left = np.delete(left, j, 0)
        return np.array(out), kind
    # Honest clients that probe on purpose.
    def lime(self): return np.vstack([self.fix(self.one() + self.r.normal(size=(int(self.r.integers(50, 200)), self.d)) * self.sd * self.r.choice([0.3, 0.6, 1.0])) for _ in range(self.r.integers(1, 8))])
    def shap(self):
        def explained():
            n = int(self.r.integers(50, 150)); ground = self.rows[self.r.integers(len(self.rows), size=10)]
            return np.where(self.r.random((n, self.d)) < self.r.random((n, 1)), self.one(), ground[self.r.integers(10, size=n)])
        return np.vstack([explained() for _ in range(self.r.integers(2, 10))])
    def what_if(self):
        def sweep(): f = self.r.integers(self.d); rows = np.tile(self.one(), (int(self.r.integers(8, 20)), 1)); rows[:, f] = np.linspace(self.low[f], self.high[f], len(rows)); return rows
        return self.fix(np.vstack([sweep() for _ in range(self.r.integers(3, 25))]))
    def counterfactual(self):
        def search(): n = int(self.r.integers(15, 50)); return self.one() + self.r.normal(size=(n, self.d)) * self.sd * 0.1 * 1.05 ** np.arange(n)[:, None] * (self.r.random((n, self.d)) < 0.3)
        return self.fix(np.vstack([search() for _ in range(self.r.integers(2, 12))]))
    def mutating_qa(self):
        def mutated():
            row = self.one()
            for f in self.r.integers(self.d, size=self.r.integers(1, 3)): row[f] = self.r.choice([self.low[f], self.high[f], 0, self.r.uniform(self.low[f], self.high[f]), self.one()[f]])
            return row
        return self.fix(np.array([mutated() for _ in range(int(self.r.integers(40, 200)))]))
    # Attacks.
    def uniform(self): return self.fix(self.r.uniform(self.low, self.high, size=(QUERIES, self.d)))
    def hypercube(self): return self.fix(self.low + (np.array([self.r.permutation(QUERIES) for _ in range(self.d)]).T + self.r.random((QUERIES, self.d))) / QUERIES * (self.high - self.low), False)
    def independent(self): return self.fix(np.clip(self.r.normal(self.mean, self.sd, size=(QUERIES, self.d)), self.low, self.high))
    def between(self, ends, steps, around):
        out = []
        while len(out) < QUERIES:
            p, q = ends(), ends(); mine = self.label(p); out += [p, q]
            if mine == self.label(q): continue
            for _ in range(steps): m = (p + q) / 2; out.append(m); p, q = (m, q) if self.label(m) == mine else (p, m)
            out += [(p + q) / 2 + self.r.normal(size=self.d) * self.sd * 0.05 for _ in range(around)]
        return self.fix(np.array(out[:QUERIES]), False)
    def line_search(self): return self.between(lambda: self.r.uniform(self.low, self.high), 10, 0)
    def boundary(self): return self.between(self.one, 8, 10)
    def copy(self, rows): return MLPClassifier((32,), max_iter=60, random_state=1).fit((rows - self.mean) / self.sd, self.ask(rows).argmax(1))
    def jacobian(self):
        rows = self.rows[self.r.permutation(len(self.rows))[: 100 if len(self.rows) > 300 else 40]]
        while len(rows) < QUERIES:
            copy, scaled = self.copy(rows), (rows - self.mean) / self.sd; now = copy.predict_proba(scaled); mine = now.argmax(1); at = np.arange(len(rows)); step = np.zeros_like(rows)
            for f in range(self.d): moved = scaled.copy(); moved[:, f] += 0.01; step[:, f] = copy.predict_proba(moved)[at, mine] - now[at, mine]
            rows = np.vstack([rows, self.fix(rows + 0.1 * (self.high - self.low) * np.sign(step), False)])
        return rows[:QUERIES]
    def foreign(self, n=QUERIES):
        walk = np.cumsum(self.r.normal(size=(n, self.d)), 1); walk -= walk.min(1, keepdims=True); return self.fix(self.low + walk / walk.max(1, keepdims=True) * (self.high - self.low))
    def uncertainty(self):
        pool = self.foreign(4000); taken = list(range(50))
        while len(taken) < QUERIES:
            seen = self.ask(pool[taken]).argmax(1); order = self.r.permutation(4000)
            if len(set(seen)) > 1: p = np.sort(self.copy(pool[taken]).predict_proba((pool - self.mean) / self.sd), 1); order = np.argsort(p[:, -1] - p[:, -2])
            known = set(taken); taken += [i for i in order if i not in known][:50]
        return pool[taken[:QUERIES]]
    def mixed(self): w = self.r.uniform(0.2, 0.8, size=(QUERIES, 1)); return self.fix(w * self.rows[self.r.integers(len(self.rows), size=QUERIES)] + (1 - w) * self.rows[self.r.integers(len(self.rows), size=QUERIES)])
    def pool(self): return self.rows[self.r.integers(len(self.rows), size=QUERIES)]

def write(folder, name, clients):
    number = lambda v: int(v) if float(v).is_integer() else float(v); sessions = sorted(clients, key=lambda c: c["session"])
    with gzip.open(os.path.join(folder, name + ".sessions.jsonl.gz"), "wt", 1) as f:
        for c in sessions: f.write(json.dumps({k: c[k] for k in ("session", "split", "pool") if c.get(k)}) + "\n")
    with gzip.open(os.path.join(folder, name + ".calls.jsonl.gz"), "wt", 1) as f:
        for c in sessions:
            for i, (row, at, p) in enumerate(zip(c["rows"], c["times"], c["answers"])):
                f.write(json.dumps({"session": c["session"], "seq": i, "ts_ms": int(at), "agent": "client-" + c["session"], "app": name, "tool": "predict", "args": {"x": [number(v) for v in row]}, "status": "ok", "result_bytes": 34,
                                    "result": {"label": int(p.argmax()), "confidence": round(float(p.max()), 4)}}) + "\n")

def published(folder, name):
    clients = {}
    for l in gzip.open(os.path.join(x.data, name + ".sessions.jsonl.gz"), "rt"): s = json.loads(l); clients[s["session"]] = {"pool": None, "hard": False, "identity_group": None, **s, "rows": [], "classes": []}
    for l in gzip.open(os.path.join(x.data, name + ".calls.jsonl.gz"), "rt"): c = json.loads(l); s = clients[c["session"]]; s["rows"].append(c["args"]["x"]); s["classes"].append(c["result"]["label"])
    with gzip.open(os.path.join(folder, name + ".sessions.jsonl.gz"), "wt") as f:
        for s in clients.values(): f.write(json.dumps({k: s[k] for k in ("session", "split", "pool") if s.get(k)}) + "\n")
    os.symlink(os.path.abspath(os.path.join(x.data, name + ".calls.jsonl.gz")), os.path.join(folder, name + ".calls.jsonl.gz"))
    for s in clients.values(): s["rows"] = np.array(s["rows"], float)
    return list(clients.values())

def ours(folder, name):
    for args in (["fit", "--split", "train", "--out", folder + "/m"], ["score", "--split", "test", "--model", folder + "/m", "--out", folder + "/s"]):
        r = subprocess.run([x.bin, args[0], "--data", folder, "--set", name, *args[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode: sys.exit("extraction.py: vedette %s failed\n%s" % (args[0], r.stdout[-2000:]))
    risks = collections.defaultdict(list); shipped = set()
    for l in open(folder + "/s"):
        q = json.loads(l); risks[q["session"]].append((q["seq"], q["risk"]))
        if q.get("flagged"): shipped.add(q["session"])
    return {s: np.array([v for _, v in sorted(r)]) for s, r in risks.items()}, shipped

# Baselines: a client's rows and answers → a score after each query.
def prada(rows, classes):
    best, out, kept, last = [], [], collections.defaultdict(list), 0.0
    for i, (row, c) in enumerate(zip(rows, classes)):
        near = [float(((row - k) ** 2).sum()) for k in kept[c][-300:]]
        if near: best.append(min(near) ** 0.5)
        kept[c].append(row)
        if len(best) >= 30 and i % 5 == 0: window = np.array(best[-100:]); last = 1 - shapiro(window)[0] if np.ptp(window) > 0 else 0.0
        out.append(last)
    return np.array(out)
def near_duplicates(rows, scale):
    out, n = [], 0
    for i, row in enumerate(rows): d = ((rows[max(0, i - 200) : i] - row) ** 2).sum(1) if i else np.zeros(0); n += bool(len(d) and 0 < d.min() < (0.1 * scale) ** 2); out.append(n)
    return np.array(out, float)
def distance(rows, train):
    first, out, last = set(), [], []
    for row in rows:
        if row.tobytes() not in first: first.add(row.tobytes()); last = (last + [float((((train - row) ** 2).sum(1)).min() ** 0.5)])[-30:]
        out.append(np.mean(last) if len(last) == 30 else 0.0)
    return np.array(out)

def table(name, clients, risks, shipped):
    test = [c for c in clients if c["split"] == "test"]; train = np.unique(np.vstack([c["rows"] for c in clients if c["pool"] == "a"]), axis=0); train = train[np.random.default_rng(1).permutation(len(train))[:1500]]
    scale = float(np.median([((p - q) ** 2).sum() ** 0.5 for p, q in zip(train[:700], train[::-1][:700])])); classes = lambda c: c["classes"] if "classes" in c else c["answers"].argmax(1)
    methods = {"vedette": risks, "count": {c["session"]: np.arange(1.0, len(c["rows"]) + 1) for c in test}, "PRADA": {c["session"]: prada(c["rows"], classes(c)) for c in test},
               "near-duplicates": {c["session"]: near_duplicates(c["rows"], scale) for c in test}, "distance": {c["session"]: distance(c["rows"], train) for c in test}}
    ordinary = [c["session"] for c in test if c["label"] == "benign" and not c["hard"]]; out = {}
    for method, scores in methods.items():
        tops = sorted((scores[s].max() for s in ordinary), reverse=True); threshold = tops[int(len(tops) * 0.01)]; first = {s: int(np.argmax(v > threshold)) + 1 for s, v in scores.items() if (v > threshold).any()}
        row = {}; kinds = collections.defaultdict(list); groups = collections.defaultdict(lambda: collections.defaultdict(bool))
        for c in test:
            if c["identity_group"]: groups["split over %d" % c["n_identities"]][c["identity_group"]] |= c["session"] in first
            elif c["hard"]: kinds["hard: " + c["outcome"]].append(c); kinds["hard honest, all"].append(c)
            elif c["label"] != "benign": kinds[c["outcome"]].append(c)
        for kind, some in sorted(kinds.items()):
            hit = [first[c["session"]] for c in some if c["session"] in first]; row[kind] = {"flagged": len(hit), "of": len(some), "median_queries": float(np.median(hit)) if hit else None}
        for kind, g in groups.items(): row[kind] = {"flagged": sum(g.values()), "of": len(g)}
        if method == "vedette": row["shipped alpha: ordinary clients"] = {"flagged": sum(s in shipped for s in ordinary), "of": len(ordinary)}
        out[method] = row
    print("\n%s (%d ordinary test clients)" % (name, len(ordinary))); print("%-34s" % "" + "".join("%18s" % m for m in out))
    for kind in out["vedette"]:
        cell = lambda r: "" if r is None else "%d/%d%s" % (r["flagged"], r["of"], " @%d" % r["median_queries"] if r.get("median_queries") else "")
        print("%-34s" % kind + "".join("%18s" % cell(row.get(kind)) for row in out.values()), flush=True)
    return out

result = {}
for name in x.only.split(","):
    with tempfile.TemporaryDirectory(prefix="vedette-extraction-") as folder:
        if name == "extraction_lab": clients = published(folder, name)
        else: clients = Lab(name).clients; write(folder, name, clients)
        result[name] = table(name, clients, *ours(folder, name))
if x.json:
    json.dump(result, open(x.json, "w"), indent=1)
