//! Paths as tools: `/hotels/123/reserve` is one tool whatever the hotel.

use crate::limits::{LEAVES_MAX, NAME_BYTES_MAX, ROUTE_SAMPLE_MAX, ROUTE_SEGMENTS_MAX, ROUTES_MAX};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A segment longer than this names a thing, not a kind of thing.
const SEGMENT_BYTES_MAX: usize = 32;
/// A place of a path that holds more names than this holds identifiers.
const NAMES_MAX: usize = 12;
/// What [`learn`] calls such a place.
const LEARNED: &str = "{id}";

/// Routes as OpenAPI writes them: `POST /hotels/{id}/reserve`, or without the method for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    method: Option<String>,
    segments: Vec<String>,
}

/// Why a text is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Not a method and a path.
    #[error("`{route}` is no route: write it as `POST /hotels/{{id}}/reserve` or `/hotels/{{id}}/reserve`")]
    Form {
        /// As given, cut to 80 characters.
        route: String,
    },
    /// Too many.
    #[error("{found} routes, over the limit of {ROUTES_MAX}")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl Routes {
    /// Reads routes; where several match a path, the one with the most literal segments is taken.
    pub fn new<T: AsRef<str>>(routes: &[T]) -> Result<Self, RouteError> {
        if routes.len() > ROUTES_MAX {
            return Err(RouteError::TooMany { found: routes.len() });
        }
        let mut read = routes.iter().map(|route| Route::new(route.as_ref())).collect::<Result<Vec<_>, _>>()?;
        read.sort_by_key(|route| std::cmp::Reverse(route.segments.iter().filter(|s| !is_variable(s)).count()));
        Ok(Self(read))
    }

    /// The tool that a request calls and the identifiers in its path: by a route where one matches, else by [`template`].
    pub fn tool<'a>(&self, method: &str, path: &'a str) -> (String, Vec<&'a str>) {
        let segments: Vec<&str> = segments(path).take(ROUTE_SEGMENTS_MAX + 1).collect();
        match self.0.iter().find(|route| route.matches(method, &segments)) {
            Some(route) => {
                let ids = route.segments.iter().zip(&segments).filter(|(part, _)| is_variable(part));
                (route.tool(method), ids.map(|(_, segment)| *segment).collect())
            }
            None => template(method, path),
        }
    }
}

impl Route {
    fn new(text: &str) -> Result<Self, RouteError> {
        let bad = || RouteError::Form { route: text.chars().take(80).collect() };
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) if is_method(method) => (Some(method.to_owned()), path.trim()),
            Some(_) => return Err(bad()),
            None => (None, text),
        };
        let segments: Vec<String> = segments(path).map(str::to_owned).collect();
        let fits = segments.len() <= ROUTE_SEGMENTS_MAX && text.len() < NAME_BYTES_MAX - 16;
        if !path.starts_with('/') || !fits || text.chars().any(char::is_control) {
            return Err(bad());
        }
        Ok(Self { method, segments })
    }

    fn matches(&self, method: &str, path: &[&str]) -> bool {
        self.method.as_deref().is_none_or(|own| own == method)
            && self.segments.len() == path.len()
            && self.segments.iter().zip(path).all(|(part, segment)| is_variable(part) || part == segment)
    }

    fn tool(&self, method: &str) -> String {
        format!("{} /{}", if is_method(method) { method } else { "?" }, self.segments.join("/"))
    }
}

/// The tool a request calls, `POST /hotels/{}/reserve`, and the identifiers that were taken out of its path.
///
/// A segment is an identifier when it is all digits, has a digit and eight bytes or more, holds `@`, `%`, `:` or a
/// byte that is not printable ASCII, or is longer than 32 bytes. `v1` stays.
pub fn template<'a>(method: &str, path: &'a str) -> (String, Vec<&'a str>) {
    let mut tool = String::from(if is_method(method) { method } else { "?" });
    tool.push(' ');
    let mut ids = vec![];
    let segments: Vec<&str> = segments(path).collect();
    if segments.is_empty() {
        tool.push('/');
    }
    for segment in segments.iter().take(ROUTE_SEGMENTS_MAX) {
        tool.push('/');
        if is_id(segment) {
            tool.push_str("{}");
            ids.push(*segment);
        } else {
            tool.push_str(segment);
        }
    }
    if segments.len() > ROUTE_SEGMENTS_MAX {
        tool.push_str("/*");
    }
    // 16 names of 32 bytes can be longer than a tool's name may be.
    tool.truncate(NAME_BYTES_MAX);
    (tool, ids)
}

/// Routes learned from requests: places that hold more than a dozen different names hold identifiers, although none of
/// them looks like one. To be read by a person and put into the configuration; at most [`ROUTE_SAMPLE_MAX`] requests are
/// looked at. Only routes that [`template`] does not find by itself, in order of their text.
pub fn learn<'a>(requests: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut tools: Vec<Vec<String>> = requests
        .take(ROUTE_SAMPLE_MAX)
        .map(|(method, path)| template(method, path).0.split('/').map(str::to_owned).collect())
        .collect();
    tools.sort_unstable();
    tools.dedup();
    let longest = tools.iter().map(Vec::len).max().unwrap_or(0);
    // From left to right: what is learned of one place merges the paths that differ there only.
    for place in 1..longest {
        let mut names: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for tool in tools.iter().filter(|tool| tool.len() > place) {
            *names.entry(without(tool, place)).or_default() += 1;
        }
        for tool in tools.iter_mut().filter(|tool| tool.len() > place) {
            let held = names.get(&without(tool, place)).copied().unwrap_or(0);
            if let Some(segment) = tool.get_mut(place).filter(|segment| held > NAMES_MAX && *segment != "{}") {
                LEARNED.clone_into(segment);
            }
        }
        tools.sort_unstable();
        tools.dedup();
    }
    let learned = tools.iter().filter(|tool| tool.iter().any(|segment| segment == LEARNED));
    let mut routes: Vec<String> = learned.map(|tool| tool.join("/").replace("{}", LEARNED)).collect();
    routes.retain(|route| !route.contains('*'));
    routes.sort_unstable();
    routes.dedup();
    routes
}

/// The path with one place left out, to count what stands there.
fn without(tool: &[String], place: usize) -> Vec<String> {
    tool.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, segment)| segment.clone()).collect()
}

/// What a plain HTTP request passes to its tool: identifiers of the path, query and body.
pub fn arguments(ids: &[&str], query: &str, body: Option<Value>) -> Value {
    let mut args = Map::new();
    if !ids.is_empty() {
        args.insert("path".to_owned(), Value::from(ids.to_vec()));
    }
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')).take(LEAVES_MAX) {
        args.insert(name.to_owned(), Value::from(value));
    }
    match body {
        Some(Value::Object(fields)) => args.extend(fields),
        Some(other) => drop(args.insert("body".to_owned(), other)),
        None => {}
    }
    Value::Object(args)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

fn is_method(method: &str) -> bool {
    (1..=16).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    digits == segment.len()
        || (digits > 0 && segment.len() >= 8)
        || segment.len() > SEGMENT_BYTES_MAX
        || segment.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'@' | b'%' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(path: &str, want: &str, ids: &[&str]) {
        assert_eq!(template("POST", path), (format!("POST {want}"), ids.to_vec()));
    }

    #[test]
    fn a_path_is_one_tool_whatever_it_is_about() {
        check("/hotels/123/reserve", "/hotels/{}/reserve", &["123"]);
        check("/v1/users/jo@example.com/mail", "/v1/users/{}/mail", &["jo@example.com"]);
        check("/docs/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/docs/{}", &["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]);
        check("//", "/", &[]);
        assert_eq!(template("bad method", "/x").0, "? /x");
    }

    #[test]
    fn a_configured_route_is_the_tool_and_the_closest_one_wins() {
        let routes = Routes::new(&["/users/{name}", "GET /users/me", "POST /users/{name}/mail/{box}"]).unwrap();
        assert_eq!(routes.tool("GET", "/users/ada"), ("GET /users/{name}".into(), vec!["ada"]));
        assert_eq!(routes.tool("GET", "/users/me"), ("GET /users/me".into(), vec![]));
        assert_eq!(
            routes.tool("POST", "/users/ada/mail/in"),
            ("POST /users/{name}/mail/{box}".into(), vec!["ada", "in"])
        );
        assert_eq!(routes.tool("GET", "/users/ada/mail/in"), ("GET /users/ada/mail/in".into(), vec![]));
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for bad in ["users/{id}", "get /users", "", "GET", &format!("/{}", "x".repeat(300))] {
            assert!(matches!(Routes::new(&[bad]), Err(RouteError::Form { .. })), "{bad}");
        }
        assert!(matches!(Routes::new(&vec!["/x"; ROUTES_MAX + 1]), Err(RouteError::TooMany { .. })));
    }

    #[test]
    fn names_that_are_really_identifiers_are_learned() {
        let names: Vec<String> = ('a'..='p').map(|c| format!("/shops/{c}{c}{c}/items/7")).collect();
        let requests = names.iter().map(|path| ("GET", path.as_str())).chain([("GET", "/health"), ("GET", "/shops")]);
        assert_eq!(learn(requests), ["GET /shops/{id}/items/{id}"]);
        let few = ["/a/x", "/a/y", "/a/z"].map(|path| ("GET", path));
        assert_eq!(learn(few.into_iter()), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_path_is_a_name_a_tool_may_have(path in "(/[^?]{0,40}){0,40}") {
            let (tool, _) = template("GET", &path);
            prop_assert!(crate::Tool::new(&tool).is_ok(), "{}", tool);
            let routes = Routes::new(&["/{a}", "/{a}/{b}", "/a/{b}/{c}"]).unwrap();
            prop_assert!(crate::Tool::new(&routes.tool("GET", &path).0).is_ok());
            learn([("GET", path.as_str())].into_iter());
        }
    }
}
