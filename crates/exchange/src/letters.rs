//! The words of e-mails, in both languages: what happened, in one line for the subject and a few for the text, and where one
//! sees more. Plain text, and nothing in a subject that could end its line. What each notice says is in [`english`] and
//! [`chinese`]; of channels and vouchers, in both languages, in [`channels`].

mod channels;
mod chinese;
mod english;
#[cfg(test)]
mod tests;

use kernel::{Amount, Seconds, Timestamp};
use protocol::notice::{Language, Notice};

use chinese::zh;
use english::en;

/// Letters of a subject.
const SUBJECT_MAX: usize = 120;

/// What is written, to whomever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub subject: String,
    pub text: String,
}

/// On one line, and short: what people and other machines wrote stands in it.
fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SUBJECT_MAX).collect()
}

fn io(amount: Amount) -> String {
    format!("{} IO", amount.to_io_rounded(4))
}

/// To the minute.
fn at(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

fn lasts(seconds: Seconds, language: Language) -> String {
    let seconds = seconds.get();
    let (count, en, zh) = match seconds {
        172_800.. => (seconds / 86_400, "days", "天"),
        7_200.. => (seconds / 3_600, "hours", "小时"),
        120.. => (seconds / 60, "minutes", "分钟"),
        _ => (seconds, "seconds", "秒"),
    };
    match language {
        Language::En => format!("{count} {en}"),
        Language::Zh => format!("{count} {zh}"),
    }
}

fn because(reason: Option<&String>) -> String {
    reason
        .map(|reason| format!("\n{reason}"))
        .unwrap_or_default()
}

/// A state's name as people write it.
fn plain(name: &str) -> String {
    name.replace('_', " ")
}

/// `unsubscribe`: the link that ends these e-mails.
pub(crate) fn of_notice(
    notice: &Notice,
    language: Language,
    portal: &str,
    unsubscribe: &str,
) -> Words {
    let link = format!("{portal}{}", notice.path());
    let ((subject, said), more, end) = match language {
        Language::En => (en(notice), "See more", "To get no more of these e-mails"),
        Language::Zh => (zh(notice), "详情", "不再接收此类邮件"),
    };
    Words {
        subject: one_line(&subject),
        text: format!("{said}\n\n{more}: {link}\n\n-- \n{end}: {unsubscribe}\n"),
    }
}

/// Whether the address is its account's.
pub(crate) fn question(language: Language, portal: &str, link: &str) -> Words {
    match language {
        Language::En => Words {
            subject: "Is this your address?".into(),
            text: format!(
                "Somebody with an account at {portal} wants its notices sent to this address.\n\nIf it was you, confirm it within three days:\n{link}\n\nIf it was not, do nothing: no more will come.\n"
            ),
        },
        Language::Zh => Words {
            subject: "这是您的邮箱吗？".into(),
            text: format!(
                "{portal} 的一位用户希望把通知发送到这个邮箱。\n\n如果是您，请在三天内确认：\n{link}\n\n如果不是，无需任何操作，不会再有邮件。\n"
            ),
        },
    }
}
