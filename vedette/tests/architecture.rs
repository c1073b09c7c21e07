//! The tree keeps its shape: arrows between crates as ARCHITECTURE.md draws them and no others, one set of lints for
//! all, and a detector that reaches no clock, file, socket or thread.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Every crate, and the siblings it may depend on, in tests too. A crate that is not here may not exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("detector", &["schema"]),
    ("ingest", &["schema"]),
    ("policy", &["schema"]),
    ("datasets", &["schema"]),
    // For `vedette-agent` alone, which seals calls on the device; the library knows no events (test below).
    ("cert-manager", &["schema"]),
    ("vedette", &["schema", "detector", "ingest", "policy", "datasets", "cert-manager"]),
];

/// Crates that read files or sockets, or run the threads for it: none may stand behind the detector.
const DOES_IO: &[&str] = &[
    "async-std",
    "axum",
    "curl",
    "h2",
    "hyper",
    "hyper-util",
    "memmap2",
    "mio",
    "native-tls",
    "object_store",
    "rdkafka",
    "redb",
    "reqwest",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tonic",
    "ureq",
];

/// What `detector/clippy.toml` has to ban: the kind of thing, and paths any one of which covers it.
const BANNED_IN_DETECTOR: &[(&str, &[&str])] = &[
    ("the wall clock", &["std::time::SystemTime", "std::time::SystemTime::now"]),
    ("the monotonic clock", &["std::time::Instant", "std::time::Instant::now"]),
    ("threads", &["std::thread::spawn"]),
    ("open files", &["std::fs::File", "std::fs::File::open"]),
    ("whole files", &["std::fs::read"]),
    ("the default hasher", &["std::collections::HashMap", "std::hash::RandomState"]),
];

#[test]
fn no_crate_has_an_arrow_that_the_tree_does_not_draw() {
    assert_eq!(broken_rules(&manifests()), Vec::<String>::new());
}

#[test]
fn an_arrow_added_between_siblings_is_seen_however_it_is_written() {
    for arrow in [
        "[dependencies]\ndetector.workspace = true",
        "[dependencies]\nbrain = { package = 'detector', path = '../detector' }",
        "[dev-dependencies]\ndetector = { path = '../detector' }",
        "[build-dependencies]\ndetector = { workspace = true, optional = true }",
        "[target.'cfg(unix)'.dependencies]\ndetector.workspace = true",
        "[target.'cfg(unix)'.dev-dependencies]\ndetector.workspace = true",
    ] {
        let manifest = format!("lints.workspace = true\n{arrow}");
        assert_eq!(broken_by("ingest", &manifest), ["`ingest` may not depend on `detector`"], "{arrow}");
    }
}

#[test]
fn a_crate_that_is_unknown_or_lax_or_does_io_in_the_detector_is_seen() {
    assert_eq!(broken_by("utils", "lints.workspace = true"), ["`utils` is not in the tree"]);
    let lax = broken_by("policy", "[lints.rust]\nunsafe_code = 'allow'");
    assert_eq!(lax, ["`policy` does not inherit the workspace lints"]);
    let io = broken_by("detector", "lints.workspace = true\ndependencies.tokio = '1'");
    assert_eq!(io, ["`detector` may not depend on `tokio`"]);
}

#[test]
fn no_sibling_hides_behind_another_name_in_the_workspace() {
    let shared = &read(root().join("Cargo.toml"))["workspace"]["dependencies"];
    for (key, package) in named(Some(shared)) {
        assert!(key == package || !is_sibling(&package), "`{key}` is really `{package}`");
    }
}

#[test]
fn nothing_behind_the_detector_does_io() {
    let (manifests, lock) = (manifests(), read(root().join("Cargo.lock")));
    let direct = ["detector", "schema"].map(|name| named(manifests[name].get("dependencies")));
    let reached = behind(&lock, direct.into_iter().flatten().map(|(_, package)| package).collect());
    let found: Vec<_> = DOES_IO.iter().filter(|name| reached.contains(**name)).collect();
    assert!(found.is_empty(), "behind the detector: {found:?}");
    // The walk itself works: behind Kafka's client there is a runtime.
    assert!(behind(&lock, vec!["rdkafka".to_owned()]).contains("tokio"));
}

#[test]
fn the_detectors_own_lints_ban_clock_threads_files_and_the_default_hasher() {
    let path = root().join("detector/clippy.toml");
    assert!(path.exists(), "detector/clippy.toml is missing");
    let lints = read(path);
    let banned: BTreeSet<&str> = ["disallowed-methods", "disallowed-types"]
        .iter()
        .filter_map(|list| lints.get(*list)?.as_array())
        .flatten()
        .filter_map(|rule| rule.as_str().or_else(|| rule.get("path")?.as_str()))
        .collect();
    for (what, paths) in BANNED_IN_DETECTOR {
        assert!(paths.iter().any(|path| banned.contains(path)), "{what}: none of {paths:?} is banned");
    }
}

#[test]
fn the_certificate_library_knows_no_events() {
    let source = root().join("cert-manager/src");
    let mut pending = vec![source.clone()];
    while let Some(path) = pending.pop() {
        let inside = path.strip_prefix(&source).unwrap();
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if !["main.rs", "bin", "agent"].iter().any(|agents_own| inside.starts_with(agents_own)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("schema::"), "{} speaks of calls; only the agent may", path.display());
        }
    }
}

#[test]
fn no_file_of_tests_is_left_out() {
    let mut built = 0;
    for (name, manifest) in manifests() {
        let tests = root().join(&name).join("tests");
        let main = fs::read_to_string(tests.join("main.rs")).unwrap();
        let targets: Vec<&str> =
            manifest["test"].as_array().unwrap().iter().filter_map(|t| t["path"].as_str()).collect();
        for entry in fs::read_dir(&tests).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let Some(module) = file.strip_suffix(".rs") else { continue };
            let is_module = main.lines().any(|line| line == format!("mod {module};"));
            assert!(is_module || targets.contains(&&*format!("tests/{file}")), "{name}/tests/{file} is in no binary");
            built += 1;
        }
    }
    assert!(built > 40, "{built}");
}

/// The rules that these manifests (package name to Cargo.toml) break, one sentence each.
fn broken_rules(manifests: &BTreeMap<String, Table>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, manifest) in manifests {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            broken.push(format!("`{name}` is not in the tree"));
            continue;
        };
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
        if inherits != Some(true) {
            broken.push(format!("`{name}` does not inherit the workspace lints"));
        }
        for other in dependencies(manifest) {
            let wrong_arrow = is_sibling(&other) && !allowed.contains(&other.as_str());
            let io = name == "detector" && DOES_IO.contains(&other.as_str());
            if wrong_arrow || io {
                broken.push(format!("`{name}` may not depend on `{other}`"));
            }
        }
    }
    broken
}

/// The rules broken once `manifest` stands in for the real one of `name`.
fn broken_by(name: &str, manifest: &str) -> Vec<String> {
    let mut manifests = manifests();
    manifests.insert(name.to_owned(), manifest.parse().unwrap());
    broken_rules(&manifests)
}

/// Every package a manifest depends on, under whatever alias and in whatever table.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.filter_map(Value::as_table).chain([manifest]);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables.flat_map(|table| kinds.map(|kind| named(table.get(kind)))).flatten().map(|(_, package)| package).collect()
}

/// Key and true package name of each entry of a dependency table.
fn named(dependencies: Option<&Value>) -> Vec<(String, String)> {
    let entries = dependencies.and_then(Value::as_table).into_iter().flatten();
    let package = |key: &str, entry: &Value| entry.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
    entries.map(|(key, entry)| (key.clone(), package(key, entry))).collect()
}

/// Names of all packages reached from `pending` in a lock file, siblings left out: the file cannot tell their
/// dev-dependencies apart, and they have rules of their own. Of registry packages it lists no dev-dependencies.
fn behind(lock: &Table, mut pending: Vec<String>) -> BTreeSet<String> {
    let packages = lock["package"].as_array().unwrap();
    let mut reached = BTreeSet::new();
    while let Some(name) = pending.pop() {
        if is_sibling(&name) || !reached.insert(name.clone()) {
            continue;
        }
        let held = packages.iter().filter(|package| package["name"].as_str() == Some(name.as_str()));
        let next = held.filter_map(|package| package.get("dependencies")?.as_array()).flatten();
        // Each is "name" or "name version".
        pending.extend(next.filter_map(|entry| entry.as_str()?.split(' ').next().map(str::to_owned)));
    }
    reached
}

fn is_sibling(name: &str) -> bool {
    ARROWS.iter().any(|(sibling, _)| *sibling == name)
}

/// The manifest of each workspace member, by the name of its package.
fn manifests() -> BTreeMap<String, Table> {
    let workspace = read(root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let parsed = members.iter().map(|member| read(root().join(member.as_str().unwrap()).join("Cargo.toml")));
    parsed.map(|manifest| (manifest["package"]["name"].as_str().unwrap().to_owned(), manifest)).collect()
}

fn read(toml: PathBuf) -> Table {
    fs::read_to_string(toml).unwrap().parse().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
