// The words of crates/proof/src/key.rs.

fn scramble(value: u32) -> u32 {
    var x = value;
    x ^= x >> 16u;
    x *= 0x7feb352du;
    x ^= x >> 15u;
    x *= 0x846ca68bu;
    return x ^ (x >> 16u);
}

fn word(key: vec4<u32>, row: u32, column: u32) -> u32 {
    let start = scramble(scramble(row ^ key.x) + key.y);
    return scramble(scramble((start + column) ^ key.z) + key.w);
}
