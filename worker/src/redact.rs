//! Keeps a job's secrets out of its log: each value that its output holds becomes `***`, also when it comes in pieces.
//!
//! What could be the beginning of a value waits for the rest; nothing else is held back.

use std::sync::Arc;

const MASK: &str = "***";

/// The values of one job, longest first.
#[derive(Clone, Default)]
pub struct Values(Arc<Vec<String>>);

impl Values {
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(Arc::new(values))
    }
}

/// Never shows what it is there to hide.
impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values", self.0.len())
    }
}

/// One stream of output.
#[derive(Default)]
pub struct Redactor {
    values: Values,
    held: String,
}

/// Neither what it hides nor the piece of it that waits.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({:?})", self.values)
    }
}

impl Redactor {
    pub fn new(values: Values) -> Self {
        Self {
            values,
            held: String::new(),
        }
    }

    /// What may be shown of it now.
    pub fn pass(&mut self, text: &str) -> String {
        self.read(text, false)
    }

    /// What is left when the stream has ended.
    pub fn finish(&mut self) -> String {
        self.read("", true)
    }

    fn read(&mut self, text: &str, ended: bool) -> String {
        if self.values.0.is_empty() {
            return text.to_owned();
        }
        let whole = std::mem::take(&mut self.held) + text;
        let mut out = String::with_capacity(whole.len());
        let mut rest = whole.as_str();
        while let Some(first) = rest.chars().next() {
            let begins = |value: &&String| value.len() > rest.len() && value.starts_with(rest);
            if !ended && self.values.0.iter().any(|value| begins(&value)) {
                rest.clone_into(&mut self.held);
                break;
            }
            let found = self
                .values
                .0
                .iter()
                .find(|value| rest.starts_with(value.as_str()));
            let taken = if let Some(value) = found {
                out.push_str(MASK);
                value.len()
            } else {
                out.push(first);
                first.len_utf8()
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        Redactor::new(Values::new(values.iter().map(|value| (*value).to_owned())))
    }

    #[test]
    fn a_value_is_hidden_wherever_it_is_cut() {
        let text = "begin hf_secret-1 middle hf_secret-1hf_secret-1 end hf_secre";
        let hidden = "begin *** middle ****** end hf_secre";
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut redactor = redactor(&["hf_secret-1"]);
                let parts = [&text[..cut], &text[cut..second], &text[second..]];
                let mut out: String = parts.iter().map(|part| redactor.pass(part)).collect();
                out.push_str(&redactor.finish());
                assert_eq!(out, hidden, "cut at {cut} and {second}");
            }
        }
    }

    #[test]
    fn one_value_may_begin_like_another() {
        let mut redactor = redactor(&["abcd", "abcdef", "密码密码"]);
        assert_eq!(redactor.pass("abcd"), "", "it may be the longer one");
        assert_eq!(redactor.pass("ef abcdx 密码"), "*** ***x ");
        assert_eq!(redactor.pass("密码!"), "***!");
        assert_eq!(redactor.pass("abcd"), "");
        assert_eq!(redactor.finish(), "***");
        assert_eq!(redactor.finish(), "");
    }

    #[test]
    fn what_is_no_beginning_of_a_value_is_not_held_back() {
        let mut with = redactor(&["tok_123456"]);
        assert_eq!(with.pass("progress 10%\r"), "progress 10%\r");
        assert_eq!(with.pass("tok"), "");
        assert_eq!(with.pass("ens=5\n"), "tokens=5\n");
        assert_eq!(with.pass("tok_12345"), "");
        assert!(!format!("{with:?}").contains("12345"));
        let mut without = redactor(&[]);
        assert_eq!(without.pass("anything"), "anything");
    }
}
