#[test_only]
module iog::roles_tests {
    use std::vector;
    use aptos_framework::account;
    use aptos_framework::code;
    use aptos_framework::event;
    use aptos_framework::object::{Self, ObjectCore};
    use aptos_framework::object_code_deployment;
    use aptos_framework::timestamp;
    use iog::roles;
    use iog::stage;

    const METADATA: vector<u8> = b"metadata";

    // The events' fields: equal in BCS to the events themselves.
    struct Proposed has drop { admin: address, proposed: address }

    struct Moved has drop { from: address, to: address }

    struct Member has drop { who: address, member: bool }

    struct Announced has drop { hash: vector<u8>, from: u64 }

    struct Hash has drop { hash: vector<u8> }

    fun member(n: u64): address {
        let bytes = stage::bytes(0, 31);
        vector::push_back(&mut bytes, (n as u8));
        aptos_std::from_bcs::to_address(bytes)
    }

    /// Any package, and its hash computed outside (Python's hashlib).
    fun announced(): vector<u8> { roles::package_hash(METADATA, vector[b"one", b"two"]) }

    // ---- R1

    #[test]
    fun r1_published_at_an_account_that_account_is_administrator() {
        stage::begin();
        assert!(roles::admin() == @iog);
        assert!(roles::guardian() == @iog);
        assert!(roles::proposed_admin() == @iog);
        assert!(!roles::paused());
        assert!(roles::settlers() == vector[]);
        assert!(roles::reporters() == vector[]);
        assert!(!roles::sealed());
    }

    #[test]
    fun r1_published_into_an_object_its_owner_is_administrator() {
        let publisher = stage::clock();
        object_code_deployment::code_object_for_test(&stage::signer_of(@0xd0), @iog);
        roles::init_for_test(&publisher);
        assert!(roles::admin() == @0xd0);
        assert!(roles::guardian() == @0xd0);
    }

    #[test]
    fun r1_setting_up_twice_changes_nothing() {
        let admin = stage::begin();
        roles::set_guardian(&admin, @0x9);
        roles::init_for_test(&admin);
        assert!(roles::guardian() == @0x9);
    }

    // ---- R2

    #[test]
    fun r2_administration_is_handed_over_in_two_steps() {
        let admin = stage::begin();
        roles::propose_admin(&admin, @0xa);
        assert!(roles::admin() == @iog);
        assert!(roles::proposed_admin() == @0xa);
        assert!(stage::same(event::emitted_events<roles::AdminProposed>(), vector[Proposed { admin: @iog, proposed: @0xa }]));
        roles::accept_admin(&stage::signer_of(@0xa));
        assert!(roles::admin() == @0xa);
        assert!(stage::same(event::emitted_events<roles::AdminChanged>(), vector[Moved { from: @iog, to: @0xa }]));
        roles::set_guardian(&stage::signer_of(@0xa), @0x9);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r2_the_old_administrator_has_no_power_left() {
        let admin = stage::begin();
        roles::propose_admin(&admin, @0xa);
        roles::accept_admin(&stage::signer_of(@0xa));
        roles::set_guardian(&admin, @0x9);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r2_a_stranger_proposes_nobody() {
        stage::begin();
        roles::propose_admin(&stage::signer_of(@0xa), @0xa);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_PROPOSED)]
    fun r2_a_stranger_accepts_nothing() {
        let admin = stage::begin();
        roles::propose_admin(&admin, @0xa);
        roles::accept_admin(&stage::signer_of(@0xb));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_PROPOSED)]
    fun r2_a_withdrawn_proposal_is_not_accepted() {
        let admin = stage::begin();
        roles::propose_admin(&admin, @0xa);
        roles::propose_admin(&admin, @iog);
        roles::accept_admin(&stage::signer_of(@0xa));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_PROPOSED)]
    fun r2_the_administrator_has_nothing_to_accept() {
        roles::accept_admin(&stage::begin());
    }

    // ---- R3

    #[test]
    fun r3_settlers_and_reporters_come_and_go() {
        let admin = stage::begin();
        roles::add_settler(&admin, @0xa);
        roles::add_settler(&admin, @0xb);
        roles::add_reporter(&admin, @0xc);
        assert!(roles::is_settler(@0xa) && roles::is_settler(@0xb) && !roles::is_settler(@0xc));
        assert!(roles::is_reporter(@0xc) && !roles::is_reporter(@0xa));
        roles::remove_settler(&admin, @0xa);
        assert!(roles::settlers() == vector[@0xb]);
        roles::remove_reporter(&admin, @0xc);
        assert!(roles::reporters() == vector[]);
        assert!(
            stage::same(event::emitted_events<roles::SettlerChanged>(), vector[
                    Member { who: @0xa, member: true },
                    Member { who: @0xb, member: true },
                    Member { who: @0xa, member: false }
                ])
        );
        assert!(
            stage::same(event::emitted_events<roles::ReporterChanged>(), vector[Member { who: @0xc, member: true }, Member { who: @0xc, member: false }])
        );
    }

    #[test]
    fun r3_sixteen_settlers_have_room() {
        let admin = stage::begin();
        for (n in 1..17) roles::add_settler(&admin, member(n));
        assert!(vector::length(&roles::settlers()) == 16);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_TOO_MANY)]
    fun r3_a_seventeenth_reporter_has_none() {
        let admin = stage::begin();
        for (n in 1..18) roles::add_reporter(&admin, member(n));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_HAS_ROLE)]
    fun r3_nobody_is_settler_twice() {
        let admin = stage::begin();
        roles::add_settler(&admin, @0xa);
        roles::add_settler(&admin, @0xa);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_HAS_NOT_ROLE)]
    fun r3_who_is_no_settler_is_not_removed() {
        let admin = stage::begin();
        roles::add_settler(&admin, @0xa);
        roles::remove_settler(&admin, @0xb);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r3_a_stranger_adds_no_settler() {
        stage::begin();
        roles::add_settler(&stage::signer_of(@0xa), @0xa);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r3_a_settler_removes_no_settler() {
        let admin = stage::begin();
        roles::add_settler(&admin, @0xa);
        roles::remove_settler(&stage::signer_of(@0xa), @0xa);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r3_a_stranger_adds_no_reporter() {
        stage::begin();
        roles::add_reporter(&stage::signer_of(@0xa), @0xa);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r3_a_reporter_removes_no_reporter() {
        let admin = stage::begin();
        roles::add_reporter(&admin, @0xa);
        roles::remove_reporter(&stage::signer_of(@0xa), @0xa);
    }

    // ---- R4

    #[test]
    fun r4_guardian_and_administrator_pause_and_the_administrator_resumes() {
        let admin = stage::begin();
        roles::set_guardian(&admin, @0x9);
        assert!(stage::same(event::emitted_events<roles::GuardianChanged>(), vector[Moved { from: @iog, to: @0x9 }]));
        roles::pause(&stage::signer_of(@0x9));
        assert!(roles::paused());
        roles::resume(&admin);
        assert!(!roles::paused());
        roles::pause(&admin);
        assert!(roles::paused());
        assert!(
            stage::same(event::emitted_events<roles::PauseChanged>(), vector[
                    Member { who: @0x9, member: true },
                    Member { who: @iog, member: false },
                    Member { who: @iog, member: true }
                ])
        );
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_GUARDIAN)]
    fun r4_a_stranger_pauses_nothing() {
        stage::begin();
        roles::pause(&stage::signer_of(@0xa));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r4_the_guardian_does_not_resume() {
        let admin = stage::begin();
        roles::set_guardian(&admin, @0x9);
        roles::pause(&stage::signer_of(@0x9));
        roles::resume(&stage::signer_of(@0x9));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r4_the_guardian_appoints_nobody() {
        let admin = stage::begin();
        roles::set_guardian(&admin, @0x9);
        roles::set_guardian(&stage::signer_of(@0x9), @0xa);
    }

    // ---- R5 to R8

    /// The package in a code object that belongs to the keeper, so that only `upgrade` can change it.
    fun sealed_stage(): signer {
        let publisher = stage::clock();
        let owner = stage::signer_of(@0xd0);
        object_code_deployment::code_object_for_test(&owner, @iog);
        roles::init_for_test(&publisher);
        object::transfer(&owner, object::address_to_object<ObjectCore>(@iog), roles::keeper());
        owner
    }

    #[test]
    fun r5_r6_the_announced_package_is_published_after_seven_days_once() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        let from = stage::genesis() + 604_800;
        let hash = roles::package_hash(METADATA, vector[]);
        let (pending, pending_from) = roles::pending_upgrade();
        assert!(pending == hash && pending_from == from);
        stage::wait(604_800);
        roles::upgrade(&admin, METADATA, vector[]);
        assert!(code::upgrades_for_test(@iog) == 1);
        let (pending, pending_from) = roles::pending_upgrade();
        assert!(pending == b"" && pending_from == 0);
        assert!(stage::same(event::emitted_events<roles::UpgradeAnnounced>(), vector[Announced { hash, from }]));
        assert!(stage::same(event::emitted_events<roles::Upgraded>(), vector[Hash { hash }]));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_TOO_EARLY)]
    fun r5_a_second_before_seven_days_is_too_early() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        stage::wait(604_799);
        roles::upgrade(&admin, METADATA, vector[]);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_BAD_HASH)]
    fun r5_a_hash_of_31_bytes_is_none() {
        roles::announce_upgrade(&stage::begin(), stage::bytes(1, 31));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_BAD_HASH)]
    fun r5_a_hash_of_33_bytes_is_none() {
        roles::announce_upgrade(&stage::begin(), stage::bytes(1, 33));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r5_a_stranger_announces_nothing() {
        stage::begin();
        roles::announce_upgrade(&stage::signer_of(@0xa), announced());
    }

    #[test]
    #[expected_failure(abort_code = roles::E_OTHER_PACKAGE)]
    fun r6_another_package_is_refused() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        stage::wait(604_800);
        roles::upgrade(&admin, METADATA, vector[b"two"]);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NO_UPGRADE)]
    fun r6_an_announcement_is_used_up() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        stage::wait(604_800);
        roles::upgrade(&admin, METADATA, vector[]);
        roles::upgrade(&admin, METADATA, vector[]);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r6_a_stranger_publishes_nothing() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        stage::wait(604_800);
        roles::upgrade(&stage::signer_of(@0xa), METADATA, vector[]);
    }

    #[test]
    fun r6_the_hash_is_the_one_computed_outside() {
        assert!(announced() == x"5ec7610f3bf63224eb3583182c1122fc17919cea3420733071b69e3cfa33c6e1");
        // Moving a byte from one part to the next gives another hash.
        assert!(announced() != roles::package_hash(METADATA, vector[b"onet", b"wo"]));
        assert!(announced() != roles::package_hash(b"metadat", vector[b"aone", b"two"]));
    }

    #[test]
    fun r7_a_cancelled_upgrade_makes_room_for_another() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, announced());
        roles::cancel_upgrade(&admin);
        assert!(stage::same(event::emitted_events<roles::UpgradeCancelled>(), vector[Hash { hash: announced() }]));
        let (pending, from) = roles::pending_upgrade();
        assert!(pending == b"" && from == 0);
        stage::wait(5);
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        let (_, from) = roles::pending_upgrade();
        assert!(from == timestamp::now_seconds() + 604_800);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NO_UPGRADE)]
    fun r7_a_cancelled_upgrade_is_not_published() {
        let admin = sealed_stage();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        roles::cancel_upgrade(&admin);
        stage::wait(604_800);
        roles::upgrade(&admin, METADATA, vector[]);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_UPGRADE_PENDING)]
    fun r7_one_upgrade_is_announced_at_a_time() {
        let admin = stage::begin();
        roles::announce_upgrade(&admin, announced());
        roles::announce_upgrade(&admin, announced());
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NO_UPGRADE)]
    fun r7_nothing_announced_nothing_to_cancel() {
        roles::cancel_upgrade(&stage::begin());
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_ADMIN)]
    fun r7_a_stranger_cancels_nothing() {
        let admin = stage::begin();
        roles::announce_upgrade(&admin, announced());
        roles::cancel_upgrade(&stage::signer_of(@0xa));
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_SEALED)]
    fun r8_at_an_account_there_is_no_upgrade_by_this_module() {
        let admin = stage::begin();
        roles::announce_upgrade(&admin, roles::package_hash(METADATA, vector[]));
        stage::wait(604_800);
        roles::upgrade(&admin, METADATA, vector[]);
    }

    #[test]
    #[expected_failure(abort_code = roles::E_NOT_SEALED)]
    fun r8_a_code_object_of_somebody_is_not_sealed() {
        let publisher = stage::clock();
        let owner = stage::signer_of(@0xd0);
        object_code_deployment::code_object_for_test(&owner, @iog);
        roles::init_for_test(&publisher);
        assert!(!roles::sealed());
        roles::announce_upgrade(&owner, roles::package_hash(METADATA, vector[]));
        stage::wait(604_800);
        roles::upgrade(&owner, METADATA, vector[]);
    }

    #[test]
    fun r8_sealed_says_so_and_the_keeper_is_nobodys() {
        sealed_stage();
        assert!(roles::sealed());
        assert!(roles::keeper() == account::create_resource_address(&@iog, b"IOG_KEEPER"));
    }

    #[test]
    #[expected_failure(abort_code = 327682, location = aptos_framework::object_code_deployment)]
    fun r8_once_sealed_the_publisher_cannot_publish_over_it() {
        let owner = sealed_stage();
        object_code_deployment::upgrade(
            &owner, METADATA, vector[], object::address_to_object<code::PackageRegistry>(@iog)
        );
    }
}
