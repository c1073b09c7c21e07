//! What tools answer with: YAML, JSON, HTML or plain text, as real ones do.

use serde_json::Value;
use std::fmt::Write as _;

/// A tool's answer.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Text of any form.
    Text(String),
    /// A JSON value, as API clients get it.
    Json(Value),
}

impl Answer {
    /// As the call record holds it, with its length in bytes.
    pub(super) fn into_value(self) -> (Value, u64) {
        match self {
            Self::Text(text) => {
                let bytes = text.len() as u64;
                (Value::String(text), bytes)
            }
            Self::Json(value) => {
                let bytes = value.to_string().len() as u64;
                (value, bytes)
            }
        }
    }
}

pub(super) fn text(text: impl Into<String>) -> Answer {
    Answer::Text(text.into())
}

/// A JSON document as text, indented.
pub(super) fn json_text(value: &Value) -> Answer {
    Answer::Text(format!("{value:#}"))
}

/// A YAML document.
pub(super) fn yaml(value: &Value) -> Answer {
    let mut out = String::new();
    block(&mut out, value, 0);
    Answer::Text(out.trim_end().to_owned())
}

/// A small web page.
pub(super) fn html(title: &str, paragraphs: &[String], links: &[(String, String)]) -> Answer {
    let mut out = format!("<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n");
    for paragraph in paragraphs {
        let _ = writeln!(out, "<p>{paragraph}</p>");
    }
    for (url, label) in links {
        let _ = writeln!(out, "<a href=\"{url}\">{label}</a>");
    }
    out.push_str("</body>\n</html>");
    Answer::Text(out)
}

/// Writes `value` at `indent`; ends with a line end.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, field)) in fields.iter().enumerate() {
                // The first field of a list item stands behind its dash.
                if index > 0 || !out.ends_with("- ") {
                    pad(out, indent);
                }
                let _ = write!(out, "{key}:");
                nested(out, field, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                pad(out, indent);
                out.push_str("- ");
                if item.is_object() { block(out, item, indent + 2) } else { line(out, item) }
            }
        }
        scalar => line(out, scalar),
    }
}

fn nested(out: &mut String, field: &Value, indent: usize) {
    match field {
        Value::Object(inner) if !inner.is_empty() => {
            out.push('\n');
            block(out, field, indent + 2);
        }
        Value::Array(inner) if !inner.is_empty() => {
            out.push('\n');
            block(out, field, indent);
        }
        scalar => {
            out.push(' ');
            line(out, scalar);
        }
    }
}

fn line(out: &mut String, scalar: &Value) {
    match scalar {
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        other => {
            let _ = write!(out, "{other}");
        }
    }
    out.push('\n');
}

/// Quoted where YAML needs it.
fn quoted(text: &str) -> String {
    let opens = |c: char| c.is_alphabetic() || c == '/';
    let plain = text.starts_with(opens) && !text.contains(['\n', '#']) && !text.contains(": ") && !text.ends_with(':');
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''").replace('\n', "\n\n  ")) }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_reads_like_yaml() {
        let Answer::Text(found) =
            yaml(&json!({ "hotels": [{ "id": "H-1", "tags": ["a", "b"], "text": "it's: fine" }], "n": 1, "none": [] }))
        else {
            panic!("text expected")
        };
        assert_eq!(found, "hotels:\n- id: H-1\n  tags:\n  - a\n  - b\n  text: 'it''s: fine'\nn: 1\nnone: []");
    }
}
