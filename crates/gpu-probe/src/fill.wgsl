// The blocks of crates/proof/src/fill.rs, one for each thread. Word w of the buffer's block b stands at w * count + b, so that threads side by
// side touch memory side by side.

struct Params {
    key: vec4<u32>,
    // The number of the buffer's first block, how many it holds, and which pass this is.
    first: u32,
    count: u32,
    turn: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> memory: array<u32>;

const WORDS: u32 = 4096u;

@compute @workgroup_size(64)
fn begin(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.x;
    if block >= params.count {
        return;
    }
    var before = scramble((params.first + block) ^ params.key.x) + params.key.y;
    for (var at = 0u; at < WORDS; at++) {
        before = scramble((before + at * 0x9e3779b9u) ^ params.key.z);
        memory[at * params.count + block] = before;
    }
}

@compute @workgroup_size(64)
fn go_over(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.x;
    if block >= params.count {
        return;
    }
    var before = memory[(WORDS - 1u) * params.count + block];
    for (var at = 0u; at < WORDS; at++) {
        let step = params.turn * WORDS + at;
        let one = scramble(step ^ params.key.w) % WORDS;
        let other = scramble(step + params.key.z) % WORDS;
        let place = at * params.count + block;
        var x = scramble(before ^ memory[place]);
        x = scramble(x + memory[one * params.count + block]);
        x = scramble(x ^ memory[other * params.count + block]);
        memory[place] = x;
        before = x;
    }
}
