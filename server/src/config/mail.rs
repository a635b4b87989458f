//! Who carries e-mails.

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};

use super::origins::is_loopback;
use super::reader::Reader;

/// Who carries e-mails, and whose they are.
#[derive(Clone)]
pub struct Mail {
    /// It may hold a password.
    pub smtp_url: String,
    pub from: Mailbox,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail from {}", self.from)
    }
}

/// Both or neither. The address may hold a password: it is not repeated.
pub(super) fn mail(read: &mut Reader) -> Option<Mail> {
    let url = read.text("smtp_url");
    let from = read.text("mail_from");
    let (smtp_url, text) = match (url, from) {
        (Some(url), Some(from)) => (url, from),
        (None, None) => return None,
        _ => {
            read.problems
                .push("IOG_SMTP_URL and IOG_MAIL_FROM: set both, or neither".to_owned());
            return None;
        }
    };
    // In clear only where nobody listens.
    let secure = smtp_url.starts_with("smtps://")
        || smtp_url.starts_with("smtp://")
            && (smtp_url.ends_with("?tls=required") || is_loopback(&smtp_url));
    if !secure || AsyncSmtpTransport::<Tokio1Executor>::from_url(&smtp_url).is_err() {
        read.problems.push(
            "IOG_SMTP_URL: expected smtps://user:password@host or smtp://user:password@host:587?tls=required".to_owned(),
        );
        return None;
    }
    let Ok(from) = text.parse() else {
        let expected = "a sender such as IOG <noreply@iog.example>";
        read.wrong("mail_from", &text, expected);
        return None;
    };
    Some(Mail { smtp_url, from })
}
