// The sweeps of crates/proof/src/sweep.rs over the blocks of fill.wgsl. A block is folded by 8 threads, so that many loads are under way at the same
// time; threads side by side read words side by side.

@group(0) @binding(0) var<uniform> key: vec4<u32>;
// The number of the buffer's first block, and how many it holds.
@group(0) @binding(1) var<uniform> chunk: vec4<u32>;
@group(0) @binding(2) var<storage, read> memory: array<u32>;
@group(0) @binding(3) var<storage, read_write> answers: array<u32>;

const PARTS: u32 = 8u;
const PART_WORDS: u32 = 512u;
const SIDE: u32 = 32u;

var<workgroup> parts: array<u32, 256>;

fn step(state: u32, word: u32) -> u32 {
    let turned = state ^ word;
    return ((turned << 13u) | (turned >> 19u)) * (key.z | 1u) + key.w;
}

@compute @workgroup_size(32, 8)
fn fold(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let count = chunk.y;
    let block = group.x * SIDE + local.x;
    let number = chunk.x + block;
    var state = word(key, number, local.y);
    if block < count {
        var place = local.y * PART_WORDS * count + block;
        for (var n = 0u; n < PART_WORDS; n += 8u) {
            // Loaded before they are needed: none waits for the one before.
            let a = memory[place];
            let b = memory[place + count];
            let c = memory[place + 2u * count];
            let d = memory[place + 3u * count];
            let e = memory[place + 4u * count];
            let f = memory[place + 5u * count];
            let g = memory[place + 6u * count];
            let h = memory[place + 7u * count];
            state = step(step(step(step(state, a), b), c), d);
            state = step(step(step(step(state, e), f), g), h);
            place += 8u * count;
        }
    }
    parts[local.y * SIDE + local.x] = state;
    workgroupBarrier();
    if local.y == 0u && block < count {
        var whole = word(key, number, PARTS);
        for (var part = 0u; part < PARTS; part++) {
            whole = step(whole, parts[part * SIDE + local.x]);
        }
        answers[number] = whole;
    }
}
