//! The shape of answers (RFC 4511, BER).
//!
//! `ldap3` panics on an answer of another shape, recurses into nested ones and has no limit for
//! length. So each message is checked here before it sees it.

/// The most octets of one message. 1,500 values of 256 octets are below a megabyte.
pub(crate) const MAX_MESSAGE: usize = 4 << 20;

const INTEGER: u8 = 0x02;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BIND_RESPONSE: u8 = 0x61;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_RESPONSE: u8 = 0x78;
const CONTROLS: u8 = 0xa0;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Its length exceeds [`MAX_MESSAGE`].
    TooLong,
    /// It is no LDAP message that a client of ours expects.
    Shape,
}

type Checked<T> = Result<T, Malformed>;

/// The length of the first message in `bytes`. `None` if more octets are needed to tell.
pub(crate) fn message_length(bytes: &[u8]) -> Checked<Option<usize>> {
    match bytes.first() {
        None => return Ok(None),
        Some(&SEQUENCE) => {}
        Some(_) => return Err(Malformed::Shape),
    }
    let Some((header, content)) = header(bytes)? else { return Ok(None) };
    let length = header + content;
    if length > MAX_MESSAGE { Err(Malformed::TooLong) } else { Ok(Some(length)) }
}

/// Checks a whole message: its id, a response to bind, search or StartTLS, and its controls.
pub(crate) fn check_message(bytes: &[u8]) -> Checked<()> {
    let mut outer = Elements(bytes);
    let mut message = Elements(outer.expect(SEQUENCE)?);
    outer.end()?;
    // Id 0 is an unsolicited notice: the server is about to close the connection.
    let id = message.expect(INTEGER)?;
    if !(1..=4).contains(&id.len()) || id.iter().all(|octet| *octet == 0) {
        return Err(Malformed::Shape);
    }
    let (tag, operation) = message.next()?;
    match tag {
        BIND_RESPONSE | SEARCH_DONE | EXTENDED_RESPONSE => check_result(operation)?,
        SEARCH_ENTRY => check_entry(operation)?,
        SEARCH_REFERENCE => check_texts(operation)?,
        _ => return Err(Malformed::Shape),
    }
    if !message.0.is_empty() {
        check_controls(message.expect(CONTROLS)?)?;
    }
    message.end()
}

/// The result code of a response to StartTLS, which `check_message` has accepted.
pub(crate) fn extended_result(bytes: &[u8]) -> Checked<u32> {
    let mut message = Elements(Elements(bytes).expect(SEQUENCE)?);
    message.expect(INTEGER)?;
    let code = Elements(message.expect(EXTENDED_RESPONSE)?).expect(ENUMERATED)?;
    Ok(code.iter().fold(0, |sum, octet| (sum << 8) | u32::from(*octet)))
}

/// The cookie in the value of a control for paged results (RFC 2696).
pub(crate) fn page_cookie(value: &[u8]) -> Checked<Vec<u8>> {
    let mut outer = Elements(value);
    let mut parts = Elements(outer.expect(SEQUENCE)?);
    parts.expect(INTEGER)?;
    Ok(parts.expect(OCTET_STRING)?.to_vec())
}

fn check_result(bytes: &[u8]) -> Checked<()> {
    let mut parts = Elements(bytes);
    if !(1..=4).contains(&parts.expect(ENUMERATED)?.len()) {
        return Err(Malformed::Shape);
    }
    text(parts.expect(OCTET_STRING)?)?;
    text(parts.expect(OCTET_STRING)?)?;
    while !parts.0.is_empty() {
        match parts.next()? {
            (0xa3, referrals) => check_texts(referrals)?,
            (0x8a, name) => text(name)?,
            (0x87 | 0x8b, _) => {}
            _ => return Err(Malformed::Shape),
        }
    }
    Ok(())
}

fn check_entry(bytes: &[u8]) -> Checked<()> {
    let mut parts = Elements(bytes);
    text(parts.expect(OCTET_STRING)?)?;
    let mut attributes = Elements(parts.expect(SEQUENCE)?);
    parts.end()?;
    while !attributes.0.is_empty() {
        let mut attribute = Elements(attributes.expect(SEQUENCE)?);
        text(attribute.expect(OCTET_STRING)?)?;
        let mut values = Elements(attribute.expect(SET)?);
        attribute.end()?;
        while !values.0.is_empty() {
            values.expect(OCTET_STRING)?;
        }
    }
    Ok(())
}

fn check_texts(bytes: &[u8]) -> Checked<()> {
    let mut parts = Elements(bytes);
    while !parts.0.is_empty() {
        text(parts.expect(OCTET_STRING)?)?;
    }
    Ok(())
}

fn check_controls(bytes: &[u8]) -> Checked<()> {
    let mut controls = Elements(bytes);
    while !controls.0.is_empty() {
        let mut control = Elements(controls.expect(SEQUENCE)?);
        text(control.expect(OCTET_STRING)?)?;
        if control.0.first() == Some(&BOOLEAN) && control.expect(BOOLEAN)?.len() != 1 {
            return Err(Malformed::Shape);
        }
        if !control.0.is_empty() {
            control.expect(OCTET_STRING)?;
        }
        control.end()?;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Checked<()> {
    std::str::from_utf8(bytes).map(|_| ()).map_err(|_| Malformed::Shape)
}

/// The elements that are left in a constructed one.
struct Elements<'b>(&'b [u8]);

impl<'b> Elements<'b> {
    fn next(&mut self) -> Checked<(u8, &'b [u8])> {
        let tag = *self.0.first().ok_or(Malformed::Shape)?;
        let (start, length) = header(self.0)?.ok_or(Malformed::Shape)?;
        let rest = self.0.get(start..).ok_or(Malformed::Shape)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed::Shape)?;
        self.0 = rest;
        Ok((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Checked<&'b [u8]> {
        let (tag, content) = self.next()?;
        if tag == wanted { Ok(content) } else { Err(Malformed::Shape) }
    }

    fn end(&self) -> Checked<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Shape) }
    }
}

/// The lengths of an element's header and content. LDAP has no indefinite lengths and no long tags.
fn header(bytes: &[u8]) -> Checked<Option<(usize, usize)>> {
    let (Some(tag), Some(first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed::Shape);
    }
    if *first < 0x80 {
        return Ok(Some((2, usize::from(*first))));
    }
    let count = usize::from(*first & 0x7f);
    if count == 0 || count > 8 {
        return Err(Malformed::Shape);
    }
    let Some(octets) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = octets.iter().try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)));
    match length {
        Some(length) if length <= MAX_MESSAGE => Ok(Some((2 + count, length))),
        _ => Err(Malformed::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let header = if length < 128 {
            vec![tag, u8::try_from(length).unwrap()]
        } else {
            let [.., high, low] = length.to_be_bytes();
            vec![tag, 0x82, high, low]
        };
        [&header, content].concat()
    }

    fn message(operation: &[u8], controls: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[&element(INTEGER, &[7]), operation, controls].concat())
    }

    fn result(tag: u8) -> Vec<u8> {
        element(tag, &[element(ENUMERATED, &[0]), element(OCTET_STRING, b""), element(OCTET_STRING, b"ok")].concat())
    }

    fn entry() -> Vec<u8> {
        let values = element(SET, &[element(OCTET_STRING, b"a"), element(OCTET_STRING, &[0xff; 200])].concat());
        let attribute = element(SEQUENCE, &[element(OCTET_STRING, b"memberOf"), values].concat());
        element(SEARCH_ENTRY, &[element(OCTET_STRING, b"CN=a"), element(SEQUENCE, &attribute)].concat())
    }

    #[test]
    fn answers_of_servers_pass() {
        let control = element(
            SEQUENCE,
            &[element(OCTET_STRING, b"1.2.3"), element(BOOLEAN, &[0xff]), element(OCTET_STRING, b"x")].concat(),
        );
        let reference = element(SEARCH_REFERENCE, &element(OCTET_STRING, b"ldaps://other/DC=a"));
        for operation in [result(BIND_RESPONSE), result(SEARCH_DONE), result(EXTENDED_RESPONSE), entry(), reference] {
            for controls in [Vec::new(), element(CONTROLS, &control)] {
                let message = message(&operation, &controls);
                assert_eq!(check_message(&message), Ok(()), "{message:?}");
                assert_eq!(message_length(&message), Ok(Some(message.len())));
                assert_eq!(message_length(&message[..1]), Ok(None));
            }
        }
    }

    #[test]
    fn anything_else_does_not() {
        let not_text = element(SEARCH_ENTRY, &[element(OCTET_STRING, &[0xff]), element(SEQUENCE, b"")].concat());
        let nested = (0..1000).fold(Vec::new(), |inner, _| element(SEQUENCE, &inner));
        let empty_flag = element(SEQUENCE, &[element(OCTET_STRING, b"1"), element(BOOLEAN, b"")].concat());
        for message in [
            message(&not_text, b""),
            message(&element(SEARCH_ENTRY, &nested), b""),
            message(&element(0x79, b""), b""),
            message(&element(SEARCH_DONE, b""), b""),
            message(&element(SEARCH_DONE, &element(ENUMERATED, &[0; 9])), b""),
            message(&result(SEARCH_DONE), &element(CONTROLS, &empty_flag)),
            message(&result(SEARCH_DONE), b"\x05\x00"),
            element(SEQUENCE, &[element(INTEGER, &[0]), result(EXTENDED_RESPONSE)].concat()),
            element(SEQUENCE, b""),
            b"HTTP/1.1 400".to_vec(),
        ] {
            assert_eq!(check_message(&message), Err(Malformed::Shape), "{message:?}");
        }
        assert_eq!(message_length(b"HTTP"), Err(Malformed::Shape));
        assert_eq!(message_length(&[0x30, 0x80]), Err(Malformed::Shape));
        assert_eq!(message_length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(Malformed::TooLong));
        assert_eq!(
            message_length(&[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err(Malformed::TooLong)
        );
    }

    #[test]
    fn a_cookie_is_read() {
        let value = element(SEQUENCE, &[element(INTEGER, &[0]), element(OCTET_STRING, b"next")].concat());
        assert_eq!(page_cookie(&value), Ok(b"next".to_vec()));
        assert_eq!(page_cookie(b"next"), Err(Malformed::Shape));
    }

    proptest! {
        #[test]
        fn no_octets_make_the_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..400, to in any::<u8>()) {
            let _ = (message_length(&bytes), check_message(&bytes), page_cookie(&bytes));
            let mut changed = message(&entry(), b"");
            let at = at % changed.len();
            changed[at] = to;
            let _ = (message_length(&changed), check_message(&changed));
        }
    }
}
