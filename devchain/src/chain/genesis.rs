//! How a chain is made.

use std::path::Path;

use super::{
    Chain, ChainError, EXECUTED, Outcome, Settings, changes_hash, development_address, seal,
};
use crate::CHAIN_ID;
use crate::package::{Built, Toolkit};
use crate::store::{Batch, Block, Head, Kind};
use crate::transaction::sha3;
use crate::vm::{Moment, header};

impl Chain {
    /// The framework's stand-in, APT, and the package with its `init_module`s, as version 0.
    pub(super) fn genesis(
        &mut self,
        settings: &Settings,
        tools: &Toolkit,
    ) -> Result<(), ChainError> {
        let publisher = development_address();
        let built = match &settings.package {
            Some(package) => tools.build(
                package,
                &settings.standin,
                &[(settings.named_address.as_str(), publisher)],
            )?,
            None => Built {
                modules: Vec::new(),
                framework: tools.framework(&settings.standin)?,
            },
        };
        let micros = self.now_micros();
        let hash = sha3(&[b"iog-devchain genesis"]);
        self.vm.enter(Moment {
            height: 0,
            micros,
            hash,
        });
        self.vm.set_chain_id(CHAIN_ID);
        let mut framework = built.framework;
        framework.extend(tools.support(&settings.standin, &framework)?);
        self.vm.genesis(framework)?;
        let events = if built.modules.is_empty() {
            Vec::new()
        } else {
            self.vm.publish(publisher, built.modules)?.events
        };
        let mut batch = Batch {
            state: self
                .vm
                .state
                .entries()
                .map(|(key, value)| (key.clone(), Some(value.clone())))
                .collect(),
            ..Batch::default()
        };
        let mut head = Head {
            micros,
            ..self.head
        };
        let outcome = Outcome {
            success: true,
            vm_status: EXECUTED.into(),
            gas_used: 0,
            events,
        };
        let state_change_hash = changes_hash(&batch.state);
        let committed = seal(&mut head, Kind::Genesis, hash, outcome, state_change_hash);
        batch.block = Some(Block {
            height: 0,
            hash,
            micros,
            first: 0,
            last: 0,
        });
        batch.transactions.push((committed, None));
        batch.head = Some(head);
        self.store.commit(&batch)?;
        self.head = head;
        Ok(())
    }

    /// Says so when the package is another than the one this chain was made with: it is not published over it.
    pub(super) fn compare(&self, package: &Path, settings: &Settings, tools: &Toolkit) {
        let addresses = [(settings.named_address.as_str(), development_address())];
        let changed = match tools.modules(package, &settings.standin, &addresses) {
            Ok(modules) => modules.iter().any(|module| match header(module) {
                Ok(header) => self.vm.state.module(&header.id).as_ref() != Some(module),
                Err(_) => true,
            }),
            Err(error) => {
                tracing::warn!(%error, "the package does not compile; the chain goes on with what it has");
                return;
            }
        };
        if changed {
            tracing::warn!(
                package = %package.display(),
                data = %settings.data.display(),
                "the package was changed after this chain was made or upgraded on it; the chain goes on with what it has"
            );
        }
    }
}
