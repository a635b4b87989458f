//! Letters: what they say, and what a name in them cannot do.

use super::*;
use kernel::{JobId, WebhookId};
use protocol::notice::DeliveryError;

fn funds_low(name: &str) -> Notice {
    Notice::JobFundsLow {
        job: JobId::new(Timestamp::from_millis(1), [1; 10]),
        name: name.into(),
        seconds_left: Seconds::new(130),
    }
}

#[test]
fn a_name_cannot_write_a_header() {
    let evil = funds_low("x\r\nBcc: all@example.com\r\n\r\nhello");
    for language in [Language::En, Language::Zh] {
        let words = of_notice(
            &evil,
            language,
            "https://iog.example",
            "https://iog.example/u",
        );
        assert!(!words.subject.chars().any(char::is_control), "{words:?}");
        assert!(words.subject.chars().count() <= SUBJECT_MAX);
    }
    let long = of_notice(&funds_low(&"é".repeat(1_000)), Language::En, "", "");
    assert_eq!(long.subject.chars().count(), SUBJECT_MAX);
}

#[test]
fn a_letter_says_what_happened_where_to_look_and_how_to_end_it() {
    let notice = funds_low("train");
    let words = of_notice(
        &notice,
        Language::En,
        "https://iog.example",
        "https://iog.example/u?x",
    );
    assert_eq!(words.subject, "Job train will be stopped in 2 minutes");
    assert!(
        words
            .text
            .contains(&format!("https://iog.example{}", notice.path()))
    );
    assert!(words.text.contains("https://iog.example/u?x"));
    let words = of_notice(
        &notice,
        Language::Zh,
        "https://iog.example",
        "https://iog.example/u?x",
    );
    assert_eq!(words.subject, "任务 train 将在 2 分钟 后停止");
    let off = Notice::WebhookDisabled {
        webhook: WebhookId::new(Timestamp::from_millis(1), [1; 10]),
        url: "https://a.example/".into(),
        failing_since: Timestamp::from_millis(1_795_700_000_000),
        error: DeliveryError::Timeout,
    };
    let words = of_notice(&off, Language::En, "", "");
    assert!(
        words.text.contains("https://a.example/ since 2026-11-26 1"),
        "{}",
        words.text
    );
}

#[test]
fn a_time_is_said_in_the_unit_that_fits() {
    let said = [0, 119, 120, 7_199, 7_200, 172_799, 172_800]
        .map(|seconds| lasts(Seconds::new(seconds), Language::En));
    let expected = [
        "0 seconds",
        "119 seconds",
        "2 minutes",
        "119 minutes",
        "2 hours",
        "47 hours",
        "2 days",
    ];
    assert_eq!(said, expected);
}
