#!/usr/bin/env python3
"""Test vectors that contracts, the Rust crates and anybody else must agree on, computed by nothing of this project.

Only Python's own hashlib, and Ed25519 written from RFC 8032 below (so that no package has to be installed).

    contracts/tests/vectors.py            writes contracts/tests/vectors.json
    contracts/tests/vectors.py --check    fails when that file is not what would be written
"""
import datetime
import hashlib
import json
import pathlib
import sys

# ---- BCS, as far as it is needed ----------------------------------------------------------------------------------


def u8(n):
    return n.to_bytes(1, "little")


def u64(n):
    return n.to_bytes(8, "little")


def address(text):
    return bytes.fromhex(text.removeprefix("0x").rjust(64, "0"))


def show(data):
    return "0x" + data.hex()


def sha3(*parts):
    return hashlib.sha3_256(b"".join(parts)).digest()


# ---- Ed25519 (RFC 8032, section 5.1) ------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e = (y1 - x1) * (y2 - x2) % P
    f = (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1:
        x = P - x
    return x, y, 1, x * y % P


B = base_point()


def compress(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    return ((y * inverse % P) | ((x * inverse % P & 1) << 255)).to_bytes(32, "little")


def expand(secret):
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return scalar, digest[32:]


def public_key(secret):
    return compress(times(expand(secret)[0], B))


def sign(secret, message):
    scalar, prefix = expand(secret)
    public = compress(times(scalar, B))
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = compress(times(r, B))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + k * scalar) % L).to_bytes(32, "little")


# ---- What the contracts define ------------------------------------------------------------------------------------


def leaf(week, version, owner, amount):
    return sha3(b"\x00", u64(week), u64(version), owner, u64(amount))


def node(a, b):
    return sha3(b"\x01", min(a, b), max(a, b))


def levels(leaves):
    rows = [leaves]
    while len(rows[-1]) > 1:
        row = rows[-1]
        rows.append([node(*row[i : i + 2]) if i + 1 < len(row) else row[i] for i in range(0, len(row), 2)])
    return rows


def proof(rows, at):
    siblings = []
    for row in rows[:-1]:
        if at ^ 1 < len(row):
            siblings.append(row[at ^ 1])
        at //= 2
    return siblings


def owner_without_address(user):
    return sha3(b"IOG_OWNER::", user)


def resource_account(source, seed):
    return sha3(source, seed, b"\xff")


def named_object(creator, seed):
    return sha3(creator, seed, b"\xfe")


def user_derived_object(owner, source):
    return sha3(owner, source, b"\xfc")


def report(week, version, lines):
    lines = sorted(lines)
    leaves = [leaf(week, version, owner, amount) for owner, amount in lines]
    rows = levels(leaves) if leaves else [[bytes(32)]]
    return {
        "week": week,
        "version": version,
        "root": show(rows[-1][0]),
        "total": sum(amount for _, amount in lines),
        "owners": len(lines),
        "lines": [
            {
                "owner": show(owner),
                "amount": amount,
                "leaf": show(leaves[i]),
                "proof": [show(sibling) for sibling in proof(rows, i)],
            }
            for i, (owner, amount) in enumerate(lines)
        ],
    }


def uleb(n):
    out = b""
    while n > 127:
        out += u8(n & 127 | 128)
        n >>= 7
    return out + u8(n)


def byte_vector(data):
    return uleb(len(data)) + data


def vectors():
    # RFC 8032, test 1: if this fails, nothing below means anything.
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(secret).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert sign(secret, b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")

    monday = (datetime.date(2026, 11, 16) - datetime.date(1970, 1, 1)).days
    users = [bytes([n]) * 16 for n in range(1, 6)]
    owners = [owner_without_address(user) for user in users[:2]] + [address(a) for a in ("0xb0b", "0xa11ce", "0x7")]
    amounts = [1, 250_000_000, 99_999_999_999, 18_446_744_073_709_551_615 // 4, 42]
    lines = list(zip(owners, amounts))

    iog, renter, number, payee, cumulative = address("0xcafe"), address("0xb0b"), 7, address("0xa11ce"), 1_234_567_890
    metadata = named_object(iog, b"IO")
    escrow = resource_account(iog, b"IOG_ESCROW")
    channel = named_object(escrow, renter + u64(number))
    voucher = b"IOG_VOUCHER_V1::" + u8(4) + channel + payee + u64(cumulative)
    package = byte_vector(b"metadata") + uleb(2) + byte_vector(b"one") + byte_vector(b"two")
    a, b = leaf(monday, 1, *lines[0]), leaf(monday, 1, *lines[1])
    return {
        "comment": "Written by vectors.py beside this file; amounts are base units, 1 IO = 10^8 of them.",
        "leaf": {
            "week": monday,
            "version": 1,
            "owner": show(owners[2]),
            "amount": amounts[2],
            "hash": show(leaf(monday, 1, owners[2], amounts[2])),
        },
        "node": {"a": show(a), "b": show(b), "hash": show(node(a, b))},
        "reports": [report(monday, version, lines[:count]) for version, count in enumerate((0, 1, 2, 3, 5), 1)],
        "owner_without_address": {"user": users[0].hex(), "owner": show(owners[0])},
        "addresses": {
            "iog": show(iog),
            "metadata": show(metadata),
            "vesting": show(resource_account(iog, b"IOG_VESTING")),
            "vault": show(resource_account(iog, b"IOG_VAULT")),
            "keeper": show(resource_account(iog, b"IOG_KEEPER")),
            "escrow": show(escrow),
            "renter": show(renter),
            "number": number,
            "channel": show(channel),
            "renter_store": show(user_derived_object(renter, metadata)),
        },
        # Where `0x1::object_code_deployment::publish` puts the first package of this publisher.
        "code_object": {
            "publisher": show(address("0xd0")),
            "address": show(
                named_object(address("0xd0"), byte_vector(b"aptos_framework::object_code_deployment") + u64(1))
            ),
        },
        "voucher": {
            "secret_key": show(secret),
            "voucher_key": show(public_key(secret)),
            "chain_id": 4,
            "channel": show(channel),
            "payee": show(payee),
            "cumulative": cumulative,
            "bytes": show(voucher),
            "signature": show(sign(secret, voucher)),
        },
        "package_hash": {
            "metadata": show(b"metadata"),
            "code": [show(b"one"), show(b"two")],
            "hash": show(sha3(package)),
        },
    }


def main():
    path = pathlib.Path(__file__).with_name("vectors.json")
    text = json.dumps(vectors(), indent=2) + "\n"
    if "--check" in sys.argv:
        if not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is not what vectors.py computes: run it without --check and look at the difference")
    else:
        path.write_text(text)


main()
