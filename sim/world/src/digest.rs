//! Values as one number, for hashing: each number in them is folded into the hash as 64 bits, enums by number, lists with how
//! many entries they have, no field names.
//!
//! The same value gives the same hash natively and in WebAssembly; the standard library's `Hash` would not. Hashes of libraries
//! work on bytes, which would first have to be written somewhere for each of a run's many facts: that cost half as much again.

use serde::Serialize;
use serde::ser;
use std::fmt;

/// A hash under way. All of it fits a register, so nothing is written anywhere.
#[derive(Clone, Copy)]
struct Digest(u64);

/// The hash of a value on top of an earlier hash.
#[inline]
pub fn roll<T: Serialize + ?Sized>(hash: u64, value: &T) -> u64 {
    let Ok(Digest(hash)) = value.serialize(Digest(hash));
    hash
}

impl Digest {
    /// The hash with one more number. Each part of it can be undone, so a difference once made lasts, unless a later one happens to
    /// fit it: of unrelated ones, one in 2^64 does. The number is mixed by itself first, so that the next one waits for little.
    #[inline]
    fn with(self, number: u64) -> Digest {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        const FACTOR: u64 = 0xd129_0e4b_57f8_a6e5;
        let mixed = number.wrapping_add(STEP).wrapping_mul(FACTOR);
        let mixed = mixed ^ (mixed >> 32);
        Digest(self.0.wrapping_add(mixed).wrapping_mul(FACTOR))
    }

    fn with_bytes(self, bytes: &[u8]) -> Digest {
        let folded = bytes.chunks(8).fold(self, |digest, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            digest.with(u64::from_le_bytes(word))
        });
        folded.with(bytes.len() as u64)
    }
}

/// Every kind of value that we hash can be folded, so there is no error to hand on and nothing to look at after each field. A
/// value that has no fixed width (a float) is a mistake of ours.
#[derive(Debug)]
pub enum Unwritable {}

impl fmt::Display for Unwritable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Unwritable {
        panic!("{message}")
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty as $wide:ty,)*) => {
        $(#[inline]
        fn $method(self, v: $type) -> Result<Digest, Unwritable> {
            let wide = <$wide>::from(v);
            Ok(self.with(u64::from_le_bytes(wide.to_le_bytes())))
        })*
    };
}

impl ser::Serializer for Digest {
    type Ok = Digest;
    type Error = Unwritable;
    type SerializeSeq = Counted;
    type SerializeTuple = Digest;
    type SerializeTupleStruct = Digest;
    type SerializeTupleVariant = Digest;
    type SerializeMap = Counted;
    type SerializeStruct = Digest;
    type SerializeStructVariant = Digest;

    numbers! {
        serialize_bool: bool as u64, serialize_char: char as u64,
        serialize_i8: i8 as i64, serialize_i16: i16 as i64, serialize_i32: i32 as i64, serialize_i64: i64 as i64,
        serialize_u8: u8 as u64, serialize_u16: u16 as u64, serialize_u32: u32 as u64, serialize_u64: u64 as u64,
    }

    fn serialize_i128(self, v: i128) -> Result<Digest, Unwritable> {
        Ok(self.with_bytes(&v.to_le_bytes()))
    }

    fn serialize_u128(self, v: u128) -> Result<Digest, Unwritable> {
        Ok(self.with_bytes(&v.to_le_bytes()))
    }

    // Kafka's rules need no floats; a float here is a mistake of ours, and serde's trait names the types: see tidy.rs.
    fn serialize_f32(self, _: f32) -> Result<Digest, Unwritable> {
        panic!("a float has no place in a digest")
    }

    fn serialize_f64(self, _: f64) -> Result<Digest, Unwritable> {
        panic!("a float has no place in a digest")
    }

    fn serialize_str(self, v: &str) -> Result<Digest, Unwritable> {
        self.serialize_bytes(v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Digest, Unwritable> {
        Ok(self.with_bytes(v))
    }

    #[inline]
    fn serialize_none(self) -> Result<Digest, Unwritable> {
        Ok(self.with(0))
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<Digest, Unwritable> {
        v.serialize(self.with(1))
    }

    #[inline]
    fn serialize_unit(self) -> Result<Digest, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<Digest, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<Digest, Unwritable> {
        self.serialize_u32(index)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<Digest, Unwritable> {
        v.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        v: &T,
    ) -> Result<Digest, Unwritable> {
        v.serialize(self.with(index.into()))
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Counted, Unwritable> {
        Ok(Counted::begin(self))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Digest, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Digest, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Digest, Unwritable> {
        Ok(self.with(index.into()))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Counted, Unwritable> {
        Ok(Counted::begin(self))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Digest, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Digest, Unwritable> {
        Ok(self.with(index.into()))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A list or map: how many entries it has stands behind them, for not every one knows before.
struct Counted {
    to: Digest,
    count: u64,
}

impl Counted {
    #[inline]
    fn begin(to: Digest) -> Counted {
        Counted { to, count: 0 }
    }

    #[inline]
    fn add<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.to = v.serialize(self.to)?;
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<Digest, Unwritable> {
        Ok(self.to.with(self.count))
    }
}

impl ser::SerializeSeq for Counted {
    type Ok = Digest;
    type Error = Unwritable;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count += 1;
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<Digest, Unwritable> {
        self.finish()
    }
}

impl ser::SerializeMap for Counted {
    type Ok = Digest;
    type Error = Unwritable;
    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count += 1;
        self.add(v)
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<Digest, Unwritable> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident $method:ident ($($key:ident)?),)*) => {
        $(impl ser::$trait for Digest {
            type Ok = Digest;
            type Error = Unwritable;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? v: &T) -> Result<(), Unwritable> {
                $(let _ = $key;)?
                *self = v.serialize(*self)?;
                Ok(())
            }
            #[inline]
            fn end(self) -> Result<Digest, Unwritable> {
                Ok(self)
            }
        })*
    };
}

fields! {
    SerializeTuple serialize_element (),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
    SerializeStruct serialize_field (key),
    SerializeStructVariant serialize_field (key),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn hashes_are_the_same_for_ever() {
        let value = (1u8, -2i64, "three", [Some(4u32), None], vec![true]);
        assert_eq!(roll(0, &value), 10930055570848377161, "golden vector");
    }

    /// A list that does not say how long it is.
    struct Unsaid(Vec<u32>);

    impl Serialize for Unsaid {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().filter(|_| true))
        }
    }

    #[test]
    fn a_list_has_the_same_hash_whether_it_says_its_length_or_not() {
        let list: Vec<u32> = (0..40).collect();
        assert_eq!(roll(7, &list), roll(7, &Unsaid(list)));
    }

    #[test]
    fn where_numbers_stand_and_how_lists_are_cut_matters() {
        let values: [Vec<Vec<u64>>; 7] = [
            vec![],
            vec![vec![]],
            vec![vec![], vec![]],
            vec![vec![0]],
            vec![vec![0, 0]],
            vec![vec![0], vec![0]],
            vec![vec![1, 2], vec![]],
        ];
        let hashes: BTreeSet<u64> = values.iter().map(|v| roll(0, v)).collect();
        assert_eq!(hashes.len(), values.len());
    }

    #[test]
    fn of_a_million_neighbours_no_two_have_one_hash() {
        let pairs = (0..1000u64).flat_map(|a| (0..1000u64).map(move |b| (a, b)));
        let hashes: BTreeSet<u64> = pairs.map(|pair| roll(0, &pair)).collect();
        assert_eq!(hashes.len(), 1_000_000);
    }
}
