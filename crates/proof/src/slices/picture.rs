//! PNG pictures: how far their colours are from each other. Strangers make these files: sizes are looked at before anything is unpacked.

use super::Unreadable;

/// 16 megapixels; a picture in 4K has half of it.
const PIXELS_MAX: u64 = 16 * 1_024 * 1_024;
/// What the decoder may take besides the picture itself.
const DECODER_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// So many parts along each side are looked at by themselves.
const PARTS: usize = 8;
/// A part may be so many times further away than the whole: what is hidden in a corner shows.
const PART_TIMES: u64 = 8;

struct Picture {
    width: usize,
    height: usize,
    /// Red, green, blue, opacity of each pixel.
    pixels: Vec<u8>,
}

fn read(bytes: &[u8]) -> Result<Picture, String> {
    let said = |error: png::DecodingError| error.to_string();
    let limits = png::Limits {
        bytes: DECODER_BYTES_MAX,
    };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(said)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width).saturating_mul(u64::from(height)) > PIXELS_MAX {
        return Err(format!("{width} × {height} pixels are too many"));
    }
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| "it is too large".to_owned())?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(said)?;
    raw.truncate(frame.buffer_size());
    let pixel = |part: &[u8]| match (frame.color_type, part) {
        (png::ColorType::Grayscale, [grey, ..]) => [*grey, *grey, *grey, 255],
        (png::ColorType::GrayscaleAlpha, [grey, alpha, ..]) => [*grey, *grey, *grey, *alpha],
        (png::ColorType::Rgb, [red, green, blue, ..]) => [*red, *green, *blue, 255],
        (png::ColorType::Rgba, [red, green, blue, alpha, ..]) => [*red, *green, *blue, *alpha],
        _ => [0; 4],
    };
    let pixels = raw
        .chunks_exact(frame.color_type.samples())
        .flat_map(pixel)
        .collect();
    let side = |pixels: u32| usize::try_from(pixels).map_err(|_| "it is too large".to_owned());
    Ok(Picture {
        width: side(width)?,
        height: side(height)?,
        pixels,
    })
}

/// Differences and how many values they are of.
#[derive(Default, Clone, Copy)]
struct Sum {
    off: u64,
    of: u64,
}

impl Sum {
    /// Whether the mean difference is above so many thousandths of the whole range.
    fn is_above(self, permille: u64) -> bool {
        let allowed = self.of.saturating_mul(255).saturating_mul(permille);
        self.off.saturating_mul(1_000) > allowed
    }

    fn tenths_of_permille(self) -> u64 {
        let whole = self.of.saturating_mul(255).max(1);
        self.off.saturating_mul(10_000) / whole
    }
}

pub(super) fn difference(
    first: &[u8],
    again: &[u8],
    permille: u32,
) -> Result<Option<String>, Unreadable> {
    let again = read(again).map_err(Unreadable::Again)?;
    let first = read(first).map_err(Unreadable::First)?;
    if (first.width, first.height) != (again.width, again.height) {
        return Ok(Some(format!(
            "{} × {} pixels beside {} × {}",
            first.width, first.height, again.width, again.height
        )));
    }
    let mut parts = [[Sum::default(); PARTS]; PARTS];
    let row_bytes = first.width.saturating_mul(4).max(1);
    let rows = first
        .pixels
        .chunks(row_bytes)
        .zip(again.pixels.chunks(row_bytes));
    for (y, (left, right)) in rows.enumerate() {
        let band = y.saturating_mul(PARTS) / first.height.max(1);
        for (x, (one, other)) in left.chunks(4).zip(right.chunks(4)).enumerate() {
            let column = x.saturating_mul(PARTS) / first.width.max(1);
            let Some(part) = parts.get_mut(band).and_then(|band| band.get_mut(column)) else {
                continue;
            };
            for (a, b) in one.iter().zip(other) {
                part.off = part.off.saturating_add(u64::from(a.abs_diff(*b)));
                part.of = part.of.saturating_add(1);
            }
        }
    }
    let mut whole = Sum::default();
    for part in parts.iter().flatten() {
        whole.off = whole.off.saturating_add(part.off);
        whole.of = whole.of.saturating_add(part.of);
    }
    let permille = u64::from(permille);
    let tenths = whole.tenths_of_permille();
    let how = format!("its colours are off by {}.{} ‰", tenths / 10, tenths % 10);
    if whole.is_above(permille) {
        return Ok(Some(how));
    }
    let corner = parts
        .iter()
        .flatten()
        .any(|part| part.is_above(permille.saturating_mul(PART_TIMES)));
    Ok(corner.then(|| format!("{how}, most of it in one place")))
}

#[cfg(test)]
mod tests {
    use super::super::{Compared, compare};
    use protocol::recompute::Tolerance;

    fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        let pixels: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| colour(x, y))
            .collect();
        writer.write_image_data(&pixels).unwrap();
        drop(writer);
        bytes
    }

    fn shade(x: u32, y: u32) -> [u8; 3] {
        let part = |n: u32| u8::try_from(n % 200).unwrap();
        [part(x * 3), part(y * 5), part(x + y)]
    }

    fn check(first: &[u8], again: &[u8]) -> Compared {
        compare(first, again, Tolerance::Pixels { permille: 4 })
    }

    #[test]
    fn the_noise_of_another_processor_passes_and_other_pictures_do_not() {
        let real = png(64, 48, shade);
        let noise = png(64, 48, |x, y| {
            shade(x, y).map(|part| part + u8::from((x + y) % 2 == 0))
        });
        assert_eq!(check(&real, &noise), Compared::Same);
        let black = png(64, 48, |_, _| [0; 3]);
        assert!(matches!(check(&black, &real), Compared::Differ(_)));
        // A small part of it was never computed.
        let corner = png(64, 48, |x, y| {
            if x >= 58 && y >= 43 {
                [0; 3]
            } else {
                shade(x, y)
            }
        });
        let Compared::Differ(how) = check(&corner, &real) else {
            panic!("a corner is missing");
        };
        assert!(how.contains("one place"), "{how}");
        let smaller = png(63, 48, shade);
        assert!(matches!(check(&smaller, &real), Compared::Differ(_)));
    }

    #[test]
    fn forged_files_neither_panic_nor_take_memory() {
        let real = png(16, 16, shade);
        // The very last bytes only say that it is over.
        for length in 0..real.len() - 24 {
            let cut = &real[..length];
            assert!(matches!(check(cut, &real), Compared::Differ(_)), "{length}");
            assert!(
                matches!(check(&real, cut), Compared::Unreadable(_)),
                "{length}"
            );
        }
        // A header of four thousand million pixels on each side, its checksum right.
        let mut huge = real.clone();
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let sum = crc32(&huge[12..29]);
        huge[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(matches!(check(&huge, &real), Compared::Differ(_)));
        for at in 0..real.len() {
            let mut bent = real.clone();
            bent[at] ^= 0x55;
            let _ = check(&bent, &real);
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
