//! The code as a picture.

use fast_qr::convert::svg::SvgBuilder;
use fast_qr::convert::{Builder, Shape};
use fast_qr::{ECL, QRBuilder, QRCode};

/// Quiet modules around the code, as ISO 18004 asks.
const MARGIN: usize = 4;
/// Pixels per module of the PNG.
const SCALE: usize = 8;

/// Why a picture can't be made: the text is too long for a code.
#[derive(Debug, thiserror::Error)]
#[error("the text does not fit into a QR code")]
pub struct TooLong;

fn encode(text: &str) -> Result<QRCode, TooLong> {
    QRBuilder::new(text).ecl(ECL::M).build().map_err(|_| TooLong)
}

/// As SVG.
///
/// # Errors
/// If the text is too long.
pub fn svg(text: &str) -> Result<String, TooLong> {
    Ok(SvgBuilder::default().shape(Shape::Square).margin(MARGIN).to_str(&encode(text)?))
}

/// As a black and white PNG.
///
/// # Errors
/// If the text is too long.
pub fn png(text: &str) -> Result<Vec<u8>, TooLong> {
    let code = encode(text)?;
    let modules = code.size + 2 * MARGIN;
    let side = modules * SCALE;
    let row_bytes = side.div_ceil(8);
    let mut pixels = vec![0xff_u8; row_bytes * side];
    for y in 0..code.size {
        for x in 0..code.size {
            if code[y][x].value() {
                let (left, top) = ((x + MARGIN) * SCALE, (y + MARGIN) * SCALE);
                for row in top..top + SCALE {
                    for column in left..left + SCALE {
                        pixels[row * row_bytes + column / 8] &= !(0x80 >> (column % 8));
                    }
                }
            }
        }
    }
    let side = u32::try_from(side).map_err(|_| TooLong)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|_| TooLong)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_code_becomes_a_picture() {
        let text = "A".repeat(120);
        assert!(svg(&text).unwrap().starts_with("<svg"));
        let png = png(&text).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert!(png.len() < 10_000);
        assert!(svg(&"A".repeat(10_000)).is_err());
    }
}
