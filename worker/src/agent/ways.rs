//! The ways into one job that are open at this moment.

use protocol::tunnel::TUNNELS_MAX;
use tokio::task::{AbortHandle, JoinSet};

/// They end with the lease that holds them.
#[derive(Default)]
pub(super) struct Ways {
    open: JoinSet<()>,
    /// The one among them that carries the packets of the job's machines.
    mesh: Option<AbortHandle>,
}

impl Ways {
    /// Whether there is room for one more. The line to the job's network takes the place of the one before it.
    pub(super) fn have_room(&mut self, is_mesh: bool) -> bool {
        while self.open.try_join_next().is_some() {}
        self.open.len() < TUNNELS_MAX || (is_mesh && self.mesh.is_some())
    }

    pub(super) fn open(&mut self, is_mesh: bool, way: impl Future<Output = ()> + Send + 'static) {
        let task = self.open.spawn(way);
        if is_mesh {
            // One alone reads the job's packets: an older connection, perhaps a dead one, would take half of them.
            if let Some(older) = self.mesh.replace(task) {
                older.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// As many hold it as run, and one more.
    fn never_over(held: &Arc<()>) -> impl Future<Output = ()> + Send + use<> {
        let held = Arc::clone(held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
        }
    }

    #[tokio::test]
    async fn a_newer_line_to_the_network_ends_the_older_one_and_no_other_way() {
        let (meshes, others) = (Arc::new(()), Arc::new(()));
        let mut ways = Ways::default();
        ways.open(false, never_over(&others));
        for _ in 0..3 {
            ways.open(true, never_over(&meshes));
            tokio::task::yield_now().await;
        }
        while Arc::strong_count(&meshes) > 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&others), 2);
        assert!(ways.have_room(false));
        assert_eq!(ways.open.len(), 2, "the newest line and the other way");
        drop(ways);
        while Arc::strong_count(&meshes) + Arc::strong_count(&others) > 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn where_there_is_no_room_a_line_to_the_network_still_takes_the_olders_place() {
        let held = Arc::new(());
        let mut ways = Ways::default();
        for _ in 1..TUNNELS_MAX {
            ways.open(false, never_over(&held));
        }
        assert!(ways.have_room(true));
        ways.open(true, never_over(&held));
        assert!(!ways.have_room(false) && ways.have_room(true));
    }
}
