//! Still pictures of one size put together to a moving one: an animated PNG, without decoding any of them. Pure.

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// Chunks of the first frame that say how all are to be shown.
const KEPT: [&[u8; 4]; 6] = [b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"PLTE", b"tRNS"];
/// A palette is part of what the pixels mean.
const PALETTE: [&[u8; 4]; 2] = [b"PLTE", b"tRNS"];

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
}

/// The chunks of a PNG up to its end. `None`: it is none, or it is cut off.
fn chunks(mut png: &[u8]) -> Option<Vec<Chunk<'_>>> {
    png = png.strip_prefix(SIGNATURE)?;
    let mut found = Vec::new();
    loop {
        let (size, rest) = png.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let (data, rest) = rest.split_at_checked(size)?;
        png = rest.get(4..)?;
        found.push(Chunk { kind: *kind, data });
        if kind == b"IEND" {
            return Some(found);
        }
    }
}

fn put(out: &mut Vec<u8>, kind: [u8; 4], parts: &[&[u8]]) {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    let mut sum = crc32fast::Hasher::new();
    for part in [kind.as_slice()].iter().chain(parts) {
        sum.update(part);
        out.extend_from_slice(part);
    }
    out.extend(sum.finalize().to_be_bytes());
}

fn palette<'a>(of: &[Chunk<'a>]) -> Vec<&'a [u8]> {
    let own = of.iter().filter(|chunk| PALETTE.contains(&&chunk.kind));
    own.map(|chunk| chunk.data).collect()
}

/// One after the other, so many a second, for ever. Frames that are no PNG, or of another size or depth or palette than the
/// first, are left out. Answers the picture and how many frames it has; `None` when there is none.
pub fn animate<'a>(
    frames: impl IntoIterator<Item = &'a [u8]>,
    per_second: u16,
) -> Option<(Vec<u8>, u32)> {
    let mut good: Vec<Vec<Chunk<'a>>> = Vec::new();
    for chunks in frames.into_iter().filter_map(chunks) {
        let shape = chunks.first().filter(|first| &first.kind == b"IHDR");
        let Some(shape) = shape
            .map(|first| first.data)
            .filter(|data| data.len() == 13)
        else {
            continue;
        };
        let fits = good.first().is_none_or(|first| {
            first.first().is_some_and(|own| own.data == shape) && palette(first) == palette(&chunks)
        });
        if fits {
            good.push(chunks);
        }
    }
    let first = good.first()?;
    let shape = first.first()?.data;
    let count = u32::try_from(good.len()).ok()?;
    let mut out = SIGNATURE.to_vec();
    put(&mut out, *b"IHDR", &[shape]);
    put(&mut out, *b"acTL", &[&count.to_be_bytes(), &[0; 4]]);
    for chunk in first.iter().filter(|chunk| KEPT.contains(&&chunk.kind)) {
        put(&mut out, chunk.kind, &[chunk.data]);
    }
    let mut step = 0_u32;
    let mut next = || {
        let own = step.to_be_bytes();
        step = step.saturating_add(1);
        own
    };
    for (index, chunks) in good.iter().enumerate() {
        // Where it stands: its size, from the corner; how long: one of so many in a second; and it replaces what was there.
        let size = shape.get(..8)?;
        let delay = [1_u16.to_be_bytes(), per_second.max(1).to_be_bytes()].concat();
        put(
            &mut out,
            *b"fcTL",
            &[&next(), size, &[0; 8], &delay, &[0, 0]],
        );
        for chunk in chunks.iter().filter(|chunk| &chunk.kind == b"IDAT") {
            match index {
                0 => put(&mut out, *b"IDAT", &[chunk.data]),
                _ => put(&mut out, *b"fdAT", &[&next(), chunk.data]),
            }
        }
    }
    put(&mut out, *b"IEND", &[]);
    Some((out, count))
}

#[cfg(test)]
mod tests {
    use super::{SIGNATURE, animate, chunks, put};

    fn png(width: u32, pixels: &[&[u8]], palette: Option<&[u8]>) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        let header = [
            &width.to_be_bytes()[..],
            &1_u32.to_be_bytes(),
            &[8, 2, 0, 0, 0],
        ]
        .concat();
        put(&mut out, *b"IHDR", &[&header]);
        put(&mut out, *b"tEXt", &[b"who\0somebody"]);
        if let Some(palette) = palette {
            put(&mut out, *b"PLTE", &[palette]);
        }
        for part in pixels {
            put(&mut out, *b"IDAT", &[part]);
        }
        put(&mut out, *b"IEND", &[]);
        out
    }

    #[test]
    fn frames_follow_each_other_with_numbers_that_rise() {
        let frames = [png(2, &[b"a"], None), png(2, &[b"b", b"c"], None)];
        let (moving, count) = animate(frames.iter().map(Vec::as_slice), 12).expect("two frames");
        assert_eq!(count, 2);
        let chunks = chunks(&moving).expect("a PNG");
        let kinds: Vec<_> = chunks
            .iter()
            .map(|chunk| std::str::from_utf8(&chunk.kind).expect("letters"))
            .collect();
        assert_eq!(
            kinds,
            [
                "IHDR", "acTL", "fcTL", "IDAT", "fcTL", "fdAT", "fdAT", "IEND"
            ]
        );
        assert_eq!(chunks[1].data, [0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(chunks[2].data.len(), 26);
        assert_eq!(chunks[2].data[20..24], [0, 1, 0, 12]);
        assert_eq!(
            (chunks[5].data, chunks[6].data),
            (&b"\0\0\0\x02b"[..], &b"\0\0\0\x03c"[..])
        );
        // The sum over kind and data of the last chunk is the one that every PNG ends with.
        assert!(moving.ends_with(b"IEND\xaeB`\x82"));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let good = png(2, &[b"a"], None);
        let other = png(3, &[b"b"], None);
        let palette = png(2, &[b"b"], Some(b"rgb"));
        let cut = &good[..good.len() - 3];
        let endless = [&SIGNATURE[..], &u32::MAX.to_be_bytes(), b"IHDR"].concat();
        for bad in [
            &other[..],
            &palette,
            cut,
            &endless,
            b"",
            b"GIF89a",
            &SIGNATURE[..],
        ] {
            let (_, count) = animate([&good[..], bad], 1).expect("the good one");
            assert_eq!(count, 1);
        }
        assert!(animate([&b"x"[..]], 1).is_none());
        assert!(animate([], 1).is_none());
    }
}
