//! As much of Protocol Buffers as BuildKit's answers need: the fields of a message, whatever they mean.

/// What a field holds; the numbers of fixed width, which nothing here is told by, are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    /// A text, some bytes, or a message within.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub(super) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn text(self) -> Option<String> {
        self.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }
}

/// The fields by their numbers, in the order in which they stand. `None` for what is no message.
pub(super) fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let number = key >> 3;
        match key & 7 {
            0 => fields.push((number, Field::Number(varint(&mut message)?))),
            1 => drop(take(&mut message, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                fields.push((number, Field::Bytes(take(&mut message, length)?)));
            }
            5 => drop(take(&mut message, 4)?),
            _ => return None,
        }
    }
    Some(fields)
}

/// A field that holds a text.
pub(super) fn text(number: u8, text: &str) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = text.len();
    while length > 0x7f {
        field.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    field.push(length.to_le_bytes()[0]);
    field.extend_from_slice(text.as_bytes());
    field
}

/// A field that says yes.
pub(super) fn yes(number: u8) -> Vec<u8> {
    vec![number << 3, 1]
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(message, 1)? else { return None };
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_read_field_by_field() {
        // As `protoc --encode` writes it: 1: 150, 2: "testing", a fixed64, a fixed32, and 3: {1: 1}.
        let message = [
            &[0x08, 0x96, 0x01, 0x12, 0x07][..],
            b"testing",
            &[0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x2d, 1, 2, 3, 4, 0x1a, 0x02, 0x08, 0x01],
        ]
        .concat();
        let read = fields(&message).expect("a message");
        assert_eq!(read[0], (1, Field::Number(150)));
        assert_eq!(read[1].1.text().as_deref(), Some("testing"));
        assert_eq!(read[2].1.bytes().and_then(fields), Some(vec![(1, Field::Number(1))]));
        assert_eq!(fields(&message[..message.len() - 1]), None, "cut off");
        assert_eq!(fields(&[0x0b]), None, "a group");
        assert_eq!(fields(&[0xff; 11]), None, "a number without end");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(said in ".{0,300}") {
            let message = [text(2, &said), yes(3)].concat();
            let read = fields(&message).expect("a message");
            prop_assert_eq!(read, vec![(2, Field::Bytes(said.as_bytes())), (3, Field::Number(1))]);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for (_, value) in fields(&bytes).unwrap_or_default() {
                prop_assert!(value.bytes().is_none_or(|bytes| bytes.len() < 100));
            }
        }
    }
}
