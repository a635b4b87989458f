//! Secrets for jobs' environments. They come in, stand in the database closed under a key of the server's own
//! (`secrets.key` beside the database), and go out to one place: sealed to the key that a worker made for a lease whose
//! specification names them. No answer, page or log ever holds one.

use std::collections::BTreeMap;

use ed25519_dalek::Signature;
use kernel::AccountId;
use protocol::audit::AuditAction;
use protocol::spec::{JobSpec, SECRET_BYTES_MAX, SECRET_NAME, is_secret_name};
use protocol::view::{Scope, SecretView};
use protocol::worker::{LeaseClaim, ToWorker, secret_key_bytes, secrets_context};
use store::{Secret, Tx};

use crate::actor::Actor;
use crate::audit::{Act, Subject};
use crate::desk::{Exchange, secret_key_file};
use crate::error::Error;

/// An account keeps so many.
const SECRETS_MAX: usize = 64;
/// Shorter ones could not be told from ordinary output, and are no secrets.
const VALUE_BYTES_MIN: usize = 4;

impl Exchange {
    /// Names of the account's secrets.
    ///
    /// # Errors
    /// The key lacks `read`.
    pub async fn secrets(&self, actor: &Actor) -> Result<Vec<SecretView>, Error> {
        actor.require(Scope::Read)?;
        let secrets = self.inner.store.secrets(actor.account).await?;
        Ok(secrets.into_iter().map(view).collect())
    }

    /// Keeps a value under a name; jobs that start from now on get it.
    ///
    /// # Errors
    /// A bad name or value, or too many.
    pub async fn put_secret(
        &self,
        actor: &Actor,
        name: &str,
        value: &str,
    ) -> Result<SecretView, Error> {
        actor.require(Scope::Jobs)?;
        if !is_secret_name(name) {
            return Err(Error::invalid("name", SECRET_NAME));
        }
        if !(VALUE_BYTES_MIN..=SECRET_BYTES_MAX).contains(&value.len()) || value.contains('\0') {
            let why = format!("{VALUE_BYTES_MIN} to {SECRET_BYTES_MAX} bytes and no zero byte");
            return Err(Error::invalid("value", why));
        }
        let key = self.secrets_key()?;
        let context = context(actor.account, name);
        let locked = sealed::lock(&key, self.random(), &context, value.as_bytes())
            .map_err(|error| Error::Internal(error.to_string()))?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let known = tx.secrets(actor.account).await?;
        let before = known.iter().find(|secret| secret.name == name);
        if before.is_none() && known.len() >= SECRETS_MAX {
            return Err(Error::Conflict(format!(
                "an account keeps {SECRETS_MAX} secrets; delete one first"
            )));
        }
        let secret = Secret {
            account: actor.account,
            name: name.to_owned(),
            locked: hex::encode(locked),
            created_at: before.map_or(now, |before| before.created_at),
            changed_at: now,
        };
        tx.put_secret(&secret).await?;
        let act = Act::by(actor, AuditAction::SecretSet, Subject::secret(name));
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        Ok(view(secret))
    }

    /// Forgets one. Jobs that run keep what they were given.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn delete_secret(&self, actor: &Actor, name: &str) -> Result<(), Error> {
        actor.require(Scope::Jobs)?;
        let mut tx = self.inner.store.begin().await?;
        if !tx.delete_secret(actor.account, name).await? {
            return Err(Error::NotFound("the secret"));
        }
        let act = Act::by(actor, AuditAction::SecretDeleted, Subject::secret(name));
        self.audit(&mut tx, act).await?;
        tx.commit().await?;
        Ok(())
    }

    /// # Errors
    /// The specification names a secret that the account does not have.
    pub(crate) async fn has_secrets(
        tx: &mut Tx,
        account: AccountId,
        spec: &JobSpec,
    ) -> Result<(), Error> {
        if spec.secrets.is_empty() {
            return Ok(());
        }
        let known = tx.secrets(account).await?;
        let missing = spec
            .secrets
            .iter()
            .find(|name| known.iter().all(|secret| secret.name != **name));
        match missing {
            None => Ok(()),
            Some(name) => Err(Error::invalid(
                "secrets",
                format!("you have no secret {name}; set it on the account page first"),
            )),
        }
    }

    /// What a lease's specification names, sealed to the key that its worker made. Whose key it is the node's signature says.
    ///
    /// # Errors
    /// The database, or a key file that cannot be read.
    pub(crate) async fn seal_secrets(
        &self,
        claim: LeaseClaim,
        key: &str,
        signature: &str,
    ) -> Result<Vec<ToWorker>, Error> {
        let LeaseClaim { lease, epoch } = claim;
        let found = {
            let memory = self.memory();
            memory.leases.get(&lease).map(|live| {
                (
                    live.worker_key,
                    live.lease.account,
                    live.spec.secrets.clone(),
                )
            })
        };
        let Some((worker, account, names)) = found else {
            return Ok(vec![ToWorker::LeaseRefused { lease, epoch }]);
        };
        let mut to = [0; 32];
        let mut signed = [0; 64];
        let genuine = hex::decode_to_slice(key, &mut to).is_ok()
            && hex::decode_to_slice(signature, &mut signed).is_ok()
            && worker
                .verify_strict(
                    &secret_key_bytes(lease, epoch, key),
                    &Signature::from_bytes(&signed),
                )
                .is_ok();
        if !genuine {
            tracing::warn!(%lease, "a worker's key for secrets is not signed by its node; nothing is sent");
            return Ok(Vec::new());
        }
        let own = self.secrets_key()?;
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for secret in self.inner.store.secrets(account).await? {
            if !names.contains(&secret.name) {
                continue;
            }
            let unreadable = || {
                Error::Internal(format!(
                    "the secret {} of {account} cannot be opened; was secrets.key replaced?",
                    secret.name
                ))
            };
            let locked = hex::decode(&secret.locked).map_err(|_| unreadable())?;
            let value = sealed::unlock(&own, &context(account, &secret.name), &locked)
                .map_err(|_| unreadable())?;
            let value = String::from_utf8(value).map_err(|_| unreadable())?;
            values.insert(secret.name, value);
        }
        let text =
            serde_json::to_vec(&values).map_err(|error| Error::Internal(error.to_string()))?;
        let Ok(sealed) = sealed::seal(&to, &self.random(), &secrets_context(lease, epoch), &text)
        else {
            tracing::warn!(%lease, "nothing can be sealed to a worker's key for secrets");
            return Ok(Vec::new());
        };
        Ok(vec![ToWorker::Secrets {
            lease,
            epoch,
            sealed: hex::encode(sealed),
        }])
    }

    /// Made when it is first needed; one that cannot be read is an error and never replaced.
    fn secrets_key(&self) -> Result<[u8; 32], Error> {
        let path = self.inner.settings.data_dir.join("secrets.key");
        secret_key_file(&path, self.inner.entropy.as_ref())
    }
}

/// What a locked value is bound to: it opens for no other account and under no other name.
fn context(account: AccountId, name: &str) -> Vec<u8> {
    format!("iog.secret.v1\n{account}\n{name}\n").into_bytes()
}

fn view(secret: Secret) -> SecretView {
    SecretView {
        name: secret.name,
        created_at: secret.created_at,
        changed_at: secret.changed_at,
    }
}
