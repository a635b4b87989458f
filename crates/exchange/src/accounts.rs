//! Accounts, sessions, API keys.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use kernel::{AccountId, Amount, KeyId, SessionId};
use protocol::audit::AuditAction;
use protocol::problem::FieldProblem;
use protocol::view::{AccountView, KeyView, NewKeyView, Role, Scope};
use store::{Account, ApiKey, Session};

use crate::actor::{Actor, Via};
use crate::audit::Act;
use crate::desk::{Exchange, secret_hash};
use crate::error::Error;
use crate::passes::Holder;

/// A session's secret, for the cookie; only its hash is stored.
#[derive(Clone)]
pub struct SessionSecret(pub String);

const EMAIL_MAX: usize = 254;
const PASSWORD_MIN: usize = 8;
const PASSWORD_MAX: usize = 200;
const NAME_MAX: usize = 80;
const KEYS_MAX: usize = 50;
/// How an account comes to be.
#[derive(Debug, Clone, Copy)]
enum Creation {
    SignUp,
    CommandLine,
}

/// A key's last use is written at most this often.
const KEY_TOUCH_MS: i64 = 60_000;

/// Verified when the e-mail address has no account, so that the answer takes as long as for a wrong password.
pub(crate) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$0YJ1b9rpY0nNn0eTrJ1mUsR6t9GqC2LVkAe9fJwhf3E";

pub(crate) fn account_view(account: &Account) -> AccountView {
    AccountView {
        id: account.id,
        email: account.email.clone(),
        name: account.name.clone(),
        roles: account.roles.clone(),
        created_at: account.created_at,
    }
}

fn key_view(key: &ApiKey) -> KeyView {
    KeyView {
        id: key.id,
        name: key.name.clone(),
        prefix: key.prefix.clone(),
        scopes: key.scopes.clone(),
        created_at: key.created_at,
        last_used_at: key.last_used_at,
    }
}

fn actor(account: &Account, via: Via) -> Actor {
    Actor {
        account: account.id,
        email: account.email.clone(),
        name: account.name.clone(),
        roles: account.roles.clone(),
        via,
    }
}

fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

fn check_new(email: &str, password: &str, name: &str) -> Result<(), Error> {
    let mut problems = Vec::new();
    let parts = email.split_once('@');
    let plausible = parts.is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') || domain_is_local(domain)
    });
    if !plausible
        || email.len() > EMAIL_MAX
        || email.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        problems.push(FieldProblem::new(
            "email",
            "an e-mail address like you@example.org",
        ));
    }
    let letters = password.chars().count();
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&letters) {
        problems.push(FieldProblem::new(
            "password",
            "8 to 200 characters; a few words you remember are good",
        ));
    }
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        problems.push(FieldProblem::new("name", "1 to 80 characters on one line"));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(problems))
    }
}

/// `me@localhost` is a working address on one's own machine.
fn domain_is_local(domain: &str) -> bool {
    domain == "localhost"
}

impl Exchange {
    async fn hash_password(&self, password: &str) -> Result<String, Error> {
        let _turn = self.inner.hashing.acquire().await;
        let (password, salt) = (password.to_owned(), self.random::<16>());
        tokio::task::spawn_blocking(move || {
            Argon2::default()
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map(|hash| hash.to_string())
        })
        .await
        .map_err(|error| Error::Internal(error.to_string()))?
        .map_err(|error| Error::Internal(format!("hashing a password: {error}")))
    }

    async fn password_fits(&self, password: &str, hash: &str) -> Result<bool, Error> {
        let _turn = self.inner.hashing.acquire().await;
        let (password, hash) = (password.to_owned(), hash.to_owned());
        tokio::task::spawn_blocking(move || {
            Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
        })
        .await
        .map_err(|error| Error::Internal(error.to_string()))
    }

    /// The e-mail address in its one form, and the password's hash.
    ///
    /// # Errors
    /// Bad fields are named.
    pub(crate) async fn credentials(
        &self,
        email: &str,
        password: &str,
        name: &str,
    ) -> Result<(String, String), Error> {
        let email = normal_email(email);
        check_new(&email, password, name)?;
        Ok((email, self.hash_password(password).await?))
    }

    async fn make_account(
        &self,
        email: &str,
        password: &str,
        name: &str,
        roles: &[Role],
        by: Creation,
    ) -> Result<Account, Error> {
        let name = name.trim();
        let (email, password_hash) = self.credentials(email, password, name).await?;
        let now = self.now();
        let account = Account {
            id: AccountId::new(now, self.random()),
            email,
            name: name.to_owned(),
            password_hash,
            roles: roles.to_vec(),
            created_at: now,
        };
        let mut tx = self.inner.store.begin().await?;
        match tx.insert_account(&account).await {
            Ok(()) => {
                let action = AuditAction::AccountCreated;
                let act = match by {
                    Creation::SignUp => Act::by_account(account.id, action, account.id),
                    Creation::CommandLine => Act::by_platform(action, account.id, account.id),
                };
                let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                self.audit(&mut tx, act.with("roles", roles.join(" ")))
                    .await?;
                tx.commit().await?;
            }
            Err(error) if error.is_conflict() => {
                return Err(Error::Conflict(
                    "this e-mail address has an account; sign in instead".into(),
                ));
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(account = %account.id, "an account was made");
        Ok(account)
    }

    /// `how`: by what they showed who they are.
    pub(crate) async fn open_session(
        &self,
        account: &Account,
        how: &'static str,
    ) -> Result<SessionSecret, Error> {
        let now = self.now();
        let secret = self.secret("");
        let session = Session {
            id: SessionId::new(now, self.random()),
            account: account.id,
            created_at: now,
            expires_at: now.plus(self.inner.settings.session_ttl),
        };
        let mut tx = self.inner.store.begin().await?;
        tx.insert_session(&session, &secret_hash(&secret)).await?;
        let act = Act::by_account(account.id, AuditAction::SessionSignedIn, account.id);
        self.audit(&mut tx, act.with("how", how)).await?;
        tx.commit().await?;
        Ok(SessionSecret(secret))
    }

    /// Makes an account that can rent and offer, and signs it in.
    ///
    /// # Errors
    /// Bad fields are named; a known e-mail address is a conflict.
    pub async fn sign_up(
        &self,
        email: &str,
        password: &str,
        name: &str,
    ) -> Result<(AccountView, SessionSecret), Error> {
        let account = self
            .make_account(
                email,
                password,
                name,
                &[Role::Requester, Role::Owner],
                Creation::SignUp,
            )
            .await?;
        let secret = self.open_session(&account, "password").await?;
        Ok((account_view(&account), secret))
    }

    /// # Errors
    /// [`Error::WrongCredentials`], the same for an unknown address and a wrong password.
    pub async fn sign_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<(AccountView, SessionSecret), Error> {
        // No account has one, and Postgres would not even look.
        if email.contains('\0') {
            return Err(Error::WrongCredentials);
        }
        let account = self
            .inner
            .store
            .account_by_email(&normal_email(email))
            .await?;
        let hash = account
            .as_ref()
            .map_or(NOBODY, |account| account.password_hash.as_str());
        let fits = password.len() <= PASSWORD_MAX.saturating_mul(4)
            && self.password_fits(password, hash).await?;
        match account {
            Some(account) if fits => {
                let secret = self.open_session(&account, "password").await?;
                Ok((account_view(&account), secret))
            }
            _ => Err(Error::WrongCredentials),
        }
    }

    /// # Errors
    /// The database failed.
    pub async fn actor_by_session(&self, secret: &str) -> Result<Option<Actor>, Error> {
        let found = self
            .inner
            .store
            .session(&secret_hash(secret), self.now())
            .await?;
        Ok(found.map(|(session, account)| actor(&account, Via::Session(session))))
    }

    /// # Errors
    /// The database failed.
    pub async fn actor_by_key(&self, secret: &str) -> Result<Option<Actor>, Error> {
        let Some((key, account)) = self.inner.store.key(&secret_hash(secret)).await? else {
            return Ok(None);
        };
        let now = self.now();
        if key
            .last_used_at
            .is_none_or(|used| now.millis_since(used) > KEY_TOUCH_MS)
        {
            let mut tx = self.inner.store.begin().await?;
            tx.touch_key(key.id, now).await?;
            tx.commit().await?;
        }
        Ok(Some(actor(
            &account,
            Via::Key {
                id: key.id,
                scopes: key.scopes,
            },
        )))
    }

    /// Who still has the session or the key that a pass was given by.
    ///
    /// # Errors
    /// The database failed.
    pub async fn actor_by_holder(&self, holder: Holder) -> Result<Option<Actor>, Error> {
        let store = &self.inner.store;
        Ok(match holder {
            Holder::Session(id) => {
                let account = store.account_of_session(id, self.now()).await?;
                account.map(|account| actor(&account, Via::Session(id)))
            }
            Holder::Key(id) => {
                let found = store.key_by_id(id).await?;
                found.map(|(key, account)| {
                    let scopes = key.scopes;
                    actor(&account, Via::Key { id, scopes })
                })
            }
        })
    }

    /// For the commands of the server's own binary.
    ///
    /// # Errors
    /// The database failed.
    pub async fn actor_by_email(&self, email: &str) -> Result<Option<Actor>, Error> {
        let account = self
            .inner
            .store
            .account_by_email(&normal_email(email))
            .await?;
        Ok(account.map(|account| actor(&account, Via::System)))
    }

    /// # Errors
    /// The database failed.
    pub async fn sign_out(&self, actor: &Actor) -> Result<(), Error> {
        if let Via::Session(session) = actor.via {
            let mut tx = self.inner.store.begin().await?;
            tx.delete_session(session).await?;
            let act = Act::by(actor, AuditAction::SessionSignedOut, actor.account);
            self.audit(&mut tx, act).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Ends all sessions, this one too; how many there were.
    ///
    /// # Errors
    /// Not with an API key.
    pub async fn sign_out_everywhere(&self, actor: &Actor) -> Result<u64, Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        let ended = tx.delete_sessions(actor.account).await?;
        let act = Act::by(actor, AuditAction::SessionsEnded, actor.account);
        self.audit(&mut tx, act.with("sessions", ended)).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// # Errors
    /// The database failed.
    pub async fn account(&self, actor: &Actor) -> Result<AccountView, Error> {
        actor.require(Scope::Read)?;
        let account = self
            .inner
            .store
            .account(actor.account)
            .await?
            .ok_or(Error::NotFound("the account"))?;
        Ok(account_view(&account))
    }

    /// # Errors
    /// Bad name or no scope; not with an API key.
    pub async fn create_key(
        &self,
        actor: &Actor,
        name: &str,
        scopes: &[Scope],
    ) -> Result<NewKeyView, Error> {
        actor.require_person()?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control)
        {
            return Err(Error::invalid("name", "1 to 80 characters on one line"));
        }
        if scopes.is_empty() {
            return Err(Error::invalid(
                "scopes",
                "choose at least one: read, jobs, nodes",
            ));
        }
        if self.inner.store.keys(actor.account).await?.len() >= KEYS_MAX {
            return Err(Error::Conflict(
                "there are 50 keys already; revoke one first".into(),
            ));
        }
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let (now, secret) = (self.now(), self.secret("iog_"));
        let key = ApiKey {
            id: KeyId::new(now, self.random()),
            account: actor.account,
            name: name.to_owned(),
            prefix: secret.chars().take(10).collect(),
            scopes,
            created_at: now,
            last_used_at: None,
        };
        let mut tx = self.inner.store.begin().await?;
        tx.insert_key(&key, &secret_hash(&secret)).await?;
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let act = Act::by(actor, AuditAction::KeyCreated, key.id).with("name", &key.name);
        self.audit(&mut tx, act.with("scopes", scopes.join(" ")))
            .await?;
        tx.commit().await?;
        Ok(NewKeyView {
            key: key_view(&key),
            secret,
        })
    }

    /// # Errors
    /// The key lacks `read`.
    pub async fn keys(&self, actor: &Actor) -> Result<Vec<KeyView>, Error> {
        actor.require(Scope::Read)?;
        Ok(self
            .inner
            .store
            .keys(actor.account)
            .await?
            .iter()
            .map(key_view)
            .collect())
    }

    /// # Errors
    /// No such key of this account; not with an API key.
    pub async fn revoke_key(&self, actor: &Actor, key: KeyId) -> Result<(), Error> {
        actor.require_person()?;
        let mut tx = self.inner.store.begin().await?;
        if !tx.revoke_key(actor.account, key, self.now()).await? {
            return Err(Error::NotFound("the key"));
        }
        let act = Act::by(actor, AuditAction::KeyRevoked, key);
        self.audit(&mut tx, act).await?;
        Ok(tx.commit().await?)
    }

    /// Makes an account from the server's command line, or finds the one with this address. The flag: it is new.
    ///
    /// # Errors
    /// Bad fields are named.
    pub async fn admin_create_account(
        &self,
        email: &str,
        password: &str,
        name: &str,
        roles: &[Role],
        demo_credit: Option<Amount>,
    ) -> Result<(AccountView, bool), Error> {
        if let Some(account) = self
            .inner
            .store
            .account_by_email(&normal_email(email))
            .await?
        {
            return Ok((account_view(&account), false));
        }
        let account = self
            .make_account(email, password, name, roles, Creation::CommandLine)
            .await?;
        if let Some(amount) = demo_credit {
            let act = Act::by_platform(AuditAction::DemoCreditTaken, account.id, account.id);
            self.post_demo_credit(account.id, amount, act).await?;
        }
        Ok((account_view(&account), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_passwords_are_checked_field_by_field() {
        let fields = |email, password, name| match check_new(email, password, name) {
            Ok(()) => vec![],
            Err(Error::Invalid(fields)) => fields.into_iter().map(|f| f.field).collect(),
            Err(other) => vec![other.to_string()],
        };
        assert!(fields("a@example.org", "long enough", "A").is_empty());
        assert!(fields("a@localhost", "long enough", "A").is_empty());
        assert_eq!(fields("a", "long enough", "A"), ["email"]);
        assert_eq!(fields("@example.org", "long enough", "A"), ["email"]);
        assert_eq!(
            fields("a@b.c d", "short", ""),
            ["email", "password", "name"]
        );
    }

    #[test]
    fn the_hash_of_nobody_is_a_hash_and_fits_nothing() {
        let verified = Argon2::default().verify_password(b"", NOBODY);
        assert!(
            matches!(verified, Err(argon2::password_hash::Error::PasswordInvalid)),
            "{verified:?}"
        );
    }
}
