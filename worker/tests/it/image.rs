//! Jobs in container images: pulled from a registry over HTTP, checked, kept, run in the sandbox.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tar::EntryType;
use worker::image::{Image, ImageOptions, Images, Progress, PullError};
use worker::sandbox::{End, StartJob};

use super::common::{Outcome, finish, job, sandbox};
use super::registry::{ImageBuilder, Registry, file, link, sha, tar_of};

fn images(dir: &Path, registry: &Registry) -> Images {
    let options = ImageOptions {
        own_registries: vec![registry.host()],
        cache_bytes: Some(64 << 20),
        patience: Some(Duration::from_secs(2)),
    };
    Images::open(dir, &options).expect("open")
}

async fn pull(images: &Images, name: &str) -> Result<Image, PullError> {
    images.pull(name, &Arc::default()).await
}

/// What is left in the cache's folder of this name.
fn kept(dir: &Path, name: &str) -> usize {
    std::fs::read_dir(dir.join(name)).expect("read").count()
}

async fn run_in(image: &Image, job: StartJob) -> Outcome {
    let prepared = sandbox()
        .prepare_with(&[], Some(&image.root), None)
        .await
        .expect("sandbox");
    finish(prepared.start(job).await.expect("start")).await
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_digest_and_kept_for_the_next_job() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    registry.lock().wants_token = true;
    let mut built = ImageBuilder::busybox()
        .layer(&[
            file("opt/a", "first"),
            file("opt/gone", "x"),
            file("opt/b/old", "x"),
        ])
        .zstd_layer(&[
            file("opt/.wh.gone", ""),
            file("opt/b/new", "second"),
            file("opt/b/.wh..wh..opq", ""),
            link("opt/abs", "/opt/a"),
            (EntryType::Link, "opt/hard", b"opt/a", 0o644),
        ]);
    built.config = json!({
        "Env": ["PATH=/bin", "COLOUR=blue", "HOME=/opt"], "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["ls /opt/b"], "WorkingDir": "/opt", "User": "nobody",
    });
    let digest = registry.push("1.0", &built);
    let images = images(dir.path(), &registry);
    let progress = Arc::new(Progress::default());
    let image = images
        .pull(&registry.name("1.0"), &progress)
        .await
        .expect("pulled");
    assert_eq!(progress.percent(), 100);
    assert!(
        image.remark.contains(&digest) && image.remark.contains("3 layers, 0 of them"),
        "{}",
        image.remark
    );
    assert_eq!(image.config.command(), ["/bin/sh", "-c", "ls /opt/b"]);
    assert_eq!(image.config.working_dir.as_deref(), Some("/opt"));
    let spool = tempfile::tempdir().expect("tempdir");
    let script = "cat /opt/a /opt/abs /opt/hard /opt/b/new; echo; ls /opt /opt/b; pwd; id -u; touch /opt/x /x || echo read-only; \
        echo works > /job/out/x; grep job /etc/passwd; cat /etc/hostname; ls /";
    let mut inside = job(spool.path(), &["busybox", "sh", "-c", script]);
    inside.cwd = Some("/opt".into());
    inside.env = image.config.env.clone();
    let out = run_in(&image, inside).await.passed();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "firstfirstfirstsecond",
            "/opt:",
            "a",
            "abs",
            "b",
            "hard",
            "",
            "/opt/b:",
            "new",
            "/opt",
            "1000",
            "read-only",
            "job:x:1000:1000:job:/job:/bin/sh",
            "job",
            "bin",
            "dev",
            "etc",
            "job",
            "opt",
            "proc",
            "space",
            "tmp",
        ]
    );
    // Named by digest and kept: no registry is needed at all.
    let asked = registry.lock().asked.len();
    let again = pull(&images, &registry.name(&digest)).await.expect("kept");
    assert_eq!(registry.lock().asked.len(), asked);
    assert!(again.remark.contains("kept here"), "{}", again.remark);
    assert_eq!(again.config, image.config);
    // Another worker's start finds the same, and nothing half done.
    std::fs::write(dir.path().join("part/half"), "x").expect("write");
    drop(images);
    let images = self::images(dir.path(), &registry);
    assert_eq!(kept(dir.path(), "part"), 0);
    pull(&images, &registry.name(&digest)).await.expect("kept");
    assert_eq!(registry.lock().asked.len(), asked);
}

#[tokio::test]
async fn a_start_without_the_program_or_the_directory_says_why() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    registry.push("1", &ImageBuilder::busybox());
    let images = images(dir.path(), &registry);
    let image = pull(&images, &registry.name("1")).await.expect("pulled");
    let mut job = job(dir.path(), &["/bin/python3"]);
    let why = |end| {
        if let End::FailedToStart { why } = end {
            why
        } else {
            panic!("{end:?}")
        }
    };
    let missing = why(run_in(&image, job.clone()).await.report.end);
    assert!(missing.contains("/bin/python3"), "{missing}");
    job.cwd = Some("/srv".into());
    let nowhere = why(run_in(&image, job).await.report.end);
    assert!(nowhere.contains("working directory /srv"), "{nowhere}");
}

#[tokio::test]
async fn two_pulls_of_one_image_fetch_each_blob_once() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    registry.push(
        "1",
        &ImageBuilder::new()
            .layer(&[file("a", "1")])
            .layer(&[file("b", "2")]),
    );
    registry.lock().slow = Duration::from_millis(50);
    let images = images(dir.path(), &registry);
    let name = registry.name("1");
    let (one, two) = tokio::join!(pull(&images, &name), pull(&images, &name));
    assert_eq!(one.expect("pulled").root, two.expect("pulled").root);
    let shelf = registry.lock();
    let blobs = shelf
        .asked
        .iter()
        .filter(|asked| asked.starts_with("blob"))
        .count();
    assert_eq!(blobs, 3, "{:?}", shelf.asked);
}

#[tokio::test]
async fn a_line_that_is_cut_goes_on_where_it_was() {
    for whole_only in [false, true] {
        let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
        let mut noise = String::new();
        for n in 0..40_000_u32 {
            noise += &n.wrapping_mul(2_654_435_761).to_string();
        }
        registry.push("1", &ImageBuilder::new().layer(&[file("noise", &noise)]));
        {
            let mut shelf = registry.lock();
            shelf.cut = Some((70_000, 2));
            shelf.whole_only = whole_only;
            shelf.fail = vec![
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::TOO_MANY_REQUESTS,
            ];
        }
        let progress = Arc::new(Progress::default());
        let images = images(dir.path(), &registry);
        let image = images
            .pull(&registry.name("1"), &progress)
            .await
            .expect("pulled");
        assert_eq!(
            std::fs::read_to_string(image.root.join("noise")).expect("read"),
            noise
        );
        assert_eq!(progress.percent(), 100);
        let shelf = registry.lock();
        let resumed = shelf
            .asked
            .iter()
            .filter(|asked| asked.contains("bytes="))
            .count();
        assert!(resumed >= 2, "{:?}", shelf.asked);
    }
}

#[tokio::test]
async fn each_failure_names_its_cause_and_whose_fault_it_is() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let plain = || ImageBuilder::new().layer(&[file("a", "1")]);
    registry.push("1", &plain());
    registry.push("lying", &plain().lying());
    let mut foreign = plain();
    foreign.architecture = "s390x".into();
    registry.push("foreign", &foreign);
    let images = images(dir.path(), &registry);
    let fails = async |reference: &str, the_jobs: bool, words: &str| {
        let error = pull(&images, &registry.name(reference))
            .await
            .expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.is_the_jobs_fault(), the_jobs, "{error}");
        assert_eq!(
            kept(dir.path(), "part"),
            0,
            "{words}: nothing stays half done"
        );
    };
    fails("none", true, "there is no image").await;
    fails(
        "foreign",
        true,
        "made for linux/s390x, this machine is linux/",
    )
    .await;
    fails("lying", true, "digest").await;
    registry.lock().fail = vec![StatusCode::UNAUTHORIZED];
    fails("1", true, "credentials").await;
    registry.lock().fail = vec![StatusCode::FORBIDDEN];
    fails("1", true, "credentials").await;
    registry.lock().spoil = true;
    fails("1", true, "the digest").await;
    registry.lock().spoil = false;
    registry.lock().redirect = Some("http://169.254.169.254/latest/meta-data".into());
    fails("1", true, "private network").await;
    registry.lock().redirect = None;
    // A manifest that is not what was asked for.
    let other = format!("sha256:{}", "ab".repeat(32));
    let manifest = registry.lock().manifests["1"].clone();
    registry.lock().manifests.insert(other.clone(), manifest);
    fails(&other, true, "another digest").await;
    registry.lock().fail = vec![StatusCode::TOO_MANY_REQUESTS; 20];
    fails("1", false, "429").await;
    registry.lock().fail.clear();
    pull(&images, &registry.name("1"))
        .await
        .expect("all is well again");
    drop(registry);
    let gone = pull(&images, "127.0.0.1:1/me/tool")
        .await
        .expect_err("not the owner's");
    assert!(matches!(gone, PullError::Private(_)), "{gone}");
}

#[tokio::test]
async fn a_registry_that_is_away_is_not_the_jobs_fault() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("tempdir");
    let options = ImageOptions {
        own_registries: vec!["127.0.0.1:9".into()],
        patience: Some(Duration::from_millis(300)),
        ..ImageOptions::default()
    };
    let images = Images::open(dir.path(), &options).expect("open");
    let error = pull(&images, "127.0.0.1:9/me/tool:1")
        .await
        .expect_err("nobody is there");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(!error.is_the_jobs_fault());
}

#[tokio::test]
async fn a_dropped_pull_leaves_nothing_half_done() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let noise = "0123456789".repeat(50_000);
    registry.push(
        "1",
        &ImageBuilder::new()
            .layer(&[file("a", "1")])
            .plain_layer(noise.into_bytes()),
    );
    registry.lock().slow = Duration::from_millis(400);
    let images = images(dir.path(), &registry);
    let name = registry.name("1");
    let limit = Duration::from_millis(700);
    assert!(
        tokio::time::timeout(limit, pull(&images, &name))
            .await
            .is_err()
    );
    assert_eq!(kept(dir.path(), "part"), 0);
    assert_eq!(kept(dir.path(), "trees"), 0);
}

#[tokio::test]
async fn a_layer_that_the_disk_has_spoilt_is_fetched_anew() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let digest = registry.push("1", &ImageBuilder::new().layer(&[file("a", "1")]));
    let images = images(dir.path(), &registry);
    drop(pull(&images, &registry.name("1")).await.expect("pulled"));
    std::fs::remove_dir_all(dir.path().join("trees").join(&digest[7..])).expect("remove");
    let layers: Vec<String> = registry.lock().blobs.keys().cloned().collect();
    for layer in layers {
        let path = dir.path().join("blobs").join(&layer[7..]);
        let mut bytes = std::fs::read(&path).expect("kept");
        bytes[12] ^= 0xff;
        std::fs::write(path, bytes).expect("write");
    }
    let image = pull(&images, &registry.name("1"))
        .await
        .expect("pulled again");
    assert_eq!(
        std::fs::read_to_string(image.root.join("a")).expect("read"),
        "1"
    );
}

#[tokio::test]
async fn the_least_used_goes_when_room_is_needed_and_what_runs_stays() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let options = ImageOptions {
        own_registries: vec![registry.host()],
        cache_bytes: Some(3 << 20),
        patience: None,
    };
    let images = Images::open(dir.path(), &options).expect("open");
    let fill = |n: u8| {
        let mut state = u32::from(n) + 1;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(600 << 10)
        .collect();
        ImageBuilder::new().layer(&[(EntryType::Regular, "fill", &bytes, 0o644)])
    };
    let digests: Vec<String> = (0..4)
        .map(|n| registry.push(&n.to_string(), &fill(n)))
        .collect();
    let first = pull(&images, &registry.name("0")).await.expect("pulled");
    for n in 1..4 {
        drop(
            pull(&images, &registry.name(&n.to_string()))
                .await
                .expect("pulled"),
        );
    }
    let here = |n: usize| dir.path().join("trees").join(&digests[n][7..]).exists();
    assert_eq!([here(0), here(1), here(3)], [true, false, true]);
    assert!(first.root.join("fill").exists(), "its job may still run");
    // What cannot fit at all is another machine's to try, and removes nothing for it that runs.
    let huge = tar_of(&[(EntryType::Regular, "zeros", &vec![0; 4 << 20], 0o644)]);
    registry.push("huge", &ImageBuilder::new().plain_layer(huge));
    let error = pull(&images, &registry.name("huge"))
        .await
        .expect_err("no room");
    assert!(matches!(error, PullError::NoRoom(_)), "{error}");
    assert!(here(0));
}

#[tokio::test]
async fn escape_by_an_images_layers_is_contained() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let images = images(dir.path(), &registry);
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).expect("outside");
    std::fs::write(outside.join("secret"), "owner's").expect("write");
    let at = outside.to_str().expect("path");
    let through = format!("{at}/secret");
    for (n, entries) in [
        vec![file("../outside/x", "1")],
        vec![file("a/../../../outside/x", "1")],
        vec![(
            EntryType::Link,
            "hard",
            b"../../../../outside/secret",
            0o644,
        )],
        vec![(EntryType::Link, "hard", through.as_bytes(), 0o644)],
        vec![
            link("out", at),
            file("out/x", "1"),
            (EntryType::Link, "hard", b"out/secret", 0o644),
        ],
        vec![link("out", "../../../outside"), file("out/.wh.secret", "")],
    ]
    .iter()
    .enumerate()
    {
        let tag = format!("bad{n}");
        registry.push(&tag, &ImageBuilder::new().layer(entries));
        let result = pull(&images, &registry.name(&tag)).await;
        if let Ok(image) = &result {
            // Followed inside its own root: what it names there is its own.
            assert_eq!(n, 5, "{:?}", image.root);
        } else {
            assert!(
                matches!(result, Err(PullError::Invalid(_))),
                "{n}: {result:?}"
            );
        }
        let left: Vec<_> = std::fs::read_dir(&outside).expect("read").collect();
        assert_eq!(left.len(), 1, "{n}: {left:?}");
        assert_eq!(
            std::fs::read_to_string(outside.join("secret")).expect("read"),
            "owner's"
        );
    }
    // Devices and rights do not come along.
    let nodes = ImageBuilder::busybox().layer(&[
        (EntryType::Char, "mem", b"", 0o666),
        (EntryType::Block, "disk", b"", 0o666),
        (EntryType::Fifo, "pipe", b"", 0o666),
        (EntryType::Regular, "root", b"#!/bin/sh\n", 0o6755),
        link("abs", "/proc/1/root"),
    ]);
    registry.push("nodes", &nodes);
    let image = pull(&images, &registry.name("nodes"))
        .await
        .expect("pulled");
    let out = run_in(
        &image,
        job(
            dir.path(),
            &[
                "/bin/busybox",
                "sh",
                "-c",
                "ls -l / | grep -v '^[dl]'; ls /abs/; ls -l /proc/1/root",
            ],
        ),
    )
    .await;
    assert!(
        !out.out.contains("mem") && !out.out.contains("disk") && !out.out.contains("pipe"),
        "{}",
        out.out
    );
    assert!(
        out.out.contains("-rwxr-xr-x") && !out.out.contains("-rws"),
        "{}",
        out.out
    );
    assert!(out.err.contains("ermission denied"), "{}", out.err);
}

#[tokio::test]
async fn escape_by_an_image_that_is_a_bomb_is_contained() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let images = images(dir.path(), &registry);
    // 80 MiB of zeros in 80 KiB; a name of a gigabyte; a size that does not fit.
    registry.push(
        "zeros",
        &ImageBuilder::new().layer(&[(EntryType::Regular, "x", &vec![0; 80 << 20], 0o644)]),
    );
    let mut name = tar::Header::new_gnu();
    name.set_entry_type(EntryType::GNULongName);
    name.set_size(1 << 30);
    name.set_cksum();
    registry.push(
        "name",
        &ImageBuilder::new().plain_layer(name.as_bytes().to_vec()),
    );
    let pax = b"29 size=99999999999999999999\n";
    registry.push(
        "pax",
        &ImageBuilder::new().layer(&[(EntryType::XHeader, "p", pax, 0o644), file("x", "1")]),
    );
    for (tag, words) in [("zeros", "room"), ("name", "64 KiB"), ("pax", "8 GiB")] {
        let error = pull(&images, &registry.name(tag)).await.expect_err(tag);
        assert!(error.to_string().contains(words), "{tag}: {error}");
        assert_eq!(
            kept(dir.path(), "trees") + kept(dir.path(), "part"),
            0,
            "{tag}"
        );
    }
    // More is sent than the manifest says: cut off, not kept.
    let small = ImageBuilder::new().layer(&[file("x", "1")]);
    registry.push("more", &small);
    let layer = {
        let shelf = registry.lock();
        let manifest: serde_json::Value =
            serde_json::from_slice(&shelf.manifests["more"]).expect("json");
        manifest["layers"][0]["digest"]
            .as_str()
            .expect("digest")
            .to_owned()
    };
    registry
        .lock()
        .blobs
        .insert(layer.clone(), vec![7; 1 << 20]);
    let error = pull(&images, &registry.name("more"))
        .await
        .expect_err("too much");
    assert!(error.to_string().contains("sends more than"), "{error}");
    assert_ne!(sha(&[7; 4]), layer);
}

#[tokio::test]
async fn escape_by_directories_that_no_entry_names_is_contained() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let options = ImageOptions {
        own_registries: vec![registry.host()],
        cache_bytes: Some(4 << 20),
        patience: None,
    };
    let images = Images::open(dir.path(), &options).expect("open");
    // Forty entries make two thousand directories, 8 MiB on a disk.
    let paths: Vec<String> = (10..50)
        .map(|n| format!("{n}/{}x", "d/".repeat(48)))
        .collect();
    let entries: Vec<_> = paths.iter().map(|path| file(path, "")).collect();
    registry.push("1", &ImageBuilder::new().layer(&entries));
    let error = pull(&images, &registry.name("1")).await.expect_err("room");
    assert!(matches!(error, PullError::NoRoom(_)), "{error}");
    assert_eq!(kept(dir.path(), "trees") + kept(dir.path(), "part"), 0);
    // A few of them fit, and are counted.
    registry.push("2", &ImageBuilder::new().layer(&entries[..4]));
    let image = pull(&images, &registry.name("2")).await.expect("pulled");
    let about = std::fs::read(image.root.with_file_name("image.json")).expect("read");
    let about: serde_json::Value = serde_json::from_slice(&about).expect("json");
    assert_eq!(about["bytes"], (4 * 49 + 4) * 4096);
}

#[tokio::test]
async fn escape_into_depth_through_an_images_own_links_is_contained() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let images = images(dir.path(), &registry);
    let down = "d/".repeat(45);
    let (first, second, third) = (
        format!("{down}x"),
        format!("l0/{down}x"),
        format!("l1/{down}x"),
    );
    let further = format!("l0/{}", down.trim_end_matches('/'));
    let entries = [
        file(&first, ""),
        link("l0", down.trim_end_matches('/')),
        file(&second, ""),
        link("l1", &further),
        file(&third, ""),
    ];
    registry.push("1", &ImageBuilder::new().layer(&entries));
    let error = pull(&images, &registry.name("1")).await.expect_err("deep");
    assert!(error.to_string().contains("deeper than 128"), "{error}");
    assert!(error.is_the_jobs_fault());
    assert_eq!(kept(dir.path(), "trees") + kept(dir.path(), "part"), 0);
    registry.push("2", &ImageBuilder::new().layer(&entries[..4]));
    pull(&images, &registry.name("2"))
        .await
        .expect("90 are few");
}

#[tokio::test]
async fn files_keep_the_time_of_their_last_change() {
    let (registry, dir) = (Registry::start(), tempfile::tempdir().expect("tempdir"));
    let mut header = tar::Header::new_ustar();
    header.set_path("a.py").expect("path");
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header.set_size(1);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, &b"1"[..]).expect("append");
    let layer = builder.into_inner().expect("tar");
    registry.push("1", &ImageBuilder::new().plain_layer(layer));
    let images = images(dir.path(), &registry);
    let image = pull(&images, &registry.name("1")).await.expect("pulled");
    let about = std::fs::metadata(image.root.join("a.py")).expect("there");
    let changed = std::os::unix::fs::MetadataExt::mtime(&about);
    assert_eq!(changed, 1_700_000_000);
}
