//! Values on their way to PostgreSQL and back: five kinds, whatever the column is.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::super::Value;

/// A column of a result.
pub(super) struct Read(pub Value);

/// What a value is sent as; of none, the database finds out.
pub(super) fn of(value: &Value) -> Type {
    match value {
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

/// The same in a letter.
pub(super) fn letter(value: &Value) -> char {
    match value {
        Value::Null => 'n',
        Value::Int(_) => 'i',
        Value::Real(_) => 'r',
        Value::Text(_) => 't',
        Value::Blob(_) => 'b',
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Real(value) => value.to_sql(ty, out),
            // No text of PostgreSQL holds a zero; a server's answer may.
            Self::Text(value) if value.contains('\0') => value.replace('\0', "\u{fffd}").to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Blob(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl FromSql<'_> for Read {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Value::Real(f64::from_sql(ty, raw)?),
            Type::NUMERIC => Value::Int(whole(raw).ok_or("a sum is no whole number")?),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            _ => Value::Text(String::from_utf8(raw.to_vec())?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A NUMERIC, which is what sums of BIGINT are, as it travels: the number of digits to base 10 000, the power of the first, sign and
/// scale, and the digits. None for what has a fraction or does not fit.
fn whole(raw: &[u8]) -> Option<i64> {
    let mut words = raw.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let (digits, weight, sign, _scale) = (words.next()?, words.next()?.cast_signed(), words.next()?, words.next()?);
    let mut value = 0i64;
    for place in 0..=i32::from(weight) {
        let digit = if place < i32::from(digits) { i64::from(words.next()?) } else { 0 };
        value = value.checked_mul(10_000)?.checked_add(digit)?;
    }
    match sign {
        0 if words.next().is_none() => Some(value),
        0x4000 if words.next().is_none() => Some(-value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_as_a_whole_number_or_not_at_all() {
        let numeric = |digits: &[u16], weight: i16, sign: u16| {
            let head = [digits.len() as u16, weight.cast_unsigned(), sign, 0];
            let octets: Vec<u8> = head.iter().chain(digits).flat_map(|word| word.to_be_bytes()).collect();
            whole(&octets)
        };
        assert_eq!(numeric(&[], 0, 0), Some(0));
        assert_eq!(numeric(&[], -1, 0), Some(0));
        assert_eq!(numeric(&[12], 0, 0), Some(12));
        assert_eq!(numeric(&[12], 1, 0), Some(120_000));
        assert_eq!(numeric(&[1, 2345, 6789], 2, 0x4000), Some(-123_456_789));
        assert_eq!(numeric(&[5], -1, 0), None);
        assert_eq!(numeric(&[1, 5000], 0, 0), None);
        assert_eq!(numeric(&[9999; 6], 5, 0), None);
        assert_eq!(numeric(&[1], 0, 0xC000), None);
        assert_eq!(whole(&[0, 1]), None);
    }
}
