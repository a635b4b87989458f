//! Which addresses an image's name may lead to. The name comes from a stranger, and the machine stands in its owner's
//! network: so only public addresses are dialled, over TLS, also after redirects and for tokens, and also when a public
//! name resolves to a private address. Registries that the owner names are excepted.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kernel::reach::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::PullError;

const REDIRECTS_MAX: usize = 5;
/// Of a registry that the owner named without a port.
const USUAL_PORTS: [u16; 2] = [443, 80];
/// No progress for so long ends an attempt.
const STALLED: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Rules {
    /// Host and port. One that was named without a port has the two usual ones.
    own: BTreeSet<(String, u16)>,
}

impl Rules {
    pub fn new(own_registries: &[String]) -> Self {
        let own = own_registries.iter().flat_map(|named| {
            let (host, ports) = match named.rsplit_once(':') {
                Some((host, port)) if !host.ends_with(':') => match port.parse() {
                    Ok(port) => (host, vec![port]),
                    // It ends with a colon, or is an IPv6 address without a port.
                    Err(_) => (named.as_str(), USUAL_PORTS.to_vec()),
                },
                _ => (named.as_str(), USUAL_PORTS.to_vec()),
            };
            // As addresses are read.
            let host = bare(host).to_ascii_lowercase();
            ports.into_iter().map(move |port| (host.clone(), port))
        });
        Self { own: own.collect() }
    }

    /// Names are resolved without a port.
    fn is_own_host(&self, host: &str) -> bool {
        self.own.iter().any(|(own, _)| own == host)
    }

    /// The address of a registry: TLS everywhere but on this machine.
    ///
    /// # Errors
    /// [`PullError::Private`].
    pub fn base(&self, registry: &str) -> Result<Url, PullError> {
        // Docker's own registry answers at another name than its images carry.
        let host = match registry {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let scheme = if is_this_machine(name) {
            "http"
        } else {
            "https"
        };
        let url = Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|error| PullError::Invalid(format!("{registry} is no address: {error}")))?;
        if self.admits(&url) {
            Ok(url)
        } else {
            Err(PullError::Private(registry.to_owned()))
        }
    }

    /// Whether this address may be dialled, as far as it can be seen without resolving its name.
    pub fn admits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let bare = bare(host);
        // Before what holds for everybody: a name that leads into the owner's network opens no other door there.
        if self.is_own_host(bare) {
            let port = url.port_or_known_default();
            return port.is_some_and(|port| self.own.contains(&(bare.to_owned(), port)))
                && (url.scheme() == "https" || is_this_machine(bare));
        }
        url.scheme() == "https"
            && !is_this_machine(bare)
            && bare.parse::<IpAddr>().map_or(true, is_public)
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Resolves names, and forgets addresses that are nobody's but the owner's.
struct Guard(Arc<Rules>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let own = rules.is_own_host(host);
            let admitted: Vec<SocketAddr> = found
                .iter()
                .filter(|address| own || is_public(address.ip()))
                .copied()
                .collect();
            if admitted.is_empty() && !found.is_empty() {
                return Err(Box::from(PullError::Private(host.to_owned())));
            }
            let addresses: Addrs = Box::new(admitted.into_iter());
            Ok(addresses)
        })
    }
}

/// A client that keeps to the rules. It uses no proxy: a proxy would resolve names in its own network.
pub fn client(rules: &Arc<Rules>) -> reqwest::Result<Client> {
    let redirects = {
        let rules = Arc::clone(rules);
        Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if rules.admits(attempt.url()) {
                attempt.follow()
            } else {
                let host = attempt.url().host_str().unwrap_or_default().to_owned();
                attempt.error(PullError::Private(host))
            }
        })
    };
    Client::builder()
        .user_agent(concat!("iog-worker/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirects)
        .dns_resolver(Arc::new(Guard(Arc::clone(rules))))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(STALLED)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::new(&["localhost:5000".into(), "registry.lan".into()])
    }

    #[test]
    fn escape_by_a_name_that_leads_into_the_owners_network_is_refused() {
        for host in [
            "127.0.0.1:5000",
            "localhost",
            "localhost:5001",
            "x.localhost",
            "10.0.0.7",
            "192.168.1.1:5000",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "168.63.129.16",
        ] {
            assert!(
                matches!(rules().base(host), Err(PullError::Private(_))),
                "{host}"
            );
        }
        // Other ways to write the same addresses: they are read as what they are.
        for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"] {
            assert!(rules().base(host).is_err(), "{host}");
        }
        assert!(rules().base("ghcr.io").is_ok() && rules().base("8.8.8.8").is_ok());
    }

    #[test]
    fn the_owners_own_registries_are_excepted_and_plain_http_stays_at_home() {
        assert_eq!(
            rules().base("localhost:5000").expect("own").as_str(),
            "http://localhost:5000/"
        );
        assert_eq!(
            rules().base("registry.lan").expect("own").as_str(),
            "https://registry.lan/"
        );
        let url = |text| Url::parse(text).expect("url");
        assert!(!rules().admits(&url("http://registry.lan/")));
        assert!(!rules().admits(&url("http://ghcr.io/")));
        assert!(!rules().admits(&url("file:///etc/passwd")));
        assert_eq!(
            rules().base("docker.io").expect("public").as_str(),
            "https://registry-1.docker.io/"
        );
    }

    #[test]
    fn escape_to_another_port_of_an_own_registry_is_refused() {
        let rules = Rules::new(&[
            "registry.lan:5000".into(),
            "Other.lan".into(),
            "localhost".into(),
            "[::1]:5000".into(),
        ]);
        let admits = |text| rules.admits(&Url::parse(text).expect("url"));
        assert!(admits("https://registry.lan:5000/v2/"));
        assert!(admits("https://other.lan/v2/"));
        assert!(admits("http://localhost/v2/") && admits("http://[::1]:5000/v2/"));
        for other in [
            "https://registry.lan/",
            "https://registry.lan:8443/",
            "https://other.lan:5000/",
            "http://localhost:5000/",
            "https://localhost:9200/",
            "http://[::1]:9200/",
        ] {
            assert!(!admits(other), "{other}");
        }
        // Nobody's own: any port that speaks TLS.
        assert!(admits("https://registry.example:5000/"));
    }

    #[tokio::test]
    async fn escape_by_a_public_name_with_a_private_address_is_refused() {
        // Every resolver knows this name for the machine itself; here it is not the owner's registry.
        let guard = Guard(Arc::new(Rules::new(&[])));
        let answer = guard.resolve("localhost".parse().expect("name")).await;
        assert!(answer.is_err_and(|error| error.to_string().contains("private network")));
    }
}
