/// The chain itself: accounts, time, its number, events, published code.
module aptos_framework::account {
    use std::bcs;
    use std::error;
    use std::hash;
    use std::signer;
    use std::vector;
    use aptos_std::from_bcs;

    friend aptos_framework::object;

    /// There is an account at that address already.
    const EACCOUNT_ALREADY_EXISTS: u64 = 1;

    const RESOURCE_ACCOUNT: u8 = 255;

    struct Account has key, store { sequence_number: u64 }

    struct SignerCapability has drop, store { account: address }

    #[view]
    public fun exists_at(addr: address): bool { exists<Account>(addr) }

    public fun create_resource_address(source: &address, seed: vector<u8>): address {
        let bytes = bcs::to_bytes(source);
        vector::append(&mut bytes, seed);
        vector::push_back(&mut bytes, RESOURCE_ACCOUNT);
        from_bcs::to_address(hash::sha3_256(bytes))
    }

    public fun create_resource_account(source: &signer, seed: vector<u8>): (signer, SignerCapability) {
        let account = create_resource_address(&signer::address_of(source), seed);
        assert!(!exists_at(account), error::already_exists(EACCOUNT_ALREADY_EXISTS));
        let signer = create_signer(account);
        move_to(&signer, Account { sequence_number: 0 });
        (signer, SignerCapability { account })
    }

    public fun create_signer_with_capability(capability: &SignerCapability): signer {
        create_signer(capability.account)
    }

    public fun get_signer_capability_address(capability: &SignerCapability): address { capability.account }

    native public(friend) fun create_signer(addr: address): signer;

    #[test_only]
    public fun create_account_for_test(new_address: address): signer {
        let signer = create_signer(new_address);
        if (!exists_at(new_address)) move_to(&signer, Account { sequence_number: 0 });
        signer
    }
}

module aptos_framework::timestamp {
    /// Whoever runs the VM writes this before each transaction.
    struct CurrentTimeMicroseconds has key { microseconds: u64 }

    #[view]
    public fun now_microseconds(): u64 acquires CurrentTimeMicroseconds {
        borrow_global<CurrentTimeMicroseconds>(@aptos_framework).microseconds
    }

    #[view]
    public fun now_seconds(): u64 acquires CurrentTimeMicroseconds { now_microseconds() / 1_000_000 }

    #[test_only]
    public fun set_time_has_started_for_testing(aptos_framework: &signer) {
        if (!exists<CurrentTimeMicroseconds>(@aptos_framework)) {
            move_to(aptos_framework, CurrentTimeMicroseconds { microseconds: 0 });
        }
    }

    #[test_only]
    public fun update_global_time_for_test_secs(timestamp_seconds: u64) acquires CurrentTimeMicroseconds {
        borrow_global_mut<CurrentTimeMicroseconds>(@aptos_framework).microseconds = timestamp_seconds * 1_000_000;
    }

    #[test_only]
    public fun fast_forward_seconds(timestamp_seconds: u64) acquires CurrentTimeMicroseconds {
        update_global_time_for_test_secs(now_seconds() + timestamp_seconds);
    }
}

module aptos_framework::chain_id {
    /// Whoever runs the VM writes this before the first transaction.
    struct ChainId has key { id: u8 }

    #[view]
    public fun get(): u8 acquires ChainId { borrow_global<ChainId>(@aptos_framework).id }

    #[test_only]
    public fun initialize_for_test(aptos_framework: &signer, id: u8) {
        if (!exists<ChainId>(@aptos_framework)) move_to(aptos_framework, ChainId { id });
    }
}

module aptos_framework::event {
    public fun emit<T: store + drop>(msg: T) { emit_event<T>(&msg) }

    native fun emit_event<T: drop>(msg: &T);

    #[test_only]
    native public fun emitted_events<T: drop>(): vector<T>;
}

module aptos_framework::code {
    use std::signer;
    use std::string::String;

    /// As on Aptos: public functions and the layouts of resources must stay.
    const COMPATIBLE: u8 = 1;

    /// Says that code was published at an address. Of Aptos's own, which lists the packages, only the name is here.
    struct PackageRegistry has key, drop, store { upgrades: u64 }

    /// The metadata is taken and ignored; the VM itself checks compatibility with what was published before.
    public entry fun publish_package_txn(
        owner: &signer, _metadata_serialized: vector<u8>, code: vector<vector<u8>>
    ) acquires PackageRegistry {
        let at = signer::address_of(owner);
        if (exists<PackageRegistry>(at)) {
            let registry = borrow_global_mut<PackageRegistry>(at);
            registry.upgrades = registry.upgrades + 1;
        } else {
            move_to(owner, PackageRegistry { upgrades: 0 });
        };
        request_publish(at, code, COMPATIBLE);
    }

    /// The VM calls this when the first modules are published; nobody is excluded from publishing here.
    entry fun init_genesis(_framework: &signer, _modules: vector<String>, _allowed: vector<address>) {}

    /// The VM asks whether these modules may be published over these dependencies; all may.
    fun verify_publish_request(
        _publisher: &signer,
        _modules: vector<String>,
        _addresses: vector<vector<address>>,
        _dependencies: vector<vector<String>>,
        _policy: u8
    ) {}

    native fun request_publish(owner: address, bundle: vector<vector<u8>>, policy: u8);

    #[test_only]
    /// As if a package had been published at the address.
    public fun register_for_test(owner: &signer) { move_to(owner, PackageRegistry { upgrades: 0 }) }

    #[test_only]
    /// How often the package at an address was published over itself.
    public fun upgrades_for_test(at: address): u64 acquires PackageRegistry {
        borrow_global<PackageRegistry>(at).upgrades
    }
}

module aptos_framework::object_code_deployment {
    use std::bcs;
    use std::error;
    use std::signer;
    use std::vector;
    use aptos_framework::code::{Self, PackageRegistry};
    use aptos_framework::object::{Self, ExtendRef, Object};

    /// The caller does not own the code object.
    const ENOT_CODE_OBJECT_OWNER: u64 = 2;
    /// The code object was not made by this module.
    const ECODE_OBJECT_DOES_NOT_EXIST: u64 = 3;

    const DOMAIN: vector<u8> = b"aptos_framework::object_code_deployment";

    struct ManagingRefs has key { extend_ref: ExtendRef }

    /// On Aptos the object's name has the publisher's next sequence number in it; here it is always the first transaction's.
    public entry fun publish(publisher: &signer, metadata_serialized: vector<u8>, code: vector<vector<u8>>) {
        let seed = bcs::to_bytes(&DOMAIN);
        vector::append(&mut seed, bcs::to_bytes(&1u64));
        let object = object::create_named_object(publisher, seed);
        let signer = object::generate_signer(&object);
        code::publish_package_txn(&signer, metadata_serialized, code);
        move_to(&signer, ManagingRefs { extend_ref: object::generate_extend_ref(&object) });
    }

    public entry fun upgrade(
        publisher: &signer,
        metadata_serialized: vector<u8>,
        code: vector<vector<u8>>,
        code_object: Object<PackageRegistry>
    ) acquires ManagingRefs {
        assert!(
            object::is_owner(code_object, signer::address_of(publisher)),
            error::permission_denied(ENOT_CODE_OBJECT_OWNER)
        );
        let at = object::object_address(&code_object);
        assert!(exists<ManagingRefs>(at), error::not_found(ECODE_OBJECT_DOES_NOT_EXIST));
        let signer = object::generate_signer_for_extending(&borrow_global<ManagingRefs>(at).extend_ref);
        code::publish_package_txn(&signer, metadata_serialized, code);
    }

    #[test_only]
    /// A code object of `owner` at a given address, as if a package had been published there.
    public fun code_object_for_test(owner: &signer, at: address) {
        let object = object::object_at_for_test(signer::address_of(owner), at);
        let signer = object::generate_signer(&object);
        code::register_for_test(&signer);
        move_to(&signer, ManagingRefs { extend_ref: object::generate_extend_ref(&object) });
    }
}
