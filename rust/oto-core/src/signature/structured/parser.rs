//! The grammar, one method a rule.

use base64::Engine as _;

use super::{BASE64, Bare, FIELD_BYTES, InnerList, Item, MEMBERS, Malformed, Member, Parameters};

/// Where the reading of a field stands.
pub(super) struct Parser<'a> {
    field: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(field: &'a [u8]) -> Result<Self, Malformed> {
        if field.len() > FIELD_BYTES {
            return Err(Malformed {
                expected: "a field of 32 KiB at most",
                at: FIELD_BYTES,
            });
        }
        Ok(Self { field, at: 0 })
    }

    pub(super) fn whole<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        self.spaces(false);
        let value = read(&mut self)?;
        self.spaces(false);
        match self.peek() {
            None => Ok(value),
            Some(_) => self.expected("the end of the field"),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.field.get(self.at).copied()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            expected,
            at: self.at,
        })
    }

    /// Skip spaces, and tabs where the grammar has OWS.
    fn spaces(&mut self, tabs: bool) {
        while self
            .peek()
            .is_some_and(|byte| byte == b' ' || tabs && byte == b'\t')
        {
            self.at += 1;
        }
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        &self.field[start..self.at]
    }

    pub(super) fn separated(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.peek().is_none() {
            return Ok(());
        }
        for _ in 0..MEMBERS {
            read(self)?;
            let end = self.at;
            self.spaces(true);
            if self.peek().is_none() {
                // Trailing tabs are no part of the grammar: let the caller meet them.
                self.at = end;
                self.spaces(false);
                return Ok(());
            }
            if !self.eat(b',') {
                return self.expected("a comma");
            }
            self.spaces(true);
            if self.peek().is_none() {
                return self.expected("a member behind the comma");
            }
        }
        self.expected("128 members at most")
    }

    pub(super) fn member(&mut self) -> Result<Member, Malformed> {
        if self.peek() == Some(b'(') {
            self.inner().map(Member::Inner)
        } else {
            self.item().map(Member::Item)
        }
    }

    fn inner(&mut self) -> Result<InnerList, Malformed> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.spaces(false);
            if self.eat(b')') {
                let parameters = self.parameters()?;
                return Ok(InnerList { items, parameters });
            }
            if items.len() == MEMBERS {
                return self.expected("128 items at most");
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return self.expected("a space or )");
            }
        }
    }

    pub(super) fn item(&mut self) -> Result<Item, Malformed> {
        Ok(Item {
            value: self.bare()?,
            parameters: self.parameters()?,
        })
    }

    pub(super) fn parameters(&mut self) -> Result<Parameters, Malformed> {
        let mut parameters: Parameters = Vec::new();
        while self.eat(b';') {
            self.spaces(false);
            let name = self.key()?;
            let value = if self.eat(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            if let Some((_, old)) = parameters.iter_mut().find(|(known, _)| *known == name) {
                *old = value;
            } else if parameters.len() == MEMBERS {
                return self.expected("128 parameters at most");
            } else {
                parameters.push((name, value));
            }
        }
        Ok(parameters)
    }

    pub(super) fn key(&mut self) -> Result<String, Malformed> {
        if !matches!(self.peek(), Some(b'a'..=b'z' | b'*')) {
            return self.expected("a name in lower case");
        }
        let name = self.take_while(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
        );
        Ok(ascii(name))
    }

    fn bare(&mut self) -> Result<Bare, Malformed> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.string().map(Bare::String),
            Some(b'*' | b'A'..=b'Z' | b'a'..=b'z') => {
                let is_part =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Ok(Bare::Token(ascii(self.take_while(is_part))))
            }
            Some(b':') => self.bytes(),
            Some(b'?') => {
                self.at += 1;
                match self.take() {
                    Some(b'1') => Ok(Bare::Boolean(true)),
                    Some(b'0') => Ok(Bare::Boolean(false)),
                    _ => self.expected("?0 or ?1"),
                }
            }
            Some(b'@') => {
                self.at += 1;
                match self.number()? {
                    Bare::Integer(seconds) => Ok(Bare::Date(seconds)),
                    _ => self.expected("whole seconds"),
                }
            }
            Some(b'%') => self.display(),
            _ => self.expected("a value"),
        }
    }

    fn number(&mut self) -> Result<Bare, Malformed> {
        let negative = self.eat(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        let size = match whole.len() {
            0 => return self.expected("a digit"),
            1..=15 => digits(whole),
            _ => return self.expected("15 digits at most"),
        };
        let sign = if negative { -1 } else { 1 };
        if !self.eat(b'.') {
            return Ok(Bare::Integer(sign * size));
        }
        let fraction = self.take_while(|byte| byte.is_ascii_digit());
        if whole.len() > 12 || !matches!(fraction.len(), 1..=3) {
            return self.expected("12 digits, a point and 1 to 3 digits");
        }
        let scale = [100, 10, 1][fraction.len() - 1];
        Ok(Bare::Decimal(
            sign * (size * 1000 + digits(fraction) * scale),
        ))
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.take() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => match self.take() {
                    Some(byte @ (b'"' | b'\\')) => text.push(char::from(byte)),
                    _ => return self.expected("\" or \\ behind a \\"),
                },
                Some(byte @ 0x20..=0x7e) => text.push(char::from(byte)),
                _ => return self.expected("printable ASCII and a closing quote"),
            }
        }
    }

    fn bytes(&mut self) -> Result<Bare, Malformed> {
        self.at += 1;
        let text = self.take_while(|byte| byte != b':');
        let decoded = BASE64.decode(text);
        match decoded {
            Ok(bytes) if self.eat(b':') => Ok(Bare::Bytes(bytes)),
            _ => self.expected("base64 and a closing colon"),
        }
    }

    fn display(&mut self) -> Result<Bare, Malformed> {
        self.at += 1;
        if !self.eat(b'"') {
            return self.expected("a quote behind %");
        }
        let mut bytes = Vec::new();
        loop {
            match self.take() {
                Some(b'"') => break,
                Some(b'%') => match (self.take().and_then(hex), self.take().and_then(hex)) {
                    (Some(high), Some(low)) => bytes.push(high << 4 | low),
                    _ => return self.expected("two digits, lower-case hexadecimal"),
                },
                Some(byte @ 0x20..=0x7e) => bytes.push(byte),
                _ => return self.expected("printable ASCII and a closing quote"),
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Bare::Display(text)),
            Err(_) => self.expected("UTF-8"),
        }
    }
}

fn digits(ascii: &[u8]) -> i64 {
    ascii
        .iter()
        .fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'))
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
