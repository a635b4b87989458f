//! The names in webhooks' addresses are their owners': they can lead to this machine, to its network, or to a cloud's
//! metadata, and to something else each time they are asked. So a name is asked once for a connection, the answer is
//! checked, and the connection goes to what was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use kernel::reach::is_reachable;
use protocol::notice::DeliveryError;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks for a name's addresses.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// As the operating system does.
pub fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Why no connection was tried. Found again at the bottom of the client's error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0:?}")]
pub struct Blocked(pub DeliveryError);

/// The client's resolver.
pub struct Guard {
    pub lookup: Lookup,
    pub local: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let asked = (self.lookup)(name.as_str().to_owned());
        let local = self.local;
        Box::pin(async move {
            let found = asked.await.unwrap_or_default();
            if found.is_empty() {
                return Err(Blocked(DeliveryError::NoAddress).into());
            }
            let reachable: Vec<SocketAddr> = found
                .into_iter()
                .filter(|ip| is_reachable(*ip, local))
                .map(|ip| SocketAddr::new(ip, 0))
                .collect();
            if reachable.is_empty() {
                return Err(Blocked(DeliveryError::NotPublic).into());
            }
            Ok(Box::new(reachable.into_iter()) as Addrs)
        })
    }
}

/// What the resolver does not see: an address in figures, which needs no name, and an address that was taken when plain HTTP
/// was allowed.
///
/// # Errors
/// [`Blocked`].
pub fn check(url: &Url, local: bool) -> Result<(), Blocked> {
    let host = url.host_str().unwrap_or_default();
    let figures = host.trim_start_matches('[').trim_end_matches(']');
    let open = figures
        .parse::<IpAddr>()
        .map_or(!host.is_empty(), |ip| is_reachable(ip, local));
    if open && (local || url.scheme() == "https") {
        Ok(())
    } else {
        Err(Blocked(DeliveryError::NotPublic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, local: bool) -> bool {
        check(&url.parse().expect("a URL"), local).is_err()
    }

    #[test]
    fn figures_are_checked_where_no_name_is_asked() {
        for closed in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://10.1.2.3/",
            "https://100.100.100.200/",
            "https://169.254.169.254/",
            "https://224.0.0.1/",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[fd00:ec2::254]/",
            "https://[ff02::1]/",
            "https://[::ffff:10.0.0.1]/",
            "http://example.com/",
        ] {
            assert!(refused(closed, false), "{closed}");
        }
        assert!(!refused("https://example.com/", false) && !refused("https://1.1.1.1/", false));
        assert!(!refused("http://127.0.0.1:9/", true) && refused("http://10.0.0.1/", true));
    }
}
