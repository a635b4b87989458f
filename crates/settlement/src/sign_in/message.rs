//! The text that a wallet shows and signs.
//!
//! ```text
//! iog.example wants you to sign in with your Aptos account:
//! 0x…
//!
//! Statement.
//!
//! URI: https://iog.example
//! Version: 1
//! Nonce: …
//! Issued At: …
//! Expiration Time: …
//! Not Before: …
//! Request ID: …
//! Chain ID: aptos:mainnet
//! Resources:
//! - …
//! ```
//! All but the first two lines may be absent; what is there stands in this order.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

const FIRST: &str = " wants you to sign in with your Aptos account:";
const RESOURCES: &str = "Resources:";
const TEXT_MAX: usize = 4_096;

/// Why fields make no message, or a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("the field {0} of the sign-in message is empty, too long, or not one line")]
    Field(&'static str),
    #[error("this is no sign-in message")]
    NoMessage,
}

/// The fields of a message, by the names that wallets use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    pub domain: String,
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
}

fn one_line(name: &'static str, text: &str) -> Result<(), FormError> {
    let fits = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
    fits.then_some(()).ok_or(FormError::Field(name))
}

impl Fields {
    /// With their labels, in the order of the message.
    fn lines(&self) -> [(&'static str, &Option<String>); 8] {
        [
            ("URI", &self.uri),
            ("Version", &self.version),
            ("Nonce", &self.nonce),
            ("Issued At", &self.issued_at),
            ("Expiration Time", &self.expiration_time),
            ("Not Before", &self.not_before),
            ("Request ID", &self.request_id),
            ("Chain ID", &self.chain_id),
        ]
    }

    fn line_mut(&mut self, label: &str) -> Option<&mut Option<String>> {
        Some(match label {
            "URI" => &mut self.uri,
            "Version" => &mut self.version,
            "Nonce" => &mut self.nonce,
            "Issued At" => &mut self.issued_at,
            "Expiration Time" => &mut self.expiration_time,
            "Not Before" => &mut self.not_before,
            "Request ID" => &mut self.request_id,
            "Chain ID" => &mut self.chain_id,
            _ => return None,
        })
    }

    /// The message of these fields. No field can pass for another: each is one line.
    ///
    /// # Errors
    /// [`FormError::Field`] names the one that does not fit.
    pub fn to_message(&self) -> Result<String, FormError> {
        one_line("domain", &self.domain)?;
        one_line("address", &self.address)?;
        let mut text = format!("{}{FIRST}\n{}", self.domain, self.address);
        if let Some(statement) = &self.statement {
            one_line("statement", statement)?;
            if parse_lines(statement).is_ok() {
                return Err(FormError::Field("statement"));
            }
            let _ = write!(text, "\n\n{statement}");
        }
        let mut separator = "\n\n";
        for (label, value) in self.lines() {
            if let Some(value) = value {
                one_line(label, value)?;
                let _ = write!(text, "{separator}{label}: {value}");
                separator = "\n";
            }
        }
        if let Some(resources) = &self.resources {
            let _ = write!(text, "{separator}{RESOURCES}");
            for resource in resources {
                one_line("resources", resource)?;
                let _ = write!(text, "\n- {resource}");
            }
        }
        Ok(text)
    }

    /// Reads a message. Only a text that [`Fields::to_message`] would write is one, so that nothing can be read in two ways.
    ///
    /// # Errors
    /// [`FormError::NoMessage`].
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let (head, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        let (first, address) = head.split_once('\n').ok_or(FormError::NoMessage)?;
        let domain = first.strip_suffix(FIRST).ok_or(FormError::NoMessage)?;
        let mut fields = match rest.split_once("\n\n") {
            Some((statement, lines)) => Self {
                statement: Some(statement.to_owned()),
                ..parse_lines(lines)?
            },
            None if rest.is_empty() => Self::default(),
            None => parse_lines(rest).unwrap_or_else(|_| Self {
                statement: Some(rest.to_owned()),
                ..Self::default()
            }),
        };
        domain.clone_into(&mut fields.domain);
        address.clone_into(&mut fields.address);
        let again = fields.to_message().map_err(|_| FormError::NoMessage)?;
        (again == text)
            .then_some(fields)
            .ok_or(FormError::NoMessage)
    }
}

/// The block of labelled lines; order and repetition are left to the comparison with what would be written.
fn parse_lines(block: &str) -> Result<Fields, FormError> {
    let mut fields = Fields::default();
    for line in block.split('\n') {
        if let Some(resources) = &mut fields.resources {
            let resource = line.strip_prefix("- ").ok_or(FormError::NoMessage)?;
            resources.push(resource.to_owned());
        } else if line == RESOURCES {
            fields.resources = Some(Vec::new());
        } else {
            let (label, value) = line.split_once(": ").ok_or(FormError::NoMessage)?;
            let field = fields.line_mut(label).ok_or(FormError::NoMessage)?;
            *field = Some(value.to_owned());
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> Fields {
        Fields {
            domain: "iog.example".into(),
            address: "0xa1".into(),
            ..Fields::default()
        }
    }

    #[test]
    fn a_message_stands_in_its_order() {
        let mut fields = fields();
        assert_eq!(
            fields.to_message().expect("fits"),
            format!("iog.example{FIRST}\n0xa1")
        );
        fields.chain_id = Some("aptos:mainnet".into());
        fields.uri = Some("https://iog.example".into());
        let lines = "URI: https://iog.example\nChain ID: aptos:mainnet";
        assert_eq!(
            fields.to_message().expect("fits"),
            format!("iog.example{FIRST}\n0xa1\n\n{lines}")
        );
        fields.statement = Some("Hello.".into());
        fields.resources = Some(vec!["a".into(), "b".into()]);
        let expected =
            format!("iog.example{FIRST}\n0xa1\n\nHello.\n\n{lines}\nResources:\n- a\n- b");
        assert_eq!(fields.to_message().expect("fits"), expected);
    }

    #[test]
    fn no_field_passes_for_another() {
        for text in ["", "a\nNonce: b", "a\rb", "a\u{2028}b\u{85}"] {
            let with = Fields {
                nonce: Some(text.into()),
                ..fields()
            };
            assert_eq!(
                with.to_message(),
                Err(FormError::Field("Nonce")),
                "{text:?}"
            );
        }
        let with = Fields {
            statement: Some("Nonce: b".into()),
            ..fields()
        };
        assert_eq!(with.to_message(), Err(FormError::Field("statement")));
        let with = Fields {
            domain: String::new(),
            ..fields()
        };
        assert_eq!(with.to_message(), Err(FormError::Field("domain")));
        let with = Fields {
            resources: Some(vec![String::new()]),
            ..fields()
        };
        assert_eq!(with.to_message(), Err(FormError::Field("resources")));
    }

    #[test]
    fn what_is_no_message() {
        let head = format!("iog.example{FIRST}\n0xa1");
        for tail in [
            "\n",
            "\n\n",
            "\nURI: x",
            "\n\nURI: x\n",
            "\n\nNonce: n\nURI: x",
            "\n\nNonce: n\nNonce: m",
            "\n\na\n\nb",
            "\n\na\n\nURI: x\n\nNonce: n",
            "\n\nResources:\n- a\nNonce: n",
        ] {
            assert_eq!(
                Fields::parse(&format!("{head}{tail}")),
                Err(FormError::NoMessage),
                "{tail:?}"
            );
        }
        assert_eq!(Fields::parse(""), Err(FormError::NoMessage));
        assert_eq!(Fields::parse("hello\n0xa1"), Err(FormError::NoMessage));
    }

    fn word() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[ -~\u{4e00}-\u{4e10}]{1,12}")
    }

    prop_compose! {
        fn any_fields()(
            domain in "[a-z.:0-9]{1,12}",
            address in "0x[0-9a-f]{1,64}",
            words in proptest::array::uniform9(word()),
            resources in proptest::option::of(proptest::collection::vec("[!-~]{1,8}", 0..4)),
        ) -> Fields {
            let [statement, uri, version, nonce, issued_at, expiration_time, not_before, request_id, chain_id] = words;
            Fields { domain, address, statement, uri, version, nonce, issued_at, expiration_time, not_before, request_id, chain_id, resources }
        }
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(fields in any_fields()) {
            if let Ok(text) = fields.to_message() {
                prop_assert_eq!(Fields::parse(&text), Ok(fields));
            }
        }

        #[test]
        fn no_text_is_read_in_two_ways(tail in "(\n|\n\n|URI: |Nonce: |Resources:|- |[a-c]){0,12}") {
            let text = format!("a{FIRST}\n0x1{tail}");
            if let Ok(fields) = Fields::parse(&text) {
                prop_assert_eq!(fields.to_message(), Ok(text));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Fields::parse(&text);
            let _ = serde_json::from_str::<Fields>(&text);
        }
    }
}
