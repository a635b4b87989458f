//! That each kind has one name, and which notices are mailed.

use super::*;

#[test]
fn an_event_has_one_name_everywhere() {
    for event in Event::ALL {
        assert_eq!(Event::parse(event.as_str()), Some(event));
        let json = serde_json::to_string(&event).expect("json");
        assert_eq!(json, format!("\"{event}\""));
    }
    for error in DeliveryError::ALL {
        assert_eq!(DeliveryError::parse(error.as_str()), Some(error));
        let json = serde_json::to_string(&error).expect("json");
        assert_eq!(json, format!("\"{}\"", error.as_str()));
    }
    let webhook = WebhookId::new(Timestamp::from_millis(1), [1; 10]);
    let test = Notice::WebhookTest { webhook };
    let json = serde_json::to_value(&test).expect("json");
    assert_eq!(json["type"], test.event().as_str());
    assert_eq!(json["data"]["webhook"], webhook.to_string());
    assert_eq!(serde_json::from_value::<Notice>(json).expect("back"), test);
}

#[test]
fn a_job_that_ends_well_sends_no_mail() {
    let ended = |state, end| Notice::JobEnded {
        job: JobId::new(Timestamp::from_millis(1), [1; 10]),
        name: "x".into(),
        state,
        end,
        cost: Amount::ZERO,
    };
    let fine = ended(JobState::Finished, RunEnd::Exited { code: 0 });
    let wrong = ended(JobState::Failed, RunEnd::Exited { code: 1 });
    let stopped = ended(JobState::Stopped, RunEnd::StoppedByUser);
    assert_eq!(
        [&fine, &wrong, &stopped].map(Notice::is_mailed),
        [false, true, false]
    );
    assert_eq!(
        [&fine, &wrong, &stopped].map(Notice::is_quiet),
        [false, false, true]
    );
}
