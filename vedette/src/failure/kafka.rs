//! What to do where Kafka does not do what is needed.

use super::Failure;
use ingest::IngestError;

impl From<IngestError> for Failure {
    fn from(source: IngestError) -> Self {
        Self::Kafka { advice: advice(&source), source: Box::new(source) }
    }
}

/// What to do about it.
pub fn advice(error: &IngestError) -> &'static str {
    match error {
        IngestError::Fenced { .. } => {
            "two processes have one name: give each its own `engine.instance` (and `kafka.group_instance_id`, where \
             it is set); the other one goes on, and this one would only take its work away by starting again"
        }
        IngestError::LogStartsLater { .. } => {
            "the topic's retention is shorter than the engine was away: the calls between are gone. Give the topic a \
             longer `retention.ms`; to go on from what is there, use another `kafka.group` and `engine.checkpoints`"
        }
        IngestError::Checkpoint { .. } | IngestError::Restore { .. } => {
            "the store of `engine.checkpoints` is damaged, of another key or of a newer build: bring back what it was \
             made with, or name an empty one, with another `kafka.group`, to read the log from its start"
        }
        IngestError::Refused { .. } | IngestError::Topic { .. } => {
            "`vedette doctor` says which topics are missing and which permissions; README lists those that are needed"
        }
        IngestError::Client { .. } => {
            "a setting of `kafka.client_file` is unknown, or needs a build with the Cargo feature `kafka-tls`"
        }
        IngestError::Read { .. } | IngestError::Commit { .. } => {
            "check that the topics are there and that this user may read them and join the group: `vedette doctor` does"
        }
        IngestError::Unreachable { heard: Some(heard), .. } => advice_on(heard),
        _ => REACH,
    }
}

/// What to do where a broker cannot be spoken to, by librdkafka's words for why.
fn advice_on(heard: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| heard.contains(word));
    if says(&["certificate verify failed"]) {
        "`kafka.tls.authorities` must hold the authority that signed the brokers' certificates, and `kafka.brokers` (or --brokers) \
         the names that these are for"
    } else if says(&["Authentication failed", "SASL authentication error", "require SASL"]) {
        "check `kafka.sasl`: the user's name, the mechanism the brokers know, and the password in its file"
    } else if says(&["SSL listener"]) {
        "the brokers' listener seems to want TLS: set `kafka.tls.authorities`, or name its port in plain text"
    } else if says(&["SSL"]) {
        "check that the port is a TLS listener of the brokers, and whether they ask for `kafka.tls.certificate`"
    } else {
        REACH
    }
}

const REACH: &str = "check `kafka.brokers` (or --brokers) and that the broker runs; `vedette up` brings its own";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_broker_cannot_be_spoken_to_decides_what_to_do() {
        for (heard, next) in [
            (
                "SSL handshake failed: …: certificate verify failed: broker certificate could not be verified",
                "authorities` must",
            ),
            ("SASL authentication error: Authentication failed during authentication", "`kafka.sasl`"),
            (
                "Disconnected: verify that security.protocol is correctly configured, broker might require SASL",
                "`kafka.sasl`",
            ),
            (
                "Disconnected while requesting ApiVersion: … (connecting to a SSL listener?)",
                "set `kafka.tls.authorities`",
            ),
            (
                "SSL handshake failed: …: wrong version number: connecting to a plain text listener?",
                "is a TLS listener",
            ),
            ("Connect to ipv4#127.0.0.1:9092 failed: Connection refused", "that the broker runs"),
        ] {
            assert!(advice_on(heard).contains(next), "{heard}: {}", advice_on(heard));
        }
    }
}
