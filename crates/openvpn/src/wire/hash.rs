//! The hash functions under an HMAC, one block at a time, so that several messages can be hashed side by side.

use zeroize::Zeroize;

/// The longest block of any of them, in bytes.
pub(super) const LONGEST_BLOCK: usize = 128;

/// A hash of Merkle and Damgård's construction: a state, and a function that takes a block into it.
pub(super) trait Hash {
    /// The chaining value.
    type State: Copy + Zeroize;
    /// What hashing begins with.
    const START: Self::State;
    /// A block's length in bytes.
    const BLOCK: usize;
    /// The digest's length in bytes.
    const OUTPUT: usize;
    /// How many bytes at the end of the last block tell the message's length.
    const LENGTH: usize;

    /// Takes whole blocks in; what follows the last whole one is left alone.
    fn compress(state: &mut Self::State, blocks: &[u8]);

    /// Writes the message's length in bits into the last bytes of the last block, which are zero.
    fn write_length(bits: u64, end_of_block: &mut [u8]) {
        if let Some(low) = end_of_block.last_chunk_mut() {
            *low = bits.to_be_bytes();
        }
    }

    /// Writes the first [`Self::OUTPUT`] bytes of a state, or as many as there is room for.
    fn write_output(state: &Self::State, out: &mut [u8]);
}

pub(super) struct Md5;
pub(super) struct Sha1;
pub(super) struct Sha224;
pub(super) struct Sha256;
pub(super) struct Sha384;
pub(super) struct Sha512;

impl Hash for Md5 {
    type State = [u32; 4];
    const START: Self::State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    const BLOCK: usize = 64;
    const OUTPUT: usize = 16;
    const LENGTH: usize = 8;

    #[inline]
    fn compress(state: &mut Self::State, blocks: &[u8]) {
        md5::block_api::compress(state, blocks.as_chunks().0);
    }

    fn write_length(bits: u64, end_of_block: &mut [u8]) {
        if let Some(low) = end_of_block.last_chunk_mut() {
            *low = bits.to_le_bytes();
        }
    }

    fn write_output(state: &Self::State, out: &mut [u8]) {
        for (word, bytes) in state.iter().zip(out[..Self::OUTPUT].chunks_exact_mut(4)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
}

impl Hash for Sha1 {
    type State = [u32; 5];
    const START: Self::State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    const BLOCK: usize = 64;
    const OUTPUT: usize = 20;
    const LENGTH: usize = 8;

    #[inline]
    fn compress(state: &mut Self::State, blocks: &[u8]) {
        sha1::block_api::compress(state, blocks.as_chunks().0);
    }

    fn write_output(state: &Self::State, out: &mut [u8]) {
        write_words(state, &mut out[..Self::OUTPUT]);
    }
}

macro_rules! sha2_of_32_bits {
    ($name:ident, $output:literal, $start:expr) => {
        impl Hash for $name {
            type State = [u32; 8];
            const START: Self::State = $start;
            const BLOCK: usize = 64;
            const OUTPUT: usize = $output;
            const LENGTH: usize = 8;

            #[inline]
            fn compress(state: &mut Self::State, blocks: &[u8]) {
                sha2::block_api::compress256(state, blocks.as_chunks().0);
            }

            fn write_output(state: &Self::State, out: &mut [u8]) {
                write_words(state, &mut out[..Self::OUTPUT]);
            }
        }
    };
}

macro_rules! sha2_of_64_bits {
    ($name:ident, $output:literal, $start:expr) => {
        impl Hash for $name {
            type State = [u64; 8];
            const START: Self::State = $start;
            const BLOCK: usize = 128;
            const OUTPUT: usize = $output;
            const LENGTH: usize = 16;

            #[inline]
            fn compress(state: &mut Self::State, blocks: &[u8]) {
                sha2::block_api::compress512(state, blocks.as_chunks().0);
            }

            fn write_output(state: &Self::State, out: &mut [u8]) {
                for (word, bytes) in state.iter().zip(out[..Self::OUTPUT].chunks_exact_mut(8)) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }
        }
    };
}

// The start values: FIPS 180-4, section 5.3.
sha2_of_32_bits!(
    Sha224,
    28,
    [0xc105_9ed8, 0x367c_d507, 0x3070_dd17, 0xf70e_5939, 0xffc0_0b31, 0x6858_1511, 0x64f9_8fa7, 0xbefa_4fa4,]
);
sha2_of_32_bits!(
    Sha256,
    32,
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,]
);
sha2_of_64_bits!(
    Sha384,
    48,
    [
        0xcbbb_9d5d_c105_9ed8,
        0x629a_292a_367c_d507,
        0x9159_015a_3070_dd17,
        0x152f_ecd8_f70e_5939,
        0x6733_2667_ffc0_0b31,
        0x8eb4_4a87_6858_1511,
        0xdb0c_2e0d_64f9_8fa7,
        0x47b5_481d_befa_4fa4,
    ]
);
sha2_of_64_bits!(
    Sha512,
    64,
    [
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ]
);

fn write_words(words: &[u32], out: &mut [u8]) {
    for (word, bytes) in words.iter().zip(out.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
}
