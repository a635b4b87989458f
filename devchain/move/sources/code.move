/// Publishing, as far as the development chain needs it: the entry function has Aptos's name and arguments, the metadata is
/// taken and ignored, and the VM checks compatibility with what was published before.
module aptos_framework::code {
    use std::signer;
    use std::string::String;

    /// As on Aptos: public functions and layouts of resources must stay.
    const COMPATIBLE: u8 = 1;

    public entry fun publish_package_txn(owner: &signer, _metadata_serialized: vector<u8>, code: vector<vector<u8>>) {
        request_publish(signer::address_of(owner), code, COMPATIBLE)
    }

    /// The VM calls this when the first modules are published; nobody is excluded from publishing here.
    entry fun init_genesis(_framework: &signer, _modules: vector<String>, _allowed: vector<address>) {}

    /// The VM asks whether these modules may be published over these dependencies; all may.
    fun verify_publish_request(
        _publisher: &signer, _modules: vector<String>, _addresses: vector<vector<address>>, _dependencies: vector<vector<String>>,
        _policy: u8
    ) {}

    native fun request_publish(owner: address, bundle: vector<vector<u8>>, policy: u8);
}
