/// What the tests of the development chain publish: an asset, a table, an event, a view, an abort.
module sample::coin {
    use std::option;
    use std::signer;
    use std::string;
    use aptos_std::table::{Self, Table};
    use aptos_framework::event;
    use aptos_framework::fungible_asset::{Self, Metadata, MintRef};
    use aptos_framework::object::{Self, Object};
    use aptos_framework::primary_fungible_store;
    use aptos_framework::timestamp;

    const SEED: vector<u8> = b"SAMPLE";
    /// Only the publisher mints.
    const E_NOT_PUBLISHER: u64 = 1;
    /// This note is known.
    const E_KNOWN: u64 = 2;

    struct Treasury has key { mint: MintRef, notes: Table<vector<u8>, u64>, count: u64 }

    #[event]
    struct Minted has drop, store { to: address, amount: u64, note: vector<u8>, at: u64 }

    fun init_module(publisher: &signer) {
        let constructor = &object::create_named_object(publisher, SEED);
        primary_fungible_store::create_primary_store_enabled_fungible_asset(
            constructor, option::some(1_000_000), string::utf8(b"Sample"), string::utf8(b"SMP"), 2,
            string::utf8(b""), string::utf8(b"")
        );
        move_to(publisher, Treasury {
            mint: fungible_asset::generate_mint_ref(constructor), notes: table::new(), count: 0
        });
    }

    #[view]
    public fun metadata(): Object<Metadata> {
        object::address_to_object<Metadata>(object::create_object_address(&@sample, SEED))
    }

    #[view]
    public fun balance(owner: address): u64 { primary_fungible_store::balance(owner, metadata()) }

    #[view]
    public fun minted(note: vector<u8>): (bool, u64) acquires Treasury {
        let treasury = borrow_global<Treasury>(@sample);
        (table::contains(&treasury.notes, note), treasury.count)
    }

    public entry fun mint(publisher: &signer, to: address, amount: u64, note: vector<u8>) acquires Treasury {
        assert!(signer::address_of(publisher) == @sample, E_NOT_PUBLISHER);
        let treasury = borrow_global_mut<Treasury>(@sample);
        assert!(!table::contains(&treasury.notes, note), E_KNOWN);
        table::add(&mut treasury.notes, note, amount);
        treasury.count = treasury.count + 1;
        primary_fungible_store::mint(&treasury.mint, to, amount);
        event::emit(Minted { to, amount, note, at: timestamp::now_seconds() });
    }

    /// Two signers, as in a transaction of several agents.
    public entry fun swap_notes(one: &signer, two: &signer) {
        assert!(signer::address_of(one) != signer::address_of(two), E_NOT_PUBLISHER);
    }

    #[test(publisher = @sample)]
    #[expected_failure(abort_code = E_KNOWN)]
    fun a_note_mints_once(publisher: &signer) acquires Treasury {
        timestamp::set_time_has_started_for_testing(&aptos_framework::account::create_account_for_test(@0x1));
        init_module(publisher);
        mint(publisher, @0x7, 1, b"a");
        mint(publisher, @0x7, 1, b"a");
    }
}
