//! The chain seen from outside: what it refuses and what it runs (`transactions`), how it answers (`reads`), and how it
//! fails and moves its time on request (`faults`).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod faults;
mod reads;
#[path = "../support/mod.rs"]
mod support;
mod transactions;

use support::{Devchain, Reply};

struct World {
    chain: Devchain,
    _data: tempfile::TempDir,
}

fn world() -> World {
    let data = tempfile::tempdir().unwrap();
    World {
        chain: Devchain::start(data.path(), 0),
        _data: data,
    }
}

fn refused(reply: &Reply, code: u64) {
    let words = reply.json();
    assert_eq!(reply.status, 400, "{words}");
    assert_eq!(words["error_code"], "vm_error", "{words}");
    assert_eq!(words["vm_error_code"], code, "{words}");
    assert!(
        words["message"]
            .as_str()
            .unwrap()
            .starts_with("Invalid transaction: "),
        "{words}"
    );
}
