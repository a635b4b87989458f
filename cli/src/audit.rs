//! `iog verify-audit`: an export of the audit log, checked without a network and without trust.

use anyhow::Context;
use clap::Args;
use protocol::audit::{AuditExport, FORMAT, check};

use crate::{WRONG, read, say};

#[derive(Args)]
pub struct VerifyAudit {
    /// The export as JSON (GET /api/v1/admin/audit/export, /api/v1/audit/export), or - for standard input.
    file: String,
    /// A hash that was noted before: one of the entries must have it.
    #[arg(long, value_name = "HEX")]
    hash: Option<String>,
}

/// # Errors
/// It cannot be read, or is no export.
pub fn verify(wanted: &VerifyAudit) -> anyhow::Result<u8> {
    let text = read(&wanted.file)?;
    let (said, code) = verdict(&text, wanted.hash.as_deref())?;
    say(&said)?;
    Ok(code)
}

fn verdict(text: &str, hash: Option<&str>) -> anyhow::Result<(String, u8)> {
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
            "Between some of them others are not in this file ({gaps} places): so it is when it was filtered.\n"
        ),
    };
    said += &follows;
    Ok((said, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (said, code) = verdict(&export(&entry), None).expect("checked");
        assert!(code == 0 && said.contains("From 7 to 7"), "{said}");
        let (said, code) = verdict(&export(&entry), Some(&typed.digest())).expect("checked");
        assert_eq!(code, 0, "{said}");
        let (said, code) = verdict(&export(&entry), Some("00")).expect("checked");
        assert!(code == WRONG && said.contains("no entry has"), "{said}");
        entry["subject"]["id"] = "job_2".into();
        let (said, code) = verdict(&export(&entry), None).expect("checked");
        assert!(code == WRONG && said.contains("entry 7"), "{said}");
        assert!(verdict("{}", None).is_err());
    }
}
