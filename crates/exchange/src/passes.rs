//! Addresses of the ports that running jobs listen on, and the signed passes that open them.
//!
//! A pass is a moment and a seal over it: for this port of this job, until then. It is kept nowhere; it ends with its time, with the job
//! and, where its owner's browser has it, with the session (or the key) by which the portal gave it.

use hmac::{Hmac, KeyInit, Mac};
use kernel::{JobId, KeyId, Seconds, SessionId, Timestamp};
use protocol::audit::AuditAction;
use protocol::spec::Port;
use protocol::view::{PortLinkView, PortView, Scope};
use sha2::Sha256;

use crate::actor::{Actor, Via};
use crate::audit::Act;
use crate::desk::Exchange;
use crate::doors::{Place, Reach};
use crate::error::Error;

/// From the portal to the port's own address.
const ENTER_FOR: Seconds = Seconds::MINUTE;
/// How long the owner's browser then has it open.
pub const OPEN_FOR: Seconds = Seconds::new(8 * 3_600);
const LINK_HOURS_MAX: u32 = 30 * 24;

/// One port of one of a job's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortAt {
    pub job: JobId,
    pub member: u32,
    pub port: u16,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Turned into [`Pass::Open`] at once.
    Enter,
    /// A link that its owner gave away.
    Link,
    /// What a browser keeps, as a cookie of the port's own address.
    Open,
}

impl Pass {
    const fn name(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Link => "link",
            Self::Open => "open",
        }
    }
}

/// By what a pass was given: it is good no longer than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    Session(SessionId),
    Key(KeyId),
}

impl Holder {
    const fn of(actor: &Actor) -> Option<Self> {
        match actor.via {
            Via::Session(session) => Some(Self::Session(session)),
            Via::Key { id, .. } => Some(Self::Key(id)),
            Via::System => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let session = text.parse().ok().map(Self::Session);
        session.or_else(|| text.parse().ok().map(Self::Key))
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(id) => write!(f, "{id}"),
            Self::Key(id) => write!(f, "{id}"),
        }
    }
}

/// What a pass says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opens {
    pub until: Timestamp,
    /// `None`: whoever has it, as of a link.
    pub by: Option<Holder>,
}

impl PortAt {
    /// `8888-0192…` and, for the machines after the first, `8888-0192…-1`: a name that a host may have.
    pub fn label(&self) -> String {
        let job = hex::encode(self.job.as_bytes());
        match self.member {
            0 => format!("{}-{job}", self.port),
            member => format!("{}-{job}-{member}", self.port),
        }
    }

    pub fn parse(label: &str) -> Option<Self> {
        let mut parts = label.split('-');
        let port = parts.next()?;
        let job: JobId = format!("{}_{}", JobId::PREFIX, parts.next()?)
            .parse()
            .ok()?;
        let member = parts.next().map_or(Some(0), |text| text.parse().ok())?;
        let at = Self {
            job,
            member,
            port: port.parse().ok()?,
        };
        // One spelling, so that each port has one address and its cookies are its own.
        (parts.next().is_none() && at.label() == label).then_some(at)
    }
}

impl Exchange {
    /// The port's own origin; `None` where the server has no names for them.
    pub fn port_origin(&self, at: &PortAt) -> Option<String> {
        let settings = self.settings();
        let domain = settings.ports_domain.as_deref()?;
        let scheme = if settings.public_url.starts_with("https://") {
            "https"
        } else {
            "http"
        };
        Some(format!("{scheme}://{}.{domain}", at.label()))
    }

    /// For programs: below the portal's own address.
    pub fn port_path(&self, at: &PortAt) -> String {
        let base = &self.settings().public_url;
        let member = match at.member {
            0 => String::new(),
            member => format!("-{member}"),
        };
        format!("{base}/j/{}{member}/{}/", at.job, at.port)
    }

    /// Where the port is, if its job runs and has named it.
    pub fn port_of(&self, at: &PortAt) -> Option<(Place, Port)> {
        let place = self.place_of(at.job, at.member)?;
        let memory = self.memory();
        let live = memory.leases.get(&place.lease)?;
        let port = live.spec.ports.iter().find(|port| port.port == at.port)?;
        Some((place, port.clone()))
    }

    /// The ports that a job names.
    ///
    /// # Errors
    /// Not this account's job.
    pub async fn job_ports(&self, actor: &Actor, job: JobId) -> Result<Vec<PortView>, Error> {
        let of = self.own_job(actor, job, Scope::Read).await?;
        let nodes = of.spec.placement.nodes;
        let views = (0..nodes).flat_map(|member| {
            of.spec.ports.iter().map(move |port| {
                let at = PortAt {
                    job,
                    member,
                    port: port.port,
                };
                PortView {
                    member,
                    port: port.port,
                    name: port.name.clone(),
                    public: port.public,
                    url: self.port_origin(&at).map(|origin| format!("{origin}/")),
                    path_url: self.port_path(&at),
                }
            })
        });
        Ok(views.collect())
    }

    /// A pass for the job's owner, to be turned into a cookie of the port's address within a minute.
    ///
    /// # Errors
    /// Not this account's job, or no such port.
    pub async fn enter_port(&self, actor: &Actor, at: &PortAt) -> Result<String, Error> {
        self.own_port(actor, at).await?;
        self.reached(Some(actor), Reach::Port(*at)).await?;
        let opens = Opens {
            until: self.now().plus(ENTER_FOR),
            by: Holder::of(actor),
        };
        Ok(self.pass(at, Pass::Enter, opens))
    }

    /// A link that opens one port for whoever has it.
    ///
    /// # Errors
    /// Not this account's job, no such port, or too long.
    pub async fn share_port(
        &self,
        actor: &Actor,
        at: &PortAt,
        hours: u32,
    ) -> Result<PortLinkView, Error> {
        self.own_port(actor, at).await?;
        let of = self.own_job(actor, at.job, Scope::Jobs).await?;
        if of.state.is_final() {
            return Err(Error::Conflict(format!(
                "this job has ended: it is {}",
                of.state
            )));
        }
        if !(1..=LINK_HOURS_MAX).contains(&hours) {
            let why = format!("a whole number of hours from 1 to {LINK_HOURS_MAX}");
            return Err(Error::invalid("hours", why));
        }
        let life = Seconds::new(u64::from(hours).saturating_mul(3_600));
        let expires_at = self.now().plus(life);
        let act = Act::by(actor, AuditAction::PortShared, at.job)
            .with("member", at.member)
            .with("port", at.port)
            .with("until", expires_at);
        self.audit_alone(act).await?;
        let opens = Opens {
            until: expires_at,
            by: None,
        };
        let token = self.pass(at, Pass::Link, opens);
        Ok(PortLinkView {
            url: self
                .port_origin(at)
                .map(|origin| format!("{origin}/.iog/enter?pass={token}")),
            path_url: self.port_path(at),
            token,
            expires_at,
        })
    }

    async fn own_port(&self, actor: &Actor, at: &PortAt) -> Result<(), Error> {
        let of = self.own_job(actor, at.job, Scope::Jobs).await?;
        let named = of.spec.ports.iter().any(|port| port.port == at.port);
        if named && at.member < of.spec.placement.nodes {
            Ok(())
        } else {
            Err(Error::NotFound("the port (jobs name theirs in `ports`)"))
        }
    }

    /// Whether this account's job it is, for programs that show a key.
    ///
    /// # Errors
    /// The database.
    pub async fn may_use_port(&self, actor: &Actor, at: &PortAt) -> Result<bool, Error> {
        match self.own_port(actor, at).await {
            Ok(()) => {
                self.reached(Some(actor), Reach::Port(*at)).await?;
                Ok(true)
            }
            Err(Error::NotFound(_) | Error::MissingScope(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A pass of the kind, as text: `<until>.<seal>`, or with its holder in the middle.
    pub fn pass(&self, at: &PortAt, pass: Pass, opens: Opens) -> String {
        let mut mac = self.sealer();
        mac.update(&sealed_bytes(at, pass, opens));
        let seal = hex::encode(mac.finalize().into_bytes());
        let millis = opens.until.millis();
        match opens.by {
            None => format!("{millis}.{seal}"),
            Some(by) => format!("{millis}.{by}.{seal}"),
        }
    }

    /// What a pass of the kind for the port says; `None`: it is none, or no more. Whether its holder still is one is to be asked besides.
    pub fn opens(&self, at: &PortAt, pass: Pass, text: &str) -> Option<Opens> {
        let (millis, rest) = text.split_once('.')?;
        let (by, seal) = match rest.split_once('.') {
            Some((by, seal)) => (Some(Holder::parse(by)?), seal),
            None => (None, rest),
        };
        let until = Timestamp::from_millis(millis.parse().ok()?);
        let opens = Opens { until, by };
        let seal = hex::decode(seal).ok()?;
        let mut mac = self.sealer();
        mac.update(&sealed_bytes(at, pass, opens));
        mac.verify_slice(&seal).ok()?;
        (until > self.now()).then_some(opens)
    }

    /// Of the platform's own key, for this purpose alone.
    fn sealer(&self) -> Hmac<Sha256> {
        let own = |key: &[u8]| {
            // Any length is a key.
            Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!())
        };
        let mut purpose = own(self.inner.key.as_bytes());
        purpose.update(b"iog.port.pass.v1");
        own(&purpose.finalize().into_bytes())
    }
}

fn sealed_bytes(at: &PortAt, pass: Pass, opens: Opens) -> Vec<u8> {
    let (name, label, millis) = (pass.name(), at.label(), opens.until.millis());
    let by = match (pass, opens.by) {
        (Pass::Link, _) => String::new(),
        (_, None) => "anybody\n".to_owned(),
        (_, Some(by)) => format!("{by}\n"),
    };
    format!("{name}\n{label}\n{millis}\n{by}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_name_that_leads_back_to_it() {
        let job = JobId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10]);
        for member in [0, 3] {
            let at = PortAt {
                job,
                member,
                port: 8_888,
            };
            let label = at.label();
            assert!(label.len() <= 63, "{label}");
            assert_eq!(PortAt::parse(&label), Some(at));
            assert_eq!(PortAt::parse(&label.to_uppercase()), None);
            assert_eq!(PortAt::parse(&format!("0{label}")), None);
            assert_eq!(PortAt::parse(&format!("{label}-0")), None);
        }
        for none in ["", "8888", "8888-", "x-0", "8888-00-1-2"] {
            assert_eq!(PortAt::parse(none), None, "{none}");
        }
    }
}
