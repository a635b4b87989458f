//! Keeps a job's secrets out of its log: each value that its output holds becomes `***`, also when it comes in pieces.
//!
//! What could be the beginning of a value waits for the rest; nothing else is held back. Each byte is looked at once, however
//! many values there are and however much they are alike: one automaton reads for all of them.

use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchKind};
use protocol::spec::{SECRET_BYTES_MAX, SECRETS_MAX};

const MASK: &str = "***";
/// What a job's secrets may come to; the automaton takes some fifty times as much.
const BYTES_MAX: usize = SECRETS_MAX * SECRET_BYTES_MAX;

#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    #[error("the secrets have {0} bytes, more than {BYTES_MAX}")]
    TooLarge(usize),
    #[error(transparent)]
    Automaton(#[from] BuildError),
}

/// The values of one job. Without any there is nothing to read for.
#[derive(Clone, Default)]
pub struct Values(Option<Arc<Known>>);

struct Known {
    automaton: NFA,
    start: StateID,
    /// By state: a state is the longest end of what was read with which a value begins.
    begun: Vec<Begun>,
    values: usize,
}

/// What a state says of the end of what was read.
#[derive(Clone, Copy, Default)]
struct Begun {
    /// So many bytes of it are the beginning of a value.
    bytes: usize,
    /// Of a value that has more than these.
    goes_on: bool,
    /// The state of the next shorter end with which a value begins.
    shorter: StateID,
}

impl Values {
    /// # Errors
    /// They are larger than the secrets of a job may be.
    pub fn new(values: impl IntoIterator<Item = String>) -> Result<Self, RedactError> {
        let mut values: Vec<String> = values
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
        values.sort();
        values.dedup();
        if values.is_empty() {
            return Ok(Self::default());
        }
        let bytes = values.iter().map(String::len).sum();
        if bytes > BYTES_MAX {
            return Err(RedactError::TooLarge(bytes));
        }
        let mut builder = NFA::builder();
        // Every value that ends somewhere, the short ones inside of long ones, too.
        builder.match_kind(MatchKind::Standard).prefilter(false);
        let automaton = builder.build(&values)?;
        Ok(Self(Some(Arc::new(Known::new(automaton, &values)))))
    }
}

impl Known {
    fn new(automaton: NFA, values: &[String]) -> Self {
        // An automaton of this kind is entered at any place.
        let start = automaton.start_state(Anchored::No).unwrap_or_default();
        let mut known = Self {
            automaton,
            start,
            begun: Vec::new(),
            values: values.len(),
        };
        for value in values {
            let (mut state, mut shorter) = (start, start);
            for (at, byte) in value.bytes().enumerate() {
                state = known.next(state, byte);
                // The longest end of these bytes without the first of them.
                if at > 0 {
                    shorter = known.next(shorter, byte);
                }
                let index = state.as_usize();
                if known.begun.len() <= index {
                    known
                        .begun
                        .resize(index.saturating_add(1), Begun::default());
                }
                if let Some(begun) = known.begun.get_mut(index) {
                    let bytes = at.saturating_add(1);
                    begun.bytes = bytes;
                    begun.goes_on |= bytes < value.len();
                    begun.shorter = shorter;
                }
            }
        }
        known
    }

    fn next(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, byte)
    }

    fn begun(&self, state: StateID) -> Begun {
        self.begun
            .get(state.as_usize())
            .copied()
            .unwrap_or_default()
    }

    /// How long the values are that end with this state.
    fn ended(&self, state: StateID) -> impl Iterator<Item = usize> {
        let is_end = self.automaton.is_match(state);
        let count = if is_end {
            self.automaton.match_len(state)
        } else {
            0
        };
        (0..count).map(move |which| {
            let value = self.automaton.match_pattern(state, which);
            self.automaton.pattern_len(value)
        })
    }
}

/// Never shows what it is there to hide.
impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.0.as_ref().map_or(0, |known| known.values);
        write!(f, "{values} values")
    }
}

/// One stream of output.
#[derive(Default)]
pub struct Redactor {
    values: Values,
    /// What was read and not shown yet.
    held: String,
    /// By its bytes: how long the longest value is that begins there.
    longest: Vec<usize>,
    /// After all that was read.
    state: StateID,
}

/// Neither what it hides nor the piece of it that waits.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({:?})", self.values)
    }
}

impl Redactor {
    pub fn new(values: Values) -> Self {
        let start = values.0.as_ref().map(|known| known.start);
        Self {
            state: start.unwrap_or_default(),
            values,
            held: String::new(),
            longest: Vec::new(),
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
        let Some(known) = self.values.0.clone() else {
            return text.to_owned();
        };
        self.held.push_str(text);
        for byte in text.bytes() {
            self.state = known.next(self.state, byte);
            self.longest.push(0);
            for length in known.ended(self.state) {
                // What began before what is held is hidden already.
                let at = self.longest.len().checked_sub(length);
                if let Some(longest) = at.and_then(|at| self.longest.get_mut(at)) {
                    *longest = length.max(*longest);
                }
            }
        }
        let out = self.show(&known, ended);
        if ended {
            self.state = known.start;
        }
        out
    }

    /// From the front on: the longest value is hidden where one begins, and nothing is shown of what may still become one.
    fn show(&mut self, known: &Known, ended: bool) -> String {
        let mut out = String::with_capacity(self.held.len());
        let mut open = known.begun(self.state);
        let (mut at, mut shown) = (0_usize, 0_usize);
        while let Some(longest) = self.longest.get(at) {
            let left = self.longest.len().saturating_sub(at);
            while open.bytes > left {
                open = known.begun(open.shorter);
            }
            if !ended && open.bytes == left && open.goes_on {
                break;
            }
            if *longest == 0 {
                at = at.saturating_add(1);
                continue;
            }
            out.push_str(self.held.get(shown..at).unwrap_or_default());
            out.push_str(MASK);
            at = at.saturating_add(*longest);
            shown = at;
        }
        out.push_str(self.held.get(shown..at).unwrap_or_default());
        self.held.drain(..at);
        self.longest.drain(..at);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[&str]) -> Redactor {
        let values = values.iter().map(|value| (*value).to_owned());
        Redactor::new(Values::new(values).expect("small"))
    }

    /// The same said plainly: at each place all values are tried.
    fn plainly(values: &[&str], text: &str, ended: bool) -> (String, usize) {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            let begins = |value: &&&str| value.len() > rest.len() && value.starts_with(rest);
            if !ended && values.iter().any(|value| begins(&value)) {
                break;
            }
            let found = values.iter().filter(|value| rest.starts_with(**value));
            let taken = if let Some(length) = found.map(|value| value.len()).max() {
                out.push_str(MASK);
                length
            } else {
                out.push(first);
                first.len_utf8()
            };
            rest = &rest[taken..];
        }
        (out, text.len() - rest.len())
    }

    #[test]
    fn alike_values_are_hidden_as_if_each_were_tried() {
        let values = ["aab", "aabaa", "ba", "abab", "b\nab", "密ab", "密码"];
        let mut dice = 7_u64;
        let mut roll = |below: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((dice >> 33) % below).unwrap()
        };
        for round in 0..3_000 {
            let some: Vec<&str> = values.iter().copied().filter(|_| roll(2) > 0).collect();
            let (mut redactor, mut held) = (redactor(&some), String::new());
            for _ in 0..8 {
                let piece: String = (0..roll(6))
                    .map(|_| ['a', 'a', 'b', 'b', '\n', '密', '码'][roll(7)])
                    .collect();
                held.push_str(&piece);
                let (expected, taken) = if some.is_empty() {
                    (held.clone(), held.len())
                } else {
                    plainly(&some, &held, false)
                };
                assert_eq!(redactor.pass(&piece), expected, "{round} {some:?} {held:?}");
                held.drain(..taken);
            }
            let (expected, _) = plainly(&some, &held, true);
            assert_eq!(redactor.finish(), expected, "{round} {some:?} {held:?}");
        }
    }

    #[test]
    fn many_long_values_that_are_alike_hide_as_few_do() {
        let alike = "a".repeat(8_000);
        let values: Vec<String> = (0..60).map(|n| format!("{alike}{n:02}")).collect();
        let mut redactor = Redactor::new(Values::new(values.clone()).expect("fits"));
        let (mut out, near) = (String::new(), alike.repeat(40));
        for piece in [near.as_str(), values[7].as_str(), "\n"] {
            out.push_str(&redactor.pass(piece));
        }
        out.push_str(&redactor.finish());
        assert_eq!(out, format!("{near}***\n"));
    }

    #[test]
    fn more_than_a_job_may_have_is_refused() {
        let large = Values::new([String::from("a").repeat(BYTES_MAX), "b".into()]);
        let error = large.expect_err("too large").to_string();
        assert_eq!(error, "the secrets have 524289 bytes, more than 524288");
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
