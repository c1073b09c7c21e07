//! Other people's EST clients: strongSwan's `pki`, and `curl` with `openssl` by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::live::Server;
use cert_manager::ca::{self, Config, Init, Rollover};
use cert_manager::ledger::ClassPolicy;
use cert_manager::ledger::rules::{Enrolment, Receipts};
use cert_manager::risk::Risk;
use cert_manager::time::Span;

/// Runs a shell script with `$URL`, `$TOKEN` and the authority in `ca.pem`; gives what it printed.
fn script(folder: &Path, server: &Server, token: &str, text: &str) -> String {
    let output = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", &format!("{IS}\n{text}")])
        .current_dir(folder)
        .env("URL", &server.url)
        .env("TOKEN", token)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n--- out\n{out}\n--- err\n{err}");
    out.into_owned()
}

/// A status code that is not the one expected ends the script and says so.
const IS: &str = "is() { test $1 = $2 || { echo \"status $1, expected $2\"; exit 1; }; }";

/// Whether every program is there. One that is missing is said so, and in CI it is a failure.
fn have(programs: &[&str]) -> bool {
    let found = |program: &&str| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
    };
    let missing: Vec<_> = programs.iter().filter(|p| !found(p)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "missing: {missing:?}");
    println!(
        "NOT RUN, missing: {missing:?} (Debian: strongswan-pki libstrongswan-{{standard,extra}}-plugins curl openssl)"
    );
    false
}

/// An authority whose class is for plain EST clients.
fn plain(enrolment: Enrolment) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    ca::init(folder.path(), &Init::default()).unwrap();
    fs::copy(folder.path().join("authority-1.pem"), folder.path().join("ca.pem")).unwrap();
    let class =
        ClassPolicy { receipts: Receipts::Optional, enrolment, retry_after_ms: Span::seconds(1), ..Default::default() };
    (folder, Config { classes: [("default".to_owned(), class)].into(), ..Config::default() })
}

fn token(folder: &Path) -> String {
    ca::token(folder, None, "default", Span::hours(1)).unwrap().expose().to_owned()
}

#[test]
fn curl_and_openssl_enrol_and_re_enrol_by_hand() {
    if !have(&["curl", "openssl"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Automatic);
    let server = Server::start(folder.path(), &config, Risk::Green);
    let dir = folder.path();
    let out = script(
        dir,
        &server,
        "",
        "curl -sf --cacert ca.pem $URL/.well-known/est/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs",
    );
    assert!(out.contains("CN = Vedette devices"), "{out}");
    script(
        dir,
        &server,
        "",
        "curl -sf --cacert ca.pem $URL/.well-known/est/csrattrs | base64 -d | openssl asn1parse -inform DER | grep -q prime256v1",
    );
    script(
        dir,
        &server,
        &token(dir),
        "openssl ecparam -name prime256v1 -genkey -noout -out key.pem
         openssl req -new -key key.pem -subj /CN=by-hand -outform DER -out csr.der
         # Wrapped, as base64 does; without Content-Transfer-Encoding.
         base64 csr.der | curl -sf --cacert ca.pem -u any:$TOKEN -H 'Content-Type: application/pkcs10' \
            --data-binary @- $URL/.well-known/est/simpleenroll | base64 -d | openssl pkcs7 -inform DER -print_certs -out cert.pem
         openssl verify -CAfile ca.pem -purpose sslclient cert.pem",
    );
    script(
        dir,
        &server,
        "",
        "openssl ecparam -name secp384r1 -genkey -noout -out key2.pem
         openssl req -new -key key2.pem -subj /CN=by-hand -outform DER | base64 -w0 > csr2.b64
         curl -sf --cacert ca.pem --cert cert.pem --key key.pem -H 'Content-Type: application/pkcs10' \
            -H 'Content-Transfer-Encoding: base64' --data-binary @csr2.b64 $URL/.well-known/est/simplereenroll \
            | base64 -d | openssl pkcs7 -inform DER -print_certs -out cert2.pem
         openssl verify -CAfile ca.pem cert2.pem
         # The old key goes on from the same certificate: that is a clone.
         openssl ecparam -name prime256v1 -genkey -noout -out key3.pem
         openssl req -new -key key3.pem -subj /CN=by-hand -outform DER | base64 -w0 > csr3.b64
         code=$(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem --cert cert.pem --key key.pem --data-binary @csr3.b64 $URL/.well-known/est/simplereenroll)
         is $code 403
         # No token, a spent token, no certificate, and nonsense.
         code=$(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem --data-binary @csr3.b64 $URL/.well-known/est/simpleenroll); is $code 401
         code=$(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem --data-binary @csr3.b64 $URL/.well-known/est/simplereenroll); is $code 403
         code=$(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem -u a:b --data-binary 'nonsense' $URL/.well-known/est/simpleenroll); is $code 400
         head -c 100000 /dev/zero > huge
         code=$(curl -s -o /dev/null -w '%{http_code}' --cacert ca.pem -u a:b --data-binary @huge $URL/.well-known/est/simpleenroll || true); is $code 413",
    );
    server.stop();
}

#[test]
fn strongswan_enrols_and_re_enrols() {
    if !have(&["pki", "openssl"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Automatic);
    let server = Server::start(folder.path(), &config, Risk::Green);
    let dir = folder.path();
    script(
        dir,
        &server,
        &token(dir),
        "pki --estca --url $URL --cacert ca.pem --caout got --outform pem
         ls got*; cat got* | openssl x509 -noout -subject | grep 'Vedette devices'
         pki --gen --type ecdsa --size 256 --outform pem > key.pem
         pki --req --in key.pem --type ecdsa --dn 'CN=swan-1' > csr.der
         pki --est --url $URL --in csr.der --cacert ca.pem --userpass swan:$TOKEN --outform pem > cert.pem
         openssl verify -CAfile ca.pem cert.pem
         pki --gen --type ecdsa --size 256 --outform pem > key2.pem
         pki --req --in key2.pem --type ecdsa --oldreq csr.der > csr2.der || pki --req --in key2.pem --type ecdsa --dn 'CN=swan-1' > csr2.der
         pki --est --url $URL --in csr2.der --cacert ca.pem --cert cert.pem --key key.pem --outform pem > cert2.pem
         openssl verify -CAfile ca.pem cert2.pem
         # RSA, as older clients have it.
         pki --gen --type rsa --size 2048 --outform pem > rsa.pem
         pki --req --in rsa.pem --type rsa --dn 'CN=swan-2' > rsa.der",
    );
    script(
        dir,
        &server,
        &token(dir),
        "pki --est --url $URL --in rsa.der --cacert ca.pem --userpass swan:$TOKEN --outform pem > rsacert.pem; openssl verify -CAfile ca.pem rsacert.pem",
    );
    server.stop();
}

#[test]
fn strongswan_waits_for_an_operator() {
    if !have(&["pki", "openssl"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Approved);
    let server = Server::start(folder.path(), &config, Risk::Green);
    let dir = folder.path().to_owned();
    let approving = dir.clone();
    let operator = std::thread::spawn(move || {
        let until = std::time::Duration::from_secs(20);
        let step = std::time::Duration::from_millis(50);
        for _ in 0..until.as_millis() / step.as_millis() {
            if ca::list(&approving).unwrap().iter().any(|row| row.state.name() == "waiting") {
                return ca::approve(&approving, &"swan-3".parse().unwrap(), None).unwrap();
            }
            std::thread::park_timeout(step); // nothing tells us when another program asks
        }
        panic!("nobody waits");
    });
    script(
        &dir,
        &server,
        &token(&dir),
        "pki --gen --type ecdsa --size 256 --outform pem > key.pem
         pki --req --in key.pem --type ecdsa --dn 'CN=swan-3' > csr.der
         pki --est --url $URL --in csr.der --cacert ca.pem --userpass swan:$TOKEN --interval 1 --maxpolltime 30 --outform pem > cert.pem
         openssl verify -CAfile ca.pem cert.pem",
    );
    operator.join().unwrap();
    server.stop();
}

#[test]
fn after_a_rollover_old_and_new_trust_both_reach_the_server() {
    if !have(&["curl", "openssl", "pki"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Automatic);
    let dir = folder.path();
    ca::rotate_root(dir, Rollover::RootKeysAndAuthority).unwrap();
    fs::copy(dir.join("authority-2.pem"), dir.join("new.pem")).unwrap();
    let server = Server::start(dir, &config, Risk::Green);
    for trust in ["ca.pem", "new.pem"] {
        let text = format!(
            "curl -sf --cacert {trust} $URL/.well-known/est/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs -noout | grep -c subject"
        );
        let count = script(dir, &server, "", &text);
        assert_eq!(count.trim(), "4", "old, new, NewWithOld, OldWithNew");
    }
    script(dir, &server, "", "pki --estca --url $URL --cacert ca.pem --caout got --outform pem && ls got*");
    server.stop();
}

#[test]
fn openssl_and_nginx_refuse_a_revoked_device_by_its_crl() {
    if !have(&["curl", "openssl", "nginx"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Automatic);
    let server = Server::start(folder.path(), &config, Risk::Green);
    let dir = folder.path();
    for device in ["good", "bad"] {
        let text = format!(
            "openssl ecparam -name prime256v1 -genkey -noout -out {device}.key
             openssl req -new -key {device}.key -subj /CN={device} -outform DER | base64 -w0 | curl -sf --cacert ca.pem -u any:$TOKEN \
               --data-binary @- $URL/.well-known/est/simpleenroll | base64 -d | openssl pkcs7 -inform DER -print_certs -out {device}.pem"
        );
        script(dir, &server, &token(dir), &text);
    }
    ca::revoke(dir, &"bad".parse().unwrap(), "stolen").unwrap();
    script(
        dir,
        &server,
        "",
        "curl -sf --cacert ca.pem $URL/v1/crl | openssl crl -inform DER -out crl.pem
         openssl crl -in crl.pem -noout -CAfile ca.pem 2>&1 | grep 'verify OK'
         openssl verify -crl_check -CAfile ca.pem -CRLfile crl.pem good.pem
         openssl verify -crl_check -CAfile ca.pem -CRLfile crl.pem bad.pem 2>&1 | grep 'certificate revoked' && true
         curl -sf --cacert ca.pem $URL/v1/status | head -c 4 | grep VSL1",
    );
    nginx(dir, &server);
    server.stop();
}

/// nginx, in one process so that ending it leaves nothing behind, with `ssl_crl`: the good device gets in, the revoked one does not.
fn nginx(dir: &Path, server: &Server) {
    // A free port, given back just before nginx takes it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = dir.display();
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/error.log; events {{}}
         http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/good.pem; ssl_certificate_key {at}/good.key;
         ssl_client_certificate {at}/ca.pem; ssl_crl {at}/crl.pem; ssl_verify_client on; return 204; }} }}"
    );
    fs::write(dir.join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new("nginx").arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir).spawn().unwrap();
    let text = format!(
        "code() {{ curl -sk --retry 20 --retry-connrefused --retry-delay 0 -o /dev/null -w '%{{http_code}}' --cert $1.pem --key $1.key https://127.0.0.1:{port}/; }}
         is $(code good) 204; is $(code bad) 400"
    );
    script(dir, server, "", &text);
    nginx.kill().unwrap();
    nginx.wait().unwrap();
}

#[test]
fn acme2certifiers_est_handler_enrols() {
    // Where `.ci/acme2certifier` puts it.
    let target = Path::new(env!("CARGO_BIN_EXE_vedette-agent")).ancestors().nth(2).unwrap();
    let python = target.join("acme2certifier/bin/python").display().to_string();
    if !have(&[&python, "openssl"]) {
        return;
    }
    let (folder, config) = plain(Enrolment::Automatic);
    let server = Server::start(folder.path(), &config, Risk::Green);
    let handler = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/enrol_by_acme2certifier.py");
    let text = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out a.key
         openssl req -new -key a.key -subj /CN=www.example -addext subjectAltName=DNS:www.example -outform DER -out a.csr
         csr=$(base64 -w0 a.csr | tr '+/' '-_' | tr -d =)
         {python} {handler} $URL ca.pem $TOKEN $csr | base64 -d >a.der
         openssl x509 -inform DER -in a.der -out a.pem
         openssl verify -CAfile ca.pem a.pem
         cmp <(openssl x509 -in a.pem -noout -pubkey) <(openssl pkey -in a.key -pubout)"
    );
    assert!(script(folder.path(), &server, &token(folder.path()), &text).contains("a.pem: OK"));
    server.stop();
}
