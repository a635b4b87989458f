module aptos_std::from_bcs {
    native public(friend) fun from_bytes<T>(bytes: vector<u8>): T;

    public fun to_address(v: vector<u8>): address { from_bytes<address>(v) }
}

module aptos_std::table {
    /// `length` is for the VM's natives, which expect the field.
    struct Table<phantom K: copy + drop, phantom V> has store { handle: address, length: u64 }

    struct Box<V> has key, drop, store { val: V }

    public fun new<K: copy + drop, V: store>(): Table<K, V> {
        Table { handle: new_table_handle<K, V>(), length: 0 }
    }

    public fun add<K: copy + drop, V>(self: &mut Table<K, V>, key: K, val: V) {
        add_box<K, V, Box<V>>(self, key, Box { val })
    }

    public fun borrow<K: copy + drop, V>(self: &Table<K, V>, key: K): &V {
        &borrow_box<K, V, Box<V>>(self, key).val
    }

    public fun borrow_with_default<K: copy + drop, V>(self: &Table<K, V>, key: K, default: &V): &V {
        if (contains(self, copy key)) borrow(self, key) else default
    }

    public fun borrow_mut<K: copy + drop, V>(self: &mut Table<K, V>, key: K): &mut V {
        &mut borrow_box_mut<K, V, Box<V>>(self, key).val
    }

    public fun upsert<K: copy + drop, V: drop>(self: &mut Table<K, V>, key: K, value: V) {
        if (contains(self, copy key)) {
            *borrow_mut(self, key) = value;
        } else {
            add(self, key, value);
        }
    }

    public fun remove<K: copy + drop, V>(self: &mut Table<K, V>, key: K): V {
        let Box { val } = remove_box<K, V, Box<V>>(self, key);
        val
    }

    public fun contains<K: copy + drop, V>(self: &Table<K, V>, key: K): bool {
        contains_box<K, V, Box<V>>(self, key)
    }

    native fun new_table_handle<K, V>(): address;

    native fun add_box<K: copy + drop, V, B>(table: &mut Table<K, V>, key: K, val: Box<V>);

    native fun borrow_box<K: copy + drop, V, B>(table: &Table<K, V>, key: K): &Box<V>;

    native fun borrow_box_mut<K: copy + drop, V, B>(table: &mut Table<K, V>, key: K): &mut Box<V>;

    native fun contains_box<K: copy + drop, V, B>(table: &Table<K, V>, key: K): bool;

    native fun remove_box<K: copy + drop, V, B>(table: &mut Table<K, V>, key: K): Box<V>;
}

module aptos_std::ed25519 {
    use std::error;
    use std::option::{Self, Option};
    use std::vector;

    /// Wrong number of bytes for a public key.
    const E_WRONG_PUBKEY_SIZE: u64 = 1;
    /// Wrong number of bytes for a signature.
    const E_WRONG_SIGNATURE_SIZE: u64 = 2;

    struct UnvalidatedPublicKey has copy, drop, store { bytes: vector<u8> }

    struct ValidatedPublicKey has copy, drop, store { bytes: vector<u8> }

    struct Signature has copy, drop, store { bytes: vector<u8> }

    public fun new_unvalidated_public_key_from_bytes(bytes: vector<u8>): UnvalidatedPublicKey {
        assert!(vector::length(&bytes) == 32, error::invalid_argument(E_WRONG_PUBKEY_SIZE));
        UnvalidatedPublicKey { bytes }
    }

    /// Aptos also tells whether the bytes are a point of the curve; the VM here has no native for that, so only the points of
    /// small order are refused.
    public fun new_validated_public_key_from_bytes(bytes: vector<u8>): Option<ValidatedPublicKey> {
        if (vector::length(&bytes) != 32 || small_order(&bytes)) option::none()
        else option::some(ValidatedPublicKey { bytes })
    }

    public fun new_signature_from_bytes(bytes: vector<u8>): Signature {
        assert!(vector::length(&bytes) == 64, error::invalid_argument(E_WRONG_SIGNATURE_SIZE));
        Signature { bytes }
    }

    public fun validated_public_key_to_bytes(pk: &ValidatedPublicKey): vector<u8> { pk.bytes }

    public fun signature_to_bytes(sig: &Signature): vector<u8> { sig.bytes }

    public fun signature_verify_strict(
        signature: &Signature, public_key: &UnvalidatedPublicKey, message: vector<u8>
    ): bool {
        !small_order(&public_key.bytes) && verify_internal(message, public_key.bytes, signature.bytes)
    }

    /// The eight points whose order divides the cofactor, without the sign of x.
    fun small_order(bytes: &vector<u8>): bool {
        let unsigned = *bytes;
        unsigned[31] = unsigned[31] & 0x7f;
        vector::contains(
            &vector[
                x"0000000000000000000000000000000000000000000000000000000000000000",
                x"0100000000000000000000000000000000000000000000000000000000000000",
                x"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                x"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                x"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
            ],
            &unsigned
        )
    }

    native fun verify_internal(message: vector<u8>, public_key: vector<u8>, signature: vector<u8>): bool;

    #[test_only]
    struct SecretKey has drop { bytes: vector<u8> }

    #[test_only]
    native fun sign(message: vector<u8>, secret_key: vector<u8>): vector<u8>;

    #[test_only]
    /// Always the key pair of RFC 8032, test 1.
    public fun generate_keys(): (SecretKey, ValidatedPublicKey) {
        (
            SecretKey { bytes: x"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60" },
            ValidatedPublicKey { bytes: x"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" }
        )
    }

    #[test_only]
    public fun sign_arbitrary_bytes(sk: &SecretKey, msg: vector<u8>): Signature {
        Signature { bytes: sign(msg, sk.bytes) }
    }
}
