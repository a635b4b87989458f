/// The weekly earnings report: the Merkle root of what each owner earned in a closed week, and the check of one owner's line.
/// Amounts are base units, 1 IO = 10^8 of them. A week is named by its Monday, as days since 1970-01-01 (UTC).
///
/// Requirements
/// R1.  Only a reporter publishes.
/// R2.  Only a week that is over by the chain's clock is published, named by a Monday.
/// R3.  Versions of a week are 1, 2, 3 and so on; what was published is never changed or removed.
/// R4.  `verify` is true exactly for the leaves of the published tree: another owner, amount, week, version or proof is false.
/// R5.  The report of a week in which nobody earned has no owners, no total, and a root of 32 zero bytes.
///
/// Leaf: sha3_256(0x00 || bcs(week: u64) || bcs(version: u64) || bcs(owner: address) || bcs(amount: u64)), in the order of owners.
/// Node: sha3_256(0x01 || lesser || greater) of its two children compared as bytes; a node without a sibling is carried up unchanged.
/// An owner is a payout address, or for owners without one sha3_256(b"IOG_OWNER::" || the account's 16 bytes).
module iog::reports {
    use std::bcs;
    use std::hash;
    use std::signer;
    use std::vector;
    use aptos_std::table::{Self, Table};
    use aptos_framework::event;
    use aptos_framework::timestamp;
    use iog::roles;

    /// The caller is not a reporter.
    const E_NOT_REPORTER: u64 = 1;
    /// The day is not a Monday.
    const E_NOT_MONDAY: u64 = 2;
    /// The week is not over.
    const E_NOT_OVER: u64 = 3;
    /// The version is not the one after the last.
    const E_VERSION: u64 = 4;
    /// The root is not 32 bytes long.
    const E_BAD_ROOT: u64 = 5;
    /// A report without owners has a total or a root, or one with owners has no root.
    const E_EMPTY: u64 = 6;
    /// There is no such report.
    const E_NO_REPORT: u64 = 7;

    const DAY_S: u64 = 86_400;
    const WEEK_DAYS: u64 = 7;
    /// 1970-01-01 was a Thursday, the first Monday was day 4.
    const FIRST_MONDAY: u64 = 4;
    const ROOT_BYTES: u64 = 32;
    /// No tree of owners is as high as this.
    const PROOF_MAX: u64 = 64;
    const NO_ROOT: vector<u8> = x"0000000000000000000000000000000000000000000000000000000000000000";

    struct Reports has key {
        /// The last version of each week.
        versions: Table<u64, u64>,
        reports: Table<Name, Report>
    }

    struct Name has copy, drop { week: u64, version: u64 }

    struct Report has copy, drop, store { root: vector<u8>, total: u64, owners: u64 }

    #[event]
    /// A report was published: `total` base units over `owners` leaves.
    struct Published has drop, store {
        reporter: address,
        week: u64,
        version: u64,
        root: vector<u8>,
        total: u64,
        owners: u64
    }

    fun init_module(publisher: &signer) {
        roles::ensure(publisher);
        move_to(publisher, Reports { versions: table::new(), reports: table::new() });
    }

    /// Publishes version `version` of the report of the week that began on Monday `week`.
    /// Aborts with E_NOT_REPORTER, E_NOT_MONDAY, E_NOT_OVER, E_VERSION, E_BAD_ROOT, E_EMPTY.
    public entry fun publish(
        reporter: &signer, week: u64, version: u64, root: vector<u8>, total: u64, owners: u64
    ) acquires Reports {
        let by = signer::address_of(reporter);
        assert!(roles::is_reporter(by), E_NOT_REPORTER);
        assert!(week % WEEK_DAYS == FIRST_MONDAY, E_NOT_MONDAY);
        let today = timestamp::now_seconds() / DAY_S;
        // In this order because a far week plus seven days does not fit in 64 bits.
        assert!(week < today && week + WEEK_DAYS <= today, E_NOT_OVER);
        assert!(version == latest(week) + 1, E_VERSION);
        assert!(vector::length(&root) == ROOT_BYTES, E_BAD_ROOT);
        assert!((owners == 0) == (root == NO_ROOT), E_EMPTY);
        assert!(owners > 0 || total == 0, E_EMPTY);

        let state = borrow_global_mut<Reports>(@iog);
        table::upsert(&mut state.versions, week, version);
        table::add(&mut state.reports, Name { week, version }, Report { root, total, owners });
        event::emit(Published { reporter: by, week, version, root, total, owners });
    }

    // ---- Views -----------------------------------------------------------------------------------------------------------

    #[view]
    /// The last version published of a week; 0 when there is none.
    public fun latest(week: u64): u64 acquires Reports {
        *table::borrow_with_default(&borrow_global<Reports>(@iog).versions, week, &0)
    }

    #[view]
    /// A report: root, base units in all, leaves.
    /// Aborts with E_NO_REPORT.
    public fun report(week: u64, version: u64): (vector<u8>, u64, u64) acquires Reports {
        let name = Name { week, version };
        let reports = &borrow_global<Reports>(@iog).reports;
        assert!(table::contains(reports, name), E_NO_REPORT);
        let report = table::borrow(reports, name);
        (report.root, report.total, report.owners)
    }

    #[view]
    /// Whether that report holds exactly `amount` base units for `owner`. `proof`: the siblings from the leaf to the root.
    /// False, never an abort, for a report that is not there.
    public fun verify(
        week: u64, version: u64, owner: address, amount: u64, proof: vector<vector<u8>>
    ): bool acquires Reports {
        let name = Name { week, version };
        let reports = &borrow_global<Reports>(@iog).reports;
        if (!table::contains(reports, name)) return false;
        if (vector::length(&proof) > PROOF_MAX) return false;
        let at = leaf(week, version, owner, amount);
        for (height in 0..vector::length(&proof)) {
            if (vector::length(&proof[height]) != ROOT_BYTES) return false;
            at = node(at, proof[height]);
        };
        at == table::borrow(reports, name).root
    }

    #[view]
    /// The leaf of one owner's line.
    public fun leaf(week: u64, version: u64, owner: address, amount: u64): vector<u8> {
        let bytes = vector[0u8];
        vector::append(&mut bytes, bcs::to_bytes(&week));
        vector::append(&mut bytes, bcs::to_bytes(&version));
        vector::append(&mut bytes, bcs::to_bytes(&owner));
        vector::append(&mut bytes, bcs::to_bytes(&amount));
        hash::sha3_256(bytes)
    }

    #[view]
    /// The parent of two nodes of 32 bytes.
    public fun node(a: vector<u8>, b: vector<u8>): vector<u8> {
        let bytes = vector[1u8];
        let (lesser, greater) = if (before(&a, &b)) (a, b) else (b, a);
        vector::append(&mut bytes, lesser);
        vector::append(&mut bytes, greater);
        hash::sha3_256(bytes)
    }

    /// Whether `a` comes before `b` as bytes; both are 32 bytes long.
    fun before(a: &vector<u8>, b: &vector<u8>): bool {
        for (i in 0..ROOT_BYTES) {
            if (a[i] != b[i]) return a[i] < b[i];
        };
        false
    }

    #[test_only]
    public fun init_for_test(publisher: &signer) { init_module(publisher) }
}
