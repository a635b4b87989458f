//! Secret keys in files: read, or made once.

use std::path::Path;

use ed25519_dalek::SigningKey;

use super::file_error;
use crate::error::Error;
use crate::ports::Entropy;

/// The key that countersigns receipts. It is made once; without it old receipts stay valid, but their platform could no
/// longer be the same one, so a file that cannot be read is an error and never replaced.
pub(super) fn platform_key(path: &Path, entropy: &dyn Entropy) -> Result<SigningKey, Error> {
    secret_key_file(path, entropy).map(|bytes| SigningKey::from_bytes(&bytes))
}

/// 32 bytes that nobody else on this machine may read, made when there are none.
pub(crate) fn secret_key_file(path: &Path, entropy: &dyn Entropy) -> Result<[u8; 32], Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if path.exists() {
        let text = std::fs::read_to_string(path)
            .map_err(|source| file_error("reading a key", path, source))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| {
            Error::Internal(format!(
                "{} does not hold a key of 64 hexadecimal digits",
                path.display()
            ))
        })?;
        return Ok(bytes);
    }
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(hex::encode(bytes).as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| file_error("writing a key", path, source))?;
    Ok(bytes)
}
