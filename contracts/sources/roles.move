/// Who may do what: one administrator, a guardian, the settlers who pay out and the reporters who publish, the emergency
/// stop, and the rule by which this package may be changed.
///
/// Requirements
/// R1.  Until it is handed over, the administrator is the account that published the package.
/// R2.  The administrator changes in two steps: the present one proposes, the proposed one accepts; no other account can do either.
/// R3.  Settlers and reporters are sets of at most 16 accounts each, changed by the administrator alone.
/// R4.  The guardian or the administrator pauses; only the administrator resumes.
/// R5.  An upgrade is announced by the hash of the whole package and cannot be carried out earlier than 604,800 s (7 days) later.
/// R6.  Only the announced package can be published; the announcement is used up by it.
/// R7.  The administrator can cancel an announced upgrade, and one upgrade at most is announced at a time.
/// R8.  Upgrades need the package's code object to belong to the keeper, an account that only this module can act for; from then on
///      nobody can change the package in another way, and `sealed` says so.
module iog::roles {
    use std::bcs;
    use std::hash;
    use std::signer;
    use std::vector;
    use aptos_framework::account::{Self, SignerCapability};
    use aptos_framework::code::PackageRegistry;
    use aptos_framework::event;
    use aptos_framework::object::{Self, ObjectCore};
    use aptos_framework::object_code_deployment;
    use aptos_framework::timestamp;

    /// The caller is not the administrator.
    const E_NOT_ADMIN: u64 = 1;
    /// The caller is not the account that was proposed as the next administrator.
    const E_NOT_PROPOSED: u64 = 2;
    /// The caller is neither the guardian nor the administrator.
    const E_NOT_GUARDIAN: u64 = 3;
    /// The account has that role already.
    const E_HAS_ROLE: u64 = 4;
    /// The account does not have that role.
    const E_HAS_NOT_ROLE: u64 = 5;
    /// The set holds 16 accounts already.
    const E_TOO_MANY: u64 = 6;
    /// The announced hash is not 32 bytes long.
    const E_BAD_HASH: u64 = 7;
    /// An upgrade is announced already: cancel it first.
    const E_UPGRADE_PENDING: u64 = 8;
    /// No upgrade is announced.
    const E_NO_UPGRADE: u64 = 9;
    /// Seven days have not passed since the announcement.
    const E_TOO_EARLY: u64 = 10;
    /// The package is not the one whose hash was announced.
    const E_OTHER_PACKAGE: u64 = 11;
    /// The package's code object does not belong to the keeper yet.
    const E_NOT_SEALED: u64 = 12;

    /// Seconds between the announcement of an upgrade and the first moment it may be carried out: 7 days.
    const UPGRADE_DELAY_S: u64 = 604_800;
    /// Accounts a set of settlers or reporters may hold.
    const SET_MAX: u64 = 16;
    const KEEPER_SEED: vector<u8> = b"IOG_KEEPER";

    struct Roles has key {
        admin: address,
        /// Equal to `admin` while nobody is proposed.
        proposed: address,
        guardian: address,
        settlers: vector<address>,
        reporters: vector<address>,
        paused: bool,
        /// Empty while no upgrade is announced.
        upgrade_hash: vector<u8>,
        /// Seconds since 1970 from which the announced upgrade may be carried out; 0 while none is.
        upgrade_from: u64,
        keeper: SignerCapability
    }

    #[event]
    /// An account was proposed as the next administrator; the present one again withdraws the proposal.
    struct AdminProposed has drop, store { admin: address, proposed: address }

    #[event]
    /// The administrator changed.
    struct AdminChanged has drop, store { from: address, to: address }

    #[event]
    /// The guardian changed.
    struct GuardianChanged has drop, store { from: address, to: address }

    #[event]
    /// A settler was added (`member`) or removed.
    struct SettlerChanged has drop, store { who: address, member: bool }

    #[event]
    /// A reporter was added (`member`) or removed.
    struct ReporterChanged has drop, store { who: address, member: bool }

    #[event]
    /// Settlement and deposits were stopped or resumed.
    struct PauseChanged has drop, store { by: address, paused: bool }

    #[event]
    /// An upgrade was announced: `hash` as `package_hash` computes it, `from` in seconds since 1970.
    struct UpgradeAnnounced has drop, store { hash: vector<u8>, from: u64 }

    #[event]
    /// An announced upgrade was withdrawn.
    struct UpgradeCancelled has drop, store { hash: vector<u8> }

    #[event]
    /// The announced package was published.
    struct Upgraded has drop, store { hash: vector<u8> }

    fun init_module(publisher: &signer) {
        ensure(publisher);
    }

    /// Sets the roles up unless that is done. The chain starts the modules of a package in an order that this package does not
    /// rely on: each module asks those that it needs.
    package fun ensure(publisher: &signer) {
        if (exists<Roles>(@iog)) return;
        // Published into an object (`aptos move deploy-object`), the package's address has an owner: the account that published it.
        let admin =
            if (object::is_object(@iog)) object::owner(object::address_to_object<ObjectCore>(@iog))
            else @iog;
        let (_, keeper) = account::create_resource_account(publisher, KEEPER_SEED);
        move_to(
            publisher,
            Roles {
                admin,
                proposed: admin,
                guardian: admin,
                settlers: vector[],
                reporters: vector[],
                paused: false,
                upgrade_hash: vector[],
                upgrade_from: 0,
                keeper
            }
        );
    }

    // ---- Views -----------------------------------------------------------------------------------------------------------

    #[view]
    /// The administrator.
    public fun admin(): address acquires Roles { borrow_global<Roles>(@iog).admin }

    #[view]
    /// The account that may accept the administration; the administrator itself while nobody is proposed.
    public fun proposed_admin(): address acquires Roles { borrow_global<Roles>(@iog).proposed }

    #[view]
    /// The guardian.
    public fun guardian(): address acquires Roles { borrow_global<Roles>(@iog).guardian }

    #[view]
    /// Whether `who` may pay batches out.
    public fun is_settler(who: address): bool acquires Roles {
        vector::contains(&borrow_global<Roles>(@iog).settlers, &who)
    }

    #[view]
    /// All settlers, in the order of their appointment.
    public fun settlers(): vector<address> acquires Roles { borrow_global<Roles>(@iog).settlers }

    #[view]
    /// Whether `who` may publish weekly reports.
    public fun is_reporter(who: address): bool acquires Roles {
        vector::contains(&borrow_global<Roles>(@iog).reporters, &who)
    }

    #[view]
    /// All reporters, in the order of their appointment.
    public fun reporters(): vector<address> acquires Roles { borrow_global<Roles>(@iog).reporters }

    #[view]
    /// Whether settlement and deposits are stopped.
    public fun paused(): bool acquires Roles { borrow_global<Roles>(@iog).paused }

    #[view]
    /// The announced upgrade: the package's hash and the second since 1970 from which it may be carried out. Nothing announced:
    /// no bytes and 0.
    public fun pending_upgrade(): (vector<u8>, u64) acquires Roles {
        let roles = borrow_global<Roles>(@iog);
        (roles.upgrade_hash, roles.upgrade_from)
    }

    #[view]
    /// The hash by which a package is announced: SHA3-256 over BCS of its metadata and of its modules, as `upgrade` takes them.
    public fun package_hash(metadata: vector<u8>, code: vector<vector<u8>>): vector<u8> {
        let bytes = bcs::to_bytes(&metadata);
        vector::append(&mut bytes, bcs::to_bytes(&code));
        hash::sha3_256(bytes)
    }

    #[view]
    /// The account that the package's code object is given to, so that only an announced upgrade can change it.
    public fun keeper(): address acquires Roles {
        account::get_signer_capability_address(&borrow_global<Roles>(@iog).keeper)
    }

    #[view]
    /// Whether the upgrade rule holds: the package lives in an object and that object belongs to the keeper.
    public fun sealed(): bool acquires Roles {
        object::is_object(@iog) && object::is_owner(object::address_to_object<ObjectCore>(@iog), keeper())
    }

    // ---- Administration --------------------------------------------------------------------------------------------------

    /// Proposes the next administrator; proposing oneself withdraws an open proposal.
    /// Aborts with E_NOT_ADMIN.
    public entry fun propose_admin(admin: &signer, to: address) acquires Roles {
        let roles = of_admin(admin);
        roles.proposed = to;
        event::emit(AdminProposed { admin: roles.admin, proposed: to });
    }

    /// Takes the administration over.
    /// Aborts with E_NOT_PROPOSED.
    public entry fun accept_admin(proposed: &signer) acquires Roles {
        let to = signer::address_of(proposed);
        let roles = borrow_global_mut<Roles>(@iog);
        assert!(to == roles.proposed && to != roles.admin, E_NOT_PROPOSED);
        let from = roles.admin;
        roles.admin = to;
        event::emit(AdminChanged { from, to });
    }

    /// Appoints the guardian, who may stop settlement and deposits and nothing else.
    /// Aborts with E_NOT_ADMIN.
    public entry fun set_guardian(admin: &signer, to: address) acquires Roles {
        let roles = of_admin(admin);
        let from = roles.guardian;
        roles.guardian = to;
        event::emit(GuardianChanged { from, to });
    }

    /// Lets `who` pay batches out of the vault.
    /// Aborts with E_NOT_ADMIN, E_HAS_ROLE, E_TOO_MANY.
    public entry fun add_settler(admin: &signer, who: address) acquires Roles {
        add(&mut of_admin(admin).settlers, who);
        event::emit(SettlerChanged { who, member: true });
    }

    /// Takes that right away at once.
    /// Aborts with E_NOT_ADMIN, E_HAS_NOT_ROLE.
    public entry fun remove_settler(admin: &signer, who: address) acquires Roles {
        remove(&mut of_admin(admin).settlers, who);
        event::emit(SettlerChanged { who, member: false });
    }

    /// Lets `who` publish weekly reports.
    /// Aborts with E_NOT_ADMIN, E_HAS_ROLE, E_TOO_MANY.
    public entry fun add_reporter(admin: &signer, who: address) acquires Roles {
        add(&mut of_admin(admin).reporters, who);
        event::emit(ReporterChanged { who, member: true });
    }

    /// Takes that right away at once.
    /// Aborts with E_NOT_ADMIN, E_HAS_NOT_ROLE.
    public entry fun remove_reporter(admin: &signer, who: address) acquires Roles {
        remove(&mut of_admin(admin).reporters, who);
        event::emit(ReporterChanged { who, member: false });
    }

    /// Stops settlement and deposits. What people hold in channels and what is vested can still be taken out.
    /// Aborts with E_NOT_GUARDIAN.
    public entry fun pause(guardian: &signer) acquires Roles {
        let by = signer::address_of(guardian);
        let roles = borrow_global_mut<Roles>(@iog);
        assert!(by == roles.guardian || by == roles.admin, E_NOT_GUARDIAN);
        roles.paused = true;
        event::emit(PauseChanged { by, paused: true });
    }

    /// Ends the stop.
    /// Aborts with E_NOT_ADMIN.
    public entry fun resume(admin: &signer) acquires Roles {
        let roles = of_admin(admin);
        roles.paused = false;
        event::emit(PauseChanged { by: roles.admin, paused: false });
    }

    // ---- Upgrades --------------------------------------------------------------------------------------------------------

    /// Announces an upgrade to the package with this `hash` (32 bytes, see `package_hash`).
    /// Aborts with E_NOT_ADMIN, E_BAD_HASH, E_UPGRADE_PENDING.
    public entry fun announce_upgrade(admin: &signer, hash: vector<u8>) acquires Roles {
        let roles = of_admin(admin);
        assert!(vector::length(&hash) == 32, E_BAD_HASH);
        assert!(roles.upgrade_from == 0, E_UPGRADE_PENDING);
        let from = timestamp::now_seconds() + UPGRADE_DELAY_S;
        roles.upgrade_hash = hash;
        roles.upgrade_from = from;
        event::emit(UpgradeAnnounced { hash, from });
    }

    /// Withdraws the announced upgrade.
    /// Aborts with E_NOT_ADMIN, E_NO_UPGRADE.
    public entry fun cancel_upgrade(admin: &signer) acquires Roles {
        let hash = take_upgrade(of_admin(admin));
        event::emit(UpgradeCancelled { hash });
    }

    /// Publishes the announced package over this one: `metadata` and `code` as the Aptos CLI builds them for publishing. The chain
    /// itself refuses what is not compatible with the package that is there.
    /// Aborts with E_NOT_ADMIN, E_NO_UPGRADE, E_TOO_EARLY, E_OTHER_PACKAGE, E_NOT_SEALED.
    public entry fun upgrade(admin: &signer, metadata: vector<u8>, code: vector<vector<u8>>) acquires Roles {
        let roles = of_admin(admin);
        let from = roles.upgrade_from;
        let hash = take_upgrade(roles);
        assert!(timestamp::now_seconds() >= from, E_TOO_EARLY);
        assert!(package_hash(metadata, code) == hash, E_OTHER_PACKAGE);
        assert!(sealed(), E_NOT_SEALED);
        let keeper = account::create_signer_with_capability(&borrow_global<Roles>(@iog).keeper);
        object_code_deployment::upgrade(
            &keeper, metadata, code, object::address_to_object<PackageRegistry>(@iog)
        );
        event::emit(Upgraded { hash });
    }

    // ---- Inside ----------------------------------------------------------------------------------------------------------

    inline fun of_admin(caller: &signer): &mut Roles {
        let roles = borrow_global_mut<Roles>(@iog);
        assert!(signer::address_of(caller) == roles.admin, E_NOT_ADMIN);
        roles
    }

    fun add(set: &mut vector<address>, who: address) {
        assert!(!vector::contains(set, &who), E_HAS_ROLE);
        assert!(vector::length(set) < SET_MAX, E_TOO_MANY);
        vector::push_back(set, who);
    }

    fun remove(set: &mut vector<address>, who: address) {
        let (found, at) = vector::index_of(set, &who);
        assert!(found, E_HAS_NOT_ROLE);
        vector::remove(set, at);
    }

    fun take_upgrade(roles: &mut Roles): vector<u8> {
        assert!(roles.upgrade_from != 0, E_NO_UPGRADE);
        let hash = roles.upgrade_hash;
        roles.upgrade_hash = vector[];
        roles.upgrade_from = 0;
        hash
    }

    #[test_only]
    public fun init_for_test(publisher: &signer) { init_module(publisher) }
}
