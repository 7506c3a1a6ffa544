//! Tests eight bytes at once in one number. The first byte is the lowest.
//!
//! After Sean Eron Anderson's Bit Twiddling Hacks, "Determine if a word has a byte less than n". Bits above
//! the lowest set bit may be wrong: use only the lowest.

/// One in each byte, and the highest bit of each byte.
pub const ONES: u64 = 0x0101_0101_0101_0101;
pub const TOPS: u64 = 0x8080_8080_8080_8080;

/// The highest bit of each byte below *limit*, which is at most 0x80.
pub fn bytes_below(bytes: u64, limit: u8) -> u64 {
    bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & TOPS
}

/// The highest bit of each byte that is 0.
pub fn zero_bytes(bytes: u64) -> u64 {
    bytes_below(bytes, 1)
}
