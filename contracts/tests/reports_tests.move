#[test_only]
module iog::reports_tests {
    use std::vector;
    use aptos_framework::event;
    use iog::reports;
    use iog::roles;
    use iog::stage;

    const REPORTER: address = @0x4e;
    /// Monday 2026-11-16; its week was over on the 23rd, three days before the tests' clock begins.
    const WEEK: u64 = 20_773;

    // Computed outside: versions 4 (three owners) and 5 (five owners) of vectors.json.
    const ROOT_OF_THREE: vector<u8> = x"83864b45f774b78c095c37b8ab2e04a5c6d4d6c90ab97b2b4c45d1a9d09552f8";
    const ROOT_OF_FIVE: vector<u8> = x"6b1cde0f7bcdffa564c0ba0cdc6ba7498e6de98b99773f9533faef43aa95c0a4";
    const LEAF: vector<u8> = x"02e795e163be93505ed792ac37a5980d90f2f6f04f54cfddaf18c57e2ec18b1b";
    const SIBLING: vector<u8> = x"bf2f93ca56592014a051706361657fa0704644f28ec32f31ad6d26977065af83";
    const UNCLE: vector<u8> = x"1cdbb36c880c0e3ef27623219096196cca399c003220c5545cd3653e70f3850b";
    const LAST: vector<u8> = x"ca32b0bb04fac029ba6906699260ae98206eb637f6614adb4fe5f67e11dab3af";
    const OWNER: address = @0xa11ce;
    const AMOUNT: u64 = 4_611_686_018_427_387_903;
    const LAST_OWNER: address = @0xa5ce1efcc44b1a767323a4b7809f469a382d9f0781eee1705e160c3a7f8f5293;

    // The event's fields: equal in BCS to the event itself.
    struct Published has drop {
        reporter: address,
        week: u64,
        version: u64,
        root: vector<u8>,
        total: u64,
        owners: u64
    }

    fun begin(): signer {
        let admin = stage::begin();
        roles::add_reporter(&admin, REPORTER);
        stage::signer_of(REPORTER)
    }

    fun root(n: u8): vector<u8> { stage::bytes(n, 32) }

    /// Versions 1 to 5 of the week; the last two are the trees above.
    fun published(): signer {
        let reporter = begin();
        for (version in 1..4) reports::publish(&reporter, WEEK, version, root(1), 1, 1);
        reports::publish(&reporter, WEEK, 4, ROOT_OF_THREE, 100_250_000_000, 3);
        reports::publish(&reporter, WEEK, 5, ROOT_OF_FIVE, 4_611_686_118_677_387_945, 5);
        reporter
    }

    fun proof(): vector<vector<u8>> { vector[SIBLING, UNCLE, LAST] }

    // ---- R1

    #[test]
    fun r1_a_reporter_publishes() {
        let reporter = begin();
        reports::publish(&reporter, WEEK, 1, root(1), 12, 3);
        let (found, total, owners) = reports::report(WEEK, 1);
        assert!(found == root(1) && total == 12 && owners == 3);
        assert!(
            stage::same(
                event::emitted_events<reports::Published>(),
                vector[
                    Published { reporter: REPORTER, week: WEEK, version: 1, root: root(1), total: 12, owners: 3 }
                ]
            )
        );
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NOT_REPORTER)]
    fun r1_the_administrator_is_no_reporter() {
        begin();
        reports::publish(&stage::signer_of(@iog), WEEK, 1, root(1), 12, 3);
    }

    // ---- R2

    #[test]
    fun r2_the_week_is_over_when_its_last_second_is() {
        let reporter = begin();
        // Monday 2026-11-23: over at the first second of the 30th, day 20,787.
        stage::wait(20_787 * 86_400 - stage::genesis());
        reports::publish(&reporter, WEEK + 7, 1, root(1), 12, 3);
        assert!(reports::latest(WEEK + 7) == 1);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NOT_OVER)]
    fun r2_a_second_earlier_it_is_not() {
        let reporter = begin();
        stage::wait(20_787 * 86_400 - stage::genesis() - 1);
        reports::publish(&reporter, WEEK + 7, 1, root(1), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NOT_OVER)]
    fun r2_a_week_at_the_end_of_numbers_is_not_over() {
        let reporter = begin();
        // The last u64 that is a Monday's number; seven more would not fit.
        reports::publish(&reporter, 18_446_744_073_709_551_615 - 4, 1, root(1), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NOT_MONDAY)]
    fun r2_a_tuesday_names_no_week() {
        reports::publish(&begin(), WEEK + 1, 1, root(1), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NOT_MONDAY)]
    fun r2_a_sunday_names_no_week() {
        reports::publish(&begin(), WEEK - 1, 1, root(1), 12, 3);
    }

    // ---- R3

    #[test]
    fun r3_versions_follow_each_other_and_stay() {
        published();
        assert!(reports::latest(WEEK) == 5);
        assert!(reports::latest(WEEK - 7) == 0);
        let (found, total, owners) = reports::report(WEEK, 4);
        assert!(found == ROOT_OF_THREE && total == 100_250_000_000 && owners == 3);
        let (found, _, owners) = reports::report(WEEK, 5);
        assert!(found == ROOT_OF_FIVE && owners == 5);
    }

    #[test]
    fun r3_each_week_counts_its_own_versions() {
        let reporter = published();
        reports::publish(&reporter, WEEK - 7, 1, root(7), 1, 1);
        assert!(reports::latest(WEEK - 7) == 1 && reports::latest(WEEK) == 5);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_VERSION)]
    fun r3_the_first_version_is_one() {
        reports::publish(&begin(), WEEK, 2, root(1), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_VERSION)]
    fun r3_a_version_is_not_published_twice() {
        let reporter = begin();
        reports::publish(&reporter, WEEK, 1, root(1), 12, 3);
        reports::publish(&reporter, WEEK, 1, root(2), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_VERSION)]
    fun r3_no_version_is_left_out() {
        let reporter = begin();
        reports::publish(&reporter, WEEK, 1, root(1), 12, 3);
        reports::publish(&reporter, WEEK, 3, root(1), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_NO_REPORT)]
    fun r3_what_was_not_published_is_not_there() {
        published();
        reports::report(WEEK, 6);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_BAD_ROOT)]
    fun r3_31_bytes_are_no_root() {
        reports::publish(&begin(), WEEK, 1, stage::bytes(1, 31), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_BAD_ROOT)]
    fun r3_33_bytes_are_no_root() {
        reports::publish(&begin(), WEEK, 1, stage::bytes(1, 33), 12, 3);
    }

    // ---- R4

    #[test]
    fun r4_leaves_of_the_tree_are_verified() {
        published();
        assert!(reports::leaf(WEEK, 5, OWNER, AMOUNT) == LEAF);
        assert!(reports::verify(WEEK, 5, OWNER, AMOUNT, proof()));
        // Carried up unchanged twice: one sibling.
        assert!(
            reports::verify(
                WEEK, 5, LAST_OWNER, 1, vector[x"4e17ca4e86fc5b9132acd35e4e35e8a6818479c4757590ae1dc82c2cef37d442"]
            )
        );
        assert!(
            reports::verify(
                WEEK, 4, LAST_OWNER, 1, vector[x"8255a8a2c565674a60b4603c6604de352b6bc6482e18c50d2007ffd5dde032c4"]
            )
        );
    }

    #[test]
    fun r4_a_single_owner_is_the_root() {
        let reporter = begin();
        reports::publish(&reporter, WEEK, 1, reports::leaf(WEEK, 1, OWNER, 5), 5, 1);
        assert!(reports::verify(WEEK, 1, OWNER, 5, vector[]));
        assert!(!reports::verify(WEEK, 1, OWNER, 6, vector[]));
    }

    #[test]
    fun r4_anything_else_is_not() {
        published();
        assert!(!reports::verify(WEEK, 5, @0xa11cf, AMOUNT, proof()));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT - 1, proof()));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT + 1, proof()));
        assert!(!reports::verify(WEEK, 4, OWNER, AMOUNT, proof()));
        assert!(!reports::verify(WEEK, 6, OWNER, AMOUNT, proof()));
        assert!(!reports::verify(WEEK + 7, 5, OWNER, AMOUNT, proof()));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[]));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[SIBLING, UNCLE]));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[UNCLE, SIBLING, LAST]));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[SIBLING, UNCLE, LAST, LAST]));
    }

    #[test]
    fun r4_siblings_are_32_bytes() {
        published();
        // The same bytes cut elsewhere: one sibling of 33 bytes, one of 31.
        let (longer, shorter) = (SIBLING, UNCLE);
        vector::push_back(&mut longer, shorter[0]);
        vector::remove(&mut shorter, 0);
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[longer, shorter, LAST]));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[stage::bytes(0, 31)]));
        assert!(!reports::verify(WEEK, 5, OWNER, AMOUNT, vector[stage::bytes(0, 33)]));
    }

    #[test]
    fun r4_a_proof_has_64_siblings_at_most() {
        let reporter = begin();
        let at = reports::leaf(WEEK, 1, OWNER, 5);
        let proof = vector[];
        for (i in 0..64) {
            at = reports::node(at, root(1));
            vector::push_back(&mut proof, root(1));
        };
        reports::publish(&reporter, WEEK, 1, at, 5, 1);
        assert!(reports::verify(WEEK, 1, OWNER, 5, proof));
        let at = reports::leaf(WEEK, 2, OWNER, 5);
        for (i in 0..65) at = reports::node(at, root(1));
        vector::push_back(&mut proof, root(1));
        reports::publish(&reporter, WEEK, 2, at, 5, 1);
        assert!(!reports::verify(WEEK, 2, OWNER, 5, proof));
    }

    #[test]
    fun r4_a_node_is_no_leaf_and_children_have_no_order() {
        begin();
        assert!(reports::node(LEAF, SIBLING) == reports::node(SIBLING, LEAF));
        assert!(reports::node(LEAF, LEAF) != reports::node(LEAF, SIBLING));
        // Two children that differ in their last byte alone.
        let (low, high) = (root(5), root(5));
        high[31] = 6;
        assert!(reports::node(low, high) == reports::node(high, low));
        assert!(
            reports::node(low, high) == x"a9d3d4f2ce46c83bd1095eca81451cf43fa4ccec76726890cee969209d80b3a9"
        );
    }

    // ---- R5

    #[test]
    fun r5_a_week_in_which_nobody_earned() {
        let reporter = begin();
        reports::publish(&reporter, WEEK, 1, root(0), 0, 0);
        let (found, total, owners) = reports::report(WEEK, 1);
        assert!(found == root(0) && total == 0 && owners == 0);
        assert!(!reports::verify(WEEK, 1, OWNER, 0, vector[]));
    }

    #[test]
    #[expected_failure(abort_code = reports::E_EMPTY)]
    fun r5_owners_without_a_root_are_refused() {
        reports::publish(&begin(), WEEK, 1, root(0), 12, 3);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_EMPTY)]
    fun r5_a_root_without_owners_is_refused() {
        reports::publish(&begin(), WEEK, 1, root(1), 0, 0);
    }

    #[test]
    #[expected_failure(abort_code = reports::E_EMPTY)]
    fun r5_a_total_without_owners_is_refused() {
        reports::publish(&begin(), WEEK, 1, root(0), 1, 0);
    }
}
