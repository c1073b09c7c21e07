//! Characters that hide text or imitate it, undone.

use std::borrow::Cow;

/// A text as it reads, and where something was hidden in it or imitated: byte offsets in what it reads as, ascending.
pub(super) fn reveal(text: &str) -> (Cow<'_, str>, Vec<usize>) {
    if text.is_ascii() {
        return (text.into(), Vec::new());
    }
    let (mut out, mut hidden) = (String::with_capacity(text.len()), Vec::new());
    // Of the word under way: whether a letter of it is Latin.
    let mut latin = None;
    for (at, c) in text.char_indices() {
        match (c.is_alphabetic(), latin) {
            (true, None) => latin = Some(has_latin(text.get(at..).unwrap_or_default())),
            (false, Some(_)) if !hides(c) => latin = None,
            _ => {}
        }
        match c {
            c if hides(c) => hidden.push(out.len()),
            // Full-width forms of ASCII.
            '\u{FF01}'..='\u{FF5E}' => out.extend(char::from_u32(c as u32 - 0xFEE0)),
            c => match look_alike(c).filter(|_| latin == Some(true)) {
                Some(ascii) => {
                    hidden.push(out.len());
                    out.push(ascii);
                }
                None => out.push(c),
            },
        }
    }
    (out.into(), hidden)
}

/// Zero-width, direction-changing, variation and tag characters.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2069}'
        | '\u{FEFF}'
        | '\u{AD}'
        | '\u{E0000}'..='\u{E007F}')
}

/// Whether a letter of the word that `text` begins with is Latin.
fn has_latin(text: &str) -> bool {
    text.chars().take_while(|c| c.is_alphabetic() || hides(*c)).any(|c| c.is_ascii_alphabetic())
}

/// Cyrillic and Greek letters that read as Latin ones, inside a word that has Latin ones.
fn look_alike(c: char) -> Option<char> {
    let at = "аеорсухіјѕԁοανυі".chars().position(|x| x == c)?;
    "aeopcyxijsdoavui".chars().nth(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_alike_becomes_alike_and_is_told_apart_from_what_is_plain() {
        for (text, reads, hidden) in [
            ("plain", "plain", 0),
            ("plain Überweisung по-русски", "plain Überweisung по-русски", 0),
            ("ma\u{200B}ll\u{202E}ory", "mallory", 2),
            ("mаllоry@example.org", "mallory@example.org", 2),
            ("оf аll оthers, \u{202E}о\u{200B}ne; о", "of all others, one; о", 6),
            ("он сух и мал", "он сух и мал", 0),
            ("ｍａｌｌｏｒｙ", "mallory", 0),
            ("\u{E0041}\u{FEFF}", "", 2),
        ] {
            let (found, at) = reveal(text);
            assert_eq!((found.as_ref(), at.len()), (reads, hidden), "{text:?}");
            assert!(at.is_sorted() && at.iter().all(|at| *at <= found.len()));
        }
    }
}
