//! From the configuration to a cluster: how every client of ours speaks to Kafka.

use crate::config::{Kafka, Mechanism};
use crate::failure::Failure;
use ingest::cluster::{Cluster, SPEAKS_TLS};
use std::path::Path;
use zeroize::Zeroizing;

impl Kafka {
    /// The configured cluster, or the one `named` on the command line, spoken to as configured. Files with secrets are
    /// read now; what they hold is set and never shown.
    pub fn cluster(&self, named: Option<&str>) -> Result<Cluster, Failure> {
        let mut cluster = Cluster::new(named.unwrap_or(&self.brokers));
        let (tls, sasl) = (!self.tls.authorities.as_os_str().is_empty(), !self.sasl.username.is_empty());
        if (tls || sasl) && !SPEAKS_TLS {
            return Err(Failure::NoKafkaTls { key: if tls { "kafka.tls" } else { "kafka.sasl" } });
        }
        if sasl && !tls && self.sasl.mechanism == Mechanism::Plain {
            return Err(Failure::PlainPassword);
        }
        cluster = match (tls, sasl) {
            (false, false) => cluster,
            (true, false) => cluster.with("security.protocol", "SSL"),
            (false, true) => cluster.with("security.protocol", "SASL_PLAINTEXT"),
            (true, true) => cluster.with("security.protocol", "SASL_SSL"),
        };
        if tls {
            // As text, so that a file that cannot be read is told by its path, and here.
            cluster = cluster.with("ssl.ca.pem", text(&self.tls.authorities)?.as_str());
            if !self.tls.certificate.as_os_str().is_empty() {
                cluster = cluster.with("ssl.certificate.pem", text(&self.tls.certificate)?.as_str());
                cluster = cluster.with("ssl.key.pem", text(&self.tls.key)?.as_str());
            }
        }
        if sasl {
            let password = text(&self.sasl.password_file)?;
            // The end of the line belongs to the file, not to the password.
            let password = password.trim_end_matches(['\r', '\n']);
            cluster = cluster.with("sasl.mechanism", self.sasl.mechanism.name());
            cluster = cluster.with("sasl.username", self.sasl.username.as_str()).with("sasl.password", password);
        }
        from_file(cluster, &self.client_file)
    }
}

/// The lines of a file of client settings; `#` begins a comment. Values may be passwords: none is ever shown.
fn from_file(mut cluster: Cluster, path: &Path) -> Result<Cluster, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(cluster);
    }
    let text = text(path)?;
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    for (number, line) in lines {
        let (name, value) =
            line.split_once('=').ok_or_else(|| Failure::ClientSetting { path: path.into(), line: number })?;
        cluster = cluster.with(name.trim(), value.trim());
    }
    Ok(cluster)
}

/// A small file, forgotten after use.
fn text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |source| Failure::Read { path: path.into(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?))
}

/// A chain of certificates is far smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use miette::Diagnostic as _;

    fn cluster(text: &str) -> Result<Cluster, Failure> {
        parse("vedette.toml", text).unwrap().kafka.cluster(None)
    }

    #[test]
    fn client_settings_are_lines_of_names_and_values_and_a_bad_line_is_named_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.properties");
        std::fs::write(&path, "# who we are\nsasl.username = vedette\nsasl.password=a=b\n\n").unwrap();
        let cluster = from_file(Cluster::new("h:1"), &path).unwrap();
        assert_eq!(cluster.settings.get("sasl.password").map(|value| value.as_str()), Some("a=b"));
        assert_eq!(cluster.settings.len(), 2);
        std::fs::write(&path, "a=b\nhunter2\n").unwrap();
        let failure = from_file(Cluster::new("h:1"), &path).unwrap_err().to_string();
        assert!(failure.contains("line 2") && !failure.contains("hunter2"), "{failure}");
        assert!(from_file(Cluster::new("h:1"), Path::new("")).unwrap().settings.is_empty());
    }

    #[test]
    fn without_settings_brokers_are_spoken_to_in_plain_text() {
        let cluster = cluster("").unwrap();
        assert_eq!((cluster.brokers.as_str(), cluster.settings.len()), ("127.0.0.1:9092", 0));
    }

    #[test]
    #[cfg(not(feature = "kafka-tls"))]
    fn a_build_without_tls_says_which_feature_it_lacks() {
        for (text, key) in [
            ("[kafka.tls]\nauthorities = \"ca.pem\"\n", "kafka.tls"),
            ("[kafka.sasl]\nusername = \"v\"\n", "kafka.sasl"),
        ] {
            let failure = cluster(text).unwrap_err();
            let said = format!("{failure} | {}", failure.help().unwrap());
            assert!(said.contains(&format!("`{key}`")) && said.contains("--features kafka-tls"), "{said}");
        }
    }

    #[test]
    #[cfg(feature = "kafka-tls")]
    fn a_password_is_read_from_its_file_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let [password, authorities] = ["password", "ca.pem"].map(|name| folder.path().join(name));
        std::fs::write(&password, "hunter2\n").unwrap();
        std::fs::write(&authorities, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let sasl = format!("[kafka.sasl]\nusername = \"vedette\"\npassword_file = {password:?}\n");
        let tls = format!("[kafka.tls]\nauthorities = {authorities:?}\n");
        let both = cluster(&format!("{sasl}{tls}")).unwrap();
        let set = |name| both.settings.get(name).map(|value| value.as_str());
        assert_eq!((set("security.protocol"), set("sasl.mechanism")), (Some("SASL_SSL"), Some("SCRAM-SHA-512")));
        assert_eq!(set("sasl.password"), Some("hunter2"));
        assert!(!format!("{both:?}").contains("hunter2"));
        assert!(matches!(cluster(&format!("{sasl}mechanism = \"plain\"\n")), Err(Failure::PlainPassword)));
        assert!(matches!(
            cluster("[kafka.sasl]\nusername = \"v\"\npassword_file = \"gone\"\n"),
            Err(Failure::Read { .. })
        ));
    }
}
