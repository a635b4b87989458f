#[test_only]
module iog::settlement_tests {
    use std::vector;
    use aptos_framework::account;
    use aptos_framework::event;
    use aptos_framework::fungible_asset;
    use aptos_framework::object;
    use aptos_framework::primary_fungible_store;
    use iog::roles;
    use iog::settlement;
    use iog::stage;
    use iog::token;

    const SETTLER: address = @0x5e;

    // The events' fields: equal in BCS to the events themselves.
    struct Deposited has drop { from: address, tag: vector<u8>, amount: u64 }

    struct Paid has drop { batch: vector<u8>, line: u64, payee: address, amount: u64 }

    struct Skipped has drop { batch: vector<u8>, line: u64, payee: address, amount: u64, reason: u64 }

    struct LimitChanged has drop { from: u64, to: u64 }

    struct Settled has drop { batch: vector<u8>, paid: u64, skipped: u64, total: u64 }

    fun tag(): vector<u8> { stage::bytes(7, 16) }

    fun batch(n: u8): vector<u8> { stage::bytes(n, 32) }

    /// The package, a settler, and `amount` base units in the vault.
    fun begin(amount: u64): (signer, signer) {
        let admin = stage::begin();
        roles::add_settler(&admin, SETTLER);
        if (amount > 0) settlement::deposit(&admin, tag(), amount);
        (admin, stage::signer_of(SETTLER))
    }

    fun payee(n: u64): address {
        let bytes = stage::bytes(0xaa, 30);
        vector::push_back(&mut bytes, ((n >> 8) as u8));
        vector::push_back(&mut bytes, ((n & 0xff) as u8));
        aptos_std::from_bcs::to_address(bytes)
    }

    fun lines(count: u64): (vector<address>, vector<u64>) {
        let (payees, amounts) = (vector[], vector[]);
        for (i in 0..count) {
            vector::push_back(&mut payees, payee(i));
            vector::push_back(&mut amounts, i + 1);
        };
        (payees, amounts)
    }

    // ---- R1

    #[test]
    fun r1_a_deposit_is_in_the_vault_and_says_for_whom() {
        let admin = stage::begin();
        let from = stage::fund(&admin, @0xb0b, 100);
        settlement::deposit(&from, tag(), 60);
        settlement::deposit(&from, tag(), 40);
        assert!(settlement::vault_balance() == 100);
        assert!(stage::balance(@0xb0b) == 0);
        assert!(
            stage::same(
                event::emitted_events<settlement::Deposited>(),
                vector[
                    Deposited { from: @0xb0b, tag: tag(), amount: 60 },
                    Deposited { from: @0xb0b, tag: tag(), amount: 40 }
                ]
            )
        );
    }

    #[test]
    #[expected_failure(abort_code = 65540, location = aptos_framework::fungible_asset)]
    fun r1_who_holds_less_deposits_nothing() {
        let admin = stage::begin();
        settlement::deposit(&stage::fund(&admin, @0xb0b, 99), tag(), 100);
    }

    #[test]
    fun r1_one_base_unit_is_a_deposit() {
        settlement::deposit(&stage::begin(), tag(), 1);
        assert!(settlement::vault_balance() == 1);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_ZERO)]
    fun r1_nothing_is_no_deposit() {
        settlement::deposit(&stage::begin(), tag(), 0);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BAD_TAG)]
    fun r1_a_tag_of_15_bytes_is_none() {
        settlement::deposit(&stage::begin(), stage::bytes(7, 15), 1);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BAD_TAG)]
    fun r1_a_tag_of_17_bytes_is_none() {
        settlement::deposit(&stage::begin(), stage::bytes(7, 17), 1);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_PAUSED)]
    fun r1_no_deposits_while_paused() {
        let admin = stage::begin();
        roles::pause(&admin);
        settlement::deposit(&admin, tag(), 1);
    }

    #[test]
    fun r1_what_is_sent_without_deposit_is_in_the_vault_without_an_event() {
        let admin = stage::begin();
        stage::fund(&admin, settlement::vault_address(), 5);
        assert!(settlement::vault_balance() == 5);
        assert!(vector::is_empty(&event::emitted_events<settlement::Deposited>()));
    }

    // ---- R2

    #[test]
    #[expected_failure(abort_code = settlement::E_NOT_SETTLER)]
    fun r2_the_administrator_is_no_settler() {
        let (admin, _) = begin(10);
        settlement::pay(&admin, batch(1), vector[@0xa], vector[1]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_NOT_SETTLER)]
    fun r2_who_was_a_settler_is_none() {
        let (admin, settler) = begin(10);
        roles::remove_settler(&admin, SETTLER);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_PAUSED)]
    fun r2_nothing_is_paid_while_paused() {
        let (admin, settler) = begin(10);
        roles::pause(&admin);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
    }

    #[test]
    fun r2_after_the_stop_it_goes_on() {
        let (admin, settler) = begin(10);
        roles::pause(&admin);
        roles::resume(&admin);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
        assert!(stage::balance(@0xa) == 1);
    }

    // ---- R3

    #[test]
    #[expected_failure(abort_code = settlement::E_BATCH_KNOWN)]
    fun r3_the_same_batch_a_second_time_aborts() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BATCH_KNOWN)]
    fun r3_other_lines_under_the_same_name_abort() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
        settlement::pay(&settler, batch(1), vector[@0xb], vector[2]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BATCH_KNOWN)]
    fun r3_a_batch_of_which_nothing_was_paid_is_applied_too() {
        let (_, settler) = begin(0);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
    }

    #[test]
    fun r3_each_batch_is_known_by_what_it_did() {
        let (_, settler) = begin(10);
        assert!(!settlement::settled(batch(1)));
        settlement::pay(&settler, batch(1), vector[@0xa, @0xb, @0xc], vector[4, 0, 5]);
        assert!(settlement::settled(batch(1)) && !settlement::settled(batch(2)));
        let (paid, skipped, total) = settlement::outcome(batch(1));
        assert!(paid == 2 && skipped == 1 && total == 9);
        let (paid, skipped, total) = settlement::outcome(batch(2));
        assert!(paid == 0 && skipped == 0 && total == 0);
        settlement::pay(&settler, batch(2), vector[@0xa], vector[1]);
        assert!(stage::balance(@0xa) == 5);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BAD_BATCH)]
    fun r3_a_name_of_31_bytes_is_none() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, stage::bytes(1, 31), vector[@0xa], vector[1]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_BAD_BATCH)]
    fun r3_a_name_of_33_bytes_is_none() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, stage::bytes(1, 33), vector[@0xa], vector[1]);
    }

    // ---- R4

    #[test]
    fun r4_256_lines_are_paid() {
        let (_, settler) = begin(100_000);
        let (payees, amounts) = lines(256);
        settlement::pay(&settler, batch(1), payees, amounts);
        for (i in 0..256) assert!(stage::balance(payee(i)) == i + 1, i);
        assert!(settlement::vault_balance() == 100_000 - 256 * 257 / 2);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_LINES)]
    fun r4_257_lines_are_too_many() {
        let (_, settler) = begin(100_000);
        let (payees, amounts) = lines(257);
        settlement::pay(&settler, batch(1), payees, amounts);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_LINES)]
    fun r4_no_line_is_no_batch() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[], vector[]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_UNEVEN)]
    fun r4_a_payee_without_amount_is_refused() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[@0xa, @0xb], vector[1]);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_UNEVEN)]
    fun r4_an_amount_without_payee_is_refused() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1, 2]);
    }

    // ---- R5 and R6

    #[test]
    fun r5_r6_bad_lines_are_skipped_with_their_reasons_and_the_rest_is_paid() {
        let admin = stage::clock();
        let freezer = token::init_with_transfer_ref_for_test(&admin);
        settlement::init_for_test(&admin);
        roles::add_settler(&admin, SETTLER);
        settlement::deposit(&admin, tag(), 100);
        stage::fund(&admin, @0xf0, 1);
        fungible_asset::set_frozen_flag(
            &freezer, primary_fungible_store::primary_store(@0xf0, token::metadata()), true
        );
        let (id, vault) = (batch(9), settlement::vault_address());
        settlement::pay(
            &stage::signer_of(SETTLER),
            id,
            vector[@0xa, @0xb, @0xf0, @0x0, vault, @0xc, @0xd, @0xa],
            vector[30, 0, 5, 5, 5, 71, 69, 1]
        );
        assert!(stage::balance(@0xa) == 31);
        assert!(stage::balance(@0xb) == 0);
        assert!(stage::balance(@0xf0) == 1);
        assert!(stage::balance(@0x0) == 0);
        assert!(stage::balance(@0xc) == 0);
        assert!(stage::balance(@0xd) == 69);
        assert!(settlement::vault_balance() == 0);
        assert!(
            stage::same(
                event::emitted_events<settlement::Paid>(),
                vector[
                    Paid { batch: id, line: 0, payee: @0xa, amount: 30 },
                    Paid { batch: id, line: 6, payee: @0xd, amount: 69 },
                    Paid { batch: id, line: 7, payee: @0xa, amount: 1 }
                ]
            )
        );
        assert!(
            stage::same(
                event::emitted_events<settlement::Skipped>(),
                vector[
                    Skipped { batch: id, line: 1, payee: @0xb, amount: 0, reason: 1 },
                    Skipped { batch: id, line: 2, payee: @0xf0, amount: 5, reason: 3 },
                    Skipped { batch: id, line: 3, payee: @0x0, amount: 5, reason: 4 },
                    Skipped { batch: id, line: 4, payee: vault, amount: 5, reason: 4 },
                    Skipped { batch: id, line: 5, payee: @0xc, amount: 71, reason: 2 }
                ]
            )
        );
        assert!(
            stage::same(
                event::emitted_events<settlement::Settled>(),
                vector[Settled { batch: id, paid: 3, skipped: 5, total: 100 }]
            )
        );
    }

    #[test]
    fun r5_an_empty_vault_pays_nothing_and_says_so() {
        let (_, settler) = begin(0);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[1]);
        assert!(stage::balance(@0xa) == 0);
        assert!(
            stage::same(
                event::emitted_events<settlement::Skipped>(),
                vector[Skipped { batch: batch(1), line: 0, payee: @0xa, amount: 1, reason: 2 }]
            )
        );
        assert!(
            stage::same(
                event::emitted_events<settlement::Settled>(),
                vector[Settled { batch: batch(1), paid: 0, skipped: 1, total: 0 }]
            )
        );
    }

    #[test]
    fun r5_amounts_whose_sum_overflows_are_skipped() {
        let (_, settler) = begin(10);
        let most = 18_446_744_073_709_551_615;
        settlement::pay(&settler, batch(1), vector[@0xa, @0xb, @0xc], vector[most, most, 10]);
        assert!(stage::balance(@0xc) == 10);
        assert!(settlement::vault_balance() == 0);
    }

    #[test]
    fun r6_a_payee_named_twice_is_paid_twice() {
        let (_, settler) = begin(10);
        settlement::pay(&settler, batch(1), vector[@0xa, @0xa], vector[1, 2]);
        assert!(stage::balance(@0xa) == 3);
        assert!(settlement::vault_balance() == 7);
        assert!(token::supply() == 50_000_000_000_000_000);
    }

    // ---- R7

    #[test]
    fun r7_nobody_owns_the_vault() {
        begin(10);
        let vault = settlement::vault_address();
        assert!(vault == account::create_resource_address(&@iog, b"IOG_VAULT"));
        assert!(!object::is_object(vault));
        let store = primary_fungible_store::primary_store(vault, token::metadata());
        assert!(object::is_owner(store, vault));
        assert!(!object::owns(store, @iog));
    }

    #[test]
    #[expected_failure(abort_code = 327688, location = aptos_framework::fungible_asset)]
    fun r7_the_administrator_cannot_take_from_the_vault() {
        let (admin, _) = begin(10);
        fungible_asset::transfer(
            &admin,
            primary_fungible_store::primary_store(settlement::vault_address(), token::metadata()),
            primary_fungible_store::primary_store(@iog, token::metadata()),
            1
        );
    }

    // ---- R8

    #[test]
    fun r8_at_the_start_there_is_no_limit() {
        begin(10);
        let (limit, room) = settlement::daily_limit();
        assert!(limit == 18_446_744_073_709_551_615 && room == limit);
    }

    #[test]
    fun r8_what_passes_the_days_limit_is_skipped() {
        let (admin, settler) = begin(1_000);
        settlement::set_daily_limit(&admin, 100);
        assert!(
            stage::same(
                event::emitted_events<settlement::LimitChanged>(),
                vector[LimitChanged { from: 18_446_744_073_709_551_615, to: 100 }]
            )
        );
        settlement::pay(&settler, batch(1), vector[@0xa, @0xb, @0xc], vector[60, 41, 40]);
        assert!(stage::balance(@0xa) == 60);
        assert!(stage::balance(@0xb) == 0);
        assert!(stage::balance(@0xc) == 40);
        assert!(
            stage::same(
                event::emitted_events<settlement::Skipped>(),
                vector[Skipped { batch: batch(1), line: 1, payee: @0xb, amount: 41, reason: 5 }]
            )
        );
        let (limit, room) = settlement::daily_limit();
        assert!(limit == 100 && room == 0);
    }

    #[test]
    fun r8_the_limit_counts_over_batches_and_begins_again_at_midnight() {
        let (admin, settler) = begin(1_000);
        settlement::set_daily_limit(&admin, 100);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[70]);
        settlement::pay(&settler, batch(2), vector[@0xa], vector[20]);
        let (_, room) = settlement::daily_limit();
        assert!(room == 10);
        // The tests begin at 21:20: 9,600 seconds before midnight.
        stage::wait(9_599);
        let (_, room) = settlement::daily_limit();
        assert!(room == 10);
        settlement::pay(&settler, batch(3), vector[@0xa], vector[11]);
        assert!(stage::balance(@0xa) == 90);
        stage::wait(1);
        let (_, room) = settlement::daily_limit();
        assert!(room == 100);
        settlement::pay(&settler, batch(4), vector[@0xa], vector[99]);
        assert!(stage::balance(@0xa) == 189);
        let (_, room) = settlement::daily_limit();
        assert!(room == 1);
    }

    #[test]
    fun r8_a_limit_below_what_has_left_leaves_nothing() {
        let (admin, settler) = begin(1_000);
        settlement::pay(&settler, batch(1), vector[@0xa], vector[70]);
        settlement::set_daily_limit(&admin, 50);
        let (limit, room) = settlement::daily_limit();
        assert!(limit == 50 && room == 0);
        settlement::pay(&settler, batch(2), vector[@0xa], vector[1]);
        assert!(stage::balance(@0xa) == 70);
        settlement::set_daily_limit(&admin, 71);
        settlement::pay(&settler, batch(3), vector[@0xa], vector[1]);
        assert!(stage::balance(@0xa) == 71);
    }

    #[test]
    #[expected_failure(abort_code = settlement::E_NOT_ADMIN)]
    fun r8_a_settler_sets_no_limit() {
        let (_, settler) = begin(10);
        settlement::set_daily_limit(&settler, 5);
    }
}
