/// Sending APT, as wallets and clients do it.
module aptos_framework::aptos_account {
    use aptos_framework::aptos_coin;
    use aptos_framework::primary_fungible_store;

    public entry fun transfer(source: &signer, to: address, amount: u64) {
        primary_fungible_store::deposit(to, primary_fungible_store::withdraw(source, aptos_coin::metadata(), amount))
    }
}
