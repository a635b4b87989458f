//! What every handler can reach.

use std::sync::Arc;

use axum::extract::FromRef;
use exchange::Exchange;
use leptos::config::LeptosOptions;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::auth::limits::RateLimits;
use crate::auth::sockets::Sockets;
use crate::chain::Link;
use crate::config::{Config, Limits};
use crate::http::install::Installer;
use crate::http::releases::Releases;
use crate::tunnel::mesh::Meshes;
use crate::tunnel::{Tunnels, ports};

/// Cheap to clone: handles only.
#[derive(Clone, FromRef)]
pub struct AppState {
    pub exchange: Exchange,
    pub leptos: LeptosOptions,
    pub limits: Arc<RateLimits>,
    pub sockets: Sockets,
    /// Ways into running jobs.
    pub tunnels: Tunnels,
    pub meshes: Meshes,
    pub pool: ports::Pool,
    pub metrics: PrometheusHandle,
    /// Absent: payouts and deposits are done by hand.
    pub chain: Option<Link>,
    /// What new machines fetch.
    pub installer: Arc<Installer>,
    pub releases: Releases,
    pub closing: Closing,
}

/// Tells the long-lived sockets that the process is about to end.
#[derive(Clone)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns when the process is to end.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        // An error means that the sender is gone: the process ends as well.
        _ = receiver.wait_for(|closing| *closing).await;
    }
}

impl AppState {
    pub fn new(
        exchange: Exchange,
        config: &Config,
        metrics: PrometheusHandle,
        chain: Option<Link>,
        closing: Closing,
    ) -> Self {
        let Limits {
            sign_in_per_minute,
            requests_per_second,
            trust_forwarded,
            sockets_per_address,
            sockets_max,
        } = config.limits;
        Self {
            exchange,
            leptos: config.leptos.clone(),
            limits: Arc::new(RateLimits::new(
                sign_in_per_minute,
                requests_per_second,
                trust_forwarded,
            )),
            sockets: Sockets::new(sockets_per_address, sockets_max),
            tunnels: Tunnels::default(),
            meshes: Meshes::default(),
            pool: ports::Pool::default(),
            metrics,
            chain,
            installer: Arc::new(Installer::new(
                config.worker_dir.clone(),
                &config.settings.public_url,
            )),
            releases: Releases(config.worker_releases.clone().map(Arc::new)),
            closing,
        }
    }
}
