//! A small registry for the tests: the distribution API of images that the tests build, over real HTTP with real digests,
//! with a fault on request. And the builder of such images.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use futures::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::EntryType;

#[derive(Default)]
pub struct Shelf {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// By tag, or by `sha256:…`.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// What was asked for, in order.
    pub asked: Vec<String>,
    /// Answer so many requests with this status first.
    pub fail: Vec<StatusCode>,
    /// Only with the token that `/token` gives.
    pub wants_token: bool,
    /// Cut the body of each blob after so many bytes, so many times.
    pub cut: Option<(usize, u32)>,
    /// Never answer with a part: send the whole again.
    pub whole_only: bool,
    /// Change a byte of each blob.
    pub spoil: bool,
    /// A pause before each piece of a blob.
    pub slow: Duration,
    /// Send this blob's question to another address.
    pub redirect: Option<String>,
}

type Door = Arc<Mutex<Shelf>>;

pub struct Registry {
    runtime: Option<tokio::runtime::Runtime>,
    pub address: SocketAddr,
    shelf: Door,
}

pub fn sha(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Registry {
    pub fn start() -> Self {
        // The program chooses one at its start.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("address");
        let shelf = Door::default();
        let router = Router::new()
            .route("/v2/me/tool/manifests/{reference}", get(manifest))
            .route("/v2/me/tool/blobs/{digest}", get(blob))
            .route("/token", get(|| async { r#"{"token":"open-sesame"}"# }))
            .with_state(Arc::clone(&shelf));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            axum::serve(listener, router).await.expect("serve");
        });
        Self {
            runtime: Some(runtime),
            address,
            shelf,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("lock")
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn name(&self, reference: &str) -> String {
        let separator = if reference.starts_with("sha256:") {
            '@'
        } else {
            ':'
        };
        format!("{}/me/tool{separator}{reference}", self.host())
    }

    /// Serves an image under a tag and its digest; answers the digest.
    pub fn push(&self, tag: &str, image: &ImageBuilder) -> String {
        let mut shelf = self.lock();
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for (media_type, bytes, plain) in &image.layers {
            shelf.blobs.insert(sha(bytes), bytes.clone());
            layers
                .push(json!({"mediaType": media_type, "digest": sha(bytes), "size": bytes.len()}));
            diff_ids.push(sha(plain));
        }
        let config = json!({
            "architecture": image.architecture, "os": "linux", "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = serde_json::to_vec(&config).expect("json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha(&config), "size": config.len()},
            "layers": layers,
        });
        let manifest = serde_json::to_vec(&manifest).expect("json");
        let digest = sha(&manifest);
        shelf.blobs.insert(sha(&config), config);
        for reference in [tag, &digest] {
            shelf
                .manifests
                .insert(reference.to_owned(), manifest.clone());
        }
        digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Also from within a test's own runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The machine's architecture as images name it.
pub fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

pub struct ImageBuilder {
    layers: Vec<(String, Vec<u8>, Vec<u8>)>,
    pub architecture: String,
    pub config: serde_json::Value,
}

/// What a layer holds: kind, path, content or target, mode.
pub type Entry<'a> = (EntryType, &'a str, &'a [u8], u32);

pub fn file<'a>(path: &'a str, content: &'a str) -> Entry<'a> {
    (EntryType::Regular, path, content.as_bytes(), 0o644)
}

pub fn link<'a>(path: &'a str, target: &'a str) -> Entry<'a> {
    (EntryType::Symlink, path, target.as_bytes(), 0o777)
}

impl ImageBuilder {
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            architecture: architecture().to_owned(),
            config: json!({}),
        }
    }

    /// A layer with busybox and a shell in it.
    pub fn busybox() -> Self {
        let busybox = std::fs::read("/bin/busybox").expect("apt-get install busybox-static");
        let entries = [
            (EntryType::Directory, "bin/", &b""[..], 0o755),
            (EntryType::Regular, "bin/busybox", &busybox, 0o755),
            link("bin/sh", "busybox"),
            link("bin/ls", "/bin/busybox"),
            link("bin/cat", "busybox"),
            link("bin/grep", "../bin/busybox"),
            link("bin/id", "busybox"),
            link("bin/touch", "busybox"),
        ];
        Self::new().layer(&entries)
    }

    pub fn layer(self, entries: &[Entry<'_>]) -> Self {
        self.plain_layer(tar_of(entries))
    }

    /// Packs a layer with gzip.
    pub fn plain_layer(mut self, plain: Vec<u8>) -> Self {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("gzip");
        let bytes = gzip.finish().expect("gzip");
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        self.layers.push((kind, bytes, plain));
        self
    }

    /// Two frames with something to skip between them, as layers for lazy pulling are written.
    pub fn zstd_layer(mut self, entries: &[Entry<'_>]) -> Self {
        let plain = tar_of(entries);
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let (first, second) = plain.split_at(plain.len() / 2);
        let mut bytes = ruzstd::encoding::compress_to_vec(first, level);
        bytes.extend([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        bytes.extend(ruzstd::encoding::compress_to_vec(second, level));
        let kind = "application/vnd.oci.image.layer.v1.tar+zstd".to_owned();
        self.layers.push((kind, bytes, plain));
        self
    }

    /// The last layer is packed as it was, but its content is said to be another.
    pub fn lying(mut self) -> Self {
        if let Some((_, _, plain)) = self.layers.last_mut() {
            plain.push(0);
        }
        self
    }
}

/// Written raw: the library's own setters refuse the paths that an attacker would write.
pub fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, content, mode) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            old.linkname[..content.len()].copy_from_slice(content);
        }
        let content = if is_link { &b""[..] } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).expect("append");
    }
    builder.into_inner().expect("tar")
}

fn answer(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

/// What goes wrong before anything is looked for.
fn refusal(shelf: &mut Shelf, headers: &HeaderMap, what: String) -> Option<Response<Body>> {
    shelf.asked.push(what);
    if !shelf.fail.is_empty() {
        return Some(answer(shelf.fail.remove(0), Vec::new()));
    }
    let host = headers.get("host")?.to_str().ok()?.to_owned();
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if shelf.wants_token && token != Some("Bearer open-sesame") {
        let mut response = answer(StatusCode::UNAUTHORIZED, Vec::new());
        let wanted = format!(r#"Bearer realm="http://{host}/token",service="test""#);
        let value = wanted.parse().expect("header");
        response.headers_mut().insert("www-authenticate", value);
        return Some(response);
    }
    None
}

async fn manifest(
    State(door): State<Door>,
    Path(reference): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut shelf = door.lock().expect("lock");
    if let Some(refusal) = refusal(&mut shelf, &headers, format!("manifest {reference}")) {
        return refusal;
    }
    match shelf.manifests.get(&reference) {
        Some(bytes) => answer(StatusCode::OK, bytes.clone()),
        None => answer(StatusCode::NOT_FOUND, Vec::new()),
    }
}

async fn blob(
    State(door): State<Door>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut shelf = door.lock().expect("lock");
    let range = headers.get("range").and_then(|value| value.to_str().ok());
    let what = format!("blob {digest} {}", range.unwrap_or_default());
    if let Some(refusal) = refusal(&mut shelf, &headers, what) {
        return refusal;
    }
    if let Some(to) = &shelf.redirect {
        let mut response = answer(StatusCode::TEMPORARY_REDIRECT, Vec::new());
        response
            .headers_mut()
            .insert("location", to.parse().expect("header"));
        return response;
    }
    let Some(mut bytes) = shelf.blobs.get(&digest).cloned() else {
        return answer(StatusCode::NOT_FOUND, Vec::new());
    };
    if shelf.spoil
        && let Some(byte) = bytes.last_mut()
    {
        *byte ^= 1;
    }
    let from: Option<usize> = range.filter(|_| !shelf.whole_only).and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    let rest = bytes.split_off(from.unwrap_or(0).min(bytes.len()));
    let mut broken = false;
    let mut pieces: Vec<Vec<u8>> = rest.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
    if let Some((at, times)) = &mut shelf.cut
        && *times > 0
        && rest.len() > *at
    {
        *times -= 1;
        broken = true;
        pieces = vec![rest[..*at].to_vec()];
    }
    let slow = shelf.slow;
    let pieces = pieces.into_iter().map(Ok);
    let end = broken.then(|| Err(std::io::Error::other("cut")));
    let body = futures::stream::iter(pieces.chain(end)).then(move |piece| async move {
        tokio::time::sleep(slow).await;
        piece
    });
    let mut response = Response::new(Body::from_stream(body));
    if from.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}
