// The matrices of crates/proof/src/product.rs. A group of 256 threads makes 64 x 64 numbers, each thread 4 x 4 of them.

struct Params {
    key: vec4<u32>,
    size: u32,
    factor: u32,
    unused_one: u32,
    unused_two: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> left: array<u32>;
@group(0) @binding(2) var<storage, read_write> right: array<u32>;
@group(0) @binding(3) var<storage, read_write> product: array<u32>;

const SIDE: u32 = 64u;
const DEPTH: u32 = 16u;

var<workgroup> left_part: array<u32, 1024>;
var<workgroup> right_part: array<u32, 1024>;

@compute @workgroup_size(16, 16)
fn derive(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.size && id.y < params.size {
        left[id.y * params.size + id.x] = word(params.key, id.y, id.x);
    }
}

@compute @workgroup_size(16, 16)
fn multiply(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let size = params.size;
    let first_row = group.y * SIDE;
    let first_column = group.x * SIDE;
    var sums: array<u32, 16>;
    for (var start = 0u; start < size; start += DEPTH) {
        for (var n = 0u; n < 4u; n++) {
            let at = thread + n * 256u;
            let row = first_row + at / DEPTH;
            let across = start + at % DEPTH;
            var value = 0u;
            if row < size && across < size {
                value = left[row * size + across] * (word(params.key, params.factor, across) | 1u);
            }
            left_part[at] = value;
            let down = start + at / SIDE;
            let column = first_column + at % SIDE;
            value = 0u;
            if down < size && column < size {
                value = right[down * size + column];
            }
            right_part[at] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            for (var i = 0u; i < 4u; i++) {
                let value = left_part[(local.y * 4u + i) * DEPTH + k];
                for (var j = 0u; j < 4u; j++) {
                    sums[i * 4u + j] += value * right_part[k * SIDE + local.x * 4u + j];
                }
            }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
            let row = first_row + local.y * 4u + i;
            let column = first_column + local.x * 4u + j;
            if row < size && column < size {
                product[row * size + column] = sums[i * 4u + j];
            }
        }
    }
}
