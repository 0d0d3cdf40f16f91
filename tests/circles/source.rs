//! The words of a Rust file, as far as imports need them: no comments, no literals, no code that only tests see.

/// A word or a sign.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name or a keyword.
    Word(String),
    /// `::`.
    Path,
    /// Any other sign.
    Sign(char),
}

impl Token {
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The tokens of a file without what stands behind `#[cfg(test)]`.
pub fn tokens(text: &str) -> Vec<Token> {
    without_tests(&all(text))
}

fn all(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match first {
            '/' if next == Some('/') => at += chars[at..].iter().take_while(|&&c| c != '\n').count(),
            '/' if next == Some('*') => at = after_comment(&chars, at),
            '"' => at = after_text(&chars, at),
            '\'' if next == Some('\\') || chars.get(at + 2) == Some(&'\'') => at = after_letter(&chars, at),
            '\'' => at += 1,
            ':' if next == Some(':') => {
                tokens.push(Token::Path);
                at += 2;
            }
            _ if is_word(at) => {
                let end = (at..).find(|&end| !is_word(end)).unwrap_or(chars.len());
                let word: String = chars[at..end].iter().collect();
                let hashes = chars[end..].iter().take_while(|&&c| c == '#').count();
                let opens = chars.get(end + hashes) == Some(&'"');
                at = match word.as_str() {
                    "r" | "br" | "cr" if opens => after_raw_text(&chars, end + hashes + 1, hashes),
                    "b" | "c" if opens && hashes == 0 => after_text(&chars, end),
                    "b" if chars.get(end) == Some(&'\'') => after_letter(&chars, end),
                    _ => {
                        tokens.push(Token::Word(word));
                        end
                    }
                };
            }
            sign => {
                if !sign.is_whitespace() {
                    tokens.push(Token::Sign(sign));
                }
                at += 1;
            }
        }
    }
    tokens
}

fn after_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Behind a text that begins here with its quote.
fn after_text(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn after_raw_text(chars: &[char], mut at: usize, hashes: usize) -> usize {
    while at < chars.len() {
        at += 1;
        if chars[at - 1] == '"' && chars[at..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes {
            return at + hashes;
        }
    }
    at
}

/// Behind a letter in quotes, such as `'a'` or `'\u{e9}'`.
fn after_letter(chars: &[char], at: usize) -> usize {
    let from = if chars.get(at + 1) == Some(&'\\') { at + 3 } else { at + 2 };
    (from..chars.len()).find(|&at| chars[at] == '\'').map_or(chars.len(), |end| end + 1)
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mark: Vec<Token> = all("#[cfg(test)]");
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&mark) {
            at = after_item(tokens, at + mark.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Behind an item: its semicolon, or the brace that closes it.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    let (mut depth, mut is_import) = (0, false);
    while let Some(token) = tokens.get(at) {
        at += 1;
        is_import |= depth == 0 && token.is("use");
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(close @ (')' | ']' | '}')) => {
                depth -= 1;
                if depth == 0 && *close == '}' && !is_import {
                    break;
                }
            }
            Token::Sign(';') if depth == 0 => break,
            _ => {}
        }
    }
    at
}
