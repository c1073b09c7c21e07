//! Paths as tools: `/hotels/123/reserve` is one tool whatever the hotel.

/// Segments of a path that are looked at; what follows is one `*`.
const SEGMENTS_MAX: usize = 16;
/// A segment longer than this names a thing, not a kind of thing.
const NAME_BYTES_MAX: usize = 32;

/// The tool a request calls, `POST /hotels/{}/reserve`, and the identifiers that were taken out of its path.
///
/// A segment is an identifier when it is all digits, has a digit and eight bytes or more, holds `@`, `%`, `:` or a
/// byte that is not printable ASCII, or is longer than 32 bytes. `v1` stays.
pub fn template<'a>(method: &str, path: &'a str) -> (String, Vec<&'a str>) {
    let mut tool = String::from(if is_method(method) { method } else { "?" });
    tool.push(' ');
    let mut ids = vec![];
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.is_empty() {
        tool.push('/');
    }
    for segment in segments.iter().take(SEGMENTS_MAX) {
        tool.push('/');
        if is_id(segment) {
            tool.push_str("{}");
            ids.push(*segment);
        } else {
            tool.push_str(segment);
        }
    }
    if segments.len() > SEGMENTS_MAX {
        tool.push_str("/*");
    }
    // 16 names of 32 bytes can be longer than a tool's name may be.
    if tool.len() > schema::limits::NAME_BYTES_MAX {
        tool.truncate(schema::limits::NAME_BYTES_MAX);
    }
    (tool, ids)
}

fn is_method(method: &str) -> bool {
    (1..=16).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

fn is_id(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    digits == segment.len()
        || (digits > 0 && segment.len() >= 8)
        || segment.len() > NAME_BYTES_MAX
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

    proptest! {
        #[test]
        fn any_path_is_a_name_a_tool_may_have(path in "(/[^?]{0,40}){0,40}") {
            let (tool, _) = template("GET", &path);
            prop_assert!(schema::Tool::new(&tool).is_ok(), "{}", tool);
        }
    }
}
