//! Seeded values. Whatever names a person, place of business, account, amount or thing is drawn once in a world and never
//! again, so that no session can be known by another's values.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// A source of values that do not repeat.
pub(super) struct Values {
    pub(super) rng: ChaCha8Rng,
    used: HashSet<String>,
}

/// Somebody.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) first: String,
    pub(super) email: String,
    /// Short name: `lena.oravec`.
    pub(super) handle: String,
}

impl Values {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), used: HashSet::new() }
    }

    /// One of a table; the default of an empty one.
    pub(super) fn pick<T: Clone + Default>(&mut self, table: &[T]) -> T {
        table.choose(&mut self.rng).cloned().unwrap_or_default()
    }

    /// One of a table of whatever.
    #[expect(clippy::expect_used, reason = "every table here is a constant that holds something")]
    pub(super) fn one_of<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        table.choose(&mut self.rng).expect("a table with something in it")
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    pub(super) fn number(&mut self, from: u64, to: u64) -> u64 {
        self.rng.random_range(from..=to)
    }

    /// Draws until a new one comes; where a kind runs out, a number is added.
    fn fresh(&mut self, draw: impl Fn(&mut Self) -> String) -> String {
        for _ in 0..16 {
            let value = draw(self);
            if self.used.insert(value.clone()) {
                return value;
            }
        }
        let value = format!("{}{}", draw(self), self.used.len());
        self.used.insert(value.clone());
        value
    }

    fn syllables(&mut self, count: u64) -> String {
        let mut word = String::new();
        for _ in 0..count {
            word.push_str(self.pick(&ONSETS));
            word.push_str(self.pick(&VOWELS));
        }
        word.push_str(self.pick(&CODAS));
        word
    }

    /// A made-up word: `toravel`.
    pub(super) fn word(&mut self) -> String {
        self.fresh(|v| {
            let count = if v.chance(0.8) { 2 } else { 3 };
            v.syllables(count)
        })
    }

    /// The same with a capital.
    pub(super) fn proper(&mut self) -> String {
        capital(&self.word())
    }

    pub(super) fn person(&mut self) -> Person {
        let first = self.pick(&FIRST_NAMES).to_owned();
        let last = self.proper();
        let handle = format!("{}.{}", first.to_lowercase(), last.to_lowercase());
        let host = if self.chance(0.4) { self.pick(&MAIL_HOSTS).to_owned() } else { self.host() };
        Person { name: format!("{first} {last}"), email: format!("{handle}@{host}"), first, handle }
    }

    pub(super) fn host(&mut self) -> String {
        format!("{}{}", self.word(), self.pick(&HOST_ENDS))
    }

    pub(super) fn url(&mut self) -> String {
        format!("https://{}/{}", self.host(), self.word())
    }

    pub(super) fn company(&mut self) -> String {
        format!("{} {}", self.proper(), self.pick(&COMPANY_ENDS))
    }

    pub(super) fn hotel(&mut self) -> String {
        let name = self.proper();
        match self.number(0, 2) {
            0 => format!("Hotel {name}"),
            1 => format!("The {name} {}", self.pick(&HOUSES)),
            _ => format!("{name} {}", self.pick(&HOUSES)),
        }
    }

    pub(super) fn restaurant(&mut self) -> String {
        format!("{} {}", self.pick(&EATERIES), self.proper())
    }

    pub(super) fn city(&mut self) -> String {
        self.pick(&CITIES).to_owned()
    }

    pub(super) fn address(&mut self) -> String {
        let (street, number, code) = (self.proper(), self.number(1, 240), self.number(10_000, 99_999));
        format!("{street} {} {number}, {code} {}", self.pick(&STREETS), self.city())
    }

    /// Money with cents, `from` to `to` in whole units; above where a large world has used those up.
    pub(super) fn amount(&mut self, from: u64, to: u64) -> f64 {
        let mut cents = 0;
        for doubled in 0..40 {
            cents = self.number(from * 100, (to * 100) << (doubled / 8));
            if self.used.insert(format!("{cents} cents")) {
                break;
            }
        }
        cents as f64 / 100.0
    }

    /// Letters and digits behind a prefix: `FL-8KQ2ZR`.
    pub(super) fn code(&mut self, prefix: &str) -> String {
        self.fresh(|v| {
            let tail: String = (0..6).map(|_| v.pick(&CODE_CHARS)).collect();
            format!("{prefix}{tail}")
        })
    }

    pub(super) fn hex(&mut self, digits: u64) -> String {
        self.fresh(|v| (0..digits).filter_map(|_| char::from_digit(v.rng.random_range(0..16), 16)).collect())
    }

    /// An account number with sound check digits (ISO 13616).
    pub(super) fn iban(&mut self) -> String {
        self.fresh(|v| {
            let (country, digits) = v.pick(&IBAN_FORMS);
            let account: String = (0..digits).filter_map(|_| char::from_digit(v.rng.random_range(0..10), 10)).collect();
            let check = 98 - mod_97(&format!("{account}{country}00"));
            format!("{country}{check:02}{account}")
        })
    }

    /// A day of 2025 after the world's start, `YYYY-MM-DD`.
    pub(super) fn day(&mut self) -> String {
        let (month, day) = (self.number(2, 12), self.number(1, 28));
        format!("2025-{month:02}-{day:02}")
    }

    pub(super) fn hour(&mut self) -> String {
        format!("{:02}:{}", self.number(7, 21), self.pick(&["00", "15", "30", "45"]))
    }
}

/// ISO 7064 mod 97 of letters and digits, letters counting from 10.
fn mod_97(text: &str) -> u64 {
    text.chars().filter_map(|c| c.to_digit(36)).fold(0, |rest, digit| {
        let digit = u64::from(digit);
        (rest * if digit < 10 { 10 } else { 100 } + digit) % 97
    })
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

const ONSETS: [&str; 24] = [
    "b", "br", "c", "d", "dr", "f", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w",
    "z", "sh",
];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "a", "e", "o", "ai", "ou"];
const CODAS: [&str; 14] = ["", "l", "n", "r", "s", "t", "ck", "nd", "ll", "ner", "vic", "man", "field", "ton"];
const FIRST_NAMES: [&str; 48] = [
    "Lena", "Marco", "Aisha", "Jonas", "Priya", "Tomas", "Ingrid", "Kofi", "Mei", "Rafael", "Sofia", "Daniel", "Noor",
    "Elias", "Hanna", "Viktor", "Amara", "Lucas", "Yuki", "Clara", "Omar", "Julia", "Pavel", "Nina", "Samuel", "Ines",
    "Arjun", "Greta", "Malik", "Eva", "Diego", "Freya", "Hugo", "Leila", "Anton", "Ruth", "Felix", "Tara", "Ivan",
    "Selma", "Oscar", "Maya", "Bruno", "Alma", "Karim", "Edith", "Simon", "Zoe",
];
const MAIL_HOSTS: [&str; 4] = ["postbox.example", "mailhaus.example", "inbox.example", "letters.example"];
const HOST_ENDS: [&str; 6] = [".com", ".net", ".org", ".io", ".eu", ".travel"];
const COMPANY_ENDS: [&str; 9] =
    ["GmbH", "Ltd", "Energy", "Telecom", "Insurance", "Partners", "Supplies", "Water Works", "Dental"];
const HOUSES: [&str; 7] = ["Inn", "House", "Lodge", "Palace", "Suites", "Residence", "Garden Hotel"];
const EATERIES: [&str; 8] = ["Trattoria", "Bistro", "Osteria", "Cafe", "Tavern", "Brasserie", "Kitchen", "Izakaya"];
const STREETS: [&str; 6] = ["Street", "Lane", "Road", "Avenue", "Square", "Quay"];
const CITIES: [&str; 32] = [
    "Lisbon", "Oslo", "Kyoto", "Vienna", "Porto", "Prague", "Helsinki", "Seville", "Dublin", "Turin", "Ghent", "Riga",
    "Athens", "Krakow", "Lyon", "Bergen", "Nairobi", "Lima", "Hanoi", "Quito", "Boston", "Montreal", "Denver", "Perth",
    "Cork", "Basel", "Malmo", "Izmir", "Cusco", "Osaka", "Tallinn", "Valencia",
];
const CODE_CHARS: [char; 32] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y',
    'Z', '2', '3', '4', '5', '6', '7', '8', '9',
];
const IBAN_FORMS: [(&str, u32); 5] = [("DE", 18), ("AT", 16), ("PT", 21), ("ES", 20), ("FI", 14)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_names_a_thing_comes_twice() {
        let mut values = Values::new(1);
        let mut seen = HashSet::new();
        for _ in 0..3_000 {
            let person = values.person();
            for value in [
                person.name,
                person.email,
                values.iban(),
                values.code("X-"),
                values.hotel(),
                values.address(),
                values.url(),
            ] {
                assert!(seen.insert(value.clone()), "{value}");
            }
            assert!(seen.insert(values.amount(5, 900).to_string()));
        }
    }

    #[test]
    fn account_numbers_have_sound_check_digits() {
        let mut values = Values::new(2);
        for _ in 0..200 {
            let iban = values.iban();
            assert_eq!(mod_97(&format!("{}{}", &iban[4..], &iban[..4])), 1, "{iban}");
        }
    }
}
