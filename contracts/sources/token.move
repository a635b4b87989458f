/// The IO token: its cap, the split of the first 500,000,000 IO, and the release of what is not in circulation at the start.
/// Amounts are base units, 1 IO = 10^8 of them. Transfers are the framework's own (`0x1::primary_fungible_store::transfer`).
///
/// Requirements
/// R1.  The supply never passes 800,000,000 IO: the framework's maximum says so, and `mint` checks it by itself.
/// R2.  Genesis mints exactly 500,000,000 IO, split by the table below; 95,000,000 IO of it circulate from the start.
/// R3.  The rest is released by the table: nothing before the cliff, then by whole months in equal parts, at the end all of it to
///      the last base unit.
/// R4.  Anyone may trigger a release; it pays the allocation's beneficiary, and nothing is paid twice.
/// R5.  A beneficiary can hand its allocation to another account, in two steps; nobody else can, not even the administrator.
/// R6.  Outside this package nothing mints, and nobody can burn, freeze or move another's IO: those references are never made.
/// R7.  `circulating` is the supply less what the vesting account still holds.
///
/// | # | allocation               |          IO | cliff | months |
/// |---|--------------------------|-------------|-------|--------|
/// | 0 | launchpool               |  20,000,000 |     - |      - |
/// | 1 | airdrop to early owners  |  15,000,000 |     - |      - |
/// | 2 | liquidity                |  25,000,000 |     - |      - |
/// | 3 | ecosystem, first part    |  20,000,000 |     - |      - |
/// | 4 | operations               |  15,000,000 |     - |      - |
/// | 5 | ecosystem and community  | 155,000,000 |     0 |     48 |
/// | 6 | research and development |  90,000,000 |     6 |     48 |
/// | 7 | core contributors        |  75,000,000 |    12 |     48 |
/// | 8 | seed investors           |  50,000,000 |    12 |     36 |
/// | 9 | later investors          |  35,000,000 |    12 |     36 |
///
/// Allocations 0 to 4 are paid at genesis. A month is a twelfth of the mean Gregorian year, 2,629,746 s, counted from genesis.
module iog::token {
    use std::option;
    use std::signer;
    use std::string::{Self, String};
    use std::vector;
    use aptos_framework::account::{Self, SignerCapability};
    use aptos_framework::event;
    use aptos_framework::fungible_asset::{Self, Metadata, MintRef};
    use aptos_framework::object::{Self, ConstructorRef, Object};
    use aptos_framework::primary_fungible_store;
    use aptos_framework::timestamp;
    use iog::roles;

    /// The mint would pass the cap of 800,000,000 IO.
    const E_CAP: u64 = 1;
    /// There is no allocation of that number.
    const E_NO_ALLOCATION: u64 = 2;
    /// Nothing more of the allocation is released yet.
    const E_NOTHING_DUE: u64 = 3;
    /// The caller is not the allocation's beneficiary.
    const E_NOT_BENEFICIARY: u64 = 4;
    /// The allocation was not offered to the caller.
    const E_NOT_OFFERED: u64 = 5;

    /// 800,000,000 IO in base units.
    const CAP: u128 = 80_000_000_000_000_000;
    /// Base units of one IO.
    const IO: u64 = 100_000_000;
    const DECIMALS: u8 = 8;
    /// Seconds of a month: 365.2425 days / 12.
    const MONTH_S: u64 = 2_629_746;
    const SEED: vector<u8> = b"IO";
    const VESTING_SEED: vector<u8> = b"IOG_VESTING";

    /// One row of the published table.
    struct Allocation has copy, drop, store {
        role: String,
        beneficiary: address,
        /// Who may take the allocation over; the beneficiary itself while it is offered to nobody.
        offered: address,
        /// Base units in all, and how many of them were paid.
        amount: u64,
        claimed: u64,
        /// Seconds since 1970.
        start: u64,
        /// Months from the start to the first release, and to the last one. Both 0: paid at genesis.
        cliff: u64,
        months: u64
    }

    struct Treasury has key {
        mint: MintRef,
        vesting: SignerCapability,
        allocations: vector<Allocation>
    }

    #[event]
    /// IO came into being: `supply` is the supply after it.
    struct Minted has drop, store { to: address, amount: u64, supply: u128 }

    #[event]
    /// A part of an allocation was paid to its beneficiary.
    struct Released has drop, store { allocation: u64, beneficiary: address, amount: u64 }

    #[event]
    /// A beneficiary offered its allocation to another account; itself again withdraws the offer.
    struct AllocationOffered has drop, store { allocation: u64, from: address, to: address }

    #[event]
    /// An allocation has a new beneficiary.
    struct AllocationMoved has drop, store { allocation: u64, from: address, to: address }

    fun init_module(publisher: &signer) acquires Treasury {
        ensure(publisher);
    }

    /// Creates the token and its first supply unless that is done; see `roles::ensure`.
    package fun ensure(publisher: &signer) acquires Treasury {
        if (!exists<Treasury>(@iog)) {
            genesis(publisher);
        }
    }

    fun genesis(publisher: &signer): ConstructorRef acquires Treasury {
        roles::ensure(publisher);
        let token = object::create_named_object(publisher, SEED);
        primary_fungible_store::create_primary_store_enabled_fungible_asset(
            &token,
            option::some(CAP),
            string::utf8(SEED),
            string::utf8(SEED),
            DECIMALS,
            string::utf8(b""),
            string::utf8(b"")
        );
        let (_, vesting) = account::create_resource_account(publisher, VESTING_SEED);
        let allocations = published(roles::admin(), timestamp::now_seconds());
        move_to(
            publisher,
            Treasury { mint: fungible_asset::generate_mint_ref(&token), vesting, allocations }
        );
        let vesting = vesting_address();
        for (i in 0..vector::length(&allocations)) {
            let row = allocations[i];
            mint(if (row.months == 0) row.beneficiary else vesting, row.amount);
        };
        token
    }

    /// The table of this module's head.
    fun published(beneficiary: address, start: u64): vector<Allocation> {
        let table = vector[];
        row(&mut table, b"launchpool", 20_000_000, 0, 0, beneficiary, start);
        row(&mut table, b"airdrop to early owners", 15_000_000, 0, 0, beneficiary, start);
        row(&mut table, b"liquidity", 25_000_000, 0, 0, beneficiary, start);
        row(&mut table, b"ecosystem, first part", 20_000_000, 0, 0, beneficiary, start);
        row(&mut table, b"operations", 15_000_000, 0, 0, beneficiary, start);
        row(&mut table, b"ecosystem and community", 155_000_000, 0, 48, beneficiary, start);
        row(&mut table, b"research and development", 90_000_000, 6, 48, beneficiary, start);
        row(&mut table, b"core contributors", 75_000_000, 12, 48, beneficiary, start);
        row(&mut table, b"seed investors", 50_000_000, 12, 36, beneficiary, start);
        row(&mut table, b"later investors", 35_000_000, 12, 36, beneficiary, start);
        table
    }

    fun row(
        table: &mut vector<Allocation>,
        role: vector<u8>,
        io: u64,
        cliff: u64,
        months: u64,
        beneficiary: address,
        start: u64
    ) {
        let amount = io * IO;
        vector::push_back(
            table,
            Allocation {
                role: string::utf8(role),
                beneficiary,
                offered: beneficiary,
                amount,
                claimed: if (months == 0) amount else 0,
                start,
                cliff,
                months
            }
        );
    }

    // ---- Views -----------------------------------------------------------------------------------------------------------

    #[view]
    /// The token, as the framework's functions want it.
    public fun metadata(): Object<Metadata> {
        object::address_to_object<Metadata>(object::create_object_address(&@iog, SEED))
    }

    #[view]
    /// Base units that exist.
    public fun supply(): u128 {
        option::destroy_some(fungible_asset::supply(metadata()))
    }

    #[view]
    /// Base units that can ever exist.
    public fun cap(): u128 { CAP }

    #[view]
    /// Base units that exist and are not held back by the vesting table.
    public fun circulating(): u64 acquires Treasury {
        (supply() as u64) - primary_fungible_store::balance(vesting_address(), metadata())
    }

    #[view]
    /// The published table with what was paid of each row.
    public fun allocations(): vector<Allocation> acquires Treasury { borrow_global<Treasury>(@iog).allocations }

    #[view]
    /// Base units that `claim_vested` would pay now.
    /// Aborts with E_NO_ALLOCATION.
    public fun claimable(allocation: u64): u64 acquires Treasury {
        let row = vector::borrow(known(allocation), allocation);
        due(row)
    }

    #[view]
    /// The account that holds what is not released yet; nobody can sign for it.
    public fun vesting_address(): address acquires Treasury {
        account::get_signer_capability_address(&borrow_global<Treasury>(@iog).vesting)
    }

    // ---- Release ---------------------------------------------------------------------------------------------------------

    /// Pays what is released of `allocation` to its beneficiary. Anyone may call it.
    /// Aborts with E_NO_ALLOCATION, E_NOTHING_DUE.
    public entry fun claim_vested(_caller: &signer, allocation: u64) acquires Treasury {
        let row = vector::borrow_mut(known_mut(allocation), allocation);
        let amount = due(row);
        assert!(amount > 0, E_NOTHING_DUE);
        row.claimed = row.claimed + amount;
        let beneficiary = row.beneficiary;
        let vesting = account::create_signer_with_capability(&borrow_global<Treasury>(@iog).vesting);
        primary_fungible_store::deposit(
            beneficiary, primary_fungible_store::withdraw(&vesting, metadata(), amount)
        );
        event::emit(Released { allocation, beneficiary, amount });
    }

    /// Offers an allocation, with all that is not paid of it yet, to another account; offering it to oneself withdraws the offer.
    /// Aborts with E_NO_ALLOCATION, E_NOT_BENEFICIARY.
    public entry fun offer_allocation(beneficiary: &signer, allocation: u64, to: address) acquires Treasury {
        let row = vector::borrow_mut(known_mut(allocation), allocation);
        let from = row.beneficiary;
        assert!(signer::address_of(beneficiary) == from, E_NOT_BENEFICIARY);
        row.offered = to;
        event::emit(AllocationOffered { allocation, from, to });
    }

    /// Takes an offered allocation over.
    /// Aborts with E_NO_ALLOCATION, E_NOT_OFFERED.
    public entry fun accept_allocation(offered: &signer, allocation: u64) acquires Treasury {
        let to = signer::address_of(offered);
        let row = vector::borrow_mut(known_mut(allocation), allocation);
        let from = row.beneficiary;
        assert!(to == row.offered && to != from, E_NOT_OFFERED);
        row.beneficiary = to;
        event::emit(AllocationMoved { allocation, from, to });
    }

    inline fun known(allocation: u64): &vector<Allocation> {
        let table = &borrow_global<Treasury>(@iog).allocations;
        assert!(allocation < vector::length(table), E_NO_ALLOCATION);
        table
    }

    inline fun known_mut(allocation: u64): &mut vector<Allocation> {
        let table = &mut borrow_global_mut<Treasury>(@iog).allocations;
        assert!(allocation < vector::length(table), E_NO_ALLOCATION);
        table
    }

    fun due(row: &Allocation): u64 {
        released(row.amount, row.start, row.cliff, row.months, timestamp::now_seconds()) - row.claimed
    }

    /// Base units released at second `now` of an allocation of `amount`: whole months only, rounded down until the last one.
    fun released(amount: u64, start: u64, cliff: u64, months: u64, now: u64): u64 {
        let passed = (now - start) / MONTH_S;
        if (passed >= months) amount
        else if (passed < cliff) 0
        else (((amount as u128) * (passed as u128) / (months as u128)) as u64)
    }

    // ---- Minting ---------------------------------------------------------------------------------------------------------

    /// The only way by which IO comes into being. Only modules of this package can call it.
    /// Aborts with E_CAP.
    package fun mint(to: address, amount: u64) acquires Treasury {
        let supply = supply() + (amount as u128);
        assert!(supply <= CAP, E_CAP);
        primary_fungible_store::mint(&borrow_global<Treasury>(@iog).mint, to, amount);
        event::emit(Minted { to, amount, supply });
    }

    #[test_only]
    public fun init_for_test(publisher: &signer) acquires Treasury { init_module(publisher) }

    #[test_only]
    /// Genesis that also hands out the reference which the real one never makes, so that a test can freeze a store.
    public fun init_with_transfer_ref_for_test(publisher: &signer): fungible_asset::TransferRef acquires Treasury {
        fungible_asset::generate_transfer_ref(&genesis(publisher))
    }

    #[test_only]
    public fun released_for_test(amount: u64, start: u64, cliff: u64, months: u64, now: u64): u64 {
        released(amount, start, cliff, months, now)
    }

    #[test_only]
    public fun mint_for_test(to: address, amount: u64) acquires Treasury { mint(to, amount) }

    #[test_only]
    public fun row_for_test(row: &Allocation): (String, address, u64, u64, u64, u64, u64) {
        (row.role, row.beneficiary, row.amount, row.claimed, row.start, row.cliff, row.months)
    }
}
