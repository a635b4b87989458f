/// Objects and fungible assets.
module aptos_framework::object {
    use std::bcs;
    use std::error;
    use std::hash;
    use std::signer;
    use std::vector;
    use aptos_std::from_bcs;
    use aptos_framework::account;
    use aptos_framework::event;

    friend aptos_framework::primary_fungible_store;

    /// There is an object at that address already.
    const EOBJECT_EXISTS: u64 = 1;
    /// There is no object at that address.
    const EOBJECT_DOES_NOT_EXIST: u64 = 2;
    /// The caller does not own the object.
    const ENOT_OBJECT_OWNER: u64 = 4;
    /// Objects own each other too deep.
    const EMAXIMUM_NESTING: u64 = 6;
    /// The object holds no such resource.
    const ERESOURCE_DOES_NOT_EXIST: u64 = 7;

    const NESTING_MAX: u64 = 8;
    const DERIVED: u8 = 0xFC;
    const NAMED: u8 = 0xFE;

    struct ObjectGroup {}

    struct ObjectCore has key { owner: address }

    struct Object<phantom T> has copy, drop, store { inner: address }

    struct ConstructorRef has drop { self: address }

    struct ExtendRef has drop, store { self: address }

    #[event]
    struct Transfer has drop, store { object: address, from: address, to: address }

    native fun exists_at<T: key>(object: address): bool;

    public fun create_object_address(source: &address, seed: vector<u8>): address {
        derive(bcs::to_bytes(source), seed, NAMED)
    }

    public fun create_user_derived_object_address(source: address, derive_from: address): address {
        derive(bcs::to_bytes(&source), bcs::to_bytes(&derive_from), DERIVED)
    }

    fun derive(bytes: vector<u8>, seed: vector<u8>, scheme: u8): address {
        vector::append(&mut bytes, seed);
        vector::push_back(&mut bytes, scheme);
        from_bcs::to_address(hash::sha3_256(bytes))
    }

    public fun create_named_object(creator: &signer, seed: vector<u8>): ConstructorRef {
        let owner = signer::address_of(creator);
        create(owner, create_object_address(&owner, seed))
    }

    public(friend) fun create_user_derived_object(owner: address, derive_from: address): ConstructorRef {
        create(owner, create_user_derived_object_address(owner, derive_from))
    }

    fun create(owner: address, at: address): ConstructorRef {
        assert!(!exists<ObjectCore>(at), error::already_exists(EOBJECT_EXISTS));
        move_to(&account::create_signer(at), ObjectCore { owner });
        ConstructorRef { self: at }
    }

    public fun generate_signer(ref: &ConstructorRef): signer { account::create_signer(ref.self) }

    public fun generate_extend_ref(ref: &ConstructorRef): ExtendRef { ExtendRef { self: ref.self } }

    public fun generate_signer_for_extending(ref: &ExtendRef): signer { account::create_signer(ref.self) }

    public fun object_from_constructor_ref<T: key>(ref: &ConstructorRef): Object<T> {
        address_to_object<T>(ref.self)
    }

    public fun address_to_object<T: key>(object: address): Object<T> {
        assert!(is_object(object), error::not_found(EOBJECT_DOES_NOT_EXIST));
        assert!(exists_at<T>(object), error::not_found(ERESOURCE_DOES_NOT_EXIST));
        Object<T> { inner: object }
    }

    public fun object_address<T: key>(object: &Object<T>): address { object.inner }

    public fun is_object(object: address): bool { exists<ObjectCore>(object) }

    public fun object_exists<T: key>(object: address): bool { is_object(object) && exists_at<T>(object) }

    public fun convert<X: key, Y: key>(object: Object<X>): Object<Y> { address_to_object<Y>(object.inner) }

    #[view]
    public fun owner<T: key>(object: Object<T>): address acquires ObjectCore {
        borrow_global<ObjectCore>(object.inner).owner
    }

    #[view]
    public fun is_owner<T: key>(object: Object<T>, owner: address): bool acquires ObjectCore {
        owner(object) == owner
    }

    #[view]
    /// Directly, or through objects that own each other.
    public fun owns<T: key>(object: Object<T>, owner: address): bool acquires ObjectCore {
        let at = object.inner;
        let count = 0;
        while (at != owner) {
            if (!is_object(at)) return false;
            count = count + 1;
            assert!(count <= NESTING_MAX, error::out_of_range(EMAXIMUM_NESTING));
            at = borrow_global<ObjectCore>(at).owner;
        };
        true
    }

    public entry fun transfer<T: key>(owner: &signer, object: Object<T>, to: address) acquires ObjectCore {
        assert!(owns(object, signer::address_of(owner)), error::permission_denied(ENOT_OBJECT_OWNER));
        let core = borrow_global_mut<ObjectCore>(object.inner);
        let from = core.owner;
        core.owner = to;
        event::emit(Transfer { object: object.inner, from, to });
    }

    #[test_only]
    public fun object_at_for_test(owner: address, at: address): ConstructorRef { create(owner, at) }
}

module aptos_framework::fungible_asset {
    use std::error;
    use std::option::{Self, Option};
    use std::signer;
    use std::string::String;
    use aptos_framework::event;
    use aptos_framework::object::{Self, ConstructorRef, Object};

    /// The reference belongs to another asset.
    const EMINT_REF_AND_STORE_MISMATCH: u64 = 7;
    /// The store is frozen.
    const ESTORE_IS_FROZEN: u64 = 3;
    /// The store holds less.
    const EINSUFFICIENT_BALANCE: u64 = 4;
    /// The maximum would be passed.
    const EMAX_SUPPLY_EXCEEDED: u64 = 5;
    /// The store is one of another asset.
    const EFUNGIBLE_ASSET_AND_STORE_MISMATCH: u64 = 11;
    /// The caller does not own the store.
    const ENOT_STORE_OWNER: u64 = 8;
    /// The asset to destroy is not empty.
    const EAMOUNT_IS_NOT_ZERO: u64 = 12;

    struct Metadata has copy, drop, key {
        name: String,
        symbol: String,
        decimals: u8,
        icon_uri: String,
        project_uri: String
    }

    struct Supply has key { current: u128, maximum: Option<u128> }

    struct FungibleStore has key { metadata: Object<Metadata>, balance: u64, frozen: bool }

    struct FungibleAsset { metadata: Object<Metadata>, amount: u64 }

    struct MintRef has drop, store { metadata: Object<Metadata> }

    struct TransferRef has drop, store { metadata: Object<Metadata> }

    #[event]
    struct Deposit has drop, store { store: address, amount: u64 }

    #[event]
    struct Withdraw has drop, store { store: address, amount: u64 }

    #[event]
    struct Frozen has drop, store { store: address, frozen: bool }

    public fun add_fungibility(
        constructor_ref: &ConstructorRef,
        maximum_supply: Option<u128>,
        name: String,
        symbol: String,
        decimals: u8,
        icon_uri: String,
        project_uri: String
    ): Object<Metadata> {
        let signer = object::generate_signer(constructor_ref);
        move_to(&signer, Metadata { name, symbol, decimals, icon_uri, project_uri });
        move_to(&signer, Supply { current: 0, maximum: maximum_supply });
        object::object_from_constructor_ref<Metadata>(constructor_ref)
    }

    public fun generate_mint_ref(constructor_ref: &ConstructorRef): MintRef {
        MintRef { metadata: object::object_from_constructor_ref<Metadata>(constructor_ref) }
    }

    public fun generate_transfer_ref(constructor_ref: &ConstructorRef): TransferRef {
        TransferRef { metadata: object::object_from_constructor_ref<Metadata>(constructor_ref) }
    }

    public fun create_store<T: key>(constructor_ref: &ConstructorRef, metadata: Object<T>): Object<FungibleStore> {
        let metadata = object::convert<T, Metadata>(metadata);
        move_to(
            &object::generate_signer(constructor_ref),
            FungibleStore { metadata, balance: 0, frozen: false }
        );
        object::object_from_constructor_ref<FungibleStore>(constructor_ref)
    }

    #[view]
    public fun name<T: key>(metadata: Object<T>): String acquires Metadata {
        borrow_global<Metadata>(object::object_address(&metadata)).name
    }

    #[view]
    public fun symbol<T: key>(metadata: Object<T>): String acquires Metadata {
        borrow_global<Metadata>(object::object_address(&metadata)).symbol
    }

    #[view]
    public fun decimals<T: key>(metadata: Object<T>): u8 acquires Metadata {
        borrow_global<Metadata>(object::object_address(&metadata)).decimals
    }

    #[view]
    public fun supply<T: key>(metadata: Object<T>): Option<u128> acquires Supply {
        option::some(borrow_global<Supply>(object::object_address(&metadata)).current)
    }

    #[view]
    public fun maximum<T: key>(metadata: Object<T>): Option<u128> acquires Supply {
        borrow_global<Supply>(object::object_address(&metadata)).maximum
    }

    #[view]
    public fun balance<T: key>(store: Object<T>): u64 acquires FungibleStore {
        borrow_global<FungibleStore>(object::object_address(&store)).balance
    }

    #[view]
    public fun is_frozen<T: key>(store: Object<T>): bool acquires FungibleStore {
        borrow_global<FungibleStore>(object::object_address(&store)).frozen
    }

    public fun metadata_from_asset(fa: &FungibleAsset): Object<Metadata> { fa.metadata }

    public fun amount(fa: &FungibleAsset): u64 { fa.amount }

    public fun mint(ref: &MintRef, amount: u64): FungibleAsset acquires Supply {
        let supply = borrow_global_mut<Supply>(object::object_address(&ref.metadata));
        if (option::is_some(&supply.maximum)) {
            assert!(
                *option::borrow(&supply.maximum) - supply.current >= (amount as u128),
                error::out_of_range(EMAX_SUPPLY_EXCEEDED)
            );
        };
        supply.current = supply.current + (amount as u128);
        FungibleAsset { metadata: ref.metadata, amount }
    }

    public fun extract(fungible_asset: &mut FungibleAsset, amount: u64): FungibleAsset {
        assert!(fungible_asset.amount >= amount, error::invalid_argument(EINSUFFICIENT_BALANCE));
        fungible_asset.amount = fungible_asset.amount - amount;
        FungibleAsset { metadata: fungible_asset.metadata, amount }
    }

    public fun destroy_zero(fungible_asset: FungibleAsset) {
        let FungibleAsset { metadata: _, amount } = fungible_asset;
        assert!(amount == 0, error::invalid_argument(EAMOUNT_IS_NOT_ZERO));
    }

    public fun set_frozen_flag<T: key>(ref: &TransferRef, store: Object<T>, frozen: bool) acquires FungibleStore {
        let at = object::object_address(&store);
        let state = borrow_global_mut<FungibleStore>(at);
        assert!(ref.metadata == state.metadata, error::invalid_argument(EMINT_REF_AND_STORE_MISMATCH));
        state.frozen = frozen;
        event::emit(Frozen { store: at, frozen });
    }

    public fun withdraw<T: key>(owner: &signer, store: Object<T>, amount: u64): FungibleAsset acquires FungibleStore {
        assert!(
            object::owns(store, signer::address_of(owner)),
            error::permission_denied(ENOT_STORE_OWNER)
        );
        let at = object::object_address(&store);
        let state = borrow_global_mut<FungibleStore>(at);
        assert!(!state.frozen, error::permission_denied(ESTORE_IS_FROZEN));
        assert!(state.balance >= amount, error::invalid_argument(EINSUFFICIENT_BALANCE));
        state.balance = state.balance - amount;
        if (amount > 0) event::emit(Withdraw { store: at, amount });
        FungibleAsset { metadata: state.metadata, amount }
    }

    public fun deposit<T: key>(store: Object<T>, fa: FungibleAsset) acquires FungibleStore {
        let FungibleAsset { metadata, amount } = fa;
        let at = object::object_address(&store);
        let state = borrow_global_mut<FungibleStore>(at);
        assert!(state.metadata == metadata, error::invalid_argument(EFUNGIBLE_ASSET_AND_STORE_MISMATCH));
        assert!(!state.frozen, error::permission_denied(ESTORE_IS_FROZEN));
        state.balance = state.balance + amount;
        if (amount > 0) event::emit(Deposit { store: at, amount });
    }

    public entry fun transfer<T: key>(sender: &signer, from: Object<T>, to: Object<T>, amount: u64) acquires FungibleStore {
        let asset = withdraw(sender, from, amount);
        deposit(to, asset);
    }
}

module aptos_framework::primary_fungible_store {
    use std::option::Option;
    use std::signer;
    use std::string::String;
    use aptos_framework::fungible_asset::{Self, FungibleAsset, FungibleStore, MintRef};
    use aptos_framework::object::{Self, ConstructorRef, Object};

    public fun create_primary_store_enabled_fungible_asset(
        constructor_ref: &ConstructorRef,
        maximum_supply: Option<u128>,
        name: String,
        symbol: String,
        decimals: u8,
        icon_uri: String,
        project_uri: String
    ) {
        fungible_asset::add_fungibility(
            constructor_ref, maximum_supply, name, symbol, decimals, icon_uri, project_uri
        );
    }

    #[view]
    public fun primary_store_address<T: key>(owner: address, metadata: Object<T>): address {
        object::create_user_derived_object_address(owner, object::object_address(&metadata))
    }

    #[view]
    public fun primary_store_exists<T: key>(account: address, metadata: Object<T>): bool {
        object::object_exists<FungibleStore>(primary_store_address(account, metadata))
    }

    #[view]
    public fun primary_store<T: key>(owner: address, metadata: Object<T>): Object<FungibleStore> {
        object::address_to_object<FungibleStore>(primary_store_address(owner, metadata))
    }

    public fun ensure_primary_store_exists<T: key>(owner: address, metadata: Object<T>): Object<FungibleStore> {
        if (primary_store_exists(owner, metadata)) primary_store(owner, metadata)
        else {
            let object = object::create_user_derived_object(owner, object::object_address(&metadata));
            fungible_asset::create_store(&object, metadata)
        }
    }

    #[view]
    public fun balance<T: key>(account: address, metadata: Object<T>): u64 {
        if (primary_store_exists(account, metadata)) fungible_asset::balance(primary_store(account, metadata)) else 0
    }

    #[view]
    public fun is_frozen<T: key>(account: address, metadata: Object<T>): bool {
        primary_store_exists(account, metadata) && fungible_asset::is_frozen(primary_store(account, metadata))
    }

    public fun mint(mint_ref: &MintRef, owner: address, amount: u64) {
        deposit(owner, fungible_asset::mint(mint_ref, amount));
    }

    /// As on Aptos, the store must be there, even when nothing is taken.
    public fun withdraw<T: key>(owner: &signer, metadata: Object<T>, amount: u64): FungibleAsset {
        fungible_asset::withdraw(owner, primary_store(signer::address_of(owner), metadata), amount)
    }

    public fun deposit(owner: address, fa: FungibleAsset) {
        let store = ensure_primary_store_exists(owner, fungible_asset::metadata_from_asset(&fa));
        fungible_asset::deposit(store, fa);
    }

    public entry fun transfer<T: key>(sender: &signer, metadata: Object<T>, recipient: address, amount: u64) {
        let asset = withdraw(sender, metadata, amount);
        deposit(recipient, asset);
    }
}
