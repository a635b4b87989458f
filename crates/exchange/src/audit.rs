//! The audit log: each act that changes rights, decides about money or reaches into a job leaves an entry, in the transaction of
//! the act itself. Entries name accounts and things by their ids; no value that opens anything is ever in one.

use std::collections::BTreeMap;

use kernel::{
    AccountId, ApprovalId, DepositId, DisputeId, IncidentId, JobId, JoinTokenId, KeyId, NodeId,
    PayoutId, RecordingId, Timestamp, WebhookId,
};
use protocol::audit::{
    ActorKind, AuditAction, AuditActor, AuditChainView, AuditExport, AuditSubject, AuditView,
    EXPORT_MAX, FORMAT, SubjectKind,
};
use protocol::money::IncidentKind;
use protocol::view::{Page, Scope};
use store::{AuditAct, AuditFilter, Tx};

use crate::actor::{Actor, Via};
use crate::desk::Exchange;
use crate::error::Error;
use crate::payouts::page;

/// What an entry may say beside its fields.
const DETAIL_MAX: usize = 200;

/// Which entries somebody asks for; what is empty holds for all.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// An e-mail address, an id of an account, a key or a node, or a kind of actors.
    pub actor: String,
    pub action: Option<AuditAction>,
    /// An id, a secret's name, a wallet's address; or the e-mail address of the account concerned.
    pub subject: String,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub before: Option<u64>,
}

/// An entry in the making.
#[derive(Debug)]
pub(crate) struct Act(AuditAct);

/// What an act was done to.
pub(crate) struct Subject(SubjectKind, String);

macro_rules! subjects {
    ($($id:ident = $kind:ident,)*) => {
        $(impl From<$id> for Subject {
            fn from(id: $id) -> Self {
                Self(SubjectKind::$kind, id.to_string())
            }
        })*
    };
}

subjects! {
    AccountId = Account,
    ApprovalId = Approval,
    DepositId = Deposit,
    DisputeId = Dispute,
    IncidentId = Incident,
    JobId = Job,
    JoinTokenId = JoinToken,
    KeyId = Key,
    NodeId = Node,
    PayoutId = Payout,
    RecordingId = Recording,
    WebhookId = Webhook,
}

impl Subject {
    pub fn secret(name: &str) -> Self {
        Self(SubjectKind::Secret, name.to_owned())
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "ids, sums and texts are all said as they come"
    )]
    pub fn wallet(address: impl ToString) -> Self {
        Self(SubjectKind::Wallet, address.to_string())
    }
}

impl Act {
    fn new(actor: AuditActor, action: AuditAction, subject: impl Into<Subject>) -> Self {
        let Subject(kind, id) = subject.into();
        Self(AuditAct {
            account: actor.account,
            actor,
            action,
            subject: AuditSubject { kind, id },
            detail: BTreeMap::new(),
        })
    }

    /// By somebody in their own affairs, in a browser or with a key.
    pub fn by(actor: &Actor, action: AuditAction, subject: impl Into<Subject>) -> Self {
        let (kind, id) = match &actor.via {
            Via::Session(_) => (ActorKind::User, String::new()),
            Via::Key { id, .. } => (ActorKind::Key, id.to_string()),
            Via::System => (ActorKind::System, String::new()),
        };
        let account = Some(actor.account);
        Self::new(AuditActor { kind, account, id }, action, subject)
    }

    /// By an admin, in the affairs of another account or of the platform.
    pub fn by_admin(
        actor: &Actor,
        action: AuditAction,
        subject: impl Into<Subject>,
        concerned: Option<AccountId>,
    ) -> Self {
        let mut act = Self::by(actor, action, subject);
        if act.0.actor.kind == ActorKind::User {
            act.0.actor.kind = ActorKind::Admin;
        }
        act.0.account = concerned;
        act
    }

    /// By an account that was not asked who it is, since it has just said so.
    pub fn by_account(
        account: AccountId,
        action: AuditAction,
        subject: impl Into<Subject>,
    ) -> Self {
        let actor = AuditActor {
            kind: ActorKind::User,
            account: Some(account),
            id: String::new(),
        };
        Self::new(actor, action, subject)
    }

    /// By nobody whom we know but for what they have.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "ids, sums and texts are all said as they come"
    )]
    pub fn by_other(
        kind: ActorKind,
        id: impl ToString,
        action: AuditAction,
        subject: impl Into<Subject>,
        concerned: Option<AccountId>,
    ) -> Self {
        let actor = AuditActor {
            kind,
            account: None,
            id: id.to_string(),
        };
        let mut act = Self::new(actor, action, subject);
        act.0.account = concerned;
        act
    }

    /// By somebody at a machine, which only its owner lets in.
    pub fn by_node(node: NodeId, owner: AccountId, action: AuditAction) -> Self {
        let actor = AuditActor {
            kind: ActorKind::Node,
            account: Some(owner),
            id: node.to_string(),
        };
        Self::new(actor, action, node)
    }

    pub fn by_platform(
        action: AuditAction,
        subject: impl Into<Subject>,
        concerned: AccountId,
    ) -> Self {
        Self::by_other(ActorKind::System, "", action, subject, Some(concerned))
    }

    /// Never with a secret, and never with a text that somebody else than the actor wrote.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "ids, sums and texts are all said as they come"
    )]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        let value: String = value
            .to_string()
            .chars()
            .filter(|letter| !letter.is_control())
            .take(DETAIL_MAX)
            .collect();
        self.0.detail.insert(name.to_owned(), value);
        self
    }
}

impl Exchange {
    /// Notes an act in the transaction that does it. The last of what the transaction writes, for until it is over all
    /// others wait who write one.
    pub(crate) async fn audit(&self, tx: &mut Tx, act: Act) -> Result<(), Error> {
        Ok(tx.audit(&act.0, self.now()).await?)
    }

    /// The same where the act is no transaction.
    pub(crate) async fn audit_alone(&self, act: Act) -> Result<(), Error> {
        let mut tx = self.inner.store.begin().await?;
        self.audit(&mut tx, act).await?;
        Ok(tx.commit().await?)
    }

    /// What the account did, and what was done with it or with its things, newest first.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn own_audit(
        &self,
        actor: &Actor,
        of: &AuditQuery,
        limit: u32,
    ) -> Result<Page<AuditView>, Error> {
        actor.require(Scope::Read)?;
        self.audit_page(Some(actor.account), of, limit).await
    }

    /// What everybody did, newest first.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn all_audit(
        &self,
        actor: &Actor,
        of: &AuditQuery,
        limit: u32,
    ) -> Result<Page<AuditView>, Error> {
        actor.require_admin()?;
        self.audit_page(None, of, limit).await
    }

    async fn audit_page(
        &self,
        own: Option<AccountId>,
        of: &AuditQuery,
        limit: u32,
    ) -> Result<Page<AuditView>, Error> {
        let found = match self.audit_filter(own, of).await? {
            Some(filter) => self.inner.store.audit_entries(&filter, limit).await?,
            None => Vec::new(),
        };
        let found = found.into_iter().map(|view| match own {
            Some(reader) => told(view, reader),
            None => view,
        });
        Ok(page(found.collect(), limit, |view| view.entry.position))
    }

    /// `None`: no account has the address that is asked for. Readers of their own part look for their own address alone: any other
    /// would tell whether that person, an admin perhaps, is in an entry.
    async fn audit_filter(
        &self,
        own: Option<AccountId>,
        of: &AuditQuery,
    ) -> Result<Option<AuditFilter>, Error> {
        let mut texts = [of.actor.trim().to_owned(), of.subject.trim().to_owned()];
        for text in texts.iter_mut().filter(|text| text.contains('@')) {
            let email = text.to_lowercase();
            let found = self.inner.store.account_by_email(&email).await?;
            let Some(account) = found.filter(|found| own.is_none_or(|own| own == found.id)) else {
                return Ok(None);
            };
            *text = account.id.to_string();
        }
        let [actor, subject] = texts;
        Ok(Some(AuditFilter {
            own,
            actor,
            action: of.action,
            subject,
            from: of.from,
            to: of.to,
            before: of.before,
        }))
    }

    /// As a file, oldest first: the newest entries that fit into one.
    ///
    /// # Errors
    /// Not an admin; for the own ones, the key lacks `read`.
    pub async fn audit_export(
        &self,
        actor: &Actor,
        all: bool,
        of: &AuditQuery,
    ) -> Result<AuditExport, Error> {
        let _turn = self.inner.exporting.acquire().await;
        let limit = EXPORT_MAX.saturating_add(1);
        let page = if all {
            self.all_audit(actor, of, limit).await?
        } else {
            self.own_audit(actor, of, limit).await?
        };
        let mut entries: Vec<_> = page.items.into_iter().map(|view| view.entry).collect();
        let most = usize::try_from(EXPORT_MAX).unwrap_or(usize::MAX);
        let more = entries.len() > most;
        entries.truncate(most);
        entries.reverse();
        Ok(AuditExport {
            format: FORMAT.to_owned(),
            at: self.now(),
            entries,
            more,
        })
    }

    /// How far the log goes, and how far it was read and found whole.
    ///
    /// # Errors
    /// Not an admin.
    pub async fn audit_chain(&self, actor: &Actor) -> Result<AuditChainView, Error> {
        actor.require_admin()?;
        let store = &self.inner.store;
        // Read first: the log only grows, so what was read is never past its end.
        let checked = store.audit_checked(crate::audit_check::ON).await?;
        let end = store.audit_end().await?;
        Ok(AuditChainView {
            position: end.position,
            hash: end.hash,
            checked: checked.position,
            checked_hash: checked.hash,
            breaks: store.count_open_incidents(IncidentKind::AuditChain).await?,
        })
    }
}

/// People read who used what is theirs; which admin it was they do not.
fn told(view: AuditView, reader: AccountId) -> AuditView {
    let own = view.entry.actor.account == Some(reader);
    let of_people = matches!(view.entry.actor.kind, ActorKind::User | ActorKind::Key);
    AuditView {
        who: view.who.filter(|_| own || of_people),
        entry: view.entry,
    }
}
