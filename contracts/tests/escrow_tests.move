#[test_only]
module iog::escrow_tests {
    use std::vector;
    use aptos_framework::account;
    use aptos_framework::chain_id;
    use aptos_framework::event;
    use aptos_framework::fungible_asset::{Self, FungibleStore};
    use aptos_framework::object::{Self, ObjectCore};
    use aptos_framework::primary_fungible_store;
    use iog::escrow;
    use iog::roles;
    use iog::stage;
    use iog::token;

    const RENTER: address = @0xb0b;
    const PAYEE: address = @0xa11ce;
    const OTHER: address = @0x07e2;
    const DAY: u64 = 86_400;

    // The events' fields: equal in BCS to the events themselves.
    struct Opened has drop {
        channel: address,
        renter: address,
        number: u64,
        voucher_key: vector<u8>,
        amount: u64
    }

    /// ToppedUp, Closing and Closed: an address, an address, a number.
    struct Changed has drop { channel: address, renter: address, amount: u64 }

    struct Redeemed has drop { channel: address, payee: address, cumulative: u64, paid: u64 }

    /// The package, a renter with 1,000 base units, and her channel 7 with `deposit` of them.
    fun begin(deposit: u64): (signer, signer, address) {
        let admin = stage::begin();
        let renter = stage::fund(&admin, RENTER, 1_000);
        escrow::open(&renter, 7, stage::key(), deposit);
        (admin, renter, escrow::channel_address(RENTER, 7))
    }

    fun redeem(channel: address, payee: address, cumulative: u64) {
        escrow::redeem(
            &stage::signer_of(OTHER), channel, payee, cumulative, stage::voucher(channel, payee, cumulative)
        );
    }

    fun held(channel: address): u64 {
        let (_, balance, _) = escrow::channel(channel);
        balance
    }

    // ---- R1

    #[test]
    fun r1_a_channel_is_named_by_renter_and_number() {
        let (_, renter, channel) = begin(600);
        let (owner, balance, closing) = escrow::channel(channel);
        assert!(owner == RENTER && balance == 600 && closing == 0);
        assert!(escrow::voucher_key(channel) == stage::key());
        assert!(!escrow::closed(channel));
        assert!(stage::balance(RENTER) == 400);
        escrow::open(&renter, 8, stage::key(), 1);
        assert!(escrow::channel_address(RENTER, 8) != channel);
        assert!(escrow::channel_address(PAYEE, 7) != channel);
        assert!(held(channel) == 600);
        assert!(held(escrow::channel_address(RENTER, 8)) == 1);
        assert!(
            stage::same(
                event::emitted_events<escrow::Opened>(),
                vector[
                    Opened { channel, renter: RENTER, number: 7, voucher_key: stage::key(), amount: 600 },
                    Opened {
                        channel: escrow::channel_address(RENTER, 8),
                        renter: RENTER,
                        number: 8,
                        voucher_key: stage::key(),
                        amount: 1
                    }
                ]
            )
        );
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NUMBER_USED)]
    fun r1_a_number_is_used_once() {
        let (_, renter, _) = begin(600);
        escrow::open(&renter, 7, stage::key(), 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NUMBER_USED)]
    fun r1_the_number_of_a_closed_channel_stays_used() {
        let (_, renter, _) = begin(600);
        escrow::start_close(&renter, 7);
        stage::wait(DAY);
        escrow::finish_close(&renter, 7);
        escrow::open(&renter, 7, stage::key(), 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_ZERO)]
    fun r1_nothing_opens_no_channel() { begin(0); }

    #[test]
    #[expected_failure(abort_code = 65540, location = aptos_framework::fungible_asset)]
    fun r1_who_holds_less_opens_nothing() { begin(1_001); }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_KEY)]
    fun r1_a_key_of_31_bytes_is_none() {
        escrow::open(&stage::begin(), 7, stage::bytes(9, 31), 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_KEY)]
    fun r1_a_key_of_small_order_is_refused() {
        escrow::open(&stage::begin(), 7, stage::bytes(0, 32), 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r1_no_channel_has_no_state() {
        stage::begin();
        escrow::channel(@0x7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r1_no_channel_has_no_key() {
        stage::begin();
        escrow::voucher_key(@0x7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r1_no_channel_is_not_closed() {
        stage::begin();
        escrow::closed(@0x7);
    }

    // ---- R2

    #[test]
    fun r2_the_renter_tops_up() {
        let (_, renter, channel) = begin(600);
        escrow::top_up(&renter, 7, 150);
        escrow::top_up(&renter, 7, 250);
        assert!(held(channel) == 1_000);
        assert!(stage::balance(RENTER) == 0);
        assert!(
            stage::same(
                event::emitted_events<escrow::ToppedUp>(),
                vector[
                    Changed { channel, renter: RENTER, amount: 150 },
                    Changed { channel, renter: RENTER, amount: 250 }
                ]
            )
        );
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r2_another_has_no_channel_of_that_number_to_top_up() {
        let (admin, _, _) = begin(600);
        escrow::top_up(&admin, 7, 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r2_another_does_not_start_the_close() {
        let (admin, _, _) = begin(600);
        escrow::start_close(&admin, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r2_another_does_not_finish_the_close() {
        let (admin, renter, _) = begin(600);
        escrow::start_close(&renter, 7);
        stage::wait(DAY);
        escrow::finish_close(&admin, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_ZERO)]
    fun r2_nothing_is_no_top_up() {
        let (_, renter, _) = begin(600);
        escrow::top_up(&renter, 7, 0);
    }

    // ---- R3

    #[test]
    fun r3_the_bytes_are_the_published_ones() {
        stage::begin();
        let expected = b"IOG_VOUCHER_V1::";
        vector::append(&mut expected, x"04");
        vector::append(&mut expected, x"00000000000000000000000000000000000000000000000000000000000000c4");
        vector::append(&mut expected, x"00000000000000000000000000000000000000000000000000000000000a11ce");
        vector::append(&mut expected, x"d202964900000000");
        assert!(escrow::voucher_bytes(@0xc4, PAYEE, 1_234_567_890) == expected);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_of_another_channel_does_not_hold() {
        let (_, renter, channel) = begin(600);
        escrow::open(&renter, 8, stage::key(), 100);
        let other = escrow::channel_address(RENTER, 8);
        escrow::redeem(&renter, channel, PAYEE, 10, stage::voucher(other, PAYEE, 10));
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_of_another_payee_does_not_hold() {
        let (_, renter, channel) = begin(600);
        escrow::redeem(&renter, channel, OTHER, 10, stage::voucher(channel, PAYEE, 10));
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_over_another_sum_does_not_hold() {
        let (_, renter, channel) = begin(600);
        escrow::redeem(&renter, channel, PAYEE, 11, stage::voucher(channel, PAYEE, 10));
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_of_another_chain_does_not_hold() {
        let (_, renter, channel) = begin(600);
        let bytes = escrow::voucher_bytes(channel, PAYEE, 10);
        assert!(chain_id::get() == 4);
        bytes[16] = 1;
        escrow::redeem(&renter, channel, PAYEE, 10, stage::sign(bytes));
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_signed_by_another_key_does_not_hold() {
        let admin = stage::begin();
        // A key pair of nobody here: RFC 8032, test 2.
        escrow::open(
            &admin, 7, x"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", 100
        );
        let channel = escrow::channel_address(@iog, 7);
        redeem(channel, PAYEE, 10);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_63_bytes_are_no_signature() {
        let (_, renter, channel) = begin(600);
        let signature = stage::voucher(channel, PAYEE, 10);
        vector::pop_back(&mut signature);
        escrow::redeem(&renter, channel, PAYEE, 10, signature);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_BAD_SIGNATURE)]
    fun r3_a_voucher_over_nothing_needs_its_signature_too() {
        let (_, renter, channel) = begin(600);
        escrow::redeem(&renter, channel, PAYEE, 0, stage::bytes(0, 64));
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NO_CHANNEL)]
    fun r3_no_channel_no_voucher() {
        stage::begin();
        redeem(@0x7, PAYEE, 10);
    }

    // ---- R4

    #[test]
    fun r4_a_voucher_pays_what_is_beyond_the_last_one() {
        let (_, _, channel) = begin(600);
        redeem(channel, PAYEE, 100);
        redeem(channel, PAYEE, 150);
        redeem(channel, OTHER, 30);
        assert!(stage::balance(PAYEE) == 150);
        assert!(stage::balance(OTHER) == 30);
        assert!(held(channel) == 420);
        assert!(escrow::redeemed(channel, PAYEE) == 150);
        assert!(escrow::redeemed(channel, OTHER) == 30);
        assert!(escrow::redeemed(channel, RENTER) == 0);
        assert!(escrow::redeemed(@0x7, PAYEE) == 0);
        assert!(
            stage::same(
                event::emitted_events<escrow::Redeemed>(),
                vector[
                    Redeemed { channel, payee: PAYEE, cumulative: 100, paid: 100 },
                    Redeemed { channel, payee: PAYEE, cumulative: 150, paid: 50 },
                    Redeemed { channel, payee: OTHER, cumulative: 30, paid: 30 }
                ]
            )
        );
    }

    #[test]
    fun r4_the_same_sum_again_does_nothing() {
        let (_, _, channel) = begin(600);
        redeem(channel, PAYEE, 100);
        redeem(channel, PAYEE, 100);
        assert!(stage::balance(PAYEE) == 100);
        assert!(held(channel) == 500);
        assert!(vector::length(&event::emitted_events<escrow::Redeemed>()) == 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_STALE)]
    fun r4_a_lower_sum_aborts() {
        let (_, _, channel) = begin(600);
        redeem(channel, PAYEE, 100);
        redeem(channel, PAYEE, 99);
    }

    // ---- R5

    #[test]
    fun r5_a_channel_pays_its_last_base_unit() {
        let (_, _, channel) = begin(600);
        redeem(channel, PAYEE, 600);
        assert!(held(channel) == 0);
        assert!(stage::balance(PAYEE) == 600);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_SHORT)]
    fun r5_a_base_unit_more_aborts() {
        let (_, _, channel) = begin(600);
        redeem(channel, PAYEE, 601);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_SHORT)]
    fun r5_what_another_payee_had_is_gone() {
        let (_, renter, channel) = begin(600);
        // The second channel's money is not the first one's.
        escrow::open(&renter, 8, stage::key(), 400);
        redeem(channel, OTHER, 500);
        redeem(channel, PAYEE, 101);
    }

    #[test]
    fun r5_after_a_top_up_the_same_voucher_is_good() {
        let (_, renter, channel) = begin(600);
        redeem(channel, PAYEE, 600);
        escrow::top_up(&renter, 7, 1);
        redeem(channel, PAYEE, 601);
        assert!(stage::balance(PAYEE) == 601);
    }

    // ---- R6

    #[test]
    fun r6_vouchers_are_good_until_the_close_is_finished() {
        let (_, renter, channel) = begin(600);
        escrow::start_close(&renter, 7);
        let until = stage::genesis() + DAY;
        let (_, _, closing) = escrow::channel(channel);
        assert!(closing == until);
        assert!(
            stage::same(
                event::emitted_events<escrow::Closing>(),
                vector[Changed { channel, renter: RENTER, amount: until }]
            )
        );
        redeem(channel, PAYEE, 100);
        stage::wait(DAY - 1);
        redeem(channel, PAYEE, 200);
        stage::wait(100);
        redeem(channel, PAYEE, 300);
        escrow::finish_close(&renter, 7);
        assert!(stage::balance(PAYEE) == 300);
        assert!(stage::balance(RENTER) == 700);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_TOO_EARLY)]
    fun r6_a_second_before_the_day_is_over_is_too_early() {
        let (_, renter, _) = begin(600);
        escrow::start_close(&renter, 7);
        stage::wait(DAY - 1);
        escrow::finish_close(&renter, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_NOT_CLOSING)]
    fun r6_a_close_needs_its_day() {
        let (_, renter, _) = begin(600);
        stage::wait(DAY);
        escrow::finish_close(&renter, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSING)]
    fun r6_the_day_does_not_begin_again() {
        let (_, renter, _) = begin(600);
        escrow::start_close(&renter, 7);
        escrow::start_close(&renter, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSING)]
    fun r6_no_top_up_while_closing() {
        let (_, renter, _) = begin(600);
        escrow::start_close(&renter, 7);
        escrow::top_up(&renter, 7, 1);
    }

    // ---- R7

    fun close(renter: &signer) {
        escrow::start_close(renter, 7);
        stage::wait(DAY);
        escrow::finish_close(renter, 7);
    }

    #[test]
    fun r7_the_rest_goes_back_to_the_last_base_unit() {
        let (_, renter, channel) = begin(600);
        redeem(channel, PAYEE, 599);
        close(&renter);
        assert!(stage::balance(RENTER) == 401);
        assert!(held(channel) == 0);
        assert!(escrow::closed(channel));
        assert!(
            stage::same(
                event::emitted_events<escrow::Closed>(),
                vector[Changed { channel, renter: RENTER, amount: 1 }]
            )
        );
    }

    #[test]
    fun r7_an_empty_channel_closes_too() {
        let (_, renter, channel) = begin(600);
        redeem(channel, PAYEE, 600);
        close(&renter);
        assert!(stage::balance(RENTER) == 400);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSED)]
    fun r7_a_channel_closes_once() {
        let (_, renter, _) = begin(600);
        close(&renter);
        escrow::finish_close(&renter, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSED)]
    fun r7_a_closed_channel_is_not_closed_again() {
        let (_, renter, _) = begin(600);
        close(&renter);
        escrow::start_close(&renter, 7);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSED)]
    fun r7_a_closed_channel_pays_nothing() {
        let (_, renter, channel) = begin(600);
        close(&renter);
        redeem(channel, PAYEE, 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_CLOSED)]
    fun r7_a_closed_channel_takes_nothing() {
        let (_, renter, _) = begin(600);
        close(&renter);
        escrow::top_up(&renter, 7, 1);
    }

    // ---- R8

    #[test]
    fun r8_channels_belong_to_an_account_that_nobody_can_sign_for() {
        let (_, _, channel) = begin(600);
        let owner = escrow::escrow_address();
        assert!(owner == account::create_resource_address(&@iog, b"IOG_ESCROW"));
        assert!(!object::is_object(owner));
        assert!(object::owner(object::address_to_object<FungibleStore>(channel)) == owner);
    }

    #[test]
    #[expected_failure(abort_code = 327688, location = aptos_framework::fungible_asset)]
    fun r8_the_renter_cannot_take_the_money_past_the_day() {
        let (_, renter, channel) = begin(600);
        fungible_asset::transfer(
            &renter,
            object::address_to_object<FungibleStore>(channel),
            primary_fungible_store::primary_store(RENTER, token::metadata()),
            1
        );
    }

    #[test]
    #[expected_failure(abort_code = 327684, location = aptos_framework::object)]
    fun r8_the_renter_cannot_give_the_channel_away() {
        let (_, renter, channel) = begin(600);
        object::transfer(&renter, object::address_to_object<ObjectCore>(channel), RENTER);
    }

    #[test]
    #[expected_failure(abort_code = 327688, location = aptos_framework::fungible_asset)]
    fun r8_the_administrator_cannot_take_from_a_channel() {
        let (admin, _, channel) = begin(600);
        fungible_asset::transfer(
            &admin,
            object::address_to_object<FungibleStore>(channel),
            primary_fungible_store::primary_store(@iog, token::metadata()),
            1
        );
    }

    // ---- R9

    #[test]
    #[expected_failure(abort_code = escrow::E_PAUSED)]
    fun r9_nothing_is_opened_while_paused() {
        let admin = stage::begin();
        roles::pause(&admin);
        escrow::open(&admin, 7, stage::key(), 1);
    }

    #[test]
    #[expected_failure(abort_code = escrow::E_PAUSED)]
    fun r9_nothing_is_topped_up_while_paused() {
        let (admin, renter, _) = begin(600);
        roles::pause(&admin);
        escrow::top_up(&renter, 7, 1);
    }

    #[test]
    fun r9_while_paused_money_still_gets_out() {
        let (admin, renter, channel) = begin(600);
        roles::pause(&admin);
        redeem(channel, PAYEE, 100);
        close(&renter);
        assert!(stage::balance(PAYEE) == 100);
        assert!(stage::balance(RENTER) == 900);
    }
}
