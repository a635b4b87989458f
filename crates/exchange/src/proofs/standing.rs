//! What a device is held for after a challenge, or after its worker says something else of it: plain functions.

use kernel::{Seconds, Timestamp};
use proof::Fault;
use protocol::proof::{DeviceProof, Outcome, ProofReason, ProofState};
use protocol::spec::DeviceClass;
use store::Device;

/// Late or missing answers in a row after which a device has failed.
const STRIKES: u32 = 3;
/// Every challenge passed for so long: the highest level.
const LONG: Seconds = Seconds::new(14 * 86_400);

/// After a challenge.
pub(crate) fn judged(
    class: DeviceClass,
    before: &DeviceProof,
    outcome: Outcome,
    fault: Option<&Fault>,
    now: Timestamp,
) -> DeviceProof {
    let told = |state, strikes, proven_since| DeviceProof {
        state,
        reason: fault.map(|fault| fault.reason),
        detail: fault.map(|fault| fault.detail.clone()).unwrap_or_default(),
        challenged_at: Some(now),
        proven_since,
        strikes,
    };
    match outcome {
        Outcome::Passed => told(
            ProofState::Proven,
            0,
            Some(before.proven_since.unwrap_or(now)),
        ),
        // The one says itself that it cannot show anything.
        Outcome::Unable | Outcome::Failed => told(ProofState::Failed, 0, None),
        Outcome::Aborted => before.clone(),
        Outcome::Missed => {
            let strikes = before.strikes.saturating_add(1);
            // A CPU has nothing to hide by silence.
            if strikes >= STRIKES && class == DeviceClass::Gpu {
                told(ProofState::Failed, 0, None)
            } else {
                told(before.state, strikes, before.proven_since)
            }
        }
    }
}

/// What a device that its worker describes is held for: what it has shown counts only for what it said then.
pub(crate) fn renamed(before: Option<&Device>, now: &Device, at: Timestamp) -> DeviceProof {
    let identity = proof::models::identity(now.class, &now.model, now.memory_mib, &now.details);
    let told = |state, fault: &Fault| DeviceProof {
        state,
        reason: Some(fault.reason),
        detail: fault.detail.clone(),
        challenged_at: before
            .and_then(|before| before.proof.challenged_at)
            .or(Some(at)),
        ..DeviceProof::default()
    };
    match (identity, before) {
        (Err(fault), _) if fault.reason == ProofReason::UnknownModel => {
            told(ProofState::Claimed, &fault)
        }
        (Err(fault), _) => told(ProofState::Failed, &fault),
        (Ok(None), Some(before)) if before.class == now.class => before.proof.clone(),
        (Ok(Some(_)), Some(before)) if is_same(before, now) => before.proof.clone(),
        (Ok(_), _) => DeviceProof::default(),
    }
}

fn is_same(before: &Device, now: &Device) -> bool {
    (before.class, &before.model, before.memory_mib) == (now.class, &now.model, now.memory_mib)
        && before.details.pci == now.details.pci
        && before.details.capability == now.details.capability
}

/// As offers show it: 0 claimed, 1 seen by its driver and fitting together, 2 challenged, 3 challenged for weeks.
pub(crate) fn level(device: &Device, now: Timestamp) -> u32 {
    let DeviceProof {
        state,
        reason,
        proven_since,
        ..
    } = &device.proof;
    match (state, proven_since) {
        (ProofState::Proven, Some(since)) if now.seconds_since(*since) >= LONG => 3,
        (ProofState::Proven, _) => 2,
        (ProofState::Claimed, _) if device.details.driver.is_some() && reason.is_none() => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn fault(reason: ProofReason) -> Fault {
        Fault {
            reason,
            detail: "x".into(),
        }
    }

    #[test]
    fn passing_proves_failing_undoes_and_three_silences_fail() {
        let judged = |before: &DeviceProof, outcome, fault: Option<&Fault>, now| {
            super::judged(DeviceClass::Gpu, before, outcome, fault, now)
        };
        let proven = judged(&DeviceProof::default(), Outcome::Passed, None, at(1));
        assert_eq!(
            (proven.state, proven.proven_since),
            (ProofState::Proven, Some(at(1)))
        );
        let again = judged(&proven, Outcome::Passed, None, at(9));
        assert_eq!(
            (again.proven_since, again.challenged_at),
            (Some(at(1)), Some(at(9)))
        );
        let silent = fault(ProofReason::NoAnswer);
        let once = judged(&again, Outcome::Missed, Some(&silent), at(10));
        assert_eq!((once.state, once.strikes), (ProofState::Proven, 1));
        let twice = judged(&once, Outcome::Missed, Some(&silent), at(11));
        assert_eq!(judged(&twice, Outcome::Passed, None, at(12)).strikes, 0);
        let thrice = judged(&twice, Outcome::Missed, Some(&silent), at(12));
        assert_eq!(
            (thrice.state, thrice.proven_since),
            (ProofState::Failed, None)
        );
        let cpu = super::judged(DeviceClass::Cpu, &twice, Outcome::Missed, None, at(12));
        assert_eq!(cpu.state, ProofState::Proven);
        let wrong = fault(ProofReason::WrongReads);
        let failed = judged(&again, Outcome::Failed, Some(&wrong), at(10));
        assert_eq!(
            (failed.state, failed.reason),
            (ProofState::Failed, Some(ProofReason::WrongReads))
        );
        assert_eq!(
            judged(&again, Outcome::Aborted, None, at(10)),
            again,
            "nobody's fault"
        );
        assert_eq!(
            judged(&failed, Outcome::Passed, None, at(99)).proven_since,
            Some(at(99))
        );
    }
}
