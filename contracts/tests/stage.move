#[test_only]
/// What the tests share: a chain with the package on it, accounts with IO, and a voucher's signature.
module iog::stage {
    use std::bcs;
    use std::vector;
    use aptos_std::ed25519;
    use aptos_framework::account;
    use aptos_framework::chain_id;
    use aptos_framework::primary_fungible_store;
    use aptos_framework::timestamp;
    use iog::escrow;
    use iog::reports;
    use iog::roles;
    use iog::settlement;
    use iog::token;

    /// 2026-11-26 21:20:00 UTC, a Thursday.
    const GENESIS: u64 = 1_795_728_000;
    const CHAIN: u8 = 4;

    public fun genesis(): u64 { GENESIS }

    /// The chain's clock and number, nothing else.
    public fun clock(): signer {
        let framework = account::create_account_for_test(@aptos_framework);
        timestamp::set_time_has_started_for_testing(&framework);
        timestamp::update_global_time_for_test_secs(GENESIS);
        chain_id::initialize_for_test(&framework, CHAIN);
        account::create_account_for_test(@iog)
    }

    /// The whole package; the administrator is the package's own address and has the 95,000,000 IO of the start.
    public fun begin(): signer {
        let admin = clock();
        roles::init_for_test(&admin);
        token::init_for_test(&admin);
        settlement::init_for_test(&admin);
        escrow::init_for_test(&admin);
        reports::init_for_test(&admin);
        admin
    }

    public fun signer_of(who: address): signer { account::create_account_for_test(who) }

    /// Gives `amount` base units to `who`.
    public fun fund(admin: &signer, who: address, amount: u64): signer {
        primary_fungible_store::transfer(admin, token::metadata(), who, amount);
        signer_of(who)
    }

    public fun balance(who: address): u64 { primary_fungible_store::balance(who, token::metadata()) }

    public fun bytes(byte: u8, count: u64): vector<u8> {
        let bytes = vector[];
        for (i in 0..count) vector::push_back(&mut bytes, byte);
        bytes
    }

    public fun key(): vector<u8> {
        let (_, key) = ed25519::generate_keys();
        ed25519::validated_public_key_to_bytes(&key)
    }

    /// The signature of `key` over a voucher.
    public fun voucher(channel: address, payee: address, cumulative: u64): vector<u8> {
        sign(escrow::voucher_bytes(channel, payee, cumulative))
    }

    public fun sign(bytes: vector<u8>): vector<u8> {
        let (secret, _) = ed25519::generate_keys();
        ed25519::signature_to_bytes(&ed25519::sign_arbitrary_bytes(&secret, bytes))
    }

    /// Whether events are these. Their fields are private to their modules, therefore tests have structs with the same fields.
    public fun same<A: drop, B: drop>(events: vector<A>, expected: vector<B>): bool {
        bcs::to_bytes(&events) == bcs::to_bytes(&expected)
    }

    public fun wait(seconds: u64) { timestamp::fast_forward_seconds(seconds) }
}
