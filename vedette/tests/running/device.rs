//! `POST /v1/calls` from a real `vedette-agent` with its certificate.

use super::engine::{Engine, VEDETTE};
use super::verdicts;
use crate::kafka::RealKafka;
use cert_manager::authority::Authority;
use cert_manager::est::server::wall_clock;
use cert_manager::time::Span;
use ingest::read_back::Reader;
use rcgen::KeyPair;
use schema::topics;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// A certificate for the engine at the loopback address, of the authority in `folder`, as PEM files beside `to`.
fn certify(folder: &Path, to: &Path) {
    let authority = fs::read(folder.join("authority-1.pem")).unwrap();
    let der = cert_manager::pem::certificates(&authority).unwrap().remove(0);
    let signer = KeyPair::from_pem(&fs::read_to_string(folder.join("authority-1.key")).unwrap()).unwrap();
    let authority = Authority::new(der.clone(), signer, None).unwrap();
    let key = KeyPair::generate().unwrap();
    let life = authority.validity(Span::days(1), wall_clock());
    let leaf = authority.issue_server(&["127.0.0.1".to_owned()], &key, life).unwrap();
    for (name, der) in [("server.pem", &leaf), ("clients.pem", &der)] {
        fs::write(to.join(name), cert_manager::pem::encode("CERTIFICATE", der)).unwrap();
    }
    fs::write(to.join("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_sends_what_it_sealed_and_its_certificate_says_whose_it_is() {
    let Some(agent) = agent_binary() else { return };
    let (authority, device, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ca = |arguments: &[&str]| {
        let mut command = Command::new(VEDETTE);
        command.args(["ca", "--dir"]).arg(authority.path()).args(arguments).current_dir(authority.path());
        command
    };
    assert!(ca(&["init"]).output().unwrap().status.success());
    let token = ca(&["token", "--device", "dev-9"]).output().unwrap().stdout;
    fs::write(device.path().join("token"), token.trim_ascii()).unwrap();
    let mut serving = ca(&["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serving.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split(' ').find(|word| word.starts_with("https://")).unwrap_or_else(|| panic!("{line}"));
    let home = device.path().join("d");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&agent);
        command.args(arguments).arg("--dir").arg(&home);
        command
    };
    let (root, token) = (authority.path().join("root/1.json"), device.path().join("token"));
    let enrol = ["enroll", "--server", url, "--device", "dev-9", "--trust", root.to_str().unwrap(), "--token-file"];
    let enrolled = run(&[enrol.as_slice(), &[token.to_str().unwrap()]].concat()).output().unwrap();
    assert!(enrolled.status.success(), "{enrolled:?}");

    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(1)).await.unwrap();
    certify(authority.path(), folder.path());
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\", clients = \"clients.pem\" }";
    // Without a certificate nothing is answered: that it listens is all that can be asked.
    let engine = Engine::start(folder.path(), broker.bootstrap(), tls, |address| TcpStream::connect(address).is_ok());
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();

    let door = format!("https://{}", engine.address);
    let mut running = run(&["run", "--calls-to", &door]).stdout(Stdio::piped()).spawn().unwrap();
    let mut states = BufReader::new(running.stdout.take().unwrap()).lines();
    assert_eq!(states.next().unwrap().unwrap(), "Healthy");
    let socket = std::os::unix::net::UnixStream::connect(home.join("calls.sock")).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap()).lines();
    for n in 1..=3 {
        let call = format!(
            "{{\"at\":{n},\"session\":\"s\",\"device\":\"dev-1\",\"tool\":\"pay\",\"args\":{{\"to\":\"hunter2\"}}}}\n"
        );
        (&socket).write_all(call.as_bytes()).unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), format!("{{\"n\":{n}}}"));
    }
    let judged = verdicts(&mut judged, 3).await;
    let _ = (running.kill(), running.wait(), serving.kill(), serving.wait());
    let ids: HashSet<&str> = judged.iter().map(|verdict| verdict.id.as_str()).collect();
    assert_eq!(ids, HashSet::from(["dev-9/1", "dev-9/2", "dev-9/3"]));
    let sealed = Reader::start(broker.bootstrap(), topics::SEALED).await.unwrap().take(3).await.unwrap();
    for record in sealed {
        let text = String::from_utf8(record.payload).unwrap();
        assert!(text.contains("\"device\":\"dev-9\"") && !text.contains("hunter2") && !text.contains("edge"), "{text}");
    }
    engine.stop();
}
