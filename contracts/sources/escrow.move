/// Channels: a renter locks IO once and pays many payees with signed vouchers, each of which says how much its payee has earned
/// from the channel in all. A payee can redeem without the platform. Amounts are base units, 1 IO = 10^8 of them.
///
/// Requirements
/// R1.  A channel is named by renter and number; a number is used once, for ever, so that no old voucher comes alive again.
/// R2.  Only the renter opens, tops up and closes its channel.
/// R3.  A voucher holds for one chain, one channel, one payee and one sum, and only with the channel's key.
/// R4.  A voucher pays what it says beyond what its payee has had: the same sum again does nothing, a lower one aborts.
/// R5.  A voucher for more than the channel holds aborts; no channel can pay what is another's.
/// R6.  After the renter asks for the close, vouchers can be redeemed for 86,400 s (1 day) and until the close is finished.
/// R7.  The close pays the rest back to the renter, to the last base unit, once; a closed channel does nothing more.
/// R8.  Nobody owns a channel's money: only `redeem` and `finish_close` take out of it.
/// R9.  The emergency stop stops opening and topping up; it never stops redeeming and closing.
///
/// A voucher is the ed25519 signature of
///   b"IOG_VOUCHER_V1::" || bcs(chain id: u8) || bcs(channel: address) || bcs(payee: address) || bcs(cumulative: u64).
module iog::escrow {
    use std::bcs;
    use std::option;
    use std::signer;
    use std::vector;
    use aptos_std::ed25519;
    use aptos_std::table::{Self, Table};
    use aptos_framework::account::{Self, SignerCapability};
    use aptos_framework::chain_id;
    use aptos_framework::event;
    use aptos_framework::fungible_asset::{Self, FungibleStore};
    use aptos_framework::object::{Self, Object};
    use aptos_framework::primary_fungible_store;
    use aptos_framework::timestamp;
    use iog::roles;
    use iog::token;

    /// Settlement and deposits are stopped.
    const E_PAUSED: u64 = 1;
    /// The renter has used that number before.
    const E_NUMBER_USED: u64 = 2;
    /// The key is not a usable ed25519 public key of 32 bytes.
    const E_BAD_KEY: u64 = 3;
    /// A deposit of nothing.
    const E_ZERO: u64 = 4;
    /// There is no such channel.
    const E_NO_CHANNEL: u64 = 5;
    /// The channel is being closed.
    const E_CLOSING: u64 = 6;
    /// The channel is closed.
    const E_CLOSED: u64 = 7;
    /// The renter has not asked for the close.
    const E_NOT_CLOSING: u64 = 8;
    /// The day in which vouchers can still be redeemed is not over.
    const E_TOO_EARLY: u64 = 9;
    /// The signature is not one of this channel's key over this voucher.
    const E_BAD_SIGNATURE: u64 = 10;
    /// The payee has had more than this voucher says.
    const E_STALE: u64 = 11;
    /// The channel does not hold what the voucher says.
    const E_SHORT: u64 = 12;

    /// Seconds between asking for the close and the first moment it can be finished: 1 day.
    const CHALLENGE_S: u64 = 86_400;
    const SIGNATURE_BYTES: u64 = 64;
    const VOUCHER_PREFIX: vector<u8> = b"IOG_VOUCHER_V1::";
    const ESCROW_SEED: vector<u8> = b"IOG_ESCROW";

    struct Escrow has key {
        /// Owns every channel and its store. Nobody can sign for it.
        account: SignerCapability,
        /// Base units that a payee has had from a channel. One table for all: its rows are apart in storage, so that channels
        /// do not wait for each other.
        redeemed: Table<Claim, u64>
    }

    struct Claim has copy, drop { channel: address, payee: address }

    #[resource_group_member(group = aptos_framework::object::ObjectGroup)]
    /// Stands at the channel's address beside the store that holds its money.
    struct Channel has key {
        renter: address,
        voucher_key: vector<u8>,
        /// Seconds since 1970 from which the close can be finished; 0 while the channel is open.
        closing_until: u64,
        closed: bool
    }

    #[event]
    /// A channel was opened with `amount` base units.
    struct Opened has drop, store {
        channel: address,
        renter: address,
        number: u64,
        voucher_key: vector<u8>,
        amount: u64
    }

    #[event]
    /// `amount` base units were added to a channel.
    struct ToppedUp has drop, store { channel: address, renter: address, amount: u64 }

    #[event]
    /// The renter asked for the close; it can be finished from second `until` since 1970.
    struct Closing has drop, store { channel: address, renter: address, until: u64 }

    #[event]
    /// The channel is closed; `returned` base units went back to the renter.
    struct Closed has drop, store { channel: address, renter: address, returned: u64 }

    #[event]
    /// `paid` base units went to the payee, who has now had `cumulative` from the channel.
    struct Redeemed has drop, store { channel: address, payee: address, cumulative: u64, paid: u64 }

    fun init_module(publisher: &signer) {
        token::ensure(publisher);
        let (_, account) = account::create_resource_account(publisher, ESCROW_SEED);
        move_to(publisher, Escrow { account, redeemed: table::new() });
    }

    // ---- Views -----------------------------------------------------------------------------------------------------------

    #[view]
    /// Where the renter's channel of that number is or will be.
    public fun channel_address(renter: address, number: u64): address acquires Escrow {
        object::create_object_address(&escrow_address(), seed(renter, number))
    }

    #[view]
    /// The renter, the base units the channel holds, and the second since 1970 from which its close can be finished (0: open).
    /// Aborts with E_NO_CHANNEL.
    public fun channel(channel: address): (address, u64, u64) acquires Channel {
        let state = known(channel);
        (state.renter, fungible_asset::balance(store(channel)), state.closing_until)
    }

    #[view]
    /// The ed25519 public key whose vouchers the channel takes.
    /// Aborts with E_NO_CHANNEL.
    public fun voucher_key(channel: address): vector<u8> acquires Channel { known(channel).voucher_key }

    #[view]
    /// Whether the channel's close is finished.
    /// Aborts with E_NO_CHANNEL.
    public fun closed(channel: address): bool acquires Channel { known(channel).closed }

    #[view]
    /// Base units that `payee` has had from `channel`.
    public fun redeemed(channel: address, payee: address): u64 acquires Escrow {
        *table::borrow_with_default(&borrow_global<Escrow>(@iog).redeemed, Claim { channel, payee }, &0)
    }

    #[view]
    /// The bytes that a voucher signs.
    public fun voucher_bytes(channel: address, payee: address, cumulative: u64): vector<u8> {
        let bytes = VOUCHER_PREFIX;
        vector::append(&mut bytes, bcs::to_bytes(&chain_id::get()));
        vector::append(&mut bytes, bcs::to_bytes(&channel));
        vector::append(&mut bytes, bcs::to_bytes(&payee));
        vector::append(&mut bytes, bcs::to_bytes(&cumulative));
        bytes
    }

    #[view]
    /// The account that owns every channel.
    public fun escrow_address(): address acquires Escrow {
        account::get_signer_capability_address(&borrow_global<Escrow>(@iog).account)
    }

    // ---- The renter ------------------------------------------------------------------------------------------------------

    /// Opens the renter's channel `number` with `deposit` base units; `voucher_key` (32 bytes) stays for the channel's life.
    /// Aborts with E_PAUSED, E_BAD_KEY, E_ZERO, E_NUMBER_USED, and as the framework does when the renter holds less.
    public entry fun open(
        renter: &signer, number: u64, voucher_key: vector<u8>, deposit: u64
    ) acquires Escrow {
        assert!(!roles::paused(), E_PAUSED);
        // A key that the chain's strict check never accepts would let a renter sign vouchers that look good and pay nothing.
        let usable = ed25519::new_validated_public_key_from_bytes(voucher_key);
        assert!(option::is_some(&usable), E_BAD_KEY);
        assert!(deposit > 0, E_ZERO);
        let owner = signer::address_of(renter);
        let channel = channel_address(owner, number);
        assert!(!exists<Channel>(channel), E_NUMBER_USED);

        let account = account::create_signer_with_capability(&borrow_global<Escrow>(@iog).account);
        let object = object::create_named_object(&account, seed(owner, number));
        let store = fungible_asset::create_store(&object, token::metadata());
        move_to(
            &object::generate_signer(&object),
            Channel { renter: owner, voucher_key, closing_until: 0, closed: false }
        );
        fungible_asset::deposit(store, primary_fungible_store::withdraw(renter, token::metadata(), deposit));
        event::emit(Opened { channel, renter: owner, number, voucher_key, amount: deposit });
    }

    /// Adds `amount` base units to the renter's channel `number`.
    /// Aborts with E_PAUSED, E_ZERO, E_NO_CHANNEL, E_CLOSED, E_CLOSING, and as the framework does when the renter holds less.
    public entry fun top_up(renter: &signer, number: u64, amount: u64) acquires Escrow, Channel {
        assert!(!roles::paused(), E_PAUSED);
        assert!(amount > 0, E_ZERO);
        let owner = signer::address_of(renter);
        let channel = channel_address(owner, number);
        let state = known(channel);
        assert!(!state.closed, E_CLOSED);
        assert!(state.closing_until == 0, E_CLOSING);
        fungible_asset::deposit(
            store(channel), primary_fungible_store::withdraw(renter, token::metadata(), amount)
        );
        event::emit(ToppedUp { channel, renter: owner, amount });
    }

    /// Asks for the close of the renter's channel `number`: from now on payees have one day to redeem.
    /// Aborts with E_NO_CHANNEL, E_CLOSED, E_CLOSING.
    public entry fun start_close(renter: &signer, number: u64) acquires Escrow, Channel {
        let owner = signer::address_of(renter);
        let channel = channel_address(owner, number);
        let state = known_mut(channel);
        assert!(!state.closed, E_CLOSED);
        assert!(state.closing_until == 0, E_CLOSING);
        let until = timestamp::now_seconds() + CHALLENGE_S;
        state.closing_until = until;
        event::emit(Closing { channel, renter: owner, until });
    }

    /// Closes the channel and pays the rest back to the renter.
    /// Aborts with E_NO_CHANNEL, E_CLOSED, E_NOT_CLOSING, E_TOO_EARLY.
    public entry fun finish_close(renter: &signer, number: u64) acquires Escrow, Channel {
        let owner = signer::address_of(renter);
        let channel = channel_address(owner, number);
        let state = known_mut(channel);
        assert!(!state.closed, E_CLOSED);
        assert!(state.closing_until > 0, E_NOT_CLOSING);
        assert!(timestamp::now_seconds() >= state.closing_until, E_TOO_EARLY);
        state.closed = true;
        let returned = fungible_asset::balance(store(channel));
        pay_out(channel, owner, returned);
        event::emit(Closed { channel, renter: owner, returned });
    }

    // ---- The payee -------------------------------------------------------------------------------------------------------

    /// Pays `payee` what the voucher says beyond what the payee has had from `channel`. Anyone may call it.
    /// Aborts with E_NO_CHANNEL, E_CLOSED, E_BAD_SIGNATURE, E_STALE, E_SHORT.
    public entry fun redeem(
        _anyone: &signer, channel: address, payee: address, cumulative: u64, signature: vector<u8>
    ) acquires Escrow, Channel {
        let state = known(channel);
        assert!(!state.closed, E_CLOSED);
        assert!(vector::length(&signature) == SIGNATURE_BYTES, E_BAD_SIGNATURE);
        let key = ed25519::new_unvalidated_public_key_from_bytes(state.voucher_key);
        let signature = ed25519::new_signature_from_bytes(signature);
        let message = voucher_bytes(channel, payee, cumulative);
        assert!(ed25519::signature_verify_strict(&signature, &key, message), E_BAD_SIGNATURE);

        let had = redeemed(channel, payee);
        assert!(cumulative >= had, E_STALE);
        if (cumulative == had) return;
        let paid = cumulative - had;
        assert!(paid <= fungible_asset::balance(store(channel)), E_SHORT);
        table::upsert(
            &mut borrow_global_mut<Escrow>(@iog).redeemed, Claim { channel, payee }, cumulative
        );
        pay_out(channel, payee, paid);
        event::emit(Redeemed { channel, payee, cumulative, paid });
    }

    // ---- Inside ----------------------------------------------------------------------------------------------------------

    inline fun known(channel: address): &Channel {
        assert!(exists<Channel>(channel), E_NO_CHANNEL);
        borrow_global<Channel>(channel)
    }

    inline fun known_mut(channel: address): &mut Channel {
        assert!(exists<Channel>(channel), E_NO_CHANNEL);
        borrow_global_mut<Channel>(channel)
    }

    fun pay_out(channel: address, to: address, amount: u64) acquires Escrow {
        let account = account::create_signer_with_capability(&borrow_global<Escrow>(@iog).account);
        primary_fungible_store::deposit(to, fungible_asset::withdraw(&account, store(channel), amount));
    }

    fun store(channel: address): Object<FungibleStore> {
        object::address_to_object<FungibleStore>(channel)
    }

    fun seed(renter: address, number: u64): vector<u8> {
        let bytes = bcs::to_bytes(&renter);
        vector::append(&mut bytes, bcs::to_bytes(&number));
        bytes
    }

    #[test_only]
    public fun init_for_test(publisher: &signer) { init_module(publisher) }
}
