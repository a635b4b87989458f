//! What is answered in a job's stead: a problem to programs, a small page to people.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    REFRESH, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::plain;
use crate::http::problem::Refused;

/// In what form somebody reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    html: bool,
    chinese: bool,
}

impl Wanted {
    pub fn of(headers: &HeaderMap) -> Self {
        let header = |name| {
            let value = headers.get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or("")
        };
        Self {
            html: header(ACCEPT).contains("text/html"),
            chinese: header(ACCEPT_LANGUAGE)
                .trim_start()
                .to_lowercase()
                .starts_with("zh"),
        }
    }

    pub fn refusal(self, refused: &Refused) -> Response {
        let status =
            StatusCode::from_u16(refused.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = if self.html {
            self.page(refused, status)
        } else {
            refused.clone().into_response()
        };
        guard(&mut response);
        if status == StatusCode::BAD_GATEWAY {
            // A job that starts listens a little later.
            let soon = HeaderValue::from_static("3");
            response.headers_mut().insert(RETRY_AFTER, soon.clone());
            if self.html {
                response.headers_mut().insert(REFRESH, soon);
            }
        }
        response
    }

    fn page(self, refused: &Refused, status: StatusCode) -> Response {
        let (lang, title, again, waits) = if self.chinese {
            ("zh", "无法访问此端口", "再试一次", "本页每三秒自动重试。")
        } else {
            (
                "en",
                "This port cannot be reached",
                "Try again",
                "This page looks again every three seconds.",
            )
        };
        let told = plain::escaped(&self.told(refused, status));
        let waits = if status == StatusCode::BAD_GATEWAY {
            format!("<p>{waits}</p>")
        } else {
            String::new()
        };
        let body = format!("<p>{told}</p>{waits}<p><a class=\"button\" href=\"\">{again}</a></p>");
        let text = plain::page(lang, title, &body);
        let mut response = (status, Body::from(text)).into_response();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    fn told(self, refused: &Refused, status: StatusCode) -> String {
        let detail = &refused.0.detail;
        if !self.chinese {
            return detail.clone();
        }
        let told = match status {
            StatusCode::BAD_GATEWAY if detail.contains("listens") => {
                "任务还没有在此端口监听。请稍候再试。"
            }
            StatusCode::BAD_GATEWAY => "任务当前没有运行，或没有声明此端口。",
            StatusCode::NOT_FOUND => "没有任务使用此地址。正确的地址见门户中的任务页面。",
            StatusCode::UNAUTHORIZED => "此端口不公开，或链接已过期。请从任务页面打开。",
            StatusCode::FORBIDDEN => "另一个网站在您的浏览器中请求了此页，未执行。",
            StatusCode::TOO_MANY_REQUESTS => "请求过多，请稍候再试。",
            _ => return detail.clone(),
        };
        told.to_owned()
    }
}

pub(super) fn refusal(headers: &HeaderMap, refused: &Refused) -> Response {
    Wanted::of(headers).refusal(refused)
}

/// What our own answers here are kept from.
pub(super) fn guard(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, plain::policy(false));
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // A pass may stand in the address.
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "private, no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
