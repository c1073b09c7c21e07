#!/usr/bin/env python3
"""What the detector loses when the seal's word lists lose half their words, the results' grammar is in another language, or all results come
encoded.

Writes three views of NAME's results: `halved` (every second word of each list in schema/src/seal/words.rs is coined anew wherever it
stands), `cipher` (every word of the lists is, and so are the other short words: the structure stays, no function word is
known), and `encoded` (each result is one run of base64). A coined word is in no list, as if the list had lost it; it is about as long. Fits on the results as they are, task-disjoint folds.
usage: mutilation.py --bin VEDETTE --data DIR --check DIR_OF_EVAL_SCORES [--sets a,b]   (needs numpy)"""
import argparse, base64, codecs, gzip, json, os, re, subprocess, sys, tempfile

arguments = argparse.ArgumentParser()
for name in ("--bin", "--data", "--check"):
    arguments.add_argument(name, required=True)
arguments.add_argument("--sets", default="agentdojo,agentdyn_dailylife")
options = arguments.parse_args()
sys.path.insert(0, options.check)
import eval_scores

source = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../schema/src/seal/words.rs")).read()
lists = [re.findall(r'"([^"]+)"', body) for body in re.findall(r"const [A-Z]+: &\[&str\] = &\[(.*?)\];", source, re.S)]
assert len(lists) >= 6, "words.rs has another form"
every_second = {word for words in lists for word in words[::2]}
all_words = {word for words in lists for word in words}
coined = lambda word: codecs.encode(word, "rot13") + ("q" if len(word) > 3 else "")
WORD = re.compile(r"(?<![\w@./:-])[^\W\d_]+(?:'[a-z]+)?(?![\w@/:-]|\.\w)")


def mutilated(text, view):
    if view == "encoded":
        return base64.b64encode(text.encode()).decode()

    def replace(match):
        word = match.group(0)
        lower = word.lower()
        listed = lower in (every_second if view == "halved" else all_words) or (view == "halved" and lower[:5] in every_second)
        return (coined(lower).capitalize() if word[0].isupper() else coined(lower)) if listed or (view == "cipher" and len(lower) <= 3) else word
    return WORD.sub(replace, text)


folder = tempfile.mkdtemp(prefix="vedette-mutilation-")
for name in options.sets.split(","):
    for file in os.listdir(options.data):
        if file.startswith(name + "."):
            os.symlink(os.path.abspath(os.path.join(options.data, file)), os.path.join(folder, file))
    for view in ("halved", "cipher", "encoded"):
        with gzip.open(os.path.join(options.data, name + ".results.jsonl.gz"), "rt") as lines, \
                gzip.open(os.path.join(folder, "%s.results_%s.jsonl.gz" % (name, view)), "wt") as out:
            for line in lines:
                record = json.loads(line)
                record["text"] = mutilated(record["text"], view)
                out.write(json.dumps(record) + "\n")
    known, keep = eval_scores.read_sessions(os.path.join(folder, name + ".sessions.jsonl.gz"))
    test = {session: meta for session, meta in keep.items() if meta["split"] == "test"}
    scores = {view: open(os.path.join(folder, "%s-%s" % (name, view)), "w") for view in ("original", "halved", "cipher", "encoded")}
    for fold in range(5):
        model, part = os.path.join(folder, "model"), os.path.join(folder, "part")
        common = [options.bin, "fit", "--data", folder, "--set", name, "--split", "train", "--not-fold", str(fold), "--out", model]
        subprocess.run(common, check=True, capture_output=True)
        for view, out in scores.items():
            results = [] if view == "original" else ["--results", view]
            subprocess.run([options.bin, "score", "--model", model, "--data", folder, "--set", name, "--fold", str(fold), "--out", part,
                            *results], check=True, capture_output=True)
            out.write(open(part).read())
    for view, out in scores.items():
        out.close()
        at = eval_scores.evaluate(test, eval_scores.read_scores(out.name, known, test), [.05, .01], 200)["benign"]["pooled"]["at"]
        print("%-20s %-9s goal @5 %% %5.1f   @1 %% %5.1f" % (name, view, *(100 * at[a]["goal"]["goal"] if isinstance(at[a]["goal"], dict) else 100 * at[a]["goal"] for a in ("0.05", "0.01"))), flush=True)
