//! Who is asking, and what they may do.

use kernel::{AccountId, KeyId, SessionId};
use protocol::view::{Role, Scope};

use crate::error::Error;

/// Somebody whose session or key was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub account: AccountId,
    pub email: String,
    pub name: String,
    pub roles: Vec<Role>,
    pub via: Via,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A browser.
    Session(SessionId),
    Key {
        id: KeyId,
        scopes: Vec<Scope>,
    },
    /// A command line on the server itself.
    System,
}

impl Actor {
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// There is no e-mail address and no password: the wallet's address stands in its place.
    pub fn has_wallet_alone(&self) -> bool {
        self.email.starts_with("0x") && !self.email.contains('@')
    }

    /// A key must have the scope; a session has all.
    ///
    /// # Errors
    /// [`Error::MissingScope`].
    pub fn require(&self, scope: Scope) -> Result<(), Error> {
        match &self.via {
            Via::Key { scopes, .. } if !scopes.contains(&scope) => {
                Err(Error::MissingScope(scope.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// What concerns all accounts: a signed-in admin, never a key.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) fn require_admin(&self) -> Result<(), Error> {
        self.require_person()?;
        if self.is(Role::Admin) {
            Ok(())
        } else {
            Err(Error::Forbidden("an admin"))
        }
    }

    /// What a key must not do, whatever its scopes: make keys, end sessions.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_person(&self) -> Result<(), Error> {
        match self.via {
            Via::Key { .. } => Err(Error::Forbidden("a signed-in person (not an API key)")),
            _ => Ok(()),
        }
    }
}
