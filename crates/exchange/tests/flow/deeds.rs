//! What a wallet signs and the platform pays for: only what was proposed, only for whom, and once.

use protocol::money::DeedState;
use protocol::problem::Code;
use settlement::chain::Deed;
use settlement::{Address, Tag};

use crate::double::{Act, Double, Fault, io};
use crate::settle::round;
use crate::world::{World, backends};

const WALLET: Address = Address::from_bytes([70; 32]);

#[tokio::test]
async fn a_wallet_deposits_what_was_proposed_once() {
    for backend in backends() {
        let mut world = World::new(backend).await;
        let chain = Double::new();
        let (rita, mallory) = (
            world.account("rita", "0").await,
            world.account("mallory", "0").await,
        );
        let tag = Tag::of(rita.account);
        let deed = |base| Deed::Deposit {
            tag,
            amount: io(base),
        };

        // The wallet holds nothing: said before anybody signs.
        let refused = world
            .exchange
            .propose_deed(&rita, &chain, WALLET, &deed(40))
            .await;
        assert!(refused.unwrap_err().to_string().contains("would refuse"));
        chain.give(WALLET, 100);
        let proposal = world
            .exchange
            .propose_deed(&rita, &chain, WALLET, &deed(40))
            .await
            .unwrap();

        // Another's, a wrong signature, one that nobody proposed.
        let signature = WALLET.as_bytes();
        let submit = async |world: &World, actor, signature: &[u8]| {
            world
                .exchange
                .submit_deed(actor, Some(&chain), proposal.id, signature)
                .await
        };
        assert!(submit(&world, &mallory, signature).await.is_err());
        assert!(submit(&world, &rita, &[1; 32]).await.is_err());
        // The answer is lost, the process dies, the person presses again.
        chain.with(|ledger| ledger.faults.push(Fault::Answer));
        let sent = submit(&world, &rita, signature).await.unwrap();
        assert_eq!(sent.state, DeedState::Sent);
        world.crash().await;
        assert_eq!(
            submit(&world, &rita, signature).await.unwrap().transaction,
            sent.transaction
        );
        for _ in 0..3 {
            round(&world, &chain, 1_000).await;
        }
        assert_eq!(
            submit(&world, &rita, signature).await.unwrap().state,
            DeedState::Landed
        );
        assert_eq!(
            (world.available(&rita).await, chain.holds(WALLET)),
            (40, 60)
        );

        // One that is not signed in time is over.
        let late = world
            .exchange
            .propose_deed(&rita, &chain, WALLET, &deed(1))
            .await
            .unwrap();
        // Without a chain: to others it is not found, as ever; to her there is nothing that could be done.
        for (who, code) in [(&mallory, Code::NotFound), (&rita, Code::Unavailable)] {
            let refused = world.exchange.submit_deed(who, None, late.id, signature);
            assert_eq!(refused.await.unwrap_err().problem().code, code);
        }
        world.pass(61_000);
        chain.block(61_000);
        let refused = world
            .exchange
            .submit_deed(&rita, Some(&chain), late.id, signature)
            .await;
        assert!(refused.unwrap_err().to_string().contains("in time"));
        let listed = world.exchange.wallet_deeds(&rita).await.unwrap();
        let states: Vec<DeedState> = listed.iter().map(|deed| deed.state).collect();
        assert_eq!(states, [DeedState::Expired, DeedState::Landed]);
        // Who pays the fee alone needs nobody here.
        let alone = chain.alone(&Act::Deed(WALLET, deed(5)));
        assert_eq!(alone, Ok(()));
        round(&world, &chain, 1_000).await;
        assert_eq!(world.available(&rita).await, 45);
        assert!(
            world
                .exchange
                .wallet_deeds(&mallory)
                .await
                .unwrap()
                .is_empty()
        );
    }
}

/// Each costs the platform's money.
#[tokio::test]
async fn nobody_makes_the_platform_pay_without_end() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let rita = world.account("rita", "0").await;
        chain.give(WALLET, 1_000);
        let tag = Tag::of(rita.account);
        let deed = Deed::Deposit { tag, amount: io(1) };
        let mut made = 0;
        for _ in 0..20 {
            made += i32::from(
                world
                    .exchange
                    .propose_deed(&rita, &chain, WALLET, &deed)
                    .await
                    .is_ok(),
            );
        }
        assert_eq!(made, 10);
        world.pass(61_000);
        assert!(
            world
                .exchange
                .propose_deed(&rita, &chain, WALLET, &deed)
                .await
                .is_ok()
        );
    }
}

/// What the chain would refuse is not kept, but the node was asked all the same.
#[tokio::test]
async fn nobody_has_the_node_asked_without_end() {
    for backend in backends() {
        let world = World::new(backend).await;
        let chain = Double::new();
        let (rita, otto) = world.people("0").await;
        let tag = Tag::of(rita.account);
        let deed = Deed::Deposit { tag, amount: io(1) };
        let why = async |who| {
            let made = world.exchange.propose_deed(who, &chain, WALLET, &deed);
            made.await.unwrap_err().to_string()
        };
        for _ in 0..30 {
            assert!(why(&rita).await.contains("would refuse"));
        }
        assert!(why(&rita).await.contains("wait a while"));
        assert!(why(&otto).await.contains("would refuse"), "others may");
        world.pass(60_000);
        assert!(why(&rita).await.contains("would refuse"));
    }
}
