//! The real `vedette-agent` against a real server: enrol, killed at every sync, and three years ahead.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::live::Server;
use cert_manager::ca::{self, Config, Init};
use cert_manager::risk::Risk;
use cert_manager::time::Span;

const AGENT: &str = env!("CARGO_BIN_EXE_vedette-agent");

/// A device's folder with what its owner gives it: the first root document and a token.
fn provision(ca_folder: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(ca_folder.join("root/1.json"), folder.path().join("given-root.json")).unwrap();
    let token = ca::token(ca_folder, None, "default", Span::hours(1)).unwrap();
    fs::write(folder.path().join("given-token"), token.expose()).unwrap();
    folder
}

fn agent(prefix: &[&str], folder: &Path, arguments: &[&str]) -> Command {
    let mut words: Vec<&str> = prefix.to_vec();
    words.push(AGENT);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(arguments).arg("--dir").arg(folder.join("device"));
    command
}

fn enroll(prefix: &[&str], folder: &Path, url: &str, device: &str) -> Output {
    let (root, token) = (folder.join("given-root.json"), folder.join("given-token"));
    let arguments = ["enroll", "--server", url, "--device", device];
    let mut command = agent(prefix, folder, &arguments);
    command.arg("--trust").arg(root).arg("--token-file").arg(token).output().unwrap()
}

fn status(folder: &Path) -> serde_json::Value {
    let output = agent(&[], folder, &["status"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    assert!(found || std::env::var_os("CI").is_none(), "missing: {program}");
    if !found {
        println!("NOT RUN, missing: {program}");
    }
    found
}

#[test]
fn enrol_status_and_doctor_agree() {
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let folder = provision(ca_folder.path());
    let output = agent(&[], folder.path(), &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "not enrolled yet");
    let output = enroll(&[], folder.path(), &server.url, "dev-9");
    assert!(output.status.success(), "{output:?}");
    let said = status(folder.path());
    assert_eq!((said["state"].as_str(), said["certificate"]["number"].as_u64()), (Some("HEALTHY"), Some(1)));
    let output = agent(&[], folder.path(), &["doctor"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!folder.path().join("device/token").exists(), "a used token is removed");
    server.stop();
    let output = agent(&[], folder.path(), &["doctor"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("does not answer"), "{output:?}");
}

#[test]
fn a_real_agent_killed_at_every_sync_rename_link_and_removal_enrols_with_one_retry() {
    if !have("strace") {
        return;
    }
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let mut kills = 0;
    for call in ["fsync", "rename", "symlink", "unlink"] {
        for at in 1.. {
            let folder = provision(ca_folder.path());
            let device = format!("{call}-{at}");
            let inject = format!("inject={call}:signal=SIGKILL:when={at}");
            let traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
            let first = enroll(&traced, folder.path(), &server.url, &device);
            if first.status.success() {
                break;
            }
            kills += 1;
            let second = enroll(&[], folder.path(), &server.url, &device);
            assert!(second.status.success(), "{device}: {second:?}");
            assert_eq!(status(folder.path())["certificate"]["number"], 1, "{device}: no second certificate");
        }
    }
    println!("killed {kills} times, back each time with one retry");
    assert!(kills >= 20, "{kills} kills: is strace's injection at work?");
    server.stop();
}

#[test]
fn three_years_ahead_the_agent_asks_the_time_and_stays_calm() {
    if !have("faketime") {
        return;
    }
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let folder = provision(ca_folder.path());
    assert!(enroll(&[], folder.path(), &server.url, "dev-9").status.success());
    // The library itself, not its wrapper: what is started here is what is ended here.
    let find = Command::new("sh").args(["-c", "ls /usr/lib/*/faketime/libfaketime.so.1"]).output().unwrap();
    let library = String::from_utf8(find.stdout).unwrap();
    let mut run = agent(&[], folder.path(), &["run"]);
    run.env("LD_PRELOAD", library.trim()).env("FAKETIME", "+3y").stdout(Stdio::piped());
    let mut run = run.spawn().unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
    let states: Vec<String> = lines.take(2).collect();
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(states, ["Grace", "Healthy"]);
    assert_eq!(status(folder.path())["certificate"]["number"], 1, "no needless certificate");
    server.stop();
}

#[test]
fn a_program_hands_over_its_calls_and_the_door_gets_them_sealed_and_in_one_chain() {
    const SECRET: &str = "gb29nwbk60161331926819";
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let folder = provision(ca_folder.path());
    assert!(enroll(&[], folder.path(), &server.url, "dev-9").status.success());
    let (door, taken) = crate::common::door::open(ca_folder.path());
    let mut run = agent(&[], folder.path(), &["run", "--calls-to", &door]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "Healthy", "the socket is there before the first state");
    let socket = std::os::unix::net::UnixStream::connect(folder.path().join("device/calls.sock")).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut say = |line: &str| {
        (&socket).write_all(format!("{line}\n").as_bytes()).unwrap();
        answers.next().unwrap()
    };
    let record = format!("{{\"at\":1,\"session\":\"s\",\"tool\":\"pay\",\"args\":{{\"to\":\"{SECRET}\"}}}}");
    assert_eq!(say(&record), "{\"n\":1}");
    assert!(say("{\"tool\":7}").starts_with("{\"error\":\"not a call record"));
    assert_eq!(say(&record), "{\"n\":2}");
    run.kill().unwrap();
    run.wait().unwrap();
    // Killed right after it acknowledged: what it acknowledged is there. The first answer is 429.
    let once = agent(&[], folder.path(), &["run", "--once", "--calls-to", &door]).output().unwrap();
    assert!(once.status.success() && taken.try_recv().is_err(), "{once:?}");
    assert!(agent(&[], folder.path(), &["run", "--once", "--calls-to", &door]).output().unwrap().status.success());
    let (peer, body) = taken.recv().unwrap();
    let peer = cert_manager::facts::parse_certificate(&peer).unwrap();
    assert_eq!(peer.common_name.as_deref(), Some("dev-9"));
    let ends = cert_manager::agent::calls::check_chain(&body).unwrap().unwrap();
    assert_eq!((ends.0.n, ends.1.n), (1, 2));
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("\"device\":\"dev-9\"") && !text.contains(SECRET), "{text}");
    for file in walk(folder.path()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", file.display());
    }
    server.stop();
}

#[test]
fn the_service_manager_is_told_when_the_agent_is_ready_and_how_it_is() {
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let folder = provision(ca_folder.path());
    assert!(enroll(&[], folder.path(), &server.url, "dev-9").status.success());
    let path = folder.path().join("notify.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut run =
        agent(&[], folder.path(), &["run"]).env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).spawn().unwrap();
    let mut bytes = [0; 64];
    let mut told = || {
        let read = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    };
    assert_eq!((told(), told()), ("READY=1".to_owned(), "STATUS=Healthy".to_owned()));
    run.kill().unwrap();
    run.wait().unwrap();
    server.stop();
}

#[test]
fn two_agents_never_work_in_one_folder() {
    let ca_folder = tempfile::tempdir().unwrap();
    ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &Config::default(), Risk::Green);
    let folder = provision(ca_folder.path());
    assert!(enroll(&[], folder.path(), &server.url, "dev-9").status.success());
    let mut run = agent(&[], folder.path(), &["run", "--peers"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(BufReader::new(run.stdout.take().unwrap()).lines().next().unwrap().unwrap(), "Healthy");
    for second in [&["run", "--once"][..], &["import", "/dev/null"]] {
        let output = agent(&[], folder.path(), second).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("end it first"), "{output:?}");
    }
    assert!(!enroll(&[], folder.path(), &server.url, "dev-9").status.success());
    // To look is not to work there.
    assert_eq!(status(folder.path())["state"], "HEALTHY");
    // Killed, it leaves nothing behind that keeps the next one out; which keeps the status list, too.
    run.kill().unwrap();
    run.wait().unwrap();
    let once = agent(&[], folder.path(), &["run", "--once", "--peers"]).output().unwrap();
    assert!(once.status.success(), "{once:?}");
    assert_eq!(&fs::read(folder.path().join("device/status.bin")).unwrap()[..4], b"VSL1");
    server.stop();
}

/// Every file under a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] });
    files.filter(|path| path.is_file()).collect()
}
