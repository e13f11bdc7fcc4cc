//! Values as bytes of fixed width, for hashing: little-endian, `usize` as u64, enums by number, no field names.
//!
//! The same value gives the same bytes natively and in WebAssembly; the standard library's `Hash` would not.

use serde::Serialize;
use serde::ser::{self, Error as _};
use std::fmt;

/// Appends a value's bytes to `out`.
pub fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    value
        .serialize(Digest { out })
        .expect("every kind of value that we hash can be written");
}

/// The hash of a value on top of an earlier hash.
pub fn roll<T: Serialize + ?Sized>(hash: u64, value: &T, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    write(value, scratch);
    xxhash_rust::xxh3::xxh3_64_with_seed(scratch, hash)
}

struct Digest<'a> {
    out: &'a mut Vec<u8>,
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
            self.out.extend_from_slice(&v.to_le_bytes());
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
        self.out.push(v.into());
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
        self.out.extend_from_slice(&(v.len() as u64).to_le_bytes());
        self.out.extend_from_slice(v);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Unwritable> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<(), Unwritable> {
        self.out.push(1);
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
        self.out.extend_from_slice(&index.to_le_bytes());
        v.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self.out))
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
        self.out.extend_from_slice(&index.to_le_bytes());
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Counted<'a>, Unwritable> {
        Ok(Counted::begin(self.out))
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
        self.out.extend_from_slice(&index.to_le_bytes());
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A list or map: its length stands before it, filled in when it is known.
struct Counted<'a> {
    out: &'a mut Vec<u8>,
    at: usize,
    count: u64,
}

impl<'a> Counted<'a> {
    #[inline]
    fn begin(out: &'a mut Vec<u8>) -> Counted<'a> {
        let at = out.len();
        out.extend_from_slice(&0u64.to_le_bytes());
        Counted { out, at, count: 0 }
    }

    #[inline]
    fn add<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        v.serialize(Digest { out: self.out })
    }

    #[inline]
    fn finish(self) {
        self.out[self.at..self.at + 8].copy_from_slice(&self.count.to_le_bytes());
    }
}

impl ser::SerializeSeq for Counted<'_> {
    type Ok = ();
    type Error = Unwritable;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Unwritable> {
        self.count += 1;
        self.add(v)
    }
    #[inline]
    fn end(self) -> Result<(), Unwritable> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeMap for Counted<'_> {
    type Ok = ();
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
    fn end(self) -> Result<(), Unwritable> {
        self.finish();
        Ok(())
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
                v.serialize(Digest { out: self.out })
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
