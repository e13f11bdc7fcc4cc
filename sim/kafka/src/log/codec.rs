//! Compression of a batch's records (Kafka's CompressionType and its Compression classes): real codecs with real output, in
//! the frames that Kafka's clients write and read.
//!
//! It keeps: what was compressed is read back to the byte, and the same records give the same bytes on every machine.
//!
//! Left out: `compression.lz4.level` and `compression.zstd.level`: the encoders here have one level each (lz4's is that of
//! Kafka's default, zstd's is the fastest). Sizes come near to those of Kafka's own libraries and are not the same:
//! what a codec saves here is a measure, not a promise.

use crate::config::ConfigValue;
use bytes::Bytes;
use flate2::write::GzEncoder;
use lz4_flex::frame::FrameDecoder;
use serde::Serialize;
use std::io::{Read, Write};

/// A codec, by its place in a batch's attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub enum Codec {
    /// No compression.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy in the frames of its Java library.
    Snappy,
    /// LZ4 frames with independent blocks of 64 KiB.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// All codecs with their names.
const NAMES: [(Codec, &str); 5] = [
    (Codec::None, "none"),
    (Codec::Gzip, "gzip"),
    (Codec::Snappy, "snappy"),
    (Codec::Lz4, "lz4"),
    (Codec::Zstd, "zstd"),
];

/// A codec with its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Of gzip, 1 to 9; -1 leaves it to zlib.
    pub gzip_level: GzipLevel,
}

/// `compression.gzip.level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct GzipLevel(pub i32);

impl Default for GzipLevel {
    fn default() -> GzipLevel {
        GzipLevel(-1)
    }
}

/// `compression.type` of a topic and of a broker (L-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum TopicCompression {
    /// As the batch came: the default.
    Producer,
    /// With this codec, whatever came.
    Always(Codec),
}

impl TopicCompression {
    /// What a batch that came with `codec` is stored with.
    pub fn target(self, codec: Codec) -> Codec {
        match self {
            TopicCompression::Producer => codec,
            TopicCompression::Always(target) => target,
        }
    }
}

/// The frame of the Java library for snappy: 16 bytes, then blocks of at most 32 KiB, each behind its compressed length.
const SNAPPY_MAGIC: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
const SNAPPY_BLOCK: usize = 32 << 10;

impl Codec {
    /// The three low bits of a batch's attributes.
    pub fn bits(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The records of a batch as they were before compression; none if the bytes are not this codec's.
    pub fn decompress(self, body: &Bytes) -> Option<Bytes> {
        let mut out = Vec::new();
        match self {
            Codec::None => return Some(body.clone()),
            Codec::Gzip => {
                let mut decoder = flate2::read::GzDecoder::new(&body[..]);
                decoder.read_to_end(&mut out).ok()?;
            }
            Codec::Snappy => return unsnap(body).map(Bytes::from),
            Codec::Lz4 => {
                FrameDecoder::new(&body[..]).read_to_end(&mut out).ok()?;
            }
            Codec::Zstd => {
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(&body[..]).ok()?;
                decoder.read_to_end(&mut out).ok()?;
            }
        }
        Some(Bytes::from(out))
    }
}

impl Compression {
    /// Compresses the records of a batch.
    pub fn compress(self, records: Bytes) -> Bytes {
        Bytes::from(match self.codec {
            Codec::None => return records,
            Codec::Gzip => gzip(&records, self.gzip_level),
            Codec::Snappy => snap(&records),
            Codec::Lz4 => lz4(&records),
            Codec::Zstd => zstd(&records),
        })
    }
}

fn gzip(records: &[u8], level: GzipLevel) -> Vec<u8> {
    const NEVER: &str = "memory takes every byte";
    let level = match u32::try_from(level.0) {
        Ok(level) => flate2::Compression::new(level),
        Err(_) => flate2::Compression::default(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(records).expect(NEVER);
    encoder.finish().expect(NEVER)
}

fn zstd(records: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(records, level)
}

/// The frame of Kafka's Lz4BlockOutputStream: version 1, independent blocks of at most 64 KiB, no checksum of content; the last
/// byte is the descriptor's own checksum, which does not change as it does not.
const LZ4_DESCRIPTOR: [u8; 7] = [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];
/// Blocks end two bytes short of 64 KiB: up to there the library looks for matches in the same way whatever the width of a
/// machine's words, above it and in its own frames it does not, and a run in WebAssembly would have another hash.
const LZ4_BLOCK: usize = 0xFFFE;
/// Of a block's length: the block is stored as it came.
const LZ4_STORED: u32 = 1 << 31;

fn lz4(records: &[u8]) -> Vec<u8> {
    let mut out = LZ4_DESCRIPTOR.to_vec();
    for block in records.chunks(LZ4_BLOCK) {
        let packed = lz4_flex::block::compress(block);
        let (kept, flag) = if packed.len() < block.len() {
            (&packed[..], 0)
        } else {
            (block, LZ4_STORED)
        };
        let length = u32::try_from(kept.len()).expect("a block is below 64 KiB");
        out.extend_from_slice(&(length | flag).to_le_bytes());
        out.extend_from_slice(kept);
    }
    out.extend_from_slice(&[0; 4]);
    out
}

fn snap(records: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = SNAPPY_MAGIC.to_vec();
    for block in records.chunks(SNAPPY_BLOCK) {
        let packed = encoder
            .compress_vec(block)
            .expect("a block is far below 4 GiB");
        let length = u32::try_from(packed.len()).expect("a block is far below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

fn unsnap(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body.strip_prefix(&SNAPPY_MAGIC)?;
    let mut decoder = snap::raw::Decoder::new();
    let mut out = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let block = behind.get(..length)?;
        out.extend(decoder.decompress_vec(block).ok()?);
        rest = &behind[length..];
    }
    rest.is_empty().then_some(out)
}

impl ConfigValue for Codec {
    const EXPECTS: &'static str = "\"none\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
    fn parse(text: &str) -> Option<Codec> {
        let mut known = NAMES.iter();
        known
            .find(|(_, name)| *name == text)
            .map(|(codec, _)| *codec)
    }
    fn show(&self) -> String {
        let known = NAMES.iter().find(|(codec, _)| codec == self);
        known.expect("all are listed").1.into()
    }
}

impl ConfigValue for GzipLevel {
    const EXPECTS: &'static str = "a level from 1 to 9, or -1";
    fn parse(text: &str) -> Option<GzipLevel> {
        let level = text.parse().ok()?;
        matches!(level, -1 | 1..=9).then_some(GzipLevel(level))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl ConfigValue for TopicCompression {
    const EXPECTS: &'static str =
        "\"producer\", \"uncompressed\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
    fn parse(text: &str) -> Option<TopicCompression> {
        match text {
            "producer" => Some(TopicCompression::Producer),
            "uncompressed" => Some(TopicCompression::Always(Codec::None)),
            "none" => None,
            other => Codec::parse(other).map(TopicCompression::Always),
        }
    }
    fn show(&self) -> String {
        match self {
            TopicCompression::Producer => "producer".into(),
            TopicCompression::Always(Codec::None) => "uncompressed".into(),
            TopicCompression::Always(codec) => codec.show(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(codec: Codec) -> Compression {
        Compression {
            codec,
            ..Compression::default()
        }
    }

    fn text() -> Bytes {
        let lines =
            (0..2_000).map(|n| format!("the {n}th flight of the day leaves gate {}\n", n % 40));
        Bytes::from(lines.collect::<String>())
    }

    #[test]
    fn every_codec_makes_text_smaller_and_gives_it_back() {
        let text = text();
        for (codec, name) in NAMES.into_iter().skip(1) {
            let packed = of(codec).compress(text.clone());
            assert!(packed.len() * 2 < text.len(), "{name}: {}", packed.len());
            assert_eq!(codec.decompress(&packed), Some(text.clone()), "{name}");
            assert_eq!(of(codec).compress(text.clone()), packed, "{name}");
        }
    }

    #[test]
    fn a_higher_gzip_level_makes_smaller_output() {
        let sizes = [1, 6, 9].map(|level| {
            let compression = Compression {
                codec: Codec::Gzip,
                gzip_level: GzipLevel(level),
            };
            compression.compress(text()).len()
        });
        assert!(sizes[0] > sizes[1] && sizes[0] > sizes[2], "{sizes:?}");
        let default = of(Codec::Gzip).compress(text()).len();
        assert_eq!(default, sizes[1], "-1 is 6");
    }

    #[test]
    fn frames_begin_as_kafkas_clients_write_them() {
        let begins = |codec, with: &[u8]| of(codec).compress(text()).starts_with(with);
        assert!(begins(Codec::Gzip, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]));
        assert!(begins(Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
        // Independent blocks of 64 KiB, no checksums, no size: 0x60, 0x40, and the checksum of these two.
        assert!(begins(
            Codec::Lz4,
            &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]
        ));
        assert!(begins(Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_is_compressed_is_read_back(
            bytes in prop::collection::vec(0u8..8, 0..5_000), times in 1usize..30,
        ) {
            let bytes = Bytes::from(bytes.repeat(times));
            for (codec, _) in NAMES {
                let packed = of(codec).compress(bytes.clone());
                prop_assert_eq!(codec.decompress(&packed), Some(bytes.clone()));
            }
        }

        #[test]
        fn what_is_not_compressed_is_refused_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 1..300), cut in any::<prop::sample::Index>(),
        ) {
            for (codec, name) in NAMES.into_iter().skip(1) {
                codec.decompress(&Bytes::from(bytes.clone()));
                let mut packed = of(codec).compress(text()).to_vec();
                let at = cut.index(packed.len());
                packed[at] ^= 0xff;
                codec.decompress(&Bytes::from(packed.clone()));
                packed.truncate(packed.len() / 2);
                let half = codec.decompress(&Bytes::from(packed));
                prop_assert_ne!(half, Some(text()), "{}", name);
            }
        }
    }
}
