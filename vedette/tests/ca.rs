//! The real `vedette ca` and the real `vedette-agent`: enrol, six months offline, return; and what an operator does
//! in between.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const VEDETTE: &str = env!("CARGO_BIN_EXE_vedette");

/// `vedette-agent` is another crate's binary: it lies beside ours once the workspace is built.
fn agent_binary() -> Option<PathBuf> {
    let path = Path::new(VEDETTE).with_file_name("vedette-agent");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "missing: {}", path.display());
    println!("NOT RUN, missing: {} (cargo build --release -p cert-manager)", path.display());
    None
}

/// The library behind `faketime`; itself, not its wrapper: what is started here is what is ended here.
fn faketime() -> Option<String> {
    let find = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"]).output().unwrap();
    let library = String::from_utf8(find.stdout).unwrap().trim().to_owned();
    if library.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "missing: faketime");
        println!("NOT RUN, missing: faketime");
        return None;
    }
    Some(library)
}

/// Lets a command believe that it is `days` later; timers go on as they are.
fn later<'a>(command: &'a mut Command, library: &str, days: u32) -> &'a mut Command {
    let set = [("LD_PRELOAD", library), ("FAKETIME", &format!("+{days}d")), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    command.envs(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn ca(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(VEDETTE).args(["ca", "--dir"]).arg(folder).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // A report is wrapped to the width of a terminal, with a bar at the left.
    let report = String::from_utf8(output.stderr.clone()).unwrap();
    report.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// A running `vedette ca serve`, on a port of its own.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, clock: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(VEDETTE);
        command.args(["ca", "serve", "--listen", "127.0.0.1:0", "--dir"]).arg(folder).current_dir(folder);
        let mut child = clock(&mut command).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split(' ').find(|word| word.starts_with("https://")).unwrap_or_else(|| panic!("{line}"));
        Self { child, url: url.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device's folder.
struct Device {
    binary: PathBuf,
    folder: tempfile::TempDir,
}

impl Device {
    fn run(&self, arguments: &[&str], clock: impl FnOnce(&mut Command) -> &mut Command) -> Output {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--dir").arg(self.folder.path().join("d"));
        clock(&mut command).output().unwrap()
    }

    fn enrol(&self, authority: &Path, url: &str, token: &str) -> Output {
        fs::write(self.folder.path().join("token"), token).unwrap();
        let root = authority.join("root/1.json").display().to_string();
        let token = self.folder.path().join("token").display().to_string();
        let arguments =
            ["enroll", "--server", url, "--device", "dev-9", "--trust", root.as_str(), "--token-file", &token];
        self.run(&arguments, |c| c)
    }

    /// Points the device at another port: the server was started anew.
    fn ask_at(&self, url: &str) {
        let path = self.folder.path().join("d/agent.json");
        let mut settings: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        settings["server"] = url.into();
        fs::write(path, settings.to_string()).unwrap();
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.run(&["status"], |c| c).stdout).unwrap()
    }
}

fn listed(authority: &Path) -> serde_json::Value {
    serde_json::from_str(said(&ca(authority, &["list", "--json"])).lines().next().unwrap()).unwrap()
}

#[test]
fn a_device_enrols_is_offline_for_six_months_comes_back_is_revoked_and_comes_back_by_voucher() {
    let (Some(binary), Some(library)) = (agent_binary(), faketime()) else { return };
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    assert!(said(&ca(folder, &["init"])).contains("offline"));
    let device = Device { binary, folder: tempfile::tempdir().unwrap() };
    let token = said(&ca(folder, &["token", "--device", "dev-9"]));

    let server = Server::start(folder, |c| c);
    let enrolled = device.enrol(folder, &server.url, &token);
    assert!(enrolled.status.success(), "{enrolled:?}");
    drop(server);
    let first = device.status()["certificate"]["serial"].clone();
    assert_eq!(listed(folder)["state"], "good");

    // Six months later: 90 days of life are long over.
    let server = Server::start(folder, |c| later(c, &library, 183));
    device.ask_at(&server.url);
    let back = device.run(&["run", "--once"], |c| later(c, &library, 183));
    assert!(back.status.success(), "{back:?}");
    assert_eq!(String::from_utf8_lossy(&back.stdout).lines().next(), Some("Grace"));
    let row = listed(folder);
    // Enrolment, a day to come back in, a full one.
    assert_eq!((row["certificates"].as_u64(), row["returns"].as_u64()), (Some(3), Some(1)));
    assert_ne!(device.status()["certificate"]["serial"], first);

    // Revoked: told so at its next renewal, and brought back by a voucher alone.
    said(&ca(folder, &["revoke", "dev-9", "--reason", "lost"]));
    assert_eq!(listed(folder)["state"], "revoked");
    drop(server);
    let server = Server::start(folder, |c| later(c, &library, 183 + 75));
    device.ask_at(&server.url);
    let told = device.run(&["run", "--once"], |c| later(c, &library, 183 + 75));
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("vedette ca voucher"), "{told:?}");
    let voucher = said(&ca(folder, &["voucher", "dev-9", "--life", "365d"]));
    let again = device.enrol(folder, &server.url, &voucher);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(listed(folder)["certificates"], 4);
}

#[test]
fn a_new_authority_is_served_by_a_restart_and_devices_walk_to_it() {
    let Some(binary) = agent_binary() else { return };
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    said(&ca(folder, &["init"]));
    let device = Device { binary, folder: tempfile::tempdir().unwrap() };
    let server = Server::start(folder, |c| c);
    let enrolled = device.enrol(folder, &server.url, &said(&ca(folder, &["token", "--any"])));
    assert!(enrolled.status.success(), "{enrolled:?}");
    drop(server);
    assert!(said(&ca(folder, &["rotate-root", "--authority"])).contains("root document 2"));
    // The old root keys are no longer wanted, the new ones were carried away: no third document.
    for entry in fs::read_dir(folder.join("offline")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(refused(&ca(folder, &["rotate-root"])).contains("`offline/`"));
    let server = Server::start(folder, |c| c);
    device.ask_at(&server.url);
    assert!(device.run(&["run", "--once"], |c| c).status.success());
    assert_eq!(device.status()["trust_version"], 2);
}

#[test]
fn bundles_are_published_and_rolled_back_by_rising_numbers() {
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    said(&ca(folder, &["init"]));
    for (content, line) in [("one", "model bundle 1: 3 bytes"), ("three", "model bundle 2: 5 bytes")] {
        fs::write(folder.join("file"), content).unwrap();
        let published = said(&ca(folder, &["bundle", "publish", "model", "file", "--life", "30d"]));
        assert!(published.starts_with(line), "{published}");
    }
    let back = said(&ca(folder, &["bundle", "rollback", "model", "1"]));
    assert!(back.starts_with("model bundle 3: 3 bytes"), "{back}");
    assert!(refused(&ca(folder, &["bundle", "rollback", "model", "9"])).contains("not a published bundle"));
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    for command in [&["list"][..], &["token", "--any"], &["serve"], &["revoke", "d", "--reason", "r"]] {
        let said = refused(&ca(folder, command));
        assert!(said.contains("vedette ca init"), "{command:?}: {said}");
    }
    assert!(refused(&ca(folder, &["init", "--root-threshold", "4"])).contains("4 of 3 root keys cannot sign"));
    said(&ca(folder, &["init"]));
    for (command, words) in [
        (&["init"][..], "holds an authority already"),
        (&["token", "--any", "--class", "press"], "ca.classes.press"),
        (&["revoke", "nobody", "--reason", "r"], "no device `nobody`"),
        (&["approve", "nobody"], "no device `nobody`"),
        (&["voucher", "nobody"], "vedette ca token"),
        (&["operator", "remove", "nobody"], "no operator `nobody`"),
        (&["operator", "add", "ada", "--out", "missing"], "missing"),
        (&["serve", "--listen", "192.0.2.1:1"], "ca.listen"),
        (&["bundle", "publish", "model", "missing"], "missing"),
    ] {
        let said = refused(&ca(folder, command));
        assert!(said.contains(words), "{command:?}: {said}");
    }
}

#[test]
fn an_operator_reads_the_fleet_until_taken_away() {
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    said(&ca(folder, &["init"]));
    let server = Server::start(folder, |c| c);
    let added = said(&ca(folder, &["operator", "add", "ada", "--life", "1d"]));
    assert!(added.contains("--cert ./ada.pem --key ./ada.key"), "{added}");
    let fleet = || {
        let url = format!("{}/v1/fleet?limit=10", server.url);
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--cert", "ada.pem", "--key", "ada.key", "-w", "\\n%{http_code}", &url]).current_dir(folder);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    let page = fleet();
    let (page, status) = page.rsplit_once('\n').unwrap();
    assert_eq!(status, "200", "{page}");
    let page: serde_json::Value = serde_json::from_str(page).unwrap();
    assert_eq!((&page["v"], &page["devices"], &page["next"]), (&1.into(), &serde_json::json!([]), &().into()));
    said(&ca(folder, &["operator", "remove", "ada"]));
    assert!(fleet().ends_with("\n403"));
}

#[test]
fn a_first_enrolment_waits_where_its_class_wants_an_operators_yes() {
    let Some(binary) = agent_binary() else { return };
    let authority = tempfile::tempdir().unwrap();
    let folder = authority.path();
    said(&ca(folder, &["init"]));
    fs::write(folder.join("vedette.toml"), "[ca.classes.press]\nenrolment = \"approved\"\nretry_after_ms = 1000\n")
        .unwrap();
    let device = Device { binary, folder: tempfile::tempdir().unwrap() };
    let server = Server::start(folder, |c| c);
    let token = said(&ca(folder, &["token", "--device", "dev-9", "--class", "press"]));
    let waits = device.enrol(folder, &server.url, &token);
    assert!(String::from_utf8_lossy(&waits.stdout).contains("approval"), "{waits:?}");
    assert_eq!(listed(folder)["state"], "waiting");
    said(&ca(folder, &["approve", "dev-9"]));
    // `enroll` once more asks at once; `run` would after Retry-After.
    let enrolled = device.enrol(folder, &server.url, &token);
    assert!(enrolled.status.success(), "{enrolled:?}");
    assert_eq!((&listed(folder)["state"], &listed(folder)["class"]), (&"good".into(), &"press".into()));
}
