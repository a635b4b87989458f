//! Reading the audit log: on from where it was read to, and again from its beginning, a piece each time, for what was read once can
//! still be changed.

use protocol::money::IncidentKind;
use store::{AuditEnd, AuditRow, Difference};

use crate::desk::Exchange;
use crate::error::Error;

/// The reading that goes on.
pub(crate) const ON: &str = "audit";
/// The reading that begins again and again.
pub(crate) const AGAIN: &str = "audit_again";
const PAGE: u32 = 2_000;
/// Entries that one look reads at most.
const AT_ONCE: u64 = 100_000;

/// What one look found, and how far both readings have come.
pub(crate) struct AuditLook {
    pub found: Vec<Difference>,
    pub on: AuditEnd,
    pub again: AuditEnd,
}

fn differs(position: u64, expected: String, found: String) -> Option<Difference> {
    (expected != found).then(|| Difference {
        kind: IncidentKind::AuditChain,
        subject: format!("audit:{position}"),
        expected,
        found,
    })
}

/// What is wrong with the entry after `end`, if anything. What follows is read from what is stored, or one fault would be
/// reported with each entry after it.
fn read(end: &mut AuditEnd, row: &AuditRow) -> Option<Difference> {
    let position = end.position.saturating_add(1);
    let digest = row.entry.as_ref().map(protocol::audit::AuditEntry::digest);
    let found = differs(
        position,
        format!("position {position}"),
        format!("position {}", row.position),
    )
    .or_else(|| {
        differs(
            position,
            format!("after {}", end.hash),
            format!("after {}", row.previous),
        )
    })
    .or_else(|| {
        let digest = digest.unwrap_or_else(|| "words of an entry".to_owned());
        differs(position, digest, row.hash.clone())
    });
    *end = AuditEnd {
        position: row.position,
        hash: row.hash.clone(),
        at: row.at,
    };
    found
}

impl Exchange {
    pub(crate) async fn look_at_audit(&self) -> Result<AuditLook, Error> {
        let store = &self.inner.store;
        let mut found = Vec::new();
        let mut on = store.audit_checked(ON).await?;
        if on.position > 0 {
            let there = store.audit_after(on.position.saturating_sub(1), 1).await?;
            let there = there.first().filter(|row| row.position == on.position);
            let hash = there.map_or_else(|| "nothing".to_owned(), |row| row.hash.clone());
            found.extend(differs(on.position, on.hash.clone(), hash));
            match there {
                Some(row) => on.hash.clone_from(&row.hash),
                // Its end was taken away: it goes on from what is left.
                None => on = store.audit_end().await?,
            }
        }
        let mut count = 0_u64;
        while count < AT_ONCE {
            let page = store.audit_after(on.position, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for row in &page {
                found.extend(read(&mut on, row));
                count = count.saturating_add(1);
            }
        }
        let mut again = store.audit_checked(AGAIN).await?;
        let page = store.audit_after(again.position, PAGE).await?;
        for row in page.iter().filter(|row| row.position <= on.position) {
            found.extend(read(&mut again, row));
        }
        if again.position >= on.position {
            again = AuditEnd::begin();
        }
        Ok(AuditLook { found, on, again })
    }
}

#[cfg(test)]
mod tests {
    use kernel::{AccountId, Timestamp};
    use protocol::audit::{
        ActorKind, AuditAction, AuditActor, AuditEntry, AuditSubject, SubjectKind,
    };

    use super::*;

    fn row(position: u64, previous: &str) -> AuditRow {
        let at = Timestamp::from_millis(7);
        let mut entry = AuditEntry {
            position,
            at,
            actor: AuditActor {
                kind: ActorKind::System,
                account: None,
                id: String::new(),
            },
            action: AuditAction::JobStopped,
            subject: AuditSubject {
                kind: SubjectKind::Job,
                id: "job_1".into(),
            },
            account: Some(AccountId::new(at, [1; 10])),
            detail: [].into(),
            previous: previous.to_owned(),
            hash: String::new(),
        };
        entry.hash = entry.digest();
        AuditRow {
            position,
            at,
            previous: entry.previous.clone(),
            hash: entry.hash.clone(),
            entry: Some(entry),
        }
    }

    fn faults(rows: &[AuditRow]) -> Vec<String> {
        let mut end = AuditEnd::begin();
        let found = rows.iter().filter_map(|row| read(&mut end, row));
        found.map(|difference| difference.subject).collect()
    }

    #[test]
    fn each_meddling_is_found_once_and_named() {
        let first = row(1, &AuditEnd::begin().hash);
        let second = row(2, &first.hash);
        let third = row(3, &second.hash);
        let whole = [first.clone(), second.clone(), third.clone()];
        assert_eq!(faults(&whole), [""; 0]);
        // Taken out.
        assert_eq!(faults(&[first.clone(), third.clone()]), ["audit:2"]);
        // Changed, its hash left or made anew.
        let mut changed = second.clone();
        let entry = changed.entry.as_mut().expect("an entry");
        entry.subject.id = "job_2".into();
        assert_eq!(
            faults(&[first.clone(), changed.clone(), third.clone()]),
            ["audit:2"]
        );
        let entry = changed.entry.as_mut().expect("an entry");
        entry.hash = entry.digest();
        changed.hash.clone_from(&entry.hash);
        assert_eq!(
            faults(&[first.clone(), changed, third.clone()]),
            ["audit:3"]
        );
        // A word that is none of ours.
        let mut strange = second;
        strange.entry = None;
        assert_eq!(faults(&[first, strange, third]), ["audit:2"]);
    }
}
