//! Checksums as TensorFlow's formats store them.

/// The original's disguise of a CRC, for files that hold CRCs of themselves (`tensorflow/core/lib/hash/crc32c.h`).
pub(crate) const fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Masked CRC-32C of bytes.
pub(crate) fn masked_crc32c(bytes: &[u8]) -> u32 {
    masked(crc32c::crc32c(bytes))
}

/// Whether a stored checksum is that of the bytes. Always when fuzzing: random bytes would never get past it.
pub(crate) const fn agrees(found: u32, stored: u32) -> bool {
    cfg!(fuzzing) || found == stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_the_originals() {
        // RFC 3720 B.4: CRC-32C of 32 zero bytes is 0x8a9136aa; rotated by 15 and moved by 0xa282ead8.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_crc32c(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
        assert!(agrees(1, 1) && !agrees(1, 2));
    }
}
