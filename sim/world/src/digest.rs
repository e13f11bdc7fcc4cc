//! Values as bytes of fixed width, for hashing: little-endian, `usize` as u64, enums by number, no field names.
//!
//! The same value gives the same bytes natively and in WebAssembly; the standard library's `Hash` would not. What is large is
//! hashed piece by piece, with the same hash: the bytes of a whole cluster are never in memory together.

use serde::Serialize;
use serde::ser;
use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// From so many bytes on a value is hashed piece by piece.
const PIECE: usize = 1 << 20;

/// So many bytes lie in a row of fixed length before they are moved on: enough for nearly every record of a trace.
const NEAR: usize = 512;

/// The bytes of values, one after the other.
#[derive(Clone)]
pub struct Bytes {
    /// The last bytes. How many there are goes from field to field with the serializer, in a register.
    near: [u8; NEAR],
    /// What came before them.
    far: Vec<u8>,
    /// How many lengths still have to be filled in.
    open: u32,
    /// What has been hashed already and is in neither.
    pieces: Option<Box<Xxh3>>,
    seed: u64,
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes {
            near: [0; NEAR],
            far: Vec::new(),
            open: 0,
            pieces: None,
            seed: 0,
        }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes moved on", self.far.len())
    }
}

/// The hash of a value on top of an earlier hash.
pub fn roll<T: Serialize + ?Sized>(hash: u64, value: &T, scratch: &mut Bytes) -> u64 {
    scratch.far.clear();
    scratch.seed = hash;
    let Ok(at) = value.serialize(Digest { to: scratch, at: 0 });
    if scratch.far.is_empty() && scratch.pieces.is_none() {
        return xxh3_64_with_seed(&scratch.near[..at], hash);
    }
    scratch.far.extend_from_slice(&scratch.near[..at]);
    match scratch.pieces.take() {
        None => xxh3_64_with_seed(&scratch.far, hash),
        Some(mut pieces) => {
            pieces.update(&scratch.far);
            pieces.digest()
        }
    }
}

impl Bytes {
    /// Where the next `N` bytes go if there are `at` now.
    #[inline]
    fn room<const N: usize>(&mut self, at: usize) -> usize {
        if at > NEAR - N {
            self.move_on(at);
            return 0;
        }
        at
    }

    /// Makes all of `near` free; what lies beyond it is hashed once it is large, unless a length in it is still unknown.
    #[cold]
    fn move_on(&mut self, at: usize) {
        self.far.extend_from_slice(&self.near[..at]);
        if self.far.len() >= PIECE && self.open == 0 {
            let seed = self.seed;
            let pieces = self
                .pieces
                .get_or_insert_with(|| Box::new(Xxh3::with_seed(seed)));
            pieces.update(&self.far);
            self.far.clear();
        }
    }

    /// Bytes that may be more than fit; returns how many there are then.
    #[inline]
    fn extend(&mut self, at: usize, bytes: &[u8]) -> usize {
        if let Some(room) = self.near[at..].get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            return at + bytes.len();
        }
        self.move_on(at);
        self.far.extend_from_slice(bytes);
        0
    }
}

/// Writes the next value; what it returns is how many bytes there are then.
struct Digest<'a> {
    to: &'a mut Bytes,
    at: usize,
}

impl<'a> Digest<'a> {
    #[inline]
    fn put<const N: usize>(self, bytes: [u8; N]) -> Digest<'a> {
        let at = self.to.room::<N>(self.at);
        self.to.near[at..at + N].copy_from_slice(&bytes);
        Digest {
            to: self.to,
            at: at + N,
        }
    }
}

/// Every kind of value that we hash can be written, so there is no error to hand on and nothing to look at after each field. A
/// value that has no bytes of fixed width (a float) is a mistake of ours.
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

macro_rules! fixed {
    ($($method:ident: $type:ty,)*) => {
        $(#[inline]
        fn $method(self, v: $type) -> Result<usize, Unwritable> {
            Ok(self.put(v.to_le_bytes()).at)
        })*
    };
}

impl<'a> ser::Serializer for Digest<'a> {
    type Ok = usize;
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
    fn serialize_bool(self, v: bool) -> Result<usize, Unwritable> {
        self.serialize_u8(v.into())
    }

    // Kafka's rules need no floats; a float here is a mistake of ours, and serde's trait names the types: see tidy.rs.
    fn serialize_f32(self, _: f32) -> Result<usize, Unwritable> {
        panic!("a float has no place in a digest")
    }

    fn serialize_f64(self, _: f64) -> Result<usize, Unwritable> {
        panic!("a float has no place in a digest")
    }

    #[inline]
    fn serialize_char(self, v: char) -> Result<usize, Unwritable> {
        self.serialize_u32(v.into())
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<usize, Unwritable> {
        self.serialize_bytes(v.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<usize, Unwritable> {
        let behind = self.put((v.len() as u64).to_le_bytes());
        Ok(behind.to.extend(behind.at, v))
    }

    #[inline]
    fn serialize_none(self) -> Result<usize, Unwritable> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<usize, Unwritable> {
        v.serialize(self.put([1]))
    }

    #[inline]
    fn serialize_unit(self) -> Result<usize, Unwritable> {
        Ok(self.at)
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<usize, Unwritable> {
        Ok(self.at)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<usize, Unwritable> {
        self.serialize_u32(index)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<usize, Unwritable> {
        v.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        v: &T,
    ) -> Result<usize, Unwritable> {
        v.serialize(self.put(index.to_le_bytes()))
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self, length))
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
        Ok(self.put(index.to_le_bytes()))
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self, length))
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
        Ok(self.put(index.to_le_bytes()))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A list or map: its length stands before it, filled in when it is known.
struct Counted<'a> {
    to: Digest<'a>,
    /// Where the length is to be filled in, from the beginning of what has not been hashed; none if it was known at once.
    length: Option<usize>,
    count: u64,
}

impl<'a> Counted<'a> {
    #[inline]
    fn begin(to: Digest<'a>, length: Option<usize>) -> Counted<'a> {
        let to = to.put((length.unwrap_or(0) as u64).to_le_bytes());
        Counted {
            length: match length {
                Some(_) => None,
                None => {
                    to.to.open += 1;
                    Some(to.to.far.len() + to.at - 8)
                }
            },
            count: length.unwrap_or(0) as u64,
            to,
        }
    }

    #[inline]
    fn add<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.to.at = v.serialize(Digest {
            to: self.to.to,
            at: self.to.at,
        })?;
        Ok(())
    }

    /// One more entry.
    #[inline]
    fn count(&mut self) {
        self.count = match self.length {
            Some(_) => self.count + 1,
            // Down to nothing if the length was right.
            None => self.count.wrapping_sub(1),
        };
    }

    #[inline]
    fn finish(self) -> Result<usize, Unwritable> {
        let Digest { to, at } = self.to;
        match self.length {
            Some(place) => {
                to.open -= 1;
                let moved = to.far.len();
                let row = match place.checked_sub(moved) {
                    Some(near) => &mut to.near[near..],
                    None => &mut to.far[place..],
                };
                row[..8].copy_from_slice(&self.count.to_le_bytes());
            }
            None => assert_eq!(self.count, 0, "a list is as long as it said"),
        }
        Ok(at)
    }
}

impl ser::SerializeSeq for Counted<'_> {
    type Ok = usize;
    type Error = Unwritable;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count();
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<usize, Unwritable> {
        self.finish()
    }
}

impl ser::SerializeMap for Counted<'_> {
    type Ok = usize;
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
    fn end(self) -> Result<usize, Unwritable> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident $method:ident ($($key:ident)?),)*) => {
        $(impl ser::$trait for Digest<'_> {
            type Ok = usize;
            type Error = Unwritable;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($key: &'static str,)? v: &T) -> Result<(), Unwritable> {
                $(let _ = $key;)?
                self.at = v.serialize(Digest { to: self.to, at: self.at })?;
                Ok(())
            }
            #[inline]
            fn end(self) -> Result<usize, Unwritable> {
                Ok(self.at)
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
            scratch.far.capacity() < bytes.len(),
            "it was hashed in pieces"
        );
        assert_eq!(roll(7, &Unsaid(large), &mut scratch), expected);
        assert_eq!(roll(7, &1u8, &mut scratch), xxh3_64_with_seed(&[1], 7));
    }
}
