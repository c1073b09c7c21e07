//! The code host's tools that several tasks use, and what its files and issues are like.

use crate::world::answer::{json_text, text};
use crate::world::run::Run;
use serde_json::{Value, json};

/// A source file of the session's own: `src/toravel/kenra.rs`.
pub(super) fn file(run: &mut Run<'_>) -> String {
    format!("src/{}/{}.{}", run.v.word(), run.v.word(), run.v.pick(&["rs", "py", "ts", "go"]))
}

pub(super) fn function(run: &mut Run<'_>) -> String {
    format!("{}_{}", run.v.pick(&["parse", "load", "render", "check", "flush", "merge"]), run.v.word())
}

pub(super) fn source(run: &mut Run<'_>, function: &str) -> String {
    let (limit, field) = (run.v.number(2, 4_096), run.v.word());
    format!(
        "fn {function}(input: &[u8]) -> Result<{field}, Error> {{\n    let limit = {limit};\n    // {field} is checked by the caller\n    read(input, limit)\n}}"
    )
}

pub(super) fn issue_number(run: &mut Run<'_>) -> u64 {
    run.v.number(10, 9_999)
}

pub(super) fn get_file(run: &mut Run<'_>, path: &str, content: &str) {
    run.call("get_file", json!({ "path": path }), text(content));
}

pub(super) fn get_issue(run: &mut Run<'_>, number: u64, title: &str, body: &str) {
    let author = run.v.person();
    let issue = json!({ "number": number, "title": title, "author": author.handle, "state": "open", "body": body });
    run.call("get_issue", json!({ "number": number }), json_text(&issue));
}

/// Branch, commit, pull request.
pub(super) fn propose(run: &mut Run<'_>, path: &str, content: &str, title: &str) {
    let branch = format!("{}/{}", run.v.pick(&["fix", "feature", "chore"]), run.v.word());
    let (base, commit, pull) = (run.v.hex(12), run.v.hex(40), issue_number(run));
    run.call("create_branch", json!({ "name": branch }), json_text(&json!({ "name": branch, "at": base })));
    run.call(
        "commit_file",
        json!({ "branch": branch, "path": path, "content": content, "message": title }),
        json_text(&json!({ "commit": commit, "branch": branch })),
    );
    run.call(
        "open_pull",
        json!({ "branch": branch, "title": title }),
        json_text(&json!({ "number": pull, "state": "open", "head": branch })),
    );
}

pub(super) fn comment(run: &mut Run<'_>, number: u64, body: &str) {
    let id = run.v.code("c-");
    run.call(
        "comment_issue",
        json!({ "number": number, "body": body }),
        json_text(&json!({ "id": id, "number": number })),
    );
}

pub(super) fn issues(run: &mut Run<'_>, count: usize) -> Vec<(u64, String)> {
    let rows: Vec<(u64, String)> = (0..count)
        .map(|_| {
            let complaint =
                run.v.pick(&["is slow", "crashes on start", "lacks a test", "ignores the time zone", "leaks a handle"]);
            (issue_number(run), format!("{} {complaint}", function(run)))
        })
        .collect();
    let shown: Vec<Value> = rows.iter().map(|(number, title)| json!({ "number": number, "title": title })).collect();
    run.call("list_issues", json!({ "state": "open" }), json_text(&json!({ "issues": shown })));
    rows
}

pub(super) fn hits(run: &mut Run<'_>, query: &str) -> Vec<String> {
    let paths = vec![file(run), file(run)];
    let rows: Vec<Value> = paths.iter().map(|path| json!({ "path": path, "line": run.v.number(1, 900) })).collect();
    run.call("search_code", json!({ "query": query }), json_text(&json!({ "hits": rows })));
    paths
}
