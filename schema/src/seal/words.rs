//! Closed classes of short words, one small open one, and a few phrases of both: the only vocabulary of the seal. They mark
//! *structure* (who is spoken to, what governs what) and never a topic; each list is grammar's, complete enough to lose half of
//! it and still work, and given for a few languages.

use crate::fingerprint::Short;
use std::sync::LazyLock;

/// Which closed classes a lower-case word belongs to, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) const SECOND: Class = Class(1);
    pub(super) const FIRST: Class = Class(2);
    pub(super) const MODAL: Class = Class(4);
    pub(super) const STEP: Class = Class(8);
    pub(super) const GOVERNED: Class = Class(16);
    pub(super) const AUXILIARY: Class = Class(32);

    /// Of a lower-case word; the classes overlap. No longer word is listed.
    pub(super) fn of(word: Short) -> Class {
        static ALL: LazyLock<Listed> = LazyLock::new(Listed::all);
        Class(ALL.class(word).unwrap_or(0))
    }

    pub(super) fn has(self, other: Class) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn any(self) -> bool {
        self.0 != 0
    }
}

/// Every listed word with all of its classes. Its number, from 1 on, is in a table with gaps, at its hash or right after
/// it: most words are told to be none by one look at few bytes.
struct Listed {
    slots: [u16; SLOTS],
    words: Vec<(u128, u8)>,
}

/// Four times the words there are.
const SLOTS: usize = 1024;

impl Listed {
    fn all() -> Self {
        let mut listed = Self { slots: [0; SLOTS], words: Vec::new() };
        for (class, list) in [
            (Class::SECOND, SECOND),
            (Class::FIRST, FIRST),
            (Class::MODAL, MODAL),
            (Class::STEP, STEP),
            (Class::GOVERNED, GOVERNED),
            (Class::AUXILIARY, AUXILIARY),
        ] {
            list.iter().filter_map(|word| Short::new(word.as_bytes())).for_each(|word| listed.add(word.word(), class));
        }
        listed
    }

    fn add(&mut self, word: u128, class: Class) {
        if let Some(known) = self.words.iter_mut().find(|(known, _)| *known == word) {
            known.1 |= class.0;
            return;
        }
        self.words.push((word, class.0));
        let free = places(word).find(|at| self.slots.get(*at) == Some(&0));
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = u16::try_from(self.words.len()).unwrap_or(0);
        }
    }

    fn class(&self, word: Short) -> Option<u8> {
        let word = word.word();
        for at in places(word) {
            let number = usize::from(*self.slots.get(at)?).checked_sub(1)?;
            let (listed, class) = self.words.get(number)?;
            if *listed == word {
                return Some(*class);
            }
        }
        None
    }
}

fn places(word: u128) -> impl Iterator<Item = usize> {
    let folded = (word as u64 ^ (word >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = (folded >> 48) as usize;
    (0..SLOTS).map(move |after| (first + after) % SLOTS)
}

/// Second person.
const SECOND: &[&str] = &[
    "du", "euch", "ihr", "ihre", "ihren", "ihrer", "je", "jouw", "le", "sie", "te", "ti", "toi", "ton", "tu", "tua",
    "tuo", "tus", "u", "uw", "você", "vos", "votre", "vous", "you", "your", "yours", "yourself",
];
/// First person.
const FIRST: &[&str] = &[
    "i", "i'd", "i'll", "i'm", "ich", "io", "je", "me", "mein", "meine", "mi", "mia", "mio", "moi", "mon", "my",
    "myself", "our", "ours", "uns", "unser", "us", "we", "we're", "wir", "yo",
];
/// Modals and requests.
const MODAL: &[&str] = &[
    "bitte", "can", "could", "debe", "debes", "devi", "devono", "dovete", "favor", "have", "kindly", "könnten", "let",
    "may", "might", "muss", "must", "need", "needs", "ought", "please", "puoi", "required", "s'il", "shall", "should",
    "soll", "sollten", "veuillez", "want", "will", "would",
];
/// Order of steps and conditions.
const STEP: &[&str] = &[
    "after",
    "afterwards",
    "also",
    "antes",
    "après",
    "avant",
    "before",
    "bevor",
    "dann",
    "después",
    "finally",
    "first",
    "if",
    "instead",
    "next",
    "nur",
    "once",
    "only",
    "prima",
    "puis",
    "si",
    "then",
    "unless",
    "until",
    "wenn",
    "when",
];
/// What an imperative verb governs: determiners, pronouns, prepositions, particles.
const GOVERNED: &[&str] = &[
    "a",
    "about",
    "all",
    "an",
    "and",
    "any",
    "as",
    "at",
    "away",
    "back",
    "between",
    "by",
    "das",
    "dem",
    "den",
    "der",
    "des",
    "die",
    "down",
    "each",
    "ein",
    "eine",
    "einen",
    "el",
    "every",
    "everyone",
    "everything",
    "for",
    "from",
    "gli",
    "her",
    "him",
    "his",
    "i",
    "il",
    "in",
    "into",
    "it",
    "its",
    "la",
    "las",
    "le",
    "les",
    "lo",
    "los",
    "me",
    "mein",
    "meine",
    "mi",
    "mon",
    "my",
    "of",
    "off",
    "on",
    "one",
    "onto",
    "or",
    "our",
    "out",
    "over",
    "some",
    "su",
    "sure",
    "that",
    "the",
    "their",
    "them",
    "these",
    "this",
    "those",
    "through",
    "to",
    "tu",
    "un",
    "una",
    "und",
    "une",
    "up",
    "us",
    "via",
    "which",
    "with",
    "your",
    "zu",
];
/// Auxiliary verbs, negations, question words and the like: grammar without a part in an imperative.
const AUXILIARY: &[&str] = &[
    "am", "are", "auf", "be", "been", "being", "but", "che", "con", "de", "del", "did", "do", "does", "du", "est",
    "et", "had", "has", "he", "how", "is", "ist", "mit", "nicht", "no", "non", "not", "para", "per", "por", "pour",
    "que", "she", "sind", "so", "than", "there", "they", "très", "van", "von", "was", "were", "what", "where", "who",
    "why", "y",
];

/// Whether a stem (five letters) is a noun for deeds that are written down somewhere: *instructions*, *tasks*, *requests*, but
/// not *pull requests*. `before`: the word before it.
pub(super) fn is_deed(stem: Short, before: Option<Short>) -> bool {
    // Most words are none by their length or their first letter.
    if !(4..=6).contains(&stem.len()) || !matches!(stem.word() as u8, b'a' | b'c' | b'g' | b'h' | b'i' | b'r' | b't') {
        return false;
    }
    static ALL: LazyLock<Vec<u128>> = LazyLock::new(|| {
        let mut all: Vec<u128> = DEED.iter().filter_map(|stem| Short::new(stem.as_bytes())).map(Short::word).collect();
        all.sort_unstable();
        all
    });
    let is = |word: Option<Short>, text: &str| word == Short::new(text.as_bytes());
    let change = is(Some(stem), "reque") && (is(before, "pull") || is(before, "merge"));
    ALL.binary_search(&stem.word()).is_ok() && !change
}

const DEED: &[&str] = &[
    "accor", "actio", "anfor", "anwei", "assig", "aufga", "chore", "guide", "homew", "instr", "istru", "reque",
    "tarea", "taref", "task", "todo", "tâche",
];

/// Whether `word`, after the two before it, hands over to deeds that stand elsewhere: *do what* it says, *act on* it, *take care
/// of it*. `before` is the last word first.
pub(super) fn hands_over(word: Short, before: [Option<Short>; 2]) -> bool {
    static ALL: LazyLock<Handed> = LazyLock::new(Handed::all);
    let [Some(last), first] = before else { return false };
    let of_last = ALL.with_last(last);
    of_last.iter().any(|phrase| phrase.end == word && phrase.first.is_none_or(|wanted| first == Some(wanted)))
}

/// Every phrase, by its last word but one.
struct Handed {
    phrases: Vec<Phrase>,
    /// A bit for each of those words, at its hash: most words are told to be none by one look.
    lasts: u64,
}

impl Handed {
    fn all() -> Self {
        let mut phrases: Vec<Phrase> = HANDED.iter().filter_map(|text| Phrase::new(text)).collect();
        phrases.sort_unstable_by_key(|phrase| phrase.last.word());
        let lasts = phrases.iter().fold(0, |lasts, phrase| lasts | Self::bit(phrase.last));
        Self { phrases, lasts }
    }

    #[inline]
    fn bit(word: Short) -> u64 {
        1 << ((word.word() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }

    #[inline]
    fn with_last(&self, last: Short) -> &[Phrase] {
        if self.lasts & Self::bit(last) == 0 {
            return &[];
        }
        let from = self.phrases.partition_point(|phrase| phrase.last.word() < last.word());
        let rest = self.phrases.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|phrase| phrase.last == last).count();
        rest.get(..count).unwrap_or_default()
    }
}

/// Two words in a row, or three.
struct Phrase {
    end: Short,
    last: Short,
    first: Option<Short>,
}

impl Phrase {
    fn new(text: &str) -> Option<Self> {
        let mut words = text.rsplit(' ').map(|word| Short::new(word.as_bytes()));
        Some(Self { end: words.next()??, last: words.next()??, first: words.next().flatten() })
    }
}

/// Phrases by which deeds are handed over, as stems.
const HANDED: &[&str] = &[
    "act on",
    "act upon",
    "care of it",
    "care of that",
    "care of them",
    "care of this",
    "carry it out",
    "carry them out",
    "deal with it",
    "deal with them",
    "do as",
    "do everything",
    "do it",
    "do so",
    "do that",
    "do them",
    "do what",
    "do whate",
    "execu it",
    "execu them",
    "fai quello",
    "fais ce",
    "follo her",
    "follo his",
    "follo its",
    "follo my",
    "follo that",
    "follo the",
    "follo their",
    "follo these",
    "follo those",
    "follo what",
    "handl it",
    "handl them",
    "haz lo",
    "imple it",
    "imple them",
    "mach das",
    "mach was",
    "perfo it",
    "perfo them",
    "see to it",
    "to whate",
    "tu was",
    "way he",
    "way it",
    "way she",
    "way they",
    "work through",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(word: &str) -> Class {
        Short::new(word.as_bytes()).map_or(Class::default(), Class::of)
    }

    fn deed(stem: &str) -> bool {
        Short::new(stem.as_bytes()).is_some_and(|stem| is_deed(stem, None))
    }

    #[test]
    fn classes_overlap_and_an_open_word_has_none() {
        assert!(class("your").has(Class::SECOND) && class("your").has(Class::GOVERNED));
        assert!(class("the").has(Class::GOVERNED) && !class("the").has(Class::MODAL));
        assert!(!class("invoice").any());
    }

    #[test]
    fn every_listed_word_is_found_in_its_classes_and_in_no_other() {
        let lists = [SECOND, FIRST, MODAL, STEP, GOVERNED, AUXILIARY];
        for word in lists.iter().copied().flatten() {
            let expected = lists.iter().enumerate().map(|(bit, list)| u8::from(list.contains(word)) << bit).sum();
            assert!(word.len() <= Short::BYTES_MAX);
            assert_eq!(class(word), Class(expected), "{word}");
        }
        assert!(!class("").any() && !class("a word of more than sixteen bytes").any());
    }

    #[test]
    fn a_deed_is_found_by_its_stem() {
        assert!(DEED.iter().all(|stem| deed(stem)));
        assert!(deed("instr") && deed("task") && !deed("bill"));
    }
}
