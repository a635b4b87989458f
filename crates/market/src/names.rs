//! Names that people type: when a written model is the one of an offer, and names as small numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

/// A model with one of these words behind it is another model: a 4070 Ti is no 4070.
const VARIANTS: [&str; 10] = [
    "ti", "super", "d", "g", "s", "laptop", "mobile", "max", "xt", "xtx",
];

/// Lower-case words; letters and digits are words apart, so `RTX4090`, `rtx_4090` and `RTX 4090` are the same.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last: Option<bool> = None;
    for c in text.chars() {
        let kind = if c.is_numeric() {
            Some(true)
        } else if c.is_alphabetic() {
            Some(false)
        } else {
            None
        };
        if kind.is_some() {
            if kind != last {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        last = kind;
    }
    words
}

/// Whether a written model names this one: its words stand together in the name, and no word that makes another
/// model of it follows. Both as [`words`].
pub fn names_model(written: &[String], name: &[String]) -> bool {
    if written.is_empty() || written.len() > name.len() {
        return false;
    }
    name.windows(written.len()).enumerate().any(|(at, window)| {
        let next = name.get(at.saturating_add(written.len()));
        window == written && !next.is_some_and(|word| VARIANTS.contains(&word.as_str()))
    })
}

/// Names as numbers, in the order in which they came; the empty name is 0. Names are never forgotten: there are few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Names {
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name, number);
        number
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        if name.is_empty() {
            return Some(0);
        }
        self.numbers.get(name).copied()
    }

    pub fn name(&self, number: u32) -> Option<&Arc<str>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.names.get(index)
    }
}

/// Models, found by what people write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Models {
    names: Vec<(Arc<str>, Vec<String>)>,
    numbers: HashMap<Arc<str>, usize>,
    by_word: BTreeMap<String, Vec<usize>>,
}

impl Models {
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (name, parts): (Arc<str>, _) = (name.into(), words(name));
        let number = self.names.len();
        for word in &parts {
            let models = self.by_word.entry(word.clone()).or_default();
            if models.last() != Some(&number) {
                models.push(number);
            }
        }
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push((name, parts));
        number
    }

    /// By the exact name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    pub fn name(&self, number: usize) -> Option<&Arc<str>> {
        self.names.get(number).map(|(name, _)| name)
    }

    /// The models that a written one names.
    pub fn named<'a>(&'a self, written: &'a [String]) -> impl Iterator<Item = usize> + 'a {
        // The last word is the most telling one: "4090" of "RTX 4090".
        let candidates = written
            .last()
            .and_then(|word| self.by_word.get(word))
            .map_or(&[][..], Vec::as_slice);
        candidates.iter().copied().filter(|number| {
            self.names
                .get(*number)
                .is_some_and(|(_, name)| names_model(written, name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(written: &str, model: &str) -> bool {
        names_model(&words(written), &words(model))
    }

    #[test]
    fn a_written_model_names_its_cards_and_no_lesser_ones() {
        let card = "NVIDIA GeForce RTX 4090";
        for written in [
            "RTX_4090",
            "rtx4090",
            "4090",
            "nvidia geforce rtx 4090",
            "RTX",
        ] {
            assert!(names(written, card), "{written}");
        }
        for (written, model) in [
            ("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU"),
            ("RTX 4090", "NVIDIA GeForce RTX 4090 D"),
            ("RTX 4070", "NVIDIA GeForce RTX 4070 Ti SUPER"),
            ("4070 Ti", "NVIDIA GeForce RTX 4070 Ti SUPER"),
            ("A10", "NVIDIA A100-SXM4-80GB"),
            ("A10", "NVIDIA A10G"),
            ("L4", "NVIDIA L40S"),
            ("", card),
            ("409", card),
        ] {
            assert!(!names(written, model), "{written} must not name {model}");
        }
        assert!(names("A100", "NVIDIA A100-SXM4-80GB"));
        assert!(names("4070_ti_super", "NVIDIA GeForce RTX 4070 Ti SUPER"));
    }

    #[test]
    fn the_table_finds_what_the_rule_says() {
        let mut models = Models::default();
        let all = [
            "NVIDIA A100-SXM4-80GB",
            "NVIDIA A10",
            "NVIDIA A10G",
            "RTX 4090",
            "RTX 4090 D",
        ];
        for name in all {
            models.number(name);
        }
        for written in ["a10", "a100", "nvidia", "4090", "rtx", "gb", "nothing"] {
            let written = words(written);
            let found: Vec<usize> = models.named(&written).collect();
            let brute: Vec<usize> = (0..all.len())
                .filter(|i| names_model(&written, &words(all[*i])))
                .collect();
            assert_eq!(found, brute, "{written:?}");
        }
        assert_eq!(models.number("RTX 4090"), 3);
    }
}
