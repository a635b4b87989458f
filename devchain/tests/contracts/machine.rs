//! The package in a real VM: what a batch costs, the upgrade rule, and random calls that must never make or lose a base unit.

use std::collections::{BTreeMap, BTreeSet};

use devchain::package::Built;
use devchain::types::{Address, ModuleId};
use devchain::vm::{Call, Done, Failure, Vm};
use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;
use serde_json::{Value, json};

use crate::vectors::{address, bytes, vectors};
use crate::{MODULES, build, libraries};

const GENESIS_S: u64 = 1_795_728_000;
const CAP: u128 = 80_000_000_000_000_000;
const SUPPLY: u128 = 50_000_000_000_000_000;
const DAY_S: u64 = 86_400;

/// The package published into an object, as it is on mainnet, and given to its keeper.
struct Chain {
    vm: Vm,
    built: Built,
    iog: Address,
    admin: Address,
}

impl Chain {
    fn start() -> Self {
        let vectors = vectors();
        let place = &vectors["code_object"];
        let (admin, iog) = (address(&place["publisher"]), address(&place["address"]));
        let built = build(iog);
        let mut vm = Vm::start(&libraries(), built.framework.clone()).unwrap();
        vm.advance(GENESIS_S);
        let publish = Call::parse("0x1::object_code_deployment::publish")
            .unwrap()
            .argument(&Vec::<u8>::new())
            .and_then(|call| call.argument(&built.modules))
            .unwrap();
        vm.execute(&[admin], &publish).unwrap();
        Self {
            vm,
            built,
            iog,
            admin,
        }
    }

    fn call(&self, function: &str) -> Call {
        Call::parse(&format!("{}::{function}", self.iog)).unwrap()
    }

    fn seal(&mut self) {
        let keeper = self.view(&self.call("roles::keeper"));
        let mut transfer = Call::parse("0x1::object::transfer").unwrap();
        transfer
            .type_arguments
            .push("0x1::object::ObjectCore".parse().unwrap());
        let transfer = with(with(transfer, &self.iog), &address(&keeper));
        self.vm.execute(&[self.admin], &transfer).unwrap();
    }

    fn view(&mut self, call: &Call) -> Value {
        self.vm
            .view(call)
            .unwrap_or_else(|error| panic!("{}: {error}", call.function))
            .remove(0)
    }

    fn amount(&mut self, call: &Call) -> u128 {
        let value = self.view(call);
        value.as_str().unwrap().parse().unwrap()
    }

    fn do_as(&mut self, who: Address, call: &Call) -> Result<Done, Failure> {
        self.vm.execute(&[who], call)
    }

    fn give(&mut self, to: Address, amount: u64) {
        let call = self.transfer(to, amount);
        self.do_as(self.admin, &call).unwrap();
    }

    fn transfer(&mut self, to: Address, amount: u64) -> Call {
        let metadata = self.view(&self.call("token::metadata"));
        let mut call = Call::parse("0x1::primary_fungible_store::transfer").unwrap();
        call.type_arguments
            .push("0x1::fungible_asset::Metadata".parse().unwrap());
        with(with(with(call, &address(&metadata["inner"])), &to), &amount)
    }

    fn balance(&mut self, of: Address) -> u128 {
        let metadata = self.view(&self.call("token::metadata"));
        let mut call = Call::parse("0x1::primary_fungible_store::balance").unwrap();
        call.type_arguments
            .push("0x1::fungible_asset::Metadata".parse().unwrap());
        let call = with(with(call, &of), &address(&metadata["inner"]));
        self.amount(&call)
    }

    fn package_hash(&mut self) -> Vec<u8> {
        let hash = with(
            with(self.call("roles::package_hash"), &Vec::<u8>::new()),
            &self.built.modules,
        );
        let hash = self.view(&hash);
        bytes(&hash)
    }
}

fn with(call: Call, value: &impl Serialize) -> Call {
    call.argument(value).unwrap()
}

fn small(n: u64) -> Address {
    let mut bytes = [0xaa; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    Address(bytes)
}

#[test]
fn the_whole_package_is_upgraded_by_its_rule_and_keeps_its_state() {
    let mut chain = Chain::start();
    assert_eq!(chain.view(&chain.call("roles::sealed")), json!(false));
    chain.seal();
    assert_eq!(chain.view(&chain.call("roles::sealed")), json!(true));
    let hash = chain.package_hash();
    let announce = with(chain.call("roles::announce_upgrade"), &hash);
    chain.do_as(chain.admin, &announce).unwrap();
    let upgrade = with(
        with(chain.call("roles::upgrade"), &Vec::<u8>::new()),
        &chain.built.modules,
    );
    chain.vm.advance(604_799);
    assert_eq!(
        chain.do_as(chain.admin, &upgrade).unwrap_err().code(),
        Some(10)
    );
    chain.vm.advance(1);
    chain.do_as(chain.admin, &upgrade).unwrap();
    assert_eq!(
        chain.do_as(chain.admin, &upgrade).unwrap_err().code(),
        Some(9)
    );
    assert_eq!(chain.amount(&chain.call("token::supply")), SUPPLY);
    // The publisher's own way is shut.
    let past = with(
        with(
            with(
                Call::parse("0x1::object_code_deployment::upgrade").unwrap(),
                &Vec::<u8>::new(),
            ),
            &chain.built.modules,
        ),
        &chain.iog,
    );
    assert_eq!(
        chain.do_as(chain.admin, &past).unwrap_err().code(),
        Some(0x5_0002)
    );
}

/// A transaction on Aptos has 64 KiB, and `roles::upgrade` takes the whole package in one; its metadata takes its part too.
#[test]
fn the_package_fits_into_one_transaction() {
    let built = build("0xcafe".parse().unwrap());
    let size: usize = built.modules.iter().map(Vec::len).sum();
    println!("the modules have {size} bytes");
    assert!(size < 32_768);
}

#[test]
fn gas_of_a_batch_is_bounded_by_its_lines() {
    let mut chain = Chain::start();
    let settler = small(1_000_000);
    let add = with(chain.call("roles::add_settler"), &settler);
    chain.do_as(chain.admin, &add).unwrap();
    let deposit = with(
        with(chain.call("settlement::deposit"), &vec![7u8; 16]),
        &1_000_000u64,
    );
    chain.do_as(chain.admin, &deposit).unwrap();
    let mut pay = |batch: u8, payees: &[Address]| {
        let call = chain.call("settlement::pay");
        let call = with(with(call, &vec![batch; 32]), &payees);
        let call = with(call, &vec![1u64; payees.len()]);
        chain.do_as(settler, &call).unwrap().gas_used
    };
    let fresh = |from: u64, count: u64| (from..from + count).map(small).collect::<Vec<_>>();
    let mut gas = BTreeMap::new();
    for (batch, count) in [(1, 1), (2, 50), (3, 256)] {
        let payees = fresh(1_000 * u64::from(batch), count);
        let first = pay(batch, &payees);
        let again = pay(batch + 100, &payees);
        println!("pay, {count} lines: {first} gas to new owners, {again} to known ones");
        gas.insert(count, (first, again));
    }
    let (one, known) = gas[&1];
    let (most, most_known) = gas[&256];
    // A batch is never dearer than its lines alone would be, and a line costs less than alone.
    assert!(most < 256 * one && most_known < 256 * known);
    assert!(most_known < most, "a first payment also makes a store");
}

/// A small generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let bound = u64::try_from(choices.len()).unwrap();
        choices[usize::try_from(self.below(bound)).unwrap()].clone()
    }

    /// Mostly sensible, sometimes at an edge.
    fn amount(&mut self) -> u64 {
        match self.below(12) {
            0 => 0,
            1 => u64::MAX,
            2 => 80_000_000_000_000_000,
            3 => 1,
            _ => self.below(1_000_000_000_000),
        }
    }
}

/// Who calls, and what has happened so far.
struct World {
    chain: Chain,
    random: Random,
    actors: Vec<Address>,
    key: SigningKey,
    /// By address: who opened it, under which number.
    channels: BTreeMap<Address, (Address, u64)>,
    versions: BTreeMap<u64, u64>,
}

impl World {
    fn start(seed: u64) -> Self {
        let mut chain = Chain::start();
        let mut actors = vec![chain.admin];
        actors.extend((1..7).map(small));
        for actor in &actors[1..] {
            chain.give(*actor, 5_000_000_000_000);
        }
        Self {
            chain,
            random: Random(seed),
            actors,
            key: SigningKey::from_bytes(&[7; 32]),
            channels: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Everybody who can hold IO here; payments go to nobody else.
    fn holders(&mut self) -> Vec<Address> {
        let mut holders = self.actors.clone();
        for function in [
            "token::vesting_address",
            "settlement::vault_address",
            "escrow::escrow_address",
            "roles::keeper",
        ] {
            let found = self.chain.view(&self.chain.call(function));
            holders.push(address(&found));
        }
        holders.push(Address::small(0));
        holders.push(self.chain.iog);
        holders.extend(self.channels.keys());
        holders
    }

    fn anybody(&mut self) -> Address {
        let holders = self.holders();
        self.random.of(&holders)
    }

    /// Mostly the administrator: else little would happen.
    fn somebody(&mut self) -> Address {
        let actors = self.actors.clone();
        if self.random.below(2) == 0 {
            actors[0]
        } else {
            self.random.of(&actors)
        }
    }

    fn channel(&mut self) -> (Address, (Address, u64)) {
        let known: Vec<_> = self.channels.iter().map(|(k, v)| (*k, *v)).collect();
        if known.is_empty() {
            (small(9), (self.actors[1], 1))
        } else {
            self.random.of(&known)
        }
    }

    /// A caller and arguments for an entry function. A function that is not known here fails the test: add it.
    fn prepare(&mut self, function: &str) -> (Address, Call) {
        let call = self.chain.call(function);
        let who = self.somebody();
        match function {
            "roles::propose_admin"
            | "roles::set_guardian"
            | "roles::add_settler"
            | "roles::remove_settler"
            | "roles::add_reporter"
            | "roles::remove_reporter" => {
                let actors = self.actors.clone();
                (who, with(call, &self.random.of(&actors)))
            }
            "roles::accept_admin" => {
                // The actors trade places, so that the administrator stays the one called most.
                let proposed = self.chain.view(&self.chain.call("roles::proposed_admin"));
                (address(&proposed), call)
            }
            "roles::pause" | "roles::resume" | "roles::cancel_upgrade" => (who, call),
            "roles::announce_upgrade" => {
                let hash = if self.random.below(3) > 0 {
                    self.chain.package_hash()
                } else {
                    vec![1; usize::try_from(self.random.below(40)).unwrap()]
                };
                (who, with(call, &hash))
            }
            "roles::upgrade" => {
                let call = with(call, &Vec::<u8>::new());
                (who, with(call, &self.chain.built.modules))
            }
            "token::claim_vested" => (who, with(call, &self.random.below(11))),
            "token::offer_allocation" => {
                let call = with(call, &self.random.below(11));
                let actors = self.actors.clone();
                (who, with(call, &self.random.of(&actors)))
            }
            "token::accept_allocation" => {
                let table = self.chain.view(&self.chain.call("token::allocations"));
                let offered = (0u64..)
                    .zip(table.as_array().unwrap())
                    .find(|(_, row)| row["offered"] != row["beneficiary"]);
                match offered {
                    Some((row, state)) => (address(&state["offered"]), with(call, &row)),
                    None => (who, with(call, &self.random.below(11))),
                }
            }
            "settlement::deposit" => {
                let length = self.random.of(&[16, 16, 16, 15]);
                let call = with(call, &vec![3u8; length]);
                (who, with(call, &self.random.amount()))
            }
            "settlement::pay" => {
                let batch = vec![u8::try_from(self.random.below(250)).unwrap(); 32];
                let lines = self.random.below(6);
                let (mut payees, mut amounts) = (Vec::new(), Vec::new());
                for _ in 0..lines {
                    payees.push(self.anybody());
                    amounts.push(self.random.amount());
                }
                let settlers = self.chain.view(&self.chain.call("roles::settlers"));
                let who = settlers.get(0).map_or(who, address);
                (who, with(with(with(call, &batch), &payees), &amounts))
            }
            "settlement::set_daily_limit" => {
                let limit = self.random.of(&[u64::MAX, 3_000_000_000_000]);
                (who, with(call, &limit))
            }
            "escrow::open" => {
                let call = with(call, &self.random.below(6));
                let call = with(call, &self.key.verifying_key().to_bytes().to_vec());
                (who, with(call, &self.random.amount()))
            }
            "escrow::top_up" => {
                let (_, (owner, number)) = self.channel();
                (owner, with(with(call, &number), &self.random.amount()))
            }
            "escrow::start_close" | "escrow::finish_close" => {
                let (_, (owner, number)) = self.channel();
                (owner, with(call, &number))
            }
            "escrow::redeem" => {
                let (channel, _) = self.channel();
                let (payee, cumulative) = (self.anybody(), self.random.amount());
                let message = with(
                    with(
                        with(self.chain.call("escrow::voucher_bytes"), &channel),
                        &payee,
                    ),
                    &cumulative,
                );
                let message = bytes(&self.chain.view(&message));
                let mut signature = self.key.sign(&message).to_bytes().to_vec();
                if self.random.below(5) == 0 {
                    signature[3] ^= 1;
                }
                let call = with(with(with(call, &channel), &payee), &cumulative);
                (who, with(call, &signature))
            }
            "reports::publish" => {
                let week = 20_773 - 7 * self.random.below(3);
                let version = self.versions.get(&week).unwrap_or(&0) + self.random.below(4).min(1);
                let call = with(with(call, &week), &version);
                let call = with(call, &vec![9u8; 32]);
                (who, with(with(call, &self.random.amount()), &3u64))
            }
            other => panic!("{other} is a new entry function: say here how it is called"),
        }
    }

    /// Keeps the actors' first place for the administrator, and remembers channels and versions.
    fn remember(&mut self, done: &Done) {
        for event in &done.events {
            let name = event.tag.rsplit("::").next().unwrap_or_default();
            match name {
                "Opened" => {
                    let number = event.data["number"].as_str().unwrap().parse().unwrap();
                    self.channels.insert(
                        address(&event.data["channel"]),
                        (address(&event.data["renter"]), number),
                    );
                }
                "Published" => {
                    let read = |what: &str| event.data[what].as_str().unwrap().parse().unwrap();
                    self.versions.insert(read("week"), read("version"));
                }
                "AdminChanged" => {
                    let to = address(&event.data["to"]);
                    self.actors.sort_by_key(|actor| *actor != to);
                }
                _ => {}
            }
        }
    }

    fn check(&mut self, step: u64) {
        let supply = self.chain.amount(&self.chain.call("token::supply"));
        assert!(supply <= CAP, "step {step}: {supply} base units");
        assert_eq!(supply, SUPPLY, "step {step}: no call mints or burns");
    }

    /// Every base unit is somewhere.
    fn check_holdings(&mut self, step: u64) {
        let holders: BTreeSet<_> = self.holders().into_iter().collect();
        let mut sum = 0;
        for holder in holders {
            sum += self.chain.balance(holder);
        }
        let channels: Vec<_> = self.channels.keys().copied().collect();
        for channel in channels {
            let call = with(self.chain.call("escrow::channel"), &channel);
            let state = self.chain.vm.view(&call).unwrap();
            sum += state[1].as_str().unwrap().parse::<u128>().unwrap();
        }
        assert_eq!(sum, SUPPLY, "step {step}: what is held is not what exists");
    }
}

fn entries(chain: &mut Chain) -> Vec<String> {
    let mut found = Vec::new();
    for module in MODULES {
        let abi = chain
            .vm
            .abi(&ModuleId::new(chain.iog, module))
            .unwrap()
            .unwrap();
        for function in abi["exposed_functions"].as_array().unwrap() {
            if function["is_entry"] == json!(true) {
                found.push(format!("{module}::{}", function["name"].as_str().unwrap()));
            }
        }
    }
    found
}

#[test]
fn no_sequence_of_calls_passes_the_cap_or_loses_a_base_unit() {
    let mut succeeded: BTreeMap<String, u32> = BTreeMap::new();
    let mut names = Vec::new();
    for seed in 1..=4 {
        let mut world = World::start(seed);
        if seed > 1 {
            world.chain.seal();
        }
        names = entries(&mut world.chain);
        for step in 0..500 {
            if world.random.below(6) == 0 {
                let seconds = world.random.below(12 * DAY_S);
                world.chain.vm.advance(seconds);
            }
            let name = world.random.of(&names);
            let (who, call) = world.prepare(&name);
            if let Ok(done) = world.chain.do_as(who, &call) {
                world.remember(&done);
                *succeeded.entry(name).or_default() += 1;
            }
            world.check(step);
            if step % 20 == 0 {
                world.check_holdings(step);
            }
        }
        world.check_holdings(500);
    }
    println!("calls that succeeded: {succeeded:?}");
    for name in names {
        assert!(
            succeeded.contains_key(&name),
            "{name} never succeeded: this test shows nothing about it"
        );
    }
}
