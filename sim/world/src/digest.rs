//! Values as bytes of fixed width, for hashing: little-endian, `usize` as u64, enums by number, no field names.
//!
//! The same value gives the same bytes natively and in WebAssembly; the standard library's `Hash` would not. What is large is
//! hashed piece by piece, with the same hash: the bytes of a whole cluster are never in memory together.

use serde::Serialize;
use serde::ser::{self, Error as _};
use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// From so many bytes on a value is hashed piece by piece.
const PIECE: usize = 1 << 20;

/// The bytes of values, one after the other.
#[derive(Clone, Default)]
pub struct Bytes {
    out: Vec<u8>,
    /// How many lengths still have to be filled in.
    open: u32,
    /// What has been hashed already and is no longer in `out`.
    pieces: Option<Box<Xxh3>>,
    seed: u64,
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.out.len())
    }
}

/// The hash of a value on top of an earlier hash.
pub fn roll<T: Serialize + ?Sized>(hash: u64, value: &T, scratch: &mut Bytes) -> u64 {
    scratch.out.clear();
    scratch.seed = hash;
    value
        .serialize(Digest { to: scratch })
        .expect("every kind of value that we hash can be written");
    match scratch.pieces.take() {
        None => xxh3_64_with_seed(&scratch.out, hash),
        Some(mut pieces) => {
            pieces.update(&scratch.out);
            pieces.digest()
        }
    }
}

impl Bytes {
    /// Hashes what is there and forgets it, unless a length in it is still unknown.
    #[cold]
    fn hash_piece(&mut self) {
        if self.open == 0 {
            let seed = self.seed;
            let pieces = self
                .pieces
                .get_or_insert_with(|| Box::new(Xxh3::with_seed(seed)));
            pieces.update(&self.out);
            self.out.clear();
        }
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

struct Digest<'a> {
    to: &'a mut Bytes,
}

/// A value that has no bytes of fixed width (a float).
#[derive(Debug)]
pub struct Unwritable(String);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: fmt::Display>(message: T) -> Unwritable {
        Unwritable(message.to_string())
    }
}

macro_rules! fixed {
    ($($method:ident: $type:ty,)*) => {
        $(#[inline]
        fn $method(self, v: $type) -> Result<(), Unwritable> {
            self.to.push(&v.to_le_bytes());
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for Digest<'a> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Counted<'a>;
    type SerializeTuple = Digest<'a>;
    type SerializeTupleStruct = Digest<'a>;
    type SerializeTupleVariant = Digest<'a>;
    type SerializeMap = Counted<'a>;
    type SerializeStruct = Digest<'a>;
    type SerializeStructVariant = Digest<'a>;

    fixed! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), Unwritable> {
        self.to.push(&[v.into()]);
        Ok(())
    }

    // Kafka's rules need no floats; a float here is a mistake of ours, and serde's trait names the types: see tidy.rs.
    fn serialize_f32(self, _: f32) -> Result<(), Unwritable> {
        Err(Unwritable::custom("a float has no place in a digest"))
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unwritable> {
        Err(Unwritable::custom("a float has no place in a digest"))
    }

    #[inline]
    fn serialize_char(self, v: char) -> Result<(), Unwritable> {
        self.serialize_u32(v.into())
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Unwritable> {
        self.serialize_bytes(v.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Unwritable> {
        self.to.push(&(v.len() as u64).to_le_bytes());
        self.to.push(v);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Unwritable> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), Unwritable> {
        self.to.push(&[1]);
        v.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Unwritable> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Unwritable> {
        self.serialize_u32(index)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<(), Unwritable> {
        v.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        v: &T,
    ) -> Result<(), Unwritable> {
        self.to.push(&index.to_le_bytes());
        v.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self.to, length))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Digest<'a>, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Digest<'a>, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Digest<'a>, Unwritable> {
        self.to.push(&index.to_le_bytes());
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self.to, length))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Digest<'a>, Unwritable> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Digest<'a>, Unwritable> {
        self.to.push(&index.to_le_bytes());
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A list or map: its length stands before it, filled in when it is known.
struct Counted<'a> {
    to: &'a mut Bytes,
    /// Where the length is to be filled in; none if it was known at once.
    at: Option<usize>,
    count: u64,
}

impl<'a> Counted<'a> {
    #[inline]
    fn begin(to: &'a mut Bytes, length: Option<usize>) -> Counted<'a> {
        let at = to.out.len();
        to.push(&(length.unwrap_or(0) as u64).to_le_bytes());
        to.open += u32::from(length.is_none());
        Counted {
            to,
            at: length.is_none().then_some(at),
            count: length.unwrap_or(0) as u64,
        }
    }

    #[inline]
    fn add<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        v.serialize(Digest { to: self.to })?;
        if self.to.out.len() >= PIECE {
            self.to.hash_piece();
        }
        Ok(())
    }

    /// One more entry.
    #[inline]
    fn count(&mut self) {
        self.count = match self.at {
            Some(_) => self.count + 1,
            // Down to nothing if the length was right.
            None => self.count.wrapping_sub(1),
        };
    }

    #[inline]
    fn finish(self) -> Result<(), Unwritable> {
        match self.at {
            Some(at) => {
                self.to.open -= 1;
                self.to.out[at..at + 8].copy_from_slice(&self.count.to_le_bytes());
                Ok(())
            }
            None if self.count == 0 => Ok(()),
            None => Err(Unwritable::custom("a list is not as long as it said")),
        }
    }
}

impl ser::SerializeSeq for Counted<'_> {
    type Ok = ();
    type Error = Unwritable;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count();
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<(), Unwritable> {
        self.finish()
    }
}

impl ser::SerializeMap for Counted<'_> {
    type Ok = ();
    type Error = Unwritable;
    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count();
        self.add(v)
    }
    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<(), Unwritable> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident $method:ident ($($key:ident)?),)*) => {
        $(impl ser::$trait for Digest<'_> {
            type Ok = ();
            type Error = Unwritable;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? v: &T) -> Result<(), Unwritable> {
                $(let _ = $key;)?
                v.serialize(Digest { to: self.to })
            }
            #[inline]
            fn end(self) -> Result<(), Unwritable> {
                Ok(())
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

    /// A list that does not say how long it is.
    struct Unsaid(Vec<Vec<u8>>);

    impl Serialize for Unsaid {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().filter(|_| true))
        }
    }

    #[test]
    fn a_large_value_has_the_hash_of_all_its_bytes() {
        let large: Vec<Vec<u8>> = (0..40).map(|n| vec![n; PIECE / 16]).collect();
        let mut bytes = (large.len() as u64).to_le_bytes().to_vec();
        for one in &large {
            bytes.extend_from_slice(&(one.len() as u64).to_le_bytes());
            bytes.extend_from_slice(one);
        }
        let mut scratch = Bytes::default();
        let expected = xxh3_64_with_seed(&bytes, 7);
        assert_eq!(roll(7, &large, &mut scratch), expected);
        assert!(
            scratch.out.len() < bytes.len() / 2,
            "it was hashed in pieces"
        );
        assert_eq!(roll(7, &Unsaid(large), &mut scratch), expected);
        assert_eq!(roll(7, &1u8, &mut scratch), xxh3_64_with_seed(&[1], 7));
    }
}
