//! Where the site is, and whose pages may act on it.

use std::net::{IpAddr, SocketAddr};

use super::reader::Reader;

pub(super) fn public_url(read: &mut Reader, site: SocketAddr) -> String {
    let Some(text) = read.text("public_url") else {
        let host = if site.ip().is_unspecified() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            site.ip()
        };
        return format!("http://{}", SocketAddr::new(host, site.port()));
    };
    let url = text.trim_end_matches('/').to_owned();
    let uri = url.parse::<http::Uri>().ok();
    let plain = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri
                .authority()
                .is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    if !plain {
        read.wrong(
            "public_url",
            &text,
            "an origin such as https://iog.example, without a path",
        );
    }
    url
}

/// Below which name jobs' ports are. This machine itself has one without being told: browsers know that `*.localhost` is here.
pub(super) fn ports_domain(read: &mut Reader, public_url: &str) -> Option<String> {
    let Some(text) = read.text("ports_domain") else {
        return is_loopback(public_url).then(|| match port_of(public_url) {
            80 => "localhost".to_owned(),
            port => format!("localhost:{port}"),
        });
    };
    let domain = text.trim().to_lowercase();
    let plain = domain
        .parse::<http::uri::Authority>()
        .is_ok_and(|authority| {
            !authority.as_str().contains(['@', '*', '[']) && !authority.host().is_empty()
        });
    let portal = public_url
        .parse::<http::Uri>()
        .ok()
        .and_then(|uri| uri.authority().map(|own| own.host().to_lowercase()));
    let host = domain.split(':').next().unwrap_or_default();
    // What a job sets for all names below the portal's would reach the portal itself.
    let apart = portal.as_deref().is_none_or(|portal| {
        host == "localhost" || portal != host && !portal.ends_with(&format!(".{host}"))
    });
    if plain && apart {
        return Some(domain);
    }
    let expected = "a name that all names below it lead here by, such as apps.example, and not one that the portal is at or below";
    read.wrong("ports_domain", &text, expected);
    None
}

/// The origins whose pages may act for a signed-in person. The spellings of this machine itself count as long as the
/// site is one for this machine: behind a public address they would only widen the door.
pub(super) fn origins(public_url: &str, site: SocketAddr, extra: &str) -> Vec<String> {
    let mut origins = vec![public_url.to_owned()];
    origins.extend(
        extra
            .split([',', ' '])
            .filter(|origin| !origin.is_empty())
            .map(str::to_owned),
    );
    if is_loopback(public_url) {
        let port = port_of(public_url);
        for port in [port, site.port()] {
            for host in ["127.0.0.1", "localhost", "[::1]"] {
                origins.push(format!("http://{host}:{port}"));
            }
        }
    }
    if public_url.starts_with("http://") && !site.ip().is_unspecified() {
        origins.push(format!("http://{site}"));
    }
    origins.sort();
    origins.dedup();
    origins
}

fn port_of(url: &str) -> u16 {
    let uri = url.parse::<http::Uri>().ok();
    let port = uri.as_ref().and_then(http::Uri::port_u16);
    port.unwrap_or(if url.starts_with("https://") { 443 } else { 80 })
}

/// Whether an address names this machine, where browsers accept `Secure` cookies over plain HTTP.
pub fn is_loopback(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
