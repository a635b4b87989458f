//! Jobs that try to get out, or to take more than they were given. Each must be contained, and reported as what it is.
//! Those that come by an image's layers or name are in `image.rs` and beside the code that refuses them.

mod files;
mod kernel;
mod network;
mod processes;
mod resources;

use std::path::Path;

use super::common::{python, run};
use worker::sandbox::StartJob;

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().expect("tempdir")
}

async fn output(make: impl FnOnce(&Path) -> StartJob) -> String {
    let dir = tempdir();
    let job = make(dir.path());
    run(job).await.passed()
}

/// What each `call` of a script was answered; a line that is no refusal stands as it is.
async fn refusals(script: &str) -> Vec<String> {
    // System calls by number: libc has no name for most of them, and its wrappers check before the kernel does.
    let prelude = "import ctypes, errno, os, platform, time
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *args)
    print(name, result, errno.errorcode.get(ctypes.get_errno()))
";
    let out = output(|dir| python(dir, &format!("{prelude}{script}"))).await;
    out.lines()
        .map(|line| match line.split_once(" -1 ") {
            Some((_, word)) => word.to_owned(),
            None => line.to_owned(),
        })
        .collect()
}
