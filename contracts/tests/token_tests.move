#[test_only]
module iog::token_tests {
    use std::option;
    use std::string;
    use std::vector;
    use aptos_framework::account;
    use aptos_framework::event;
    use aptos_framework::fungible_asset;
    use aptos_framework::object;
    use aptos_framework::primary_fungible_store;
    use iog::roles;
    use iog::stage;
    use iog::token;

    /// Base units of one IO.
    const IO: u64 = 100_000_000;
    const MONTH: u64 = 2_629_746;
    const ECOSYSTEM: u64 = 5;
    const RESEARCH: u64 = 6;
    const CORE: u64 = 7;
    const SEED_INVESTORS: u64 = 8;

    // The events' fields: equal in BCS to the events themselves.
    struct Minted has drop { to: address, amount: u64, supply: u128 }

    struct Released has drop { allocation: u64, beneficiary: address, amount: u64 }

    struct Handed has drop { allocation: u64, from: address, to: address }

    // ---- R1

    #[test]
    fun r1_the_framework_knows_the_cap_too() {
        stage::begin();
        assert!(token::cap() == 800_000_000 * (IO as u128));
        assert!(fungible_asset::maximum(token::metadata()) == option::some(token::cap()));
    }

    #[test]
    fun r1_everything_up_to_the_cap_can_be_minted() {
        stage::begin();
        token::mint_for_test(@0xa, 300_000_000 * IO);
        assert!(token::supply() == token::cap());
        assert!(stage::balance(@0xa) == 300_000_000 * IO);
        let events = event::emitted_events<token::Minted>();
        let last = vector::pop_back(&mut events);
        assert!(
            stage::same(
                vector[last],
                vector[Minted { to: @0xa, amount: 300_000_000 * IO, supply: 80_000_000_000_000_000 }]
            )
        );
    }

    #[test]
    #[expected_failure(abort_code = token::E_CAP)]
    fun r1_one_base_unit_more_is_refused_by_the_packages_own_check() {
        stage::begin();
        token::mint_for_test(@0xa, 300_000_000 * IO + 1);
    }

    #[test]
    #[expected_failure(abort_code = token::E_CAP)]
    fun r1_the_cap_holds_over_several_mints() {
        stage::begin();
        token::mint_for_test(@0xa, 299_999_999 * IO);
        token::mint_for_test(@0xb, IO);
        token::mint_for_test(@0xc, 1);
    }

    #[test]
    #[expected_failure(abort_code = token::E_CAP)]
    fun r1_the_largest_number_does_not_wrap_around() {
        stage::begin();
        token::mint_for_test(@0xa, 18_446_744_073_709_551_615);
    }

    // ---- R2

    #[test]
    fun r2_genesis_is_five_hundred_million_of_which_ninety_five_circulate() {
        stage::begin();
        assert!(token::supply() == 500_000_000 * (IO as u128));
        assert!(token::circulating() == 95_000_000 * IO);
        assert!(stage::balance(@iog) == 95_000_000 * IO);
        assert!(stage::balance(token::vesting_address()) == 405_000_000 * IO);
    }

    #[test]
    fun r2_the_table_is_the_published_one() {
        stage::begin();
        let roles = vector[
            b"launchpool",
            b"airdrop to early owners",
            b"liquidity",
            b"ecosystem, first part",
            b"operations",
            b"ecosystem and community",
            b"research and development",
            b"core contributors",
            b"seed investors",
            b"later investors"
        ];
        let amounts = vector[20, 15, 25, 20, 15, 155, 90, 75, 50, 35];
        let cliffs = vector[0, 0, 0, 0, 0, 0, 6, 12, 12, 12];
        let months = vector[0, 0, 0, 0, 0, 48, 48, 48, 36, 36];
        let table = token::allocations();
        assert!(vector::length(&table) == 10);
        let (sum, circulating) = (0, 0);
        for (i in 0..10) {
            let (role, beneficiary, amount, claimed, start, cliff, last) = token::row_for_test(&table[i]);
            assert!(role == string::utf8(roles[i]), i);
            assert!(beneficiary == @iog, i);
            assert!(amount == amounts[i] * 1_000_000 * IO, i);
            assert!(claimed == if (i < 5) amount else 0, i);
            assert!(start == stage::genesis(), i);
            assert!(cliff == cliffs[i] && last == months[i], i);
            sum = sum + amount;
            circulating = circulating + claimed;
        };
        assert!(sum == 500_000_000 * IO);
        assert!(circulating == 95_000_000 * IO);
    }

    #[test]
    fun r2_at_genesis_nothing_more_is_due() {
        stage::begin();
        for (row in 0..10) assert!(token::claimable(row) == 0, row);
    }

    #[test]
    fun r2_genesis_happens_once() {
        let admin = stage::begin();
        token::init_for_test(&admin);
        assert!(token::supply() == 500_000_000 * (IO as u128));
        assert!(vector::length(&event::emitted_events<token::Minted>()) == 10);
    }

    #[test]
    fun r2_the_token_is_io_with_eight_decimals_at_its_named_address() {
        stage::begin();
        let metadata = token::metadata();
        assert!(fungible_asset::name(metadata) == string::utf8(b"IO"));
        assert!(fungible_asset::symbol(metadata) == string::utf8(b"IO"));
        assert!(fungible_asset::decimals(metadata) == 8);
        assert!(object::object_address(&metadata) == object::create_object_address(&@iog, b"IO"));
    }

    #[test]
    fun r2_whoever_starts_first_the_roles_are_there() {
        let publisher = stage::clock();
        token::init_for_test(&publisher);
        assert!(roles::admin() == @iog);
        assert!(stage::balance(@iog) == 95_000_000 * IO);
    }

    // ---- R3

    /// 1000 in three months, nothing before the second.
    fun at(now: u64): u64 { token::released_for_test(1000, 500, 2, 3, now) }

    #[test]
    fun r3_release_by_whole_months() {
        let start = 500;
        assert!(at(start) == 0);
        assert!(at(start + MONTH) == 0);
        assert!(at(start + 2 * MONTH - 1) == 0);
        assert!(at(start + 2 * MONTH) == 666);
        assert!(at(start + 3 * MONTH - 1) == 666);
        assert!(at(start + 3 * MONTH) == 1000);
        assert!(at(start + 300 * MONTH) == 1000);
    }

    #[test]
    fun r3_an_amount_near_the_cap_does_not_overflow() {
        let cap = 80_000_000_000_000_000;
        assert!(token::released_for_test(cap, 0, 0, 48, 47 * MONTH) == 78_333_333_333_333_333);
    }

    #[test]
    fun r3_the_parts_of_a_row_sum_to_it_exactly() {
        let admin = stage::begin();
        let before = stage::balance(@iog);
        for (month in 0..36) {
            stage::wait(MONTH);
            if (month >= 11) token::claim_vested(&admin, SEED_INVESTORS);
        };
        assert!(stage::balance(@iog) - before == 50_000_000 * IO);
        assert!(token::claimable(SEED_INVESTORS) == 0);
    }

    #[test]
    fun r3_nothing_of_research_before_its_cliff_then_six_months_at_once() {
        let admin = stage::begin();
        stage::wait(6 * MONTH - 1);
        assert!(token::claimable(RESEARCH) == 0);
        stage::wait(1);
        // 90,000,000 IO * 6 / 48
        assert!(token::claimable(RESEARCH) == 11_250_000 * IO);
        token::claim_vested(&admin, RESEARCH);
        assert!(token::circulating() == 106_250_000 * IO);
    }

    // ---- R4

    #[test]
    fun r4_anyone_may_release_and_the_beneficiary_is_paid() {
        stage::begin();
        stage::wait(MONTH);
        let before = stage::balance(@iog);
        // 155,000,000 IO / 48, rounded down to the base unit
        let part = 322_916_666_666_666;
        token::claim_vested(&stage::signer_of(@0xb0b), ECOSYSTEM);
        assert!(stage::balance(@iog) == before + part);
        assert!(stage::balance(@0xb0b) == 0);
        assert!(
            stage::same(
                event::emitted_events<token::Released>(),
                vector[Released { allocation: ECOSYSTEM, beneficiary: @iog, amount: part }]
            )
        );
        let table = token::allocations();
        let (_, _, _, claimed, _, _, _) = token::row_for_test(&table[ECOSYSTEM]);
        assert!(claimed == part);
        stage::wait(MONTH);
        assert!(token::claimable(ECOSYSTEM) == 322_916_666_666_667);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOTHING_DUE)]
    fun r4_nothing_is_released_twice() {
        let admin = stage::begin();
        stage::wait(MONTH);
        token::claim_vested(&admin, ECOSYSTEM);
        token::claim_vested(&admin, ECOSYSTEM);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOTHING_DUE)]
    fun r4_what_was_paid_at_genesis_is_not_paid_again() {
        let admin = stage::begin();
        stage::wait(100 * MONTH);
        token::claim_vested(&admin, 4);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NO_ALLOCATION)]
    fun r4_the_table_has_ten_rows() {
        let admin = stage::begin();
        stage::wait(100 * MONTH);
        token::claim_vested(&admin, 10);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NO_ALLOCATION)]
    fun r4_nothing_is_claimable_of_no_row() {
        stage::begin();
        token::claimable(10);
    }

    #[test]
    fun r4_the_emergency_stop_does_not_hold_back_what_is_vested() {
        let admin = stage::begin();
        roles::pause(&admin);
        stage::wait(48 * MONTH);
        for (row in 5..10) token::claim_vested(&admin, row);
        assert!(token::circulating() == 500_000_000 * IO);
        assert!(stage::balance(@iog) == 500_000_000 * IO);
    }

    // ---- R5

    #[test]
    fun r5_an_allocation_is_handed_over_in_two_steps() {
        let admin = stage::begin();
        token::offer_allocation(&admin, CORE, @0xc0);
        token::accept_allocation(&stage::signer_of(@0xc0), CORE);
        let handed = vector[Handed { allocation: CORE, from: @iog, to: @0xc0 }];
        assert!(stage::same(event::emitted_events<token::AllocationOffered>(), handed));
        let handed = vector[Handed { allocation: CORE, from: @iog, to: @0xc0 }];
        assert!(stage::same(event::emitted_events<token::AllocationMoved>(), handed));
        stage::wait(12 * MONTH);
        token::claim_vested(&admin, CORE);
        assert!(stage::balance(@0xc0) == 18_750_000 * IO);
        // The other rows stayed where they were.
        let table = token::allocations();
        let (_, beneficiary, _, _, _, _, _) = token::row_for_test(&table[RESEARCH]);
        assert!(beneficiary == @iog);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOT_BENEFICIARY)]
    fun r5_the_administrator_has_no_power_over_a_row_that_was_handed_over() {
        let admin = stage::begin();
        token::offer_allocation(&admin, CORE, @0xc0);
        token::accept_allocation(&stage::signer_of(@0xc0), CORE);
        token::offer_allocation(&admin, CORE, @iog);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOT_OFFERED)]
    fun r5_a_stranger_accepts_nothing() {
        let admin = stage::begin();
        token::offer_allocation(&admin, CORE, @0xc0);
        token::accept_allocation(&stage::signer_of(@0xbad), CORE);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOT_OFFERED)]
    fun r5_a_withdrawn_offer_is_not_accepted() {
        let admin = stage::begin();
        token::offer_allocation(&admin, CORE, @0xc0);
        token::offer_allocation(&admin, CORE, @iog);
        token::accept_allocation(&stage::signer_of(@0xc0), CORE);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NOT_OFFERED)]
    fun r5_an_accepted_offer_is_used_up() {
        let admin = stage::begin();
        token::offer_allocation(&admin, CORE, @0xc0);
        let next = stage::signer_of(@0xc0);
        token::accept_allocation(&next, CORE);
        token::accept_allocation(&next, CORE);
    }

    #[test]
    #[expected_failure(abort_code = token::E_NO_ALLOCATION)]
    fun r5_no_row_no_offer() {
        token::offer_allocation(&stage::begin(), 10, @0xc0);
    }

    // ---- R6

    #[test]
    #[expected_failure(abort_code = 327688, location = aptos_framework::fungible_asset)]
    fun r6_the_administrator_cannot_take_from_the_vesting_account() {
        let admin = stage::begin();
        fungible_asset::transfer(
            &admin,
            primary_fungible_store::primary_store(token::vesting_address(), token::metadata()),
            primary_fungible_store::primary_store(@iog, token::metadata()),
            1
        );
    }

    #[test]
    fun r6_nobody_owns_the_vesting_account() {
        stage::begin();
        assert!(token::vesting_address() == account::create_resource_address(&@iog, b"IOG_VESTING"));
        let store = primary_fungible_store::primary_store(token::vesting_address(), token::metadata());
        assert!(object::is_owner(store, token::vesting_address()));
        assert!(!object::is_object(token::vesting_address()));
        assert!(!object::owns(store, @iog));
    }

    // ---- R7

    #[test]
    fun r7_what_is_minted_later_circulates_at_once() {
        stage::begin();
        token::mint_for_test(@0xa, 7);
        assert!(token::circulating() == 95_000_000 * IO + 7);
        assert!(token::supply() == 500_000_000 * (IO as u128) + 7);
    }

    #[test]
    fun r7_transfers_do_not_change_what_circulates() {
        let admin = stage::begin();
        stage::fund(&admin, @0xa, 12 * IO);
        assert!(token::circulating() == 95_000_000 * IO);
    }
}
