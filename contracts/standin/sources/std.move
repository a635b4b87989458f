/// Only what package iog and these modules use.
module std::vector {
    #[bytecode_instruction]
    native public fun empty<Element>(): vector<Element>;

    #[bytecode_instruction]
    native public fun length<Element>(self: &vector<Element>): u64;

    #[bytecode_instruction]
    native public fun borrow<Element>(self: &vector<Element>, i: u64): &Element;

    #[bytecode_instruction]
    native public fun borrow_mut<Element>(self: &mut vector<Element>, i: u64): &mut Element;

    #[bytecode_instruction]
    native public fun push_back<Element>(self: &mut vector<Element>, e: Element);

    #[bytecode_instruction]
    native public fun pop_back<Element>(self: &mut vector<Element>): Element;

    #[bytecode_instruction]
    native public fun destroy_empty<Element>(self: vector<Element>);

    #[bytecode_instruction]
    native public fun swap<Element>(self: &mut vector<Element>, i: u64, j: u64);

    /// The index is out of bounds.
    const EINDEX_OUT_OF_BOUNDS: u64 = 0x20000;

    public fun is_empty<Element>(self: &vector<Element>): bool { length(self) == 0 }

    public fun index_of<Element>(self: &vector<Element>, e: &Element): (bool, u64) {
        for (i in 0..length(self)) {
            if (borrow(self, i) == e) return (true, i);
        };
        (false, 0)
    }

    public fun contains<Element>(self: &vector<Element>, e: &Element): bool {
        let (found, _) = index_of(self, e);
        found
    }

    public fun append<Element>(self: &mut vector<Element>, other: vector<Element>) {
        reverse(&mut other);
        while (!is_empty(&other)) push_back(self, pop_back(&mut other));
        destroy_empty(other);
    }

    public fun reverse<Element>(self: &mut vector<Element>) {
        let (low, high) = (0, length(self));
        while (low + 1 < high) {
            high = high - 1;
            swap(self, low, high);
            low = low + 1;
        };
    }

    public fun remove<Element>(self: &mut vector<Element>, i: u64): Element {
        let last = length(self);
        if (i >= last) abort EINDEX_OUT_OF_BOUNDS;
        for (at in i..(last - 1)) swap(self, at, at + 1);
        pop_back(self)
    }
}

module std::signer {
    native public fun borrow_address(s: &signer): &address;

    public fun address_of(s: &signer): address { *borrow_address(s) }
}

module std::bcs {
    native public fun to_bytes<MoveValue>(v: &MoveValue): vector<u8>;
}

module std::hash {
    native public fun sha2_256(data: vector<u8>): vector<u8>;

    native public fun sha3_256(data: vector<u8>): vector<u8>;
}

module std::error {
    public fun canonical(category: u64, reason: u64): u64 { (category << 16) + reason }

    public fun invalid_argument(r: u64): u64 { canonical(0x1, r) }

    public fun out_of_range(r: u64): u64 { canonical(0x2, r) }

    public fun invalid_state(r: u64): u64 { canonical(0x3, r) }

    public fun permission_denied(r: u64): u64 { canonical(0x5, r) }

    public fun not_found(r: u64): u64 { canonical(0x6, r) }

    public fun already_exists(r: u64): u64 { canonical(0x8, r) }
}

module std::option {
    use std::vector;

    /// The option holds nothing.
    const EOPTION_NOT_SET: u64 = 0x40001;

    /// At most one element.
    struct Option<Element> has copy, drop, store { vec: vector<Element> }

    public fun none<Element>(): Option<Element> { Option { vec: vector[] } }

    public fun some<Element>(e: Element): Option<Element> { Option { vec: vector[e] } }

    public fun is_none<Element>(self: &Option<Element>): bool { vector::is_empty(&self.vec) }

    public fun is_some<Element>(self: &Option<Element>): bool { !vector::is_empty(&self.vec) }

    public fun borrow<Element>(self: &Option<Element>): &Element {
        assert!(is_some(self), EOPTION_NOT_SET);
        vector::borrow(&self.vec, 0)
    }

    public fun destroy_some<Element>(self: Option<Element>): Element {
        assert!(is_some(&self), EOPTION_NOT_SET);
        let Option { vec } = self;
        let element = vector::pop_back(&mut vec);
        vector::destroy_empty(vec);
        element
    }
}

module std::string {
    /// The bytes are not UTF-8.
    const EINVALID_UTF8: u64 = 1;

    struct String has copy, drop, store { bytes: vector<u8> }

    native fun internal_check_utf8(v: &vector<u8>): bool;

    public fun utf8(bytes: vector<u8>): String {
        assert!(internal_check_utf8(&bytes), EINVALID_UTF8);
        String { bytes }
    }

    public fun bytes(self: &String): &vector<u8> { &self.bytes }
}
