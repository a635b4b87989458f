//! What this machine's own paths carry, in MB/s: the disk of the state directory and main memory. Small, since it is measured again
//! and again.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::proof::Figures;

const BYTES: usize = 8 * 1024 * 1024;

/// Microseconds of a clock that only goes forward.
pub(super) fn micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    whole(now.tv_sec)
        .saturating_mul(1_000_000)
        .saturating_add(whole(now.tv_nsec) / 1_000)
}

/// Bytes a microsecond are MB a second.
fn speed(bytes: usize, from: u64) -> Option<u32> {
    let took = micros().saturating_sub(from).max(1);
    u32::try_from(u64::try_from(bytes).ok()? / took).ok()
}

pub(super) fn host(folder: &Path) -> Figures {
    let data = vec![0x5a; BYTES];
    let from = micros();
    let copy = std::hint::black_box(data.clone());
    let memory = speed(BYTES, from);
    let (disk_write, disk_read) = disk(folder, &copy).unwrap_or_default();
    Figures {
        memory,
        disk_write,
        disk_read,
        ..Figures::default()
    }
}

fn disk(folder: &Path, data: &[u8]) -> std::io::Result<(Option<u32>, Option<u32>)> {
    let path = folder.join("speed");
    let from = micros();
    let mut file = File::create(&path)?;
    file.write_all(data)?;
    file.sync_data()?;
    let write = speed(data.len(), from);
    // So that it comes from the disk, not from memory, where the system takes the advice.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    drop(file);
    let from = micros();
    let mut back = vec![0; data.len()];
    let file = File::open(&path)?;
    file.read_exact_at(&mut back, 0)?;
    let read = speed(back.len(), from);
    std::fs::remove_file(&path)?;
    Ok((write, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("tempdir");
        let figures = host(folder.path());
        assert!(figures.memory.is_some_and(|speed| speed > 0));
        assert!(figures.disk_write.is_some() && figures.disk_read.is_some());
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
        assert_eq!(host(Path::new("/nowhere")).disk_write, None);
    }
}
