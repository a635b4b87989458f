//! `iog verify-audit`: an export of the audit log, checked without a network and without trust.

use anyhow::Context;
use clap::Args;
use protocol::audit::{AuditEntry, AuditExport, FORMAT, check};

use crate::{WRONG, read, say};

#[derive(Args)]
pub struct VerifyAudit {
    /// The export as JSON (GET /api/v1/admin/audit/export, /api/v1/audit/export), or - for standard input.
    file: String,
    /// A hash that was noted before: one of the entries must have it.
    #[arg(long, value_name = "HEX")]
    hash: Option<String>,
    /// The export is a part by design: made with filters, or one account's own (/api/v1/audit/export). Entries may be missing between
    /// others; without this that is an error.
    #[arg(long)]
    filtered: bool,
}

/// # Errors
/// It cannot be read, or is no export.
pub fn verify(wanted: &VerifyAudit) -> anyhow::Result<u8> {
    let text = read(&wanted.file)?;
    let (said, code) = verdict(&text, wanted.hash.as_deref(), wanted.filtered)?;
    say(&said)?;
    Ok(code)
}

fn verdict(text: &str, hash: Option<&str>, filtered: bool) -> anyhow::Result<(String, u8)> {
    let export: AuditExport =
        serde_json::from_str(text).context("this is no export of an audit log")?;
    if export.format != FORMAT {
        anyhow::bail!("the format is {:?}, not {FORMAT:?}", export.format);
    }
    let checked = match check(&export.entries) {
        Ok(checked) => checked,
        Err(fault) => return Ok((format!("Wrong: {fault}.\n"), WRONG)),
    };
    if let Some(hash) = hash
        && export.entries.iter().all(|entry| entry.hash != hash)
    {
        return Ok((format!("Wrong: no entry has the hash {hash}.\n"), WRONG));
    }
    if checked.gaps > 0 && !filtered {
        return Ok((missing(&export.entries, checked.gaps), WRONG));
    }
    let entries = checked.entries;
    let mut said = format!("{entries} entries, each as it was written.\n");
    if let (Some(first), Some(last)) = (export.entries.first(), export.entries.last()) {
        said = format!(
            "{said}From {} to {}; the last hash is {}.\n",
            first.position, last.position, last.hash
        );
    }
    let follows = match checked.gaps {
        0 => "Each follows from the one before.\n".to_owned(),
        gaps => format!(
            "Between some of them others are not in this file ({gaps} places): of these nothing is shown, filtered or taken out.\n"
        ),
    };
    said += &follows;
    Ok((said, 0))
}

/// Where entries are missing, the first place by name.
fn missing(entries: &[AuditEntry], gaps: u64) -> String {
    let mut pairs = entries.windows(2).filter_map(|pair| match pair {
        [one, next] if one.position.saturating_add(1) != next.position => {
            Some(format!("{} and {}", one.position, next.position))
        }
        _ => None,
    });
    let first = pairs.next().unwrap_or_default();
    let places = match gaps {
        1 => String::new(),
        gaps => format!(", and at {} more places", gaps.saturating_sub(1)),
    };
    format!(
        "Wrong: entries are missing between {first}{places}. If this export was made with filters, or is an account's own, say --filtered.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_missing_is_an_error_unless_the_export_is_filtered() {
        let entry = |position: u64, previous: &str| {
            let mut entry: AuditEntry = serde_json::from_value(serde_json::json!({
                "position": position, "at": "2026-11-27T00:00:00.000Z",
                "actor": { "kind": "system" }, "action": "job.stopped",
                "subject": { "kind": "job", "id": "job_1" }, "detail": {},
                "previous": previous, "hash": "",
            }))
            .expect("an entry");
            entry.hash = entry.digest();
            entry
        };
        let first = entry(1, &"0".repeat(64));
        let second = entry(2, &first.hash);
        let third = entry(3, &second.hash);
        let verdict = |entries: &[&AuditEntry], filtered| {
            let export = serde_json::json!({
                "format": FORMAT, "at": "2026-11-27T00:00:00.000Z", "entries": entries, "more": false,
            });
            verdict(&export.to_string(), None, filtered).expect("checked")
        };
        let (said, code) = verdict(&[&first, &second, &third], false);
        assert!(code == 0 && said.contains("Each follows"), "{said}");
        let (said, code) = verdict(&[&first, &third], false);
        assert!(code == WRONG, "{said}");
        assert!(
            said.contains("between 1 and 3") && said.contains("--filtered"),
            "{said}"
        );
        let (said, code) = verdict(&[&first, &third], true);
        assert!(code == 0 && said.contains("1 places"), "{said}");
    }

    #[test]
    fn an_export_is_checked_and_a_changed_one_named() {
        let mut entry = serde_json::json!({
            "position": 7, "at": "2026-11-27T00:00:00.000Z",
            "actor": { "kind": "system" }, "action": "job.stopped",
            "subject": { "kind": "job", "id": "job_1" }, "detail": {},
            "previous": "0".repeat(64), "hash": "",
        });
        let typed: protocol::audit::AuditEntry =
            serde_json::from_value(entry.clone()).expect("an entry");
        entry["hash"] = typed.digest().into();
        let export = |entry: &serde_json::Value| {
            serde_json::json!({ "format": FORMAT, "at": "2026-11-27T00:00:00.000Z", "entries": [entry], "more": false })
                .to_string()
        };
        let (said, code) = verdict(&export(&entry), None, false).expect("checked");
        assert!(code == 0 && said.contains("From 7 to 7"), "{said}");
        let (said, code) = verdict(&export(&entry), Some(&typed.digest()), false).expect("checked");
        assert_eq!(code, 0, "{said}");
        let (said, code) = verdict(&export(&entry), Some("00"), false).expect("checked");
        assert!(code == WRONG && said.contains("no entry has"), "{said}");
        entry["subject"]["id"] = "job_2".into();
        let (said, code) = verdict(&export(&entry), None, false).expect("checked");
        assert!(code == WRONG && said.contains("entry 7"), "{said}");
        assert!(verdict("{}", None, false).is_err());
    }
}
