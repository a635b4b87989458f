//! Why a use case was refused. Each variant tells the person what to do; [`Error::problem`] is what they see.

use kernel::{Amount, MoneyError};
use ledger::LedgerError;
use market::NoMatch;
use protocol::problem::{Code, FieldProblem, Problem};
use protocol::spec::JobSpec;
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} was not found; it may belong to another account")]
    NotFound(&'static str),
    #[error("nobody has offered {0} here; GET /api/v1/market/prices has the names")]
    NeverOffered(String),
    #[error("round {0} is not kept here; GET /api/v1/market/rounds has those that are")]
    NoSuchRound(u64),
    #[error("please sign in")]
    Unauthenticated,
    /// By another process, under the same idempotency key; what was done here is undone.
    #[error("the same request was done at the same time; send it again for its answer")]
    SameRequest,
    #[error("e-mail or password is not right")]
    WrongCredentials,
    /// What a wallet signed does not sign anybody in.
    #[error("{0}")]
    Wallet(String),
    #[error("this API key does not have the scope `{0}`; make one that has it on the account page")]
    MissingScope(&'static str),
    #[error("only {0} can do this")]
    Forbidden(&'static str),
    #[error("{}", invalid_sentence(.0))]
    Invalid(Vec<FieldProblem>),
    #[error("{}", .0.sentence())]
    NoMatch(NoMatch),
    #[error(
        "this needs at least {needed} and {available} is available; add to the balance or choose a cheaper offer"
    )]
    InsufficientFunds { needed: Amount, available: Amount },
    #[error(
        "this needs at least {needed}, and your own spending limits leave {left} for it; raise them on the billing page"
    )]
    OverLimit { needed: Amount, left: Amount },
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Unavailable(&'static str),
    /// There is no room for it now, because of what others ask.
    #[error("{0}")]
    Busy(&'static str),
    #[error(
        "this idempotency key was used before with another request; use a new key for a new request"
    )]
    IdempotencyMismatch,
    #[error("the connection was replaced by a newer one")]
    SupersededConnection,
    #[error("{what} at {path} failed: {source}")]
    File {
        what: &'static str,
        path: String,
        source: std::io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an amount left its range: {0}")]
    Money(#[from] MoneyError),
    #[error("the books refused it: {0}")]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Chain(#[from] settlement::ChainError),
    #[error("{0}")]
    Internal(String),
}

fn invalid_sentence(fields: &[FieldProblem]) -> String {
    fields
        .iter()
        .map(|field| format!("{}: {}", field.field, field.message))
        .collect::<Vec<_>>()
        .join("; ")
}

impl Error {
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem::new(field, message)])
    }

    pub(crate) fn used_quote() -> Self {
        Self::Conflict("this quote was used by another job; ask for a new one".into())
    }

    /// # Errors
    /// All that is wrong with the specification.
    pub(crate) fn check(spec: &JobSpec) -> Result<(), Self> {
        let problems = spec.problems();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(problems))
        }
    }

    /// Whether it is ours and should be logged with its cause.
    pub const fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::File { .. }
                | Self::Store(_)
                | Self::Money(_)
                | Self::Ledger(_)
                | Self::Internal(_)
        )
    }

    /// What is sent and shown. Internals are not told.
    pub fn problem(&self) -> Problem {
        let code = match self {
            Self::NotFound(_) | Self::NeverOffered(_) | Self::NoSuchRound(_) => Code::NotFound,
            Self::Unauthenticated | Self::WrongCredentials | Self::Wallet(_) => {
                Code::Unauthenticated
            }
            Self::MissingScope(_) | Self::Forbidden(_) => Code::Forbidden,
            Self::Invalid(_) => Code::Invalid,
            Self::NoMatch(_) => Code::NoMatch,
            Self::InsufficientFunds { .. } | Self::OverLimit { .. } => Code::InsufficientFunds,
            Self::Conflict(_) | Self::SameRequest | Self::SupersededConnection => Code::Conflict,
            Self::TooLarge(_) => Code::TooLarge,
            Self::Unavailable(_) | Self::Busy(_) | Self::Chain(_) => Code::Unavailable,
            Self::IdempotencyMismatch => Code::IdempotencyMismatch,
            _ => Code::Internal,
        };
        if code == Code::Internal {
            return Problem::new(
                code,
                "Something failed on our side. Please look whether it was done, then try again.",
            );
        }
        let fields = match self {
            Self::Invalid(fields) => fields.clone(),
            Self::NoMatch(no_match) => no_match.fields(),
            _ => Vec::new(),
        };
        let detail = match self {
            // It begins with a field's name, which has no capital.
            Self::Invalid(_) => format!("{self}."),
            _ => sentence(&self.to_string()),
        };
        Problem::new(code, detail).with_fields(fields)
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut text: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

/// A step that the table does not hold is our mistake, never the caller's.
impl From<protocol::state::IllegalStep> for Error {
    fn from(error: protocol::state::IllegalStep) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        error.problem()
    }
}
