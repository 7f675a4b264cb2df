use cipher::{BlockModeEncrypt, KeyIvInit};
use proptest::prelude::*;

use super::*;

fn oracle<C>(key: &[u8], chain: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser + KeyInit,
{
    let (blocks, _) = Array::<u8, C::BlockSize>::slice_as_chunks_mut(chain);
    let (iv, blocks) = blocks.split_first_mut().unwrap();
    cbc::Encryptor::<C>::new_from_slices(key, iv).unwrap().encrypt_blocks(blocks);
}

fn expected(cipher: Cipher, key: &[u8], chain: &mut [u8]) {
    let key = &key[..cipher.key_len()];
    match cipher {
        Cipher::None => {}
        Cipher::BfCbc => oracle::<Blowfish>(key, chain),
        Cipher::DesEde3Cbc => oracle::<TdesEde3>(key, chain),
        Cipher::Aes128Cbc => oracle::<aes::Aes128>(key, chain),
        Cipher::Aes192Cbc => oracle::<aes::Aes192>(key, chain),
        Cipher::Aes256Cbc => oracle::<aes::Aes256>(key, chain),
    }
}

proptest! {
    /// The `cbc` crate is the second opinion, for chains of equal and of different lengths.
    #[test]
    fn chains_are_encrypted_as_by_another_implementation(
        cipher in prop::sample::select(&Cipher::ALL),
        key in prop::array::uniform32(any::<u8>()),
        blocks in prop::collection::vec(1..20_usize, 1..=LANES),
        fill in any::<u8>(),
    ) {
        let block = cipher.block_len().max(8);
        let mut chains: Vec<Vec<u8>> =
            blocks.iter().enumerate().map(|(lane, blocks)| vec![fill ^ lane as u8; blocks * block]).collect();
        let mut wanted = chains.clone();
        wanted.iter_mut().for_each(|chain| expected(cipher, &key, chain));
        let encryption = Encryption::new(cipher, &key).unwrap();
        encryption.encrypt(&mut chains.iter_mut().map(|chain| &mut chain[..]).collect::<Vec<_>>());
        prop_assert_eq!(chains, wanted);
    }
}

proptest! {
    /// Byte by byte.
    #[test]
    fn padding_is_what_a_plain_reading_finds(is_long in any::<bool>(), filled in 0..=16_usize, with in 0..=20_u8, any in prop::array::uniform16(0..20_u8)) {
        let mut block = any;
        block[16 - filled..].fill(with);
        let block = if is_long { &block[..] } else { &block[8..] };
        let count = usize::from(block[block.len() - 1]);
        let is_valid = (1..=block.len()).contains(&count)
            && block[block.len() - count..].iter().all(|byte| usize::from(*byte) == count);
        prop_assert_eq!(padding(block), is_valid.then_some(count));
    }
}

#[test]
fn padding_is_one_to_a_block_of_bytes_that_tell_their_number() {
    let block_of = |end: &[u8]| {
        let mut block = [0; 16];
        block[16 - end.len()..].copy_from_slice(end);
        block
    };
    assert_eq!(padding(&block_of(&[1])), Some(1));
    assert_eq!(padding(&block_of(&[3, 3, 3])), Some(3));
    assert_eq!(padding(&[16; 16]), Some(16));
    assert_eq!(padding(&[8; 8]), Some(8));
    for wrong in [&[0][..], &[17], &[255], &[2, 3, 3], &[3, 2, 3], &[4, 4, 4]] {
        assert_eq!(padding(&block_of(wrong)), None, "{wrong:?}");
    }
    let mut first_wrong = [16; 16];
    first_wrong[0] = 15;
    assert_eq!(padding(&first_wrong), None);
    assert_eq!(padding(&[9; 8]), None, "more than a block of Blowfish");
}

#[test]
fn what_is_no_whole_number_of_blocks_is_refused() {
    let cipher = Decryption::new(Cipher::Aes128Cbc, &[1; 16]).unwrap();
    for len in [0, 1, 15, 16, 17, 31, 33] {
        assert_eq!(cipher.decrypt(&mut vec![0; len]), None, "{len} bytes");
    }
}

#[test]
fn a_short_key_makes_no_cipher() {
    for cipher in Cipher::ALL.into_iter().filter(|cipher| *cipher != Cipher::None) {
        let short = vec![0; cipher.key_len() - 1];
        assert!(Encryption::new(cipher, &short).is_none() && Decryption::new(cipher, &short).is_none());
    }
}
