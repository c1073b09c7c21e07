//! Texts that the calls refer to by key: results, missions, long arguments.

use super::records::{LongArgLine, MissionLine, ResultLine};
use super::{Results, View, file};
use crate::DatasetError;
use crate::limits::DEPTH_MAX;
use crate::lines::GzipLines;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// All texts of a set.
pub(super) struct Texts {
    results: HashMap<String, String>,
    /// Where results are looked up; none if the view wants none.
    results_file: Option<PathBuf>,
    /// The results file exists.
    results_there: bool,
    /// The texts are not those that came back: sizes have to follow them.
    counterfactual: bool,
    missions: HashMap<String, BTreeMap<u64, String>>,
    long_args: HashMap<String, String>,
}

/// What a call's `result` stands for.
pub(super) enum Looked {
    /// The view shows it.
    Found(Value),
    /// A text that differs from the one recorded.
    Replaced(String),
    /// None was recorded, or the view shows none.
    Nothing,
    /// The file has no such key.
    Unknown { key: String, results: PathBuf },
}

impl Texts {
    pub(super) fn load(dir: &Path, name: &str, view: &View) -> Result<Self, DatasetError> {
        let (results_file, must) = match &view.results {
            Results::Original => (Some(file(dir, name, ".results")), None),
            Results::Named(view) => (Some(file(dir, name, &format!(".results_{view}"))), Some(view)),
            Results::None => (None, None),
        };
        let lines = match (&results_file, must) {
            (Some(path), Some(view)) => Some(GzipLines::open(path, &format!("the view `{view}` of set `{name}`"))?),
            (Some(path), None) => GzipLines::open_if_there(path)?,
            (None, _) => None,
        };
        let missions = if view.missions { GzipLines::open_if_there(&file(dir, name, ".missions"))? } else { None };
        let long_args = GzipLines::open_if_there(&file(dir, name, ".longargs"))?;
        Ok(Self {
            results_there: lines.is_some(),
            results: lines.map(read_results).transpose()?.unwrap_or_default(),
            results_file,
            counterfactual: must.is_some(),
            missions: missions.map(read_missions).transpose()?.unwrap_or_default(),
            long_args: long_args.map(read_long_args).transpose()?.unwrap_or_default(),
        })
    }

    /// What `result` of a call stands for: a key where there is a results file (or it looks like one), else itself.
    pub(super) fn result(&self, result: Option<Value>) -> Looked {
        let (Some(path), Some(result)) = (&self.results_file, result) else { return Looked::Nothing };
        match result {
            Value::Null => Looked::Nothing,
            // A key without its file is a set that came apart, not a text of twelve digits.
            Value::String(key) if self.results_there || is_key(&key) => match self.results.get(&key) {
                Some(text) if self.counterfactual => Looked::Replaced(text.clone()),
                Some(text) => Looked::Found(Value::String(text.clone())),
                None => Looked::Unknown { key, results: path.clone() },
            },
            inline => Looked::Found(inline),
        }
    }

    /// What the user said just before call `seq`.
    pub(super) fn mission(&self, session: &str, seq: u64) -> Option<String> {
        self.missions.get(session)?.get(&seq).cloned()
    }

    /// Puts back the strings of `args` that were cut.
    pub(super) fn restore(&self, args: &mut Value) {
        if !self.long_args.is_empty() {
            restore(&self.long_args, args, DEPTH_MAX);
        }
    }
}

fn restore(long: &HashMap<String, String>, value: &mut Value, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::String(text) => {
            if let Some(whole) = cut_tag(text).and_then(|tag| tag.whole(long)) {
                *text = whole.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| restore(long, item, depth)),
        Value::Object(fields) => fields.values_mut().for_each(|item| restore(long, item, depth)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A cut string: `start…[N chars, sha1 XXXXXXXX]`.
#[derive(Debug, PartialEq, Eq)]
struct CutTag<'a> {
    start: &'a str,
    chars: usize,
    sha1: &'a str,
}

fn cut_tag(text: &str) -> Option<CutTag<'_>> {
    let (start, tag) = text.strip_suffix(']')?.rsplit_once("…[")?;
    let (chars, sha1) = tag.split_once(" chars, sha1 ")?;
    let sound = sha1.len() == 8 && sha1.bytes().all(|b| b.is_ascii_hexdigit());
    Some(CutTag { start, chars: chars.parse().ok().filter(|_| sound)?, sha1 })
}

impl CutTag<'_> {
    /// The whole string, if the one under this tag is of the length it tells and begins as the cut one does.
    fn whole<'t>(&self, long: &'t HashMap<String, String>) -> Option<&'t str> {
        let text = long.get(self.sha1)?;
        (text.starts_with(self.start) && text.chars().count() == self.chars).then_some(text)
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn read_results(mut lines: GzipLines) -> Result<HashMap<String, String>, DatasetError> {
    let mut results = HashMap::new();
    while let Some(line) = lines.parse_next::<ResultLine>()? {
        if let Some(earlier) = results.get(&line.result)
            && *earlier != line.text
        {
            return Err(DatasetError::Duplicate { place: lines.place(), what: "result", key: line.result });
        }
        results.insert(line.result, line.text);
    }
    Ok(results)
}

/// Per session, the text before each call: the mission before call 0, turns before theirs. What was said before the same
/// call is joined by a blank line, in order.
fn read_missions(mut lines: GzipLines) -> Result<HashMap<String, BTreeMap<u64, String>>, DatasetError> {
    let mut missions = HashMap::new();
    while let Some(line) = lines.parse_next::<MissionLine>()? {
        let mut said: BTreeMap<u64, String> = BTreeMap::new();
        for (seq, text) in line.mission.into_iter().map(|text| (0, text)).chain(line.turns) {
            let before = said.entry(seq).or_default();
            if !before.is_empty() {
                before.push_str("\n\n");
            }
            before.push_str(&text);
        }
        if missions.insert(line.session.clone(), said).is_some() {
            return Err(DatasetError::Duplicate {
                place: lines.place(),
                what: "mission of session",
                key: line.session,
            });
        }
    }
    Ok(missions)
}

fn read_long_args(mut lines: GzipLines) -> Result<HashMap<String, String>, DatasetError> {
    let mut long = HashMap::new();
    while let Some(line) = lines.parse_next::<LongArgLine>()? {
        long.entry(line.sha1).or_insert(line.text);
    }
    Ok(long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_string_is_restored_only_from_a_text_that_fits() {
        let long = HashMap::from([("0ad6793c".to_owned(), "abcdef".to_owned())]);
        let check = |cut: &str, expected: &str| {
            let mut value = serde_json::json!({ "a": [cut] });
            restore(&long, &mut value, DEPTH_MAX);
            assert_eq!(value["a"][0], *expected, "{cut}");
        };
        check("abc…[6 chars, sha1 0ad6793c]", "abcdef");
        for kept in [
            "abd…[6 chars, sha1 0ad6793c]",
            "abc…[7 chars, sha1 0ad6793c]",
            "abc…[6 chars, sha1 ffffffff]",
            "abc…[6 chars, sha1 0ad6793c] ",
        ] {
            check(kept, kept);
        }
    }

    proptest! {
        #[test]
        fn any_string_is_a_tag_or_not(text in "\\PC*", digits in "[0-9]{0,30}", hex in "[0-9a-f]{0,12}") {
            let _ = cut_tag(&text);
            let tagged = format!("{text}…[{digits} chars, sha1 {hex}]");
            if let Some(tag) = cut_tag(&tagged) {
                prop_assert_eq!(tag.start, text);
                prop_assert_eq!(tag.sha1.len(), 8);
            }
        }
    }
}
