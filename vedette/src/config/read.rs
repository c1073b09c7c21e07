//! From the text of `vedette.toml` to a [`Config`], and what to say when it is none.

use super::{Config, Topic};
use miette::{Diagnostic, NamedSource, SourceSpan};
use schema::decode::{Format, Mapping};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("cannot read the configuration `{path}`")]
    #[diagnostic(
        code(vedette::config::unreadable),
        help("name another file with --config, or leave it out: every setting has a default")
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("`{file}` is not valid TOML: {reason}")]
    #[diagnostic(
        code(vedette::config::syntax),
        help("see https://toml.io; `vedette check-config` prints a file that works")
    )]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says.
        reason: String,
        /// Its text.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// Where.
        #[label("here")]
        at: Option<SourceSpan>,
    },
    /// No such setting.
    #[error("unknown key `{key}` in `{file}`")]
    #[diagnostic(code(vedette::config::unknown_key), help("{advice}; `vedette check-config` lists every key"))]
    UnknownKey {
        /// The key, with the tables it stands in.
        key: String,
        /// Which file.
        file: String,
        /// The nearest name.
        advice: String,
        /// Its text.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// Where.
        #[label("not a setting")]
        at: SourceSpan,
    },
    /// A setting of the wrong type.
    #[error("`{file}` holds a value that does not fit: {reason}")]
    #[diagnostic(
        code(vedette::config::wrong_value),
        help("`vedette check-config` without this file prints the defaults")
    )]
    WrongValue {
        /// Which file.
        file: String,
        /// What is wrong.
        reason: String,
        /// Its text.
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// Where.
        #[label("this value")]
        at: Option<SourceSpan>,
    },
    /// A setting out of its range.
    #[error("`{key}` in `{file}` {rule}")]
    #[diagnostic(code(vedette::config::out_of_range), help("change it, or delete the line to get the default"))]
    OutOfRange {
        /// Which setting.
        key: &'static str,
        /// Which file.
        file: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A format that no decoder reads.
    #[error("no decoder reads `{format}`")]
    #[diagnostic(code(vedette::config::unknown_format), help("{advice}"))]
    UnknownFormat {
        /// As given.
        format: String,
        /// The nearest name, or all of them.
        advice: String,
    },
    /// A mapping that can yield no call.
    #[error("the mapping `{path}` can yield no call", path = path.display())]
    #[diagnostic(
        code(vedette::config::mapping),
        help("{source}; `examples/mappings/` holds some that work, `docs/decoders.md` explains them")
    )]
    Mapping {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        source: schema::decode::mapping::MappingError,
    },
    /// No mapping file.
    #[error("`{topic}` is read by a mapping, and none is named")]
    #[diagnostic(
        code(vedette::config::no_mapping),
        help("set `mapping` to a file of JSON pointers; `examples/mappings/` holds some")
    )]
    NoMapping {
        /// Which topic.
        topic: String,
    },
    /// Routes that are none.
    #[error("the routes of `{topic}` are refused")]
    #[diagnostic(code(vedette::config::routes), help("{source}"))]
    Routes {
        /// Which topic.
        topic: String,
        /// Which, and why.
        source: schema::decode::route::RouteError,
    },
}

impl ConfigError {
    /// Says which formats there are.
    pub fn unknown_format(format: &str) -> Self {
        let known = Format::NAMES.map(str::to_owned);
        let advice = match nearest(format, known.iter()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        Self::UnknownFormat { format: format.chars().take(80).collect(), advice }
    }
}

/// The configuration in force: `path`, else `vedette.toml` here where there is one, else the defaults.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let (path, named) = (path.unwrap_or(Path::new(DEFAULT_FILE)), path.is_some());
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text),
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(source) => Err(ConfigError::Unreadable { path: path.into(), source }),
    }
}

/// Reads `text`, the contents of `file`.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    check(file, read(file, text)?)
}

/// The mapping that `topic` names.
pub fn load_mapping(topic: &Topic) -> Result<Mapping, ConfigError> {
    let path = &topic.mapping;
    if path.as_os_str().is_empty() {
        return Err(ConfigError::NoMapping { topic: topic.name.clone() });
    }
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
    let mapping: Mapping = read(&path.display().to_string(), &text)?;
    mapping.check().map_err(|source| ConfigError::Mapping { path: path.clone(), source })
}

/// A `T` from the text of `file`; a key that its default does not have is refused.
fn read<T: Default + Serialize + DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    let source = || Arc::new(NamedSource::new(file, text.to_owned()));
    let at = |error: &toml::de::Error| error.span().map(SourceSpan::from);
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        file: file.into(),
        reason: error.message().into(),
        text: source(),
        at: at(&error),
    })?;
    let known = toml::Table::try_from(T::default()).unwrap_or_default();
    if let Some(stray) = stray(table.get_ref(), &known, "") {
        let advice = match stray.nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known here: {}", stray.known.join(", ")),
        };
        let at = SourceSpan::from(stray.at);
        return Err(ConfigError::UnknownKey { key: stray.key, file: file.into(), advice, text: source(), at });
    }
    toml::from_str(text).map_err(|error| ConfigError::WrongValue {
        file: file.into(),
        reason: error.message().into(),
        text: source(),
        at: at(&error),
    })
}

/// Ranges that no type says.
fn check(file: &str, config: Config) -> Result<Config, ConfigError> {
    let refuse = |key, rule| Err(ConfigError::OutOfRange { key, file: file.into(), rule });
    if !(config.detector.alpha > 0.0 && config.detector.alpha <= 0.5) {
        return refuse("detector.alpha", "must lie above 0 and at or below 0.5");
    }
    if config.limits.sessions_max == 0 {
        return refuse("limits.sessions_max", "must be at least 1");
    }
    if config.limits.principals_max == 0 {
        return refuse("limits.principals_max", "must be at least 1");
    }
    if config.ca.classes.values().any(|class| class.full_life_ms < LIFE_MIN) {
        return refuse("ca.classes", "must give full certificates at least an hour: `full_life_ms = 3600000`");
    }
    if config.sessions.idle_ms == 0 {
        return refuse("sessions.idle_ms", "must be at least 1");
    }
    if config.sessions.hold_ms > 60_000 {
        return refuse("sessions.hold_ms", "must be at most 60000: whoever waits is not judged meanwhile");
    }
    let mut names: Vec<&str> = config.topics.iter().map(|topic| topic.name.as_str()).collect();
    names.sort_unstable();
    if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
        return refuse("topics", "must name at least one topic, each by a name");
    }
    if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return refuse("topics", "names a topic twice; one topic has one format");
    }
    if config.kafka.brokers.trim().is_empty() {
        return refuse("kafka.brokers", "must name a host and a port, as `127.0.0.1:9092`");
    }
    if config.policy.rules.len() > policy::limits::ROUTES_MAX {
        return refuse("policy.rules", "must hold at most 1000 rules");
    }
    if config.policy.routes.clone().check().is_err() {
        return refuse("policy.routes", "must hold at most 1000 routes, each with a `deadline_ms` from 1 to 60000");
    }
    if !(10..=60_000).contains(&config.policy.members.beat_ms) {
        return refuse("policy.members.beat_ms", "must lie in 10..=60000");
    }
    if !(1..=10_000).contains(&config.policy.members.misses_max) {
        return refuse("policy.members.misses_max", "must lie in 1..=10000");
    }
    if config.policy.burst.check().is_err() {
        return refuse("policy.burst", "must hold numbers above 0");
    }
    Ok(config)
}

/// A key that is no setting.
struct Stray {
    key: String,
    nearest: Option<String>,
    known: Vec<String>,
    at: std::ops::Range<usize>,
}

/// Tables whose keys are names of the owner's choice; each holds what its entry `default` holds.
const NAMED_BY_THE_OWNER: &[&str] = &["ca.classes."];

/// The first key of `table` that `known`, the defaults written out, does not have.
fn stray(table: &DeTable<'_>, known: &toml::Table, within: &str) -> Option<Stray> {
    let any_name = NAMED_BY_THE_OWNER.contains(&within).then(|| known.get("default")).flatten();
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref().as_ref();
        match (known.get(name).or(any_name), value.get_ref()) {
            (None, _) => Some(Stray {
                key: format!("{within}{name}"),
                nearest: nearest(name, known.keys()),
                known: known.keys().cloned().collect(),
                at: key.span(),
            }),
            // A table without a default holds names of the user's own, as `policy.routes.named` does.
            (Some(toml::Value::Table(known)), DeValue::Table(_)) if known.is_empty() => None,
            (Some(toml::Value::Table(known)), DeValue::Table(table)) => {
                stray(table, known, &format!("{within}{name}."))
            }
            // Every item of a list has the keys of the default's first.
            (Some(toml::Value::Array(known)), DeValue::Array(items)) => {
                let known = known.first().and_then(toml::Value::as_table)?;
                let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                tables.into_iter().find_map(|item| stray(item, known, &format!("{within}{name}.")))
            }
            (Some(_), _) => None,
        }
    })
}

/// The known name most like `name`, where one is like it at all.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<String> {
    let like = |known: &String| strsim::jaro_winkler(name, known);
    known.max_by(|a, b| like(a).total_cmp(&like(b))).filter(|best| like(best) > 0.7).cloned()
}

/// Shortest life of a full certificate: the shortest time between two that a device may ask for.
const LIFE_MIN: cert_manager::time::Span = cert_manager::rotation::MIN_INTERVAL;
const DEFAULT_FILE: &str = "vedette.toml";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = parse("vedette.toml", text).unwrap_err();
        format!("{error} | {} | {}", error.code().unwrap(), error.help().unwrap())
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let said = refusal("[kafka]\nbroker = \"x:1\"\n");
        assert!(said.contains("unknown key `kafka.broker`"), "{said}");
        assert!(said.contains("vedette::config::unknown_key") && said.contains("did you mean `brokers`?"), "{said}");
        assert!(refusal("[detectro]\n").contains("did you mean `detector`?"));
        assert!(refusal("zzz = 1\n").contains("known here: ca, detector"));
        let said = refusal("[ca.classes.press]\nwindow = 1\n");
        assert!(said.contains("unknown key `ca.classes.press.window`") && said.contains("`window_ms`"), "{said}");
    }

    #[test]
    fn a_class_of_the_owners_stands_beside_the_default_one() {
        let config = parse("v", "[ca.classes.press]\nwindow_ms = 1\nenrolment = \"approved\"\n").unwrap();
        assert_eq!(config.ca.classes["press"].window_ms.0, 1);
        assert!(!config.ca.authority().classes.contains_key("default"), "what the file says replaces the default");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let ConfigError::Syntax { at, .. } = parse("v", "[kafka\n").unwrap_err() else { panic!("not a syntax error") };
        assert!(at.is_some());
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (text, key) in [
            ("[detector]\nalpha = 0\n", "detector.alpha"),
            ("[detector]\nalpha = nan\n", "detector.alpha"),
            ("[limits]\nsessions_max = 0\n", "limits.sessions_max"),
            ("[sessions]\nhold_ms = 60001\n", "sessions.hold_ms"),
            ("[kafka]\nbrokers = \" \"\n", "kafka.brokers"),
            ("[ca.classes.press]\nfull_life_ms = 60000\n", "ca.classes"),
            ("[policy.routes.named.slow]\ndeadline_ms = 0\n", "policy.routes"),
            ("[policy.burst]\nnats_max = nan\n", "policy.burst"),
            ("[policy.members]\nbeat_ms = 9\n", "policy.members.beat_ms"),
            ("[policy.members]\nmisses_max = 0\n", "policy.members.misses_max"),
        ] {
            assert!(refusal(text).starts_with(&format!("`{key}`")), "{text}: {}", refusal(text));
        }
        assert!(refusal("[limits]\nsessions_max = -1\n").contains("wrong_value"));
        assert!(refusal("[policy]\nmode = \"off\"\n").contains("wrong_value"));
    }

    #[test]
    fn routes_have_names_of_the_users_own_and_keys_that_are_known() {
        let text = "[policy.routes.named.payments]\ndeadline_ms = 20\nfallback = \"deny\"\n[[policy.rules]]\nagent = \"planner\"\nmode = \"enforce\"\n";
        let config = parse("v", text).unwrap();
        assert_eq!(config.policy.routes.of(Some("payments")).deadline_ms, 20);
        assert_eq!(
            config.policy.modes().unwrap().at(None, Some(("t", "planner@3")), schema::Millis(0)),
            schema::Mode::Enforce
        );
        assert!(refusal("[policy.routes.named.payments]\ndeadline = 20\n").contains("wrong_value"));
    }

    #[test]
    fn a_named_file_must_be_there_and_the_default_one_need_not() {
        let gone = std::env::temp_dir().join("vedette-no-such-file.toml");
        assert!(matches!(load(Some(&gone)), Err(ConfigError::Unreadable { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
            let _ = parse("any", &text);
        }
    }
}
