// The trees of crates/proof/src/tree.rs: SHA-256 over the answers of 64 blocks behind a zero byte, over two hashes behind a one byte. A hash is
// eight words, each as SHA-256 has it; the levels stand one behind the other, the leaves first.

struct Level {
    // Leaves: how many answers there are. Pairs: where the level below begins and how many it has.
    below: u32,
    below_count: u32,
    first: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> level: Level;
@group(0) @binding(1) var<storage, read_write> answers: array<u32>;
@group(0) @binding(2) var<storage, read_write> hashes: array<u32>;

const GROUP: u32 = 64u;

var<private> rounds: array<u32, 64> = array<u32, 64>(
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u
);
// What is hashed, in words whose first byte is the highest.
var<private> message: array<u32, 64>;
var<private> state: array<u32, 8>;

fn turned(x: u32, by: u32) -> u32 {
    return (x >> by) | (x << (32u - by));
}

fn swapped(x: u32) -> u32 {
    return (x << 24u) | ((x & 0xff00u) << 8u) | ((x >> 8u) & 0xff00u) | (x >> 24u);
}

// One word of the message, and the mark of its end behind it.
fn piece(n: u32, many: u32) -> u32 {
    if n < many {
        return message[n];
    }
    return select(0u, 0x80000000u, n == many);
}

// Hashes so many words of the message behind one byte.
fn hash(prefix: u32, many: u32) {
    state = array<u32, 8>(
        0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u
    );
    let bytes = 1u + 4u * many;
    let turns = (bytes + 72u) / 64u;
    var before = prefix;
    for (var turn = 0u; turn < turns; turn++) {
        var w: array<u32, 16>;
        for (var n = 0u; n < 16u; n++) {
            let own = piece(turn * 16u + n, many);
            w[n] = (before << 24u) | (own >> 8u);
            before = own;
        }
        if turn + 1u == turns {
            w[15] = bytes * 8u;
        }
        var a = state[0];
        var b = state[1];
        var c = state[2];
        var d = state[3];
        var e = state[4];
        var f = state[5];
        var g = state[6];
        var h = state[7];
        for (var t = 0u; t < 64u; t++) {
            let at = t % 16u;
            if t >= 16u {
                let x = w[(t + 1u) % 16u];
                let y = w[(t + 14u) % 16u];
                w[at] += (turned(x, 7u) ^ turned(x, 18u) ^ (x >> 3u)) + w[(t + 9u) % 16u]
                    + (turned(y, 17u) ^ turned(y, 19u) ^ (y >> 10u));
            }
            let one = h + (turned(e, 6u) ^ turned(e, 11u) ^ turned(e, 25u)) + ((e & f) ^ (~e & g)) + rounds[t] + w[at];
            let two = (turned(a, 2u) ^ turned(a, 13u) ^ turned(a, 22u)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g;
            g = f;
            f = e;
            e = d + one;
            d = c;
            c = b;
            b = a;
            a = one + two;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

fn keep(own: u32) {
    for (var n = 0u; n < 8u; n++) {
        hashes[(level.first + own) * 8u + n] = state[n];
    }
}

@compute @workgroup_size(64)
fn leaves(@builtin(global_invocation_id) id: vec3<u32>) {
    let own = id.x;
    if own >= level.count {
        return;
    }
    let first = own * GROUP;
    let many = min(GROUP, level.below_count - first);
    for (var n = 0u; n < many; n++) {
        message[n] = swapped(answers[first + n]);
    }
    hash(0u, many);
    keep(own);
}

@compute @workgroup_size(64)
fn pairs(@builtin(global_invocation_id) id: vec3<u32>) {
    let own = id.x;
    if own >= level.count {
        return;
    }
    let left = (level.below + 2u * own) * 8u;
    // One that is left over goes up as it is.
    if 2u * own + 1u == level.below_count {
        for (var n = 0u; n < 8u; n++) {
            state[n] = hashes[left + n];
        }
    } else {
        for (var n = 0u; n < 16u; n++) {
            message[n] = hashes[left + n];
        }
        hash(1u, 16u);
    }
    keep(own);
}
