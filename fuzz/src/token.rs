//! Tokens of return paths, as any stranger may write them after RCPT TO.

use sm2tp_proto::token::{Row, Term, Token, TokenKey, TokenKeys};

/// A token that opens is one that we made, and it is written in one way only.
pub fn token(bytes: &[u8]) {
    let term = |number: u8| Term { number, key: TokenKey::new([number; 32]), last_day: u16::MAX };
    let keys = TokenKeys::new(vec![term(5), term(2)]);
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    if let Ok(token) = Token::open(text, &keys, 20_000, 35) {
        let own = TokenKeys::new(vec![term(token.key)]);
        assert_eq!(own.make(token.row, token.day), Some(text.to_ascii_lowercase()));
        assert_eq!(Token::unchecked(text), Ok(token));
    }
    // Whatever row there is, its token is read.
    let mut row = [0; 10];
    row.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let made = keys.make(Row(row), 19_990).expect("there is a key");
    assert_eq!(Token::open(&made, &keys, 20_000, 35).map(|token| token.row), Ok(Row(row)));
}
