//! Who signs in with a wallet, and where payouts go.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use exchange::{Actor, Error, Exchange, Explorer, Network, SessionSecret};
use kernel::Seconds;
use protocol::notice::Notice;
use protocol::problem::Code;
use protocol::wallet::{
    AddressChange, WalletAnswer, WalletQuestion, WalletSignInView, WalletSigned, WalletView,
};
use settlement::Address;
use settlement::sign_in::{Fields, WalletKey, bytes_to_sign};

use crate::double::{Double, io};
use crate::world::{World, backends};

const DAY_MS: i64 = 86_400_000;

fn network() -> Network {
    Network {
        node: "http://127.0.0.1:8080".into(),
        public_url: None,
        number: 4,
        contract: Address::from_bytes([9; 32]),
        explorer: Explorer::default(),
    }
}

async fn world(backend: &str) -> (World, Double) {
    let world = World::with(backend, |settings| {
        settings.network = Some(network());
        settings.payout_address_delay = Seconds::new(86_400);
    });
    let chain = Double::new();
    chain.with(|ledger| ledger.keys = Some(BTreeMap::new()));
    (world.await, chain)
}

struct Wallet(SigningKey);

impl Wallet {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    fn key(&self) -> WalletKey {
        WalletKey::ed25519(self.0.verifying_key())
    }

    fn address(&self) -> Address {
        Address::from_bytes(*self.key().authentication_key().as_bytes())
    }

    fn answer(&self, nonce: &str, signed: WalletSigned, bytes: &[u8]) -> WalletAnswer {
        WalletAnswer {
            nonce: nonce.to_owned(),
            wallet: "Test".into(),
            signed,
            public_key: hex::encode(self.key().to_bcs()),
            signature: hex::encode(self.0.sign(bytes).to_bytes()),
        }
    }

    /// As `aptos:signIn` answers.
    fn sign_in(&self, question: &WalletQuestion) -> WalletAnswer {
        let mut input = serde_json::to_value(question).unwrap();
        input["address"] = self.address().to_string().into();
        let fields: Fields = serde_json::from_value(input.clone()).unwrap();
        let bytes = bytes_to_sign(&fields.to_message().unwrap());
        let scheme = "ed25519".to_owned();
        self.answer(
            &question.nonce,
            WalletSigned::SignIn { input, scheme },
            &bytes,
        )
    }

    /// As `aptos:signMessage` answers.
    fn message(&self, question: &WalletQuestion) -> WalletAnswer {
        let text = format!(
            "APTOS\naddress: {}\napplication: {}\nchainId: {}\nmessage: {}\nnonce: {}",
            self.address(),
            question.uri,
            question.chain_number,
            question.statement,
            question.nonce
        );
        let bytes = text.clone().into_bytes();
        self.answer(&question.nonce, WalletSigned::Message { text }, &bytes)
    }
}

fn code<T>(result: Result<T, Error>) -> Option<Code> {
    result.err().map(|error| error.problem().code)
}

async fn actor(exchange: &Exchange, secret: &str) -> Actor {
    exchange.actor_by_session(secret).await.unwrap().unwrap()
}

async fn enter(
    exchange: &Exchange,
    chain: &Double,
    answer: WalletAnswer,
) -> Result<(WalletSignInView, SessionSecret), Error> {
    exchange.sign_in_by_wallet(chain, &answer).await
}

async fn join(
    exchange: &Exchange,
    chain: &Double,
    who: &Actor,
    answer: WalletAnswer,
) -> Result<WalletView, Error> {
    exchange.link_wallet(chain, who, &answer).await
}

async fn told(world: &World, who: &Actor) -> Vec<Notice> {
    let page = world.exchange.notices(who, None, 200).await.unwrap();
    page.items.into_iter().map(|view| view.notice).collect()
}

#[tokio::test]
async fn a_wallet_signs_in_by_either_way_and_finds_its_account_again() {
    for backend in backends() {
        let (world, chain) = world(backend).await;
        let (exchange, wallet) = (&world.exchange, Wallet::new(1));
        let question = exchange.ask_wallet(None, None).await.unwrap();
        assert_eq!(question.domain, "127.0.0.1:3000");
        assert_eq!(question.chain_id, "aptos:localnet");
        let first = enter(exchange, &chain, wallet.sign_in(&question));
        let (first, secret) = first.await.unwrap();
        assert!(first.is_new);
        assert_eq!(first.account.email, wallet.address().to_string());
        assert_eq!(actor(exchange, &secret.0).await.account, first.account.id);

        // The same wallet, in the other way that wallets sign, from another of our addresses.
        let origin = Some("http://localhost:3000");
        let question = exchange.ask_wallet(None, origin).await.unwrap();
        assert_eq!(question.uri, "http://localhost:3000");
        let second = enter(exchange, &chain, wallet.message(&question));
        let (second, _) = second.await.unwrap();
        assert!(!second.is_new);
        assert_eq!(second.account.id, first.account.id);
        // A page that is not ours does not become the site.
        let foreign = exchange.ask_wallet(None, Some("https://evil.example"));
        assert_eq!(foreign.await.unwrap().domain, "127.0.0.1:3000");

        // No password fits an account that has none.
        let email = wallet.address().to_string();
        for password in ["", "long enough", &email] {
            let refused = exchange.sign_in(&email, password).await;
            assert!(matches!(refused, Err(Error::WrongCredentials)));
        }
        let taken = exchange.sign_up(&email, "long enough", "A").await;
        assert_eq!(code(taken), Some(Code::Invalid), "it is no e-mail address");
    }
}

#[tokio::test]
async fn a_question_is_answered_once_in_time_and_by_its_own_wallet() {
    for backend in backends() {
        let (world, chain) = world(backend).await;
        let (exchange, wallet, other) = (&world.exchange, Wallet::new(1), Wallet::new(2));
        let ask = || exchange.ask_wallet(None, None);
        let answer = async |answer: &WalletAnswer| {
            let done = exchange.sign_in_by_wallet(&chain, answer).await;
            code(done.map(|_| ()))
        };
        let refused = Some(Code::Unauthenticated);

        // Pressed twice, or heard by somebody: the second answer signs nobody in.
        let once = wallet.sign_in(&ask().await.unwrap());
        assert_eq!(answer(&once).await, None);
        assert_eq!(answer(&once).await, refused);

        // A wrong answer uses the question up too.
        let question = ask().await.unwrap();
        let mut forged = wallet.sign_in(&question);
        forged.public_key = hex::encode(other.key().to_bcs());
        assert_eq!(answer(&forged).await, refused);
        assert_eq!(answer(&wallet.sign_in(&question)).await, refused);

        // Another question's nonce outside, its own inside.
        let (first, second) = (ask().await.unwrap(), ask().await.unwrap());
        let mut swapped = wallet.sign_in(&first);
        swapped.nonce = second.nonce.clone();
        assert_eq!(answer(&swapped).await, refused);
        assert_eq!(answer(&wallet.message(&first)).await, None);

        // Wrong chain, wrong page, however well it is signed.
        let mut question = ask().await.unwrap();
        question.chain_id = "aptos:mainnet".into();
        assert_eq!(answer(&wallet.sign_in(&question)).await, refused);
        let mut question = ask().await.unwrap();
        question.chain_number = 1;
        assert_eq!(answer(&wallet.message(&question)).await, refused);
        let mut question = ask().await.unwrap();
        question.domain = "evil.example".into();
        assert_eq!(answer(&wallet.sign_in(&question)).await, refused);

        // Too late.
        let question = ask().await.unwrap();
        world.pass(300_000);
        assert_eq!(answer(&wallet.sign_in(&question)).await, refused);

        // A key that was changed on the chain signs for the address no more, and the new one does.
        let changed = BTreeMap::from([(wallet.address(), other.key().authentication_key())]);
        chain.with(|ledger| ledger.keys = Some(changed));
        let question = ask().await.unwrap();
        assert_eq!(answer(&wallet.sign_in(&question)).await, refused);
        // Nobody is let in while the chain cannot be asked.
        chain.with(|ledger| ledger.keys = None);
        let question = ask().await.unwrap();
        assert_eq!(
            answer(&wallet.sign_in(&question)).await,
            Some(Code::Unavailable)
        );
        // Rubbish is named.
        chain.with(|ledger| ledger.keys = Some(BTreeMap::new()));
        let mut rubbish = wallet.sign_in(&ask().await.unwrap());
        rubbish.signature = "xyz".into();
        assert_eq!(answer(&rubbish).await, Some(Code::Invalid));
        let mut rubbish = wallet.sign_in(&ask().await.unwrap());
        rubbish.signed = WalletSigned::SignIn {
            input: serde_json::json!({ "domain": 1 }),
            scheme: "ed25519".into(),
        };
        assert_eq!(answer(&rubbish).await, Some(Code::Invalid));
    }
}

#[tokio::test]
async fn of_a_thousand_answers_at_once_to_one_question_exactly_one_signs_in() {
    for backend in backends() {
        let (world, chain) = world(backend).await;
        let (exchange, wallet) = (&world.exchange, Wallet::new(1));
        let question = exchange.ask_wallet(None, None).await.unwrap();
        let answer = wallet.sign_in(&question);
        let all = (0..1_000).map(|_| enter(exchange, &chain, answer.clone()));
        let all = futures::future::join_all(all).await;
        let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for lost in lost {
            assert_eq!(code(lost), Some(Code::Unauthenticated));
        }
    }
}

#[tokio::test]
async fn a_wallet_is_linked_to_one_account_by_its_own_signature() {
    for backend in backends() {
        let (world, chain) = world(backend).await;
        let (exchange, wallet) = (&world.exchange, Wallet::new(1));
        let (rita, otto) = world.people("0").await;
        let link = async |who: &Actor, wallet: &Wallet| {
            let question = exchange.ask_wallet(Some(who), None).await.unwrap();
            exchange
                .link_wallet(&chain, who, &wallet.sign_in(&question))
                .await
        };
        // What was signed to sign in links nothing, and the other way round; nor does another account's question.
        let sign_in = exchange.ask_wallet(None, None).await.unwrap();
        let linked = join(exchange, &chain, &rita, wallet.sign_in(&sign_in));
        assert_eq!(code(linked.await), Some(Code::Unauthenticated));
        let question = exchange.ask_wallet(Some(&rita), None).await.unwrap();
        let signed = enter(exchange, &chain, wallet.sign_in(&question));
        assert_eq!(code(signed.await.map(|_| ())), Some(Code::Unauthenticated));
        let question = exchange.ask_wallet(Some(&otto), None).await.unwrap();
        let linked = join(exchange, &chain, &rita, wallet.sign_in(&question));
        assert_eq!(code(linked.await), Some(Code::Unauthenticated));

        let view = link(&rita, &wallet).await.unwrap();
        assert_eq!(view.address, wallet.address().to_string());
        assert!(matches!(
            told(&world, &rita).await.as_slice(),
            [Notice::WalletLinked { address, .. }] if *address == view.address
        ));
        // Again is the same; another account's is refused.
        assert_eq!(link(&rita, &wallet).await.unwrap(), view);
        assert_eq!(code(link(&otto, &wallet).await), Some(Code::Conflict));
        let question = exchange.ask_wallet(None, None).await.unwrap();
        let signed = enter(exchange, &chain, wallet.sign_in(&question));
        assert_eq!(signed.await.unwrap().0.account.id, rita.account);

        // Asked while there is room, answered when there is none.
        let early = exchange.ask_wallet(Some(&rita), None).await.unwrap();
        for seed in 2..=10 {
            link(&rita, &Wallet::new(seed)).await.unwrap();
        }
        let late = join(exchange, &chain, &rita, Wallet::new(11).sign_in(&early));
        assert_eq!(code(late.await), Some(Code::Conflict));
        let eleventh = exchange.ask_wallet(Some(&rita), None).await;
        assert_eq!(code(eleventh), Some(Code::Conflict));
        exchange.unlink_wallet(&rita, &view.address).await.unwrap();
        let gone = exchange.unlink_wallet(&rita, &view.address).await;
        assert_eq!(code(gone), Some(Code::NotFound));
        assert_eq!(exchange.wallets(&rita).await.unwrap().len(), 9);
    }
}

#[tokio::test]
async fn the_last_way_into_an_account_is_not_taken_away() {
    for backend in backends() {
        let (world, chain) = world(backend).await;
        let (exchange, wallet) = (&world.exchange, Wallet::new(1));
        let (rita, _) = world.people("0").await;
        let question = exchange.ask_wallet(None, None).await.unwrap();
        let (_, secret) = exchange
            .sign_in_by_wallet(&chain, &wallet.sign_in(&question))
            .await
            .unwrap();
        let me = actor(exchange, &secret.0).await;
        let address = wallet.address().to_string();
        let unlink = exchange.unlink_wallet(&me, &address).await;
        assert_eq!(code(unlink), Some(Code::Conflict));
        let taken = exchange.add_password(&me, &rita.email, "long enough");
        assert_eq!(code(taken.await), Some(Code::Conflict));
        let short = exchange.add_password(&me, "me@example.org", "short");
        assert_eq!(code(short.await), Some(Code::Invalid));
        exchange
            .add_password(&me, "Me@example.org", "long enough")
            .await
            .unwrap();
        exchange
            .sign_in("me@example.org", "long enough")
            .await
            .unwrap();
        // Not a way to change a password.
        let again = exchange.add_password(&me, "you@example.org", "long enough");
        assert_eq!(code(again.await), Some(Code::Conflict));
        let me = actor(exchange, &secret.0).await;
        exchange.unlink_wallet(&me, &address).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_chain_no_wallet_is_asked() {
    for backend in backends() {
        let world = World::new(backend).await;
        let refused = world.exchange.ask_wallet(None, None).await;
        assert_eq!(code(refused), Some(Code::Unavailable));
    }
}

#[tokio::test]
async fn a_changed_payout_address_waits_is_told_and_can_be_taken_back() {
    for backend in backends() {
        let (world, _) = world(backend).await;
        let exchange = &world.exchange;
        let otto = world.account("otto", "1").await;
        let (home, thief) = (
            Address::from_bytes([1; 32]).to_string(),
            Address::from_bytes([2; 32]).to_string(),
        );
        world.make_withdrawable(&otto, 10_000_000).await;
        let pay = |to| exchange.request_payout(&otto, io(1_000_000), to, None);
        assert_eq!(code(pay(None).await), Some(Code::Invalid), "none is set");
        for bad in ["0x1", "me", ""] {
            let set = exchange.set_payout_address(&otto, bad).await;
            assert_eq!(code(set), Some(Code::Invalid), "{bad}");
        }
        // The first counts at once.
        let first = exchange.set_payout_address(&otto, &home).await.unwrap();
        assert_eq!(
            (first.address.as_deref(), first.next),
            (Some(home.as_str()), None)
        );
        assert_eq!(pay(None).await.unwrap().address, home);

        // Whoever got in asks for another one: earnings go on to the old one, and the owner is told.
        let asked = exchange.set_payout_address(&otto, &thief).await.unwrap();
        assert_eq!(asked.address.as_deref(), Some(home.as_str()));
        assert_eq!(asked.next.as_deref(), Some(thief.as_str()));
        assert_eq!(code(pay(Some(thief.as_str())).await), Some(Code::Conflict));
        assert_eq!(pay(None).await.unwrap().address, home);
        let changes = async || {
            let told = told(&world, &otto).await;
            let of = |notice: &Notice| match notice {
                Notice::PayoutAddressUpdated {
                    change, address, ..
                } => Some((*change, *address == home)),
                _ => None,
            };
            told.iter().filter_map(of).collect::<Vec<_>>()
        };
        assert!(changes().await.contains(&(AddressChange::Asked, false)));
        // Asking again does not hurry it, and is not told twice.
        world.pass(DAY_MS / 2);
        let again = exchange.set_payout_address(&otto, &thief).await.unwrap();
        assert_eq!(again.next_at, asked.next_at);
        let count = changes().await.len();
        let kept = exchange.cancel_payout_address(&otto).await.unwrap();
        assert_eq!(
            (kept.address.as_deref(), kept.next),
            (Some(home.as_str()), None)
        );
        assert_eq!(changes().await.len(), count + 1);
        assert!(changes().await.contains(&(AddressChange::Cancelled, false)));
        let nothing = exchange.cancel_payout_address(&otto).await;
        assert_eq!(code(nothing), Some(Code::Conflict));
        world.pass(DAY_MS * 2);
        assert_eq!(pay(None).await.unwrap().address, home);

        // One that is wanted is in force after the delay, whether a loop has noted it or not, and is told once.
        exchange.set_payout_address(&otto, &thief).await.unwrap();
        world.pass(DAY_MS - 1);
        assert_eq!(pay(None).await.unwrap().address, home);
        world.pass(1);
        assert_eq!(pay(None).await.unwrap().address, thief);
        exchange.prune().await.unwrap();
        exchange.prune().await.unwrap();
        let done = changes().await;
        let moved = |change: &&(AddressChange, bool)| **change == (AddressChange::Changed, false);
        assert_eq!(done.iter().filter(moved).count(), 1);
        assert_eq!(pay(None).await.unwrap().address, thief);
    }
}
