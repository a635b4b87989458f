//! Addresses of the ports that running jobs listen on, and the signed passes that open them.
//!
//! A pass is a moment and a seal over it: for this port of this job, until then. It is kept nowhere; it ends with its time, and with
//! the job.

use hmac::{Hmac, KeyInit, Mac};
use kernel::{JobId, Seconds, Timestamp};
use protocol::audit::AuditAction;
use protocol::spec::Port;
use protocol::view::{PortLinkView, PortView, Scope};
use sha2::Sha256;

use crate::actor::Actor;
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
        Ok(self.pass(at, Pass::Enter, self.now().plus(ENTER_FOR)))
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
        let token = self.pass(at, Pass::Link, expires_at);
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

    /// A pass of the kind until then.
    pub fn pass(&self, at: &PortAt, pass: Pass, until: Timestamp) -> String {
        let millis = until.millis();
        format!("{millis}.{}", hex::encode(self.seal_of(at, pass, millis)))
    }

    /// Until when this is a pass of the kind for the port; `None`: it is none, or no more.
    pub fn pass_until(&self, at: &PortAt, pass: Pass, text: &str) -> Option<Timestamp> {
        let (millis, seal) = text.split_once('.')?;
        let millis: i64 = millis.parse().ok()?;
        let seal = hex::decode(seal).ok()?;
        let mut mac = self.sealer();
        mac.update(&sealed_bytes(at, pass, millis));
        mac.verify_slice(&seal).ok()?;
        let until = Timestamp::from_millis(millis);
        (until > self.now()).then_some(until)
    }

    fn seal_of(&self, at: &PortAt, pass: Pass, millis: i64) -> [u8; 32] {
        let mut mac = self.sealer();
        mac.update(&sealed_bytes(at, pass, millis));
        mac.finalize().into_bytes().into()
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

fn sealed_bytes(at: &PortAt, pass: Pass, millis: i64) -> Vec<u8> {
    format!("{}\n{}\n{millis}\n", pass.name(), at.label()).into_bytes()
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
