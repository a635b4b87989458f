//! People's own wallets: signing in, and what they sign for the chain.

use ed25519_dalek::{Signer as _, SigningKey};
use http::Method;
use serde_json::{Value, json};
use settlement::Address;
use settlement::sign_in::{Fields, WalletKey, bytes_to_sign};
use test_support::{Client, Database, Devchain, KEYS, TestApp, wait_until};

use crate::SOON;
use crate::chain::{BLOCK_MS, app_over};

/// A wallet of Ed25519 that holds IO, and a browser that it signs in.
pub struct Wallet {
    pub key: SigningKey,
    pub address: Address,
}

impl Wallet {
    pub fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let named = WalletKey::ed25519(key.verifying_key()).authentication_key();
        let address = Address::from_bytes(*named.as_bytes());
        Self { key, address }
    }

    fn public_key(&self) -> Vec<u8> {
        WalletKey::ed25519(self.key.verifying_key()).to_bcs()
    }

    /// As `aptos:signIn` answers.
    fn sign_in(&self, question: &Value) -> Value {
        let mut input = question.clone();
        input["address"] = self.address.to_string().into();
        let fields: Fields = serde_json::from_value(input.clone()).expect("fields");
        let message = bytes_to_sign(&fields.to_message().expect("a message"));
        json!({
            "nonce": question["nonce"],
            "wallet": "Test",
            "signed": { "by": "sign_in", "input": input, "scheme": "ed25519" },
            "public_key": hex::encode(self.public_key()),
            "signature": hex::encode(self.key.sign(&message).to_bytes()),
        })
    }

    /// As `aptos:signTransaction` answers, in BCS.
    fn authenticator(&self, message: &str) -> String {
        let message = hex::decode(message).expect("bytes");
        let signature = self.key.sign(&message).to_bytes();
        hex::encode([&[0], self.public_key().as_slice(), &[64], &signature].concat())
    }

    /// Signs what was proposed to its account, and has it sent.
    pub async fn sign(&self, browser: &Client, proposal: &Value) -> Value {
        let id = proposal["id"].as_str().expect("an id");
        let message = proposal["to_sign"].as_str().expect("bytes");
        let signed = json!({ "authenticator": self.authenticator(message) });
        let path = format!("/api/v1/wallets/transactions/{id}");
        browser.post(&path, &signed).await.ok()
    }

    pub async fn browser(&self, app: &TestApp) -> Client {
        let home = app.anyone().at_home();
        let question: Value = home
            .send(Method::POST, "/api/v1/wallets/sign-in/question", "", "")
            .await
            .ok();
        let answer = home
            .post("/api/v1/wallets/sign-in", &self.sign_in(&question))
            .await;
        let set = answer.header("set-cookie").expect("a cookie").to_owned();
        assert!(
            set.contains("HttpOnly") && set.contains("SameSite=Lax"),
            "{set}"
        );
        let cookie = set.split(';').next().expect("a pair").to_owned();
        // Heard by somebody else, it signs in nobody.
        home.post("/api/v1/wallets/sign-in", &self.sign_in(&question))
            .await
            .refused(401);
        app.anyone().at_home().with("cookie", &cookie)
    }
}

#[tokio::test]
async fn a_wallet_without_apt_signs_in_deposits_and_is_paid_at_its_address() {
    for database in Database::from_env() {
        let chain = Devchain::start(BLOCK_MS).await;
        let settings = [
            ("IOG_CHAIN_INTERVAL_MS", "50"),
            ("IOG_CHAIN_FEE_PAYER_KEY", KEYS[0]),
        ];
        let app = app_over(&chain, database, &settings).await;
        let (mine, other) = (Wallet::new(0x61), Wallet::new(0x62));
        chain.mint(&mine.address.to_string(), 5_000_000).await;
        let me = mine.browser(&app).await;
        let account: Value = me.get("/api/v1/account").await.ok();
        assert_eq!(account["email"], mine.address.to_string());

        let ask = json!({ "address": mine.address.to_string(), "amount_io": "0.03" });
        let proposal: Value = me.post("/api/v1/deposits/transaction", &ask).await.ok();
        let path = format!(
            "/api/v1/wallets/transactions/{}",
            proposal["id"].as_str().expect("an id")
        );
        let message = proposal["to_sign"].as_str().expect("bytes");
        let signed = json!({ "authenticator": mine.authenticator(message) });
        // Another wallet's signature, rubbish, and another account's hands.
        let forged = json!({ "authenticator": other.authenticator(message) });
        me.post(&path, &forged).await.refused(422);
        me.post(&path, &json!({ "authenticator": "zz" }))
            .await
            .refused(422);
        let thief = other.browser(&app).await;
        thief.post(&path, &signed).await.refused(404);
        // More than the wallet holds is refused before anybody signs.
        let much = json!({ "address": mine.address.to_string(), "amount_io": "1" });
        me.post("/api/v1/deposits/transaction", &much)
            .await
            .refused(409);

        let sent: Value = me.post(&path, &signed).await.ok();
        let again: Value = me.post(&path, &signed).await.ok();
        assert_eq!(sent["transaction"], again["transaction"]);
        let available = || async {
            let balance: Value = me.get("/api/v1/balance").await.ok();
            balance["available"].as_str().map(str::to_owned)
        };
        wait_until("it is credited", SOON, || async {
            (available().await.as_deref() == Some("3000000")).then_some(())
        })
        .await;
        assert_eq!(chain.holding(&mine.address.to_string()).await, 2_000_000);
        let deeds: Value = me.get("/api/v1/wallets/transactions").await.ok();
        let deed = &deeds.as_array().expect("a list")[0];
        assert_eq!(
            (&deed["kind"], &deed["state"]),
            (&json!("deposit"), &json!("landed"))
        );
        let deposits: Value = me.get("/api/v1/deposits").await.ok();
        assert_eq!(
            deposits["items"].as_array().map(Vec::len),
            Some(1),
            "{deposits}"
        );

        // A second wallet is linked by its own signature, and signs in to the same account.
        let (third, home) = (Wallet::new(0x63), "/api/v1/wallets");
        let question: Value = me
            .send(Method::POST, "/api/v1/wallets/question", "", "")
            .await
            .ok();
        me.post(home, &third.sign_in(&question)).await.ok::<Value>();
        let same: Value = third.browser(&app).await.get("/api/v1/account").await.ok();
        assert_eq!(same["id"], account["id"]);
        let taken: Value = thief
            .send(Method::POST, "/api/v1/wallets/question", "", "")
            .await
            .ok();
        thief.post(home, &third.sign_in(&taken)).await.refused(409);
    }
}
