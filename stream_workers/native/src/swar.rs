//! Eight bytes at a time, in one number; the first byte is the lowest.
//!
//! After Sean Eron Anderson's Bit Twiddling Hacks, "Determine if a word has a byte less than n". A bit above the lowest
//! that is set may be wrong: only the lowest is to be looked at.

/// A one in each byte, and each byte's highest bit.
pub const ONES: u64 = 0x0101_0101_0101_0101;
pub const TOPS: u64 = 0x8080_8080_8080_8080;

/// The highest bit of the bytes below *limit*, which is at most 0x80.
pub fn bytes_below(bytes: u64, limit: u8) -> u64 {
    bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & TOPS
}

/// The highest bit of the bytes that are 0.
pub fn zero_bytes(bytes: u64) -> u64 {
    bytes_below(bytes, 1)
}
