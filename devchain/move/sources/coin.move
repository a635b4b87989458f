/// The one question about coins that clients ask: how much APT somebody has. The type is not looked at; there is no other coin.
module aptos_framework::coin {
    use aptos_framework::aptos_coin;
    use aptos_framework::primary_fungible_store;

    #[view]
    public fun balance<CoinType>(owner: address): u64 { primary_fungible_store::balance(owner, aptos_coin::metadata()) }
}
