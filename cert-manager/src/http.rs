//! Requests and responses as plain values, so that what is answered needs no socket.

use crate::time::Span;

/// What is done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Read.
    Get,
    /// Send.
    Post,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// What follows the `?`, as it came; empty when nothing does.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, already within its limit.
    pub body: Vec<u8>,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), query: String::new(), headers: Vec::new(), body: Vec::new() }
    }

    /// A request with a body.
    pub fn post(path: impl Into<String>, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { method: Method::Post, path: path.into(), query: String::new(), headers, body }
    }

    /// With a query, without its `?`.
    #[must_use]
    pub fn asking(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Response {
    /// A response with a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A short text for a person, as every refusal has one.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, "text/plain", text.into() + "\n")
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Response {
    /// What `Retry-After` asks for, in seconds (RFC 9110 section 10.2.3); a date there is not read. At most
    /// [`RETRY_AFTER_MAX`].
    pub fn retry_after(&self) -> Option<Span> {
        let seconds = self.header("retry-after")?.trim().parse().ok()?;
        Some(Span::seconds(seconds).min(RETRY_AFTER_MAX))
    }

    /// First line of the body, for people; cut at 200 characters.
    pub fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().next().unwrap_or_default().chars().take(200).collect()
    }
}

/// Longest `Retry-After` that is obeyed: a server cannot put a device to sleep for years.
pub const RETRY_AFTER_MAX: Span = Span::hours(24);

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}
