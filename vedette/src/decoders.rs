//! Which decoder reads which topic, as the configuration says.

use crate::config::{Config, ConfigError, Topic, load_mapping};
use schema::decode::{Decoder, Format, Routes};
use std::collections::BTreeMap;

/// A decoder for each configured topic; any other topic carries Vedette's own records.
#[derive(Debug, Clone, Default)]
pub struct Decoders {
    by_topic: BTreeMap<String, Decoder>,
    native: Decoder,
    first: Option<String>,
}

impl Decoders {
    /// The decoders of `config`; mapping files are read.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let one = |topic: &Topic| Ok((topic.name.clone(), decoder(topic)?));
        let by_topic = config.topics.iter().map(one).collect::<Result<_, ConfigError>>()?;
        let first = config.topics.first().map(|topic| topic.name.clone());
        Ok(Self { by_topic, native: Decoder::default(), first })
    }

    /// The decoder of the configuration's first topic.
    pub fn first(&self) -> &Decoder {
        self.first.as_ref().and_then(|name| self.by_topic.get(name)).unwrap_or(&self.native)
    }

    /// The decoder of `topic`.
    pub fn of_topic(&self, topic: &str) -> &Decoder {
        self.by_topic.get(topic).unwrap_or(&self.native)
    }
}

/// The decoder of one topic.
pub fn decoder(topic: &Topic) -> Result<Decoder, ConfigError> {
    let routes =
        Routes::new(&topic.routes).map_err(|source| ConfigError::Routes { topic: topic.name.clone(), source })?;
    let format = match Format::named(&topic.format) {
        Some(format) => format,
        None if topic.format == "mapping" => Format::Mapping(Box::new(load_mapping(topic)?)),
        None => return Err(ConfigError::unknown_format(&topic.format)),
    };
    Ok(Decoder { format, routes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use miette::Diagnostic as _;

    fn refusal(text: &str) -> String {
        let error = parse("vedette.toml", text).and_then(|config| Decoders::of(&config)).unwrap_err();
        format!("{error} | {}", error.help().unwrap())
    }

    #[test]
    fn each_topic_has_its_format_and_the_others_are_our_own() {
        let text = "[[topics]]\nname = \"gateway.log\"\nformat = \"envoy\"\nroutes = [\"GET /pets/{id}\"]\n";
        let decoders = Decoders::of(&parse("vedette.toml", text).unwrap()).unwrap();
        assert_eq!(decoders.of_topic("gateway.log").format, Format::Envoy);
        assert_eq!(decoders.of_topic("agent.calls").format, Format::Native);
    }

    #[test]
    fn what_is_no_format_mapping_or_route_is_refused_with_what_to_do() {
        assert!(refusal("[[topics]]\nname = \"t\"\nformat = \"otel_genai\"\n").contains("did you mean `otel-genai`?"));
        assert!(refusal("[[topics]]\nname = \"t\"\nformat = \"xml\"\n").contains("native, mcp, otel-genai"));
        assert!(refusal("[[topics]]\nname = \"t\"\nformats = \"mcp\"\n").contains("did you mean `format`?"));
        assert!(refusal("[[topics]]\nname = \"t\"\nformat = \"mapping\"\n").contains("examples/mappings"));
        assert!(refusal("[[topics]]\nname = \"t\"\nroutes = [\"pets\"]\n").contains("`pets` is no route"));
        assert!(refusal("topics = []\n").contains("at least one"));
        assert!(refusal("[[topics]]\nname = \"t\"\n[[topics]]\nname = \"t\"\n").contains("twice"));
    }

    #[test]
    fn a_mapping_is_read_from_its_file_and_an_unknown_field_is_refused_with_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.toml");
        let topic = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let topic = Topic { format: "mapping".into(), mapping: file.clone(), ..Topic::default() };
            decoder(&topic).map_err(|error| format!("{error} | {}", error.help().unwrap()))
        };
        assert_eq!(topic("at = \"/t\"\ntool = \"/op\"\napp = \"/a\"\n").unwrap().format.name(), "mapping");
        assert!(topic("at = \"/t\"\ntols = \"/op\"\n").unwrap_err().contains("did you mean `tool`?"));
        assert!(topic("at = \"t\"\n").unwrap_err().contains("no JSON pointer"));
        assert!(topic("at = \"/t\"\n").unwrap_err().contains("says nothing of the tool"));
    }
}
