//! The audit log: what leaves an entry, that nothing else does, and that nobody changes one unnoticed.

use exchange::{Actor, AuditQuery, Error, Reach, Via};
use kernel::{RecordingId, Seconds, Timestamp};
use protocol::audit::{
    ActorKind, AuditAction, AuditActor, AuditSubject, AuditView, NO_PREVIOUS, RECORDING_DAYS,
    SubjectKind, check,
};
use protocol::money::{ApprovalAction, IncidentKind};
use protocol::view::Scope;
use sqlx::{AssertSqlSafe, Executor};
use store::{AuditAct, AuditFilter, Recording, Store};

use crate::payouts::admin;
use crate::world::{Worker, World, backends, spec};

/// All entries, oldest first.
async fn entries(world: &World) -> Vec<AuditView> {
    let store = Store::open(&world.settings.database_url).await.unwrap();
    let mut found = store
        .audit_entries(&AuditFilter::default(), 1_000)
        .await
        .unwrap();
    store.close().await;
    found.reverse();
    found
}

fn actions(entries: &[AuditView]) -> Vec<AuditAction> {
    entries.iter().map(|view| view.entry.action).collect()
}

async fn said(world: &World, sql: &str) -> Result<(), sqlx::Error> {
    let pool = sqlx::AnyPool::connect(&world.settings.database_url).await?;
    let done = pool.execute(AssertSqlSafe(sql)).await;
    pool.close().await;
    done.map(|_| ())
}

fn whole(entries: &[AuditView]) {
    assert_eq!(entries[0].entry.position, 1);
    assert_eq!(entries[0].entry.previous, NO_PREVIOUS);
    let checked = check(entries.iter().map(|view| &view.entry)).unwrap();
    assert_eq!(checked.gaps, 0);
}

/// As a browser's session asks.
async fn signed_in(world: &World, actor: &Actor) -> Actor {
    let (_, secret) = world
        .exchange
        .sign_in(&actor.email, "long enough")
        .await
        .unwrap();
    world
        .exchange
        .actor_by_session(&secret.0)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn what_is_done_stands_in_the_log_what_is_refused_does_not_and_no_secret_ever() {
    for backend in backends() {
        let world = World::new(backend).await;
        let exchange = &world.exchange;
        let rita = world.account("rita", "10").await;
        let rita = signed_in(&world, &rita).await;
        let before = entries(&world).await.len();

        let key = exchange
            .create_key(&rita, "ci", &[Scope::Read])
            .await
            .unwrap();
        exchange
            .put_secret(&rita, "HF_TOKEN", "do-not-tell-anybody")
            .await
            .unwrap();
        exchange.revoke_key(&rita, key.key.id).await.unwrap();
        // Refused, each for another reason.
        assert!(exchange.revoke_key(&rita, key.key.id).await.is_err());
        assert!(exchange.delete_secret(&rita, "NONE").await.is_err());
        assert!(exchange.sign_in(&rita.email, "wrong").await.is_err());
        let address = "0x0000000000000000000000000000000000000000000000000000000000000abc";
        exchange.set_payout_address(&rita, address).await.unwrap();

        let all = entries(&world).await;
        whole(&all);
        let new = &all[before..];
        assert_eq!(
            actions(new),
            [
                AuditAction::KeyCreated,
                AuditAction::SecretSet,
                AuditAction::KeyRevoked,
                AuditAction::PayoutAddressChanged,
            ]
        );
        let secret = &new[1].entry;
        assert_eq!(secret.actor.kind, ActorKind::User);
        assert_eq!(
            (secret.subject.kind, secret.subject.id.as_str()),
            (SubjectKind::Secret, "HF_TOKEN")
        );
        let text = serde_json::to_string(&all).unwrap();
        for hidden in ["do-not-tell", key.secret.as_str(), "long enough"] {
            assert!(!text.contains(hidden), "{hidden}");
        }
    }
}

#[tokio::test]
async fn an_account_reads_its_own_and_admins_all() {
    let world = World::new("sqlite").await;
    let exchange = &world.exchange;
    let (rita, otto) = world.people("10").await;
    let rita = signed_in(&world, &rita).await;
    let (ann, bob) = (admin(&world, "ann").await, admin(&world, "bob").await);
    let (ann, bob) = (signed_in(&world, &ann).await, signed_in(&world, &bob).await);
    world.make_withdrawable(&rita, 500_000_000).await;
    let address = "0x0000000000000000000000000000000000000000000000000000000000000abc";
    let amount = kernel::Amount::parse_io("2").unwrap();
    let payout = exchange
        .request_payout(&rita, amount, Some(address), None)
        .await
        .unwrap();
    let why = "looks odd";
    let proposal = exchange
        .propose(&ann, payout.id, ApprovalAction::FreezePayout, why)
        .await
        .unwrap();
    exchange
        .decide_proposal(&bob, proposal, true)
        .await
        .unwrap();

    let all = AuditQuery::default();
    assert!(matches!(
        exchange.all_audit(&rita, &all, 50).await,
        Err(Error::Forbidden(_))
    ));
    let own = exchange.own_audit(&rita, &all, 50).await.unwrap().items;
    let freeze = &own[0];
    assert_eq!(freeze.entry.action, AuditAction::PayoutFrozen);
    assert_eq!(freeze.entry.actor.kind, ActorKind::Admin);
    assert_eq!(freeze.who, None, "which admin it was is not told");
    assert!(actions(&own).contains(&AuditAction::SessionSignedIn));
    assert!(
        own.iter()
            .all(|view| view.entry.account == Some(rita.account)),
        "{own:?}"
    );
    for (asked, found) in [("bob@example.org", false), ("Rita@example.org", true)] {
        let by = AuditQuery {
            actor: asked.to_owned(),
            ..AuditQuery::default()
        };
        let by = exchange.own_audit(&rita, &by, 50).await.unwrap();
        assert_eq!(!by.items.is_empty(), found, "{asked}");
    }
    let others = exchange.own_audit(&otto, &all, 50).await.unwrap().items;
    assert_eq!(actions(&others), [AuditAction::AccountCreated]);

    // Filters, pages, and the export that is the same.
    let of = |actor: &str, action| AuditQuery {
        actor: actor.to_owned(),
        action,
        ..AuditQuery::default()
    };
    let by_bob = exchange
        .all_audit(&ann, &of("BOB@example.org", None), 50)
        .await
        .unwrap();
    assert_eq!(by_bob.items[0].who.as_deref(), Some("bob@example.org"));
    assert_eq!(
        actions(&by_bob.items),
        [AuditAction::PayoutFrozen, AuditAction::SessionSignedIn]
    );
    let proposed = of("admin", Some(AuditAction::FreezeProposed));
    let proposed = exchange.all_audit(&ann, &proposed, 50).await.unwrap();
    assert_eq!(proposed.items.len(), 1);
    let about = AuditQuery {
        subject: payout.id.to_string(),
        ..AuditQuery::default()
    };
    let about = exchange.all_audit(&ann, &about, 2).await.unwrap();
    assert_eq!(about.items.len(), 2);
    let rest = AuditQuery {
        subject: payout.id.to_string(),
        before: about.next.and_then(|next| next.parse().ok()),
        ..AuditQuery::default()
    };
    let rest = exchange.all_audit(&ann, &rest, 2).await.unwrap();
    assert_eq!(actions(&rest.items), [AuditAction::PayoutRequested]);
    let nobody = of("nobody@example.org", None);
    assert!(
        exchange
            .all_audit(&ann, &nobody, 50)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let later = AuditQuery {
        from: Some(Timestamp::from_millis(world.now_ms() + 1)),
        ..AuditQuery::default()
    };
    assert!(
        exchange
            .all_audit(&ann, &later, 50)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let export = exchange.audit_export(&ann, true, &all).await.unwrap();
    let again = serde_json::to_string(&export).unwrap();
    let export: protocol::audit::AuditExport = serde_json::from_str(&again).unwrap();
    let checked = check(&export.entries).unwrap();
    assert_eq!((checked.gaps, export.more), (0, false));
    assert_eq!(
        checked.entries,
        u64::try_from(entries(&world).await.len()).unwrap()
    );
}

#[tokio::test]
async fn work_in_a_job_is_noted_and_what_comes_often_once_an_hour() {
    let world = World::new("sqlite").await;
    let exchange = &world.exchange;
    let (rita, otto) = world.people("10").await;
    let mut worker = Worker::new(1, 25_000);
    worker.join(&world, &otto).await;
    let job = exchange.submit(&rita, spec(""), None, None).await.unwrap();
    let job = job.summary.id;
    worker.start(&world).await;
    let before = entries(&world).await.len();
    let at = exchange::PortAt {
        job,
        member: 0,
        port: 8_888,
    };
    for _ in 0..3 {
        exchange
            .reached(Some(&rita), Reach::Port(at))
            .await
            .unwrap();
        exchange.reached(None, Reach::Port(at)).await.unwrap();
        exchange
            .reached(Some(&rita), Reach::FilesRead(job, 0))
            .await
            .unwrap();
    }
    worker.work(&world, 5).await;
    let all = entries(&world).await;
    assert_eq!(
        actions(&all[before..]),
        [
            AuditAction::PortConnected,
            AuditAction::PortConnected,
            AuditAction::FilesRead,
        ],
        "and no second of work leaves one"
    );
    let link = &all[before + 1].entry;
    assert_eq!(
        (link.actor.kind, link.account),
        (ActorKind::Link, Some(rita.account))
    );
    world.pass(3_600_000);
    exchange
        .reached(Some(&rita), Reach::Port(at))
        .await
        .unwrap();
    assert_eq!(entries(&world).await.len(), all.len() + 1);
    // A key of the account's is another actor than its person.
    let key = Actor {
        via: Via::Key {
            id: kernel::KeyId::new(Timestamp::from_millis(1), [1; 10]),
            scopes: vec![Scope::Jobs],
        },
        ..rita.clone()
    };
    exchange.stop(&key, job).await.unwrap();
    let last = entries(&world).await.pop().unwrap().entry;
    assert_eq!(last.action, AuditAction::JobStopped);
    assert_eq!(last.actor.kind, ActorKind::Key);
    assert!(last.actor.id.starts_with("key_"));
}

fn act(name: &str) -> AuditAct {
    AuditAct {
        actor: AuditActor {
            kind: ActorKind::System,
            account: None,
            id: String::new(),
        },
        action: AuditAction::SecretSet,
        subject: AuditSubject {
            kind: SubjectKind::Secret,
            id: name.to_owned(),
        },
        account: None,
        detail: [].into(),
    }
}

#[tokio::test]
async fn two_processes_append_at_once_and_what_rolls_back_leaves_no_gap() {
    for backend in backends() {
        let world = World::new(backend).await;
        let url = &world.settings.database_url;
        let (one, two) = (
            Store::open(url).await.unwrap(),
            Store::open(url).await.unwrap(),
        );
        let now = Timestamp::from_millis(world.now_ms());
        let append = |store: Store, name: &'static str| async move {
            for round in 0..20 {
                let mut tx = store.begin().await.unwrap();
                tx.audit(&act(name), now).await.unwrap();
                tx.audit(&act(name), now).await.unwrap();
                if round % 4 == 3 {
                    // Dropped: nothing of it happened.
                    continue;
                }
                tx.commit().await.unwrap();
            }
        };
        tokio::join!(append(one.clone(), "one"), append(two.clone(), "two"));
        let all = entries(&world).await;
        whole(&all);
        let of = |name: &str| {
            all.iter()
                .filter(|view| view.entry.subject.id == name)
                .count()
        };
        assert_eq!((of("one"), of("two"), all.len()), (30, 30, 60));
        one.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn nobody_changes_the_log_and_whoever_does_is_found() {
    for backend in backends() {
        let world = World::new(backend).await;
        let exchange = &world.exchange;
        let ann = admin(&world, "ann").await;
        for name in ["ONE", "TWO", "THREE", "FOUR"] {
            exchange.put_secret(&ann, name, "abcdef").await.unwrap();
        }
        assert_eq!(exchange.reconcile().await.unwrap(), 0);
        let chain = exchange.audit_chain(&ann).await.unwrap();
        assert_eq!((chain.position, chain.checked, chain.breaks), (5, 5, 0));
        for sql in [
            "UPDATE audit_entries SET at = at + 1",
            "DELETE FROM audit_entries",
        ] {
            assert!(said(&world, sql).await.is_err(), "{sql}");
        }
        let on = if backend == "postgres" {
            " ON audit_entries"
        } else {
            ""
        };
        for trigger in ["audit_stays", "audit_remains"] {
            let sql = format!("DROP TRIGGER {trigger}{on}");
            said(&world, &sql).await.unwrap();
        }
        let faults = || async {
            exchange.reconcile().await.unwrap();
            let mut faults: Vec<String> = exchange
                .incidents(&ann)
                .await
                .unwrap()
                .into_iter()
                .filter(|incident| incident.kind == IncidentKind::AuditChain)
                .map(|incident| incident.subject)
                .collect();
            faults.sort();
            faults
        };
        // One that was read long ago.
        said(
            &world,
            "UPDATE audit_entries SET subject = 'OTHER' WHERE position = 2",
        )
        .await
        .unwrap();
        assert_eq!(faults().await, ["audit:2"]);
        // One in the middle is taken out.
        said(&world, "DELETE FROM audit_entries WHERE position = 3")
            .await
            .unwrap();
        assert_eq!(faults().await, ["audit:2", "audit:3"]);
        // The last one is, and another takes its place.
        said(&world, "DELETE FROM audit_entries WHERE position = 5")
            .await
            .unwrap();
        assert_eq!(faults().await, ["audit:2", "audit:3", "audit:5"]);
        // A word that no program of ours writes, after the end: it is named, and does not stop what comes after it.
        said(
            &world,
            "INSERT INTO audit_entries SELECT 5, at, actor_kind, actor_account, actor_id, 'strange', subject_kind, subject, \
             account, detail, hash, 'feed' FROM audit_entries WHERE position = 4",
        )
        .await
        .unwrap();
        exchange.put_secret(&ann, "FIVE", "abcdef").await.unwrap();
        assert_eq!(faults().await, ["audit:2", "audit:3", "audit:5"]);
        let chain = exchange.audit_chain(&ann).await.unwrap();
        assert_eq!((chain.position, chain.checked), (6, 6));
        assert!(chain.breaks >= 3);
        let all = AuditQuery::default();
        let shown = exchange.all_audit(&ann, &all, 50).await.unwrap();
        assert_eq!(shown.items.len(), 4, "readable ones are shown");
    }
}

#[tokio::test]
async fn what_a_shell_showed_is_kept_for_ninety_days_and_its_file_goes_with_its_row() {
    for backend in backends() {
        let world = World::new(backend).await;
        let (rita, owner) = world.people("10").await;
        let mut worker = Worker::new(1, 1_000);
        worker.join(&world, &owner).await;
        let job = world
            .exchange
            .submit(&rita, spec(""), None, None)
            .await
            .unwrap();
        let job = job.summary.id;
        let store = Store::open(&world.settings.database_url).await.unwrap();
        let folder = world
            .settings
            .data_dir
            .join("recordings")
            .join(job.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let mut files = Vec::new();
        let opened = |n: u8| {
            Timestamp::from_millis(world.now_ms()).plus(Seconds::new(u64::from(n) * 86_400))
        };
        for n in 0..2 {
            let of = Recording {
                id: RecordingId::new(opened(n), [n; 10]),
                job,
                member: 0,
                account: rita.account,
                program: String::new(),
                opened_at: opened(n),
                end: None,
            };
            let mut tx = store.begin().await.unwrap();
            tx.insert_recording(&of).await.unwrap();
            tx.commit().await.unwrap();
            let file = folder.join(format!("{}.cast", of.id));
            std::fs::write(&file, "{}\n").unwrap();
            files.push(file);
        }
        store.close().await;
        let kept = || async { world.exchange.recordings(&rita, job).await.unwrap().len() };
        let there = || files.iter().map(|file| file.exists()).collect::<Vec<_>>();
        let day = 86_400_000;
        world.pass(i64::from(RECORDING_DAYS) * day);
        world.exchange.prune().await.unwrap();
        assert_eq!(
            (kept().await, there()),
            (2, vec![true, true]),
            "the last of its days"
        );
        world.pass(day / 2);
        world.exchange.prune().await.unwrap();
        assert_eq!((kept().await, there()), (1, vec![false, true]));
        world.pass(day);
        world.exchange.prune().await.unwrap();
        assert_eq!((kept().await, there()), (0, vec![false, false]));
        assert!(!folder.exists(), "nor is an empty folder left");
        worker.disconnect(&world).await;
    }
}
