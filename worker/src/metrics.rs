//! Numbers in a job's output: `name=number`, for the names that the specification lists.

use std::collections::BTreeMap;

use protocol::worker::Metric;

/// A line longer than this is not searched: it is data, not a message.
const LINE_MAX: usize = 8 * 1024;

/// Watches one stream.
#[derive(Debug)]
pub struct MetricReader {
    names: Vec<String>,
    line: String,
    too_long: bool,
    found: BTreeMap<String, f64>,
}

impl MetricReader {
    pub fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            line: String::new(),
            too_long: false,
            found: BTreeMap::new(),
        }
    }

    pub fn read(&mut self, text: &str) {
        if self.names.is_empty() {
            return;
        }
        for piece in text.split_inclusive(['\n', '\r']) {
            if self.line.len() + piece.len() > LINE_MAX {
                self.too_long = true;
                self.line.clear();
            } else if !self.too_long {
                self.line.push_str(piece);
            }
            if piece.ends_with(['\n', '\r']) {
                self.line_over();
            }
        }
    }

    fn line_over(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.too_long = false;
        for word in line.split(|c: char| {
            c.is_whitespace() || matches!(c, ',' | ';' | '|' | '(' | ')' | '[' | ']')
        }) {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            let value = value.trim_end_matches(['%', '.', ':']);
            if let (true, Ok(value)) = (
                self.names.iter().any(|known| known == name),
                value.parse::<f64>(),
            ) && value.is_finite()
            {
                self.found.insert(name.to_owned(), value);
            }
        }
    }

    /// The last value of each since the last call.
    pub fn take(&mut self) -> Vec<Metric> {
        std::mem::take(&mut self.found)
            .into_iter()
            .map(|(name, value)| Metric { name, value })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Vec<(String, f64)> {
        let mut reader = MetricReader::new(&["loss".into(), "accuracy".into(), "train/lr".into()]);
        for text in texts {
            reader.read(text);
        }
        reader
            .take()
            .into_iter()
            .map(|metric| (metric.name, metric.value))
            .collect()
    }

    #[test]
    fn listed_names_with_numbers_are_found() {
        assert_eq!(
            read(&["epoch=1 loss=0.5, accuracy=98.2%\n"]),
            [("accuracy".into(), 98.2), ("loss".into(), 0.5)]
        );
        assert_eq!(
            read(&["[step 3] (loss=1e-3) train/lr=-2\n"]),
            [("loss".into(), 0.001), ("train/lr".into(), -2.0)]
        );
    }

    #[test]
    fn a_line_may_come_in_pieces_and_the_last_value_stands() {
        assert_eq!(
            read(&["lo", "ss=0.", "25\r", "loss=0.2", "0\n", "loss=9"]),
            [("loss".into(), 0.2)]
        );
    }

    #[test]
    fn what_is_no_number_or_not_listed_is_passed_over() {
        assert!(read(&["loss=nan loss=inf loss= xloss=1 loss=one other=2 loss =3\n"]).is_empty());
        assert!(read(&[&"x".repeat(10_000), "loss=1\n"]).is_empty());
    }
}
