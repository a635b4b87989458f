//! The pages behind the links in e-mails. They work without a session: whoever has the link has read the letter. Looking at
//! one changes nothing, since programs that guard mailboxes look at every link; the button does.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use exchange::Exchange;
use http::StatusCode;
use kernel::AccountId;
use protocol::notice::Language;
use serde::Deserialize;

use crate::http::extract::Query;
use crate::http::plain;

/// Of the link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    account: AccountId,
    code: String,
}

/// What a page says, in both languages.
struct Words {
    title: [&'static str; 2],
    text: [&'static str; 2],
    button: Option<[&'static str; 2]>,
}

const CONFIRM: Words = Words {
    title: ["Is this your address?", "这是您的邮箱吗？"],
    text: [
        "From then on this account's notices are sent there, as its settings say.",
        "确认后，此账户的通知会按其设置发送到该邮箱。",
    ],
    button: Some(["Yes, it is mine", "是的，是我的"]),
};
const CONFIRMED: Words = Words {
    title: ["The address is confirmed", "邮箱已确认"],
    text: [
        "What to be told by e-mail is chosen on the page of notifications.",
        "您可以在通知页面选择要接收的邮件。",
    ],
    button: None,
};
const UNSUBSCRIBE: Words = Words {
    title: ["No more e-mails?", "不再接收邮件？"],
    text: [
        "Notices stay on the page of notifications, where e-mails can be switched on again.",
        "通知仍可在通知页面查看，也可以在那里重新开启邮件。",
    ],
    button: Some(["Send me no more e-mails", "不再给我发邮件"]),
};
const UNSUBSCRIBED: Words = Words {
    title: ["No more e-mails", "不再发送邮件"],
    text: [
        "They can be switched on again on the page of notifications.",
        "您可以在通知页面重新开启邮件。",
    ],
    button: None,
};
const STALE: Words = Words {
    title: ["This link is not good any more", "此链接已失效"],
    text: [
        "Ask for a new one on the page of notifications.",
        "请在通知页面重新获取。",
    ],
    button: None,
};
const FAILED: Words = Words {
    title: ["Something failed on our side", "我们这边出了问题"],
    text: ["Please try again.", "请重试。"],
    button: None,
};

fn page(words: &Words, language: Language, status: StatusCode) -> Response {
    let (at, lang) = match language {
        Language::En => (0, "en"),
        Language::Zh => (1, "zh"),
    };
    let button = words.button.map_or_else(String::new, |button| {
        format!(
            "<form method=\"post\"><button>{}</button></form>",
            button[at]
        )
    });
    let (title, text) = (words.title[at], words.text[at]);
    let body = format!("<p>{text}</p>{button}<p><a href=\"/notifications\">IOG</a></p>");
    let html = plain::page(lang, title, &body);
    // Its one button posts to where it came from; nothing else leaves it. The Referrer-Policy is the layers' `same-origin`:
    // with none at all a browser would send `Origin: null` with the form, and be refused.
    (
        status,
        [(http::header::CONTENT_SECURITY_POLICY, plain::policy(true))],
        Html(html),
    )
        .into_response()
}

async fn done(
    exchange: &Exchange,
    account: AccountId,
    outcome: Result<(), exchange::Error>,
    words: &Words,
) -> Response {
    let language = exchange.mail_language(account).await.unwrap_or_default();
    match outcome {
        Ok(()) => page(words, language, StatusCode::OK),
        Err(exchange::Error::Conflict(_)) => page(&STALE, language, StatusCode::CONFLICT),
        Err(error) => {
            let failure = super::problem::Chain(&error).to_string();
            tracing::error!(failure, "a link of an e-mail could not be followed");
            page(&FAILED, language, StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

pub async fn confirm_page(State(exchange): State<Exchange>, Query(link): Query<Link>) -> Response {
    let language = exchange.mail_language(link.account).await;
    page(&CONFIRM, language.unwrap_or_default(), StatusCode::OK)
}

pub async fn confirm(State(exchange): State<Exchange>, Query(link): Query<Link>) -> Response {
    let outcome = exchange.confirm_address(link.account, &link.code).await;
    done(&exchange, link.account, outcome, &CONFIRMED).await
}

pub async fn unsubscribe_page(
    State(exchange): State<Exchange>,
    Query(link): Query<Link>,
) -> Response {
    let language = exchange.mail_language(link.account).await;
    page(&UNSUBSCRIBE, language.unwrap_or_default(), StatusCode::OK)
}

/// By the button, or by a mail program in one request (RFC 8058); its body says nothing new.
pub async fn unsubscribe(State(exchange): State<Exchange>, Query(link): Query<Link>) -> Response {
    let outcome = exchange.unsubscribe(link.account, &link.code).await;
    done(&exchange, link.account, outcome, &UNSUBSCRIBED).await
}
