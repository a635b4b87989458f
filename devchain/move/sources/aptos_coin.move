/// APT of the development chain: a fungible asset that the chain's faucet mints and that nothing is charged in.
module aptos_framework::aptos_coin {
    use std::option;
    use std::signer;
    use std::string;
    use aptos_framework::fungible_asset::{Self, Metadata, MintRef};
    use aptos_framework::object::{Self, Object};
    use aptos_framework::primary_fungible_store;


    const SEED: vector<u8> = b"APT";
    /// Only the development account, which is the faucet's, mints.
    const E_NOT_FAUCET: u64 = 1;

    struct AptosCoin has key {}
    struct Mint has key { mint: MintRef }

    fun init_module(framework: &signer) {
        let constructor = &object::create_named_object(framework, SEED);
        primary_fungible_store::create_primary_store_enabled_fungible_asset(
            constructor, option::none(), string::utf8(b"Aptos Coin"), string::utf8(b"APT"), 8,
            string::utf8(b""), string::utf8(b"")
        );
        move_to(framework, Mint { mint: fungible_asset::generate_mint_ref(constructor) });
    }

    #[view]
    public fun metadata(): Object<Metadata> {
        object::address_to_object<Metadata>(object::create_object_address(&@aptos_framework, SEED))
    }

    public entry fun mint(faucet: &signer, to: address, amount: u64) acquires Mint {
        assert!(signer::address_of(faucet) == @devchain_faucet, E_NOT_FAUCET);
        primary_fungible_store::mint(&borrow_global<Mint>(@aptos_framework).mint, to, amount);
    }
}
